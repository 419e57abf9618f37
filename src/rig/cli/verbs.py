"""The verbs of the `rig` command, in groups by what one is doing, and the helps that list them; imports no verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True, kw_only=True)
class Group:
    """Verbs for one kind of work.

    Attributes:
        line: the work, in a line.
        verbs: verb -> (dataclass, one line of help); a verb is one word, or two of which the first is the group's name.
    """

    line: str
    verbs: Mapping[str, tuple[str, str]]


GROUPS = {
    "see": Group(
        line="watch it, and look into what there is",
        verbs={
            "demo": ("rig.cli.looking:Demo", "play every task with the shipped agent"),
            "play": ("rig.cli.playing:Play", "play episodes, print them and write a trace"),
            "picture": ("rig.cli.playing:Picture", "draw a moving picture of an agent's most telling decision"),
            "playground": (
                "rig.cli.playground:Playground",
                "a page: watch an agent think, walk through its dreams, record your play",
            ),
            "view": ("rig.cli.playing:View", "turn a dataset's episodes into a page to look at"),
            "inspect": ("rig.cli.looking:Inspect", "say what a dataset, agent, run or result holds"),
            "doctor": ("rig.cli.looking:Doctor", "say what this machine has and lacks"),
        },
    ),
    "stages": Group(
        line="make datasets, each of the one before",
        verbs={
            "import": ("rig.cli.data:Import", "S0: read other people's data"),
            "collect": ("rig.cli.data:Collect", "S1: let a teacher play, and keep what it does"),
            "reason": ("rig.cli.data:Reason", "S2: add thoughts to a dataset"),
            "review": ("rig.cli.data:ReviewVerb", "S3: play an agent beside the teacher, and review its mistakes"),
            "align": ("rig.cli.data:Align", "S4: replay an agent's dreams in the engine"),
            "rehearse": ("rig.cli.data:Rehearse", "S4 without an agent: review what a teacher did"),
            "rereview": ("rig.cli.data:Rereview", "S3 or S4 once more: another Reviewer over the same steps"),
            "annotate-report": ("rig.cli.data:AnnotateReport", "score a dataset's thoughts, and say what they cost"),
            "branch": (
                "rig.cli.data:BranchVerb",
                "counterfactual sets: several plans from one state, dreamed and tried",
            ),
        },
    ),
    "data": Group(
        line="work with datasets",
        verbs={
            "data merge": ("rig.cli.datasets:DataMerge", "one dataset of several"),
            "data split": ("rig.cli.datasets:DataSplit", "several of one, none with a world of another"),
            "data filter": ("rig.cli.datasets:DataFilter", "what meets conditions"),
            "data dedupe": ("rig.cli.datasets:DataDedupe", "without what is there more than once"),
            "data card": ("rig.cli.datasets:DataCard", "a page to look at: steps as pictures, and figures"),
        },
    ),
    "training": Group(
        line="train on datasets",
        verbs={
            "train-tokenizer": (
                "rig.cli.training:TrainTokenizer",
                "train the frame and text tokenizers on a dataset",
            ),
            "train-vision": (
                "rig.cli.training:TrainVision",
                "train the understanding encoder to name what patches show",
            ),
            "train": ("rig.cli.training:Train", "train an agent on datasets"),
            "improve": ("rig.cli.training:Improve", "have an agent learn from its own play, and what that was worth"),
            "import-janus": ("rig.cli.janus:ImportJanus", "make a base to train from of a Janus checkpoint"),
        },
    ),
    "evaluate": Group(
        line="score what was trained",
        verbs={
            "eval": ("rig.cli.playing:Eval", "score an agent or a teacher on unseen seeds"),
            "imagine": ("rig.cli.playing:Imagine", "score an agent's dreams against what really comes"),
            "causality": ("rig.cli.playing:Causality", "say whether dreams cause better decisions, by exchanging them"),
            "eval-reviews": ("rig.cli.playing:EvalReviews", "score an agent's reviews of lookaheads that are given"),
            "judge": ("rig.cli.playing:JudgeVerb", "score what an agent says its plans are worth"),
            "reproduce": ("rig.cli.looking:Reproduce", "run a whole ladder: data, training, evaluation, report"),
        },
    ),
    "bench": Group(
        line="time it",
        verbs={
            "bench decode": ("rig.cli.bench:BenchDecode", "time writing beside transformers' modules"),
            "bench train": ("rig.cli.bench:BenchTrain", "time training beside Hugging Face's Trainer"),
            "bench dreams": ("rig.cli.bench:BenchDreams", "time the ways to write a dream"),
            "bench walk": ("rig.cli.bench:BenchWalk", "time a walk through dreams: frames a second, key by key"),
            "bench policy": ("rig.cli.bench:BenchPolicy", "time decisions over worlds"),
            "bench serve": ("rig.cli.bench:BenchServe", "time served decisions, beside the same in one process"),
            "bench loop": (
                "rig.cli.bench:BenchLoop",
                "time the whole way once: episodes and conversations a second",
            ),
            "bench data": ("rig.cli.bench:BenchData", "time reading for training, beside learning"),
            "bench env": ("rig.cli.bench:BenchEnv", "time Minetest's lock-step: ticks a second, and resets"),
        },
    ),
    "share": Group(
        line="serve and give away what was made",
        verbs={
            "serve": ("rig.cli.serving:Serve", "serve an agent's decisions over a websocket and HTTP"),
            "publish": (
                "rig.cli.publishing:Publish",
                "copy an agent to give away, with a card of its making and its scores",
            ),
            "card": (
                "rig.cli.publishing:Card",
                "write a dataset's card: what it holds, how it was made, how it is read",
            ),
            "export": ("rig.cli.exporting:Export", "write a dataset in a format of others: LeRobotDataset v3"),
            "export-janus": ("rig.cli.janus:ExportJanus", "write an agent's network as transformers opens it"),
        },
    ),
}
"""Name -> group. No group is called as a verb is."""

VERBS = {name: verb for group in GROUPS.values() for name, verb in group.verbs.items()}
"""Verb -> (dataclass, one line of help)."""

RENAMED = {"reconsider": "eval-reviews", "rewrite": "rereview"}
"""What a verb was called -> what it is called now; the old name goes on working, and says so."""

_WIDTH = max(map(len, VERBS))


def overview() -> str:
    """Return the help of the whole command, which fits a screen: every group, with a line for each verb."""
    return "\n".join(
        [
            "rig: one transformer that reasons, acts, imagines and reviews (arXiv 2503.24388)",
            "",
            "usage: rig VERB [flags] [--json | --json-last]",
            "",
            *(line for name in GROUPS for line in _listed(name)),
            "",
            "`rig GROUP`, as `rig stages`, shows a group's verbs with examples, `rig VERB --help` a verb's flags.",
            "--json prints the result as one line of JSON and nothing else, --json-last as the last line.",
            "example: rig play --agent runs/rig/agent --tasks collect_wood --dreams 3 --out runs/trace.html",
        ]
    )


def _listed(name: str) -> list[str]:
    """Return a group's lines in the overview; one that is a family of two words has one line for all its verbs."""
    group = GROUPS[name]
    lines = [_line(verb, line) for verb, (_, line) in group.verbs.items()]
    if is_family(name):
        seconds = ", ".join(verb.partition(" ")[2] for verb in group.verbs)
        lines = [_line(f"{name} WHAT", f"{seconds}: `rig {name}` says what each of them does")]
    return [f"{name}: {group.line}", *lines]


def is_family(name: str) -> bool:
    """Return whether the verbs of a group are of two words, the first of which is its name."""
    return all(verb.startswith(f"{name} ") for verb in GROUPS[name].verbs)


def _line(verb: str, line: str) -> str:
    return f"  {verb:<{_WIDTH}}  {line}"


def group_help(name: str) -> str:
    """Return the help of a group: a line and an example for each of its verbs."""
    lines = [f"{name}: {GROUPS[name].line}", ""]
    for verb, (_, line) in GROUPS[name].verbs.items():
        lines += [_line(verb, line), _line("", example_of(verb))]
    return "\n".join([*lines, "", "`rig VERB --help` shows a verb's flags."])


def verb_class(name: str) -> type:
    """Return the dataclass of a verb; only now is its module imported."""
    module, _, attribute = VERBS[name][0].partition(":")
    kind: type = getattr(import_module(module), attribute)
    return kind


def describe(kind: type) -> str:
    """Return a verb's description and example, from its docstring up to its attributes."""
    text = (kind.__doc__ or "").partition("Attributes:")[0]
    return "\n".join(line.strip() for line in text.strip().splitlines())


def example_of(name: str) -> str:
    """Return the command that a verb's docstring gives as its example."""
    begin = "Example: "
    return next(line.removeprefix(begin) for line in describe(verb_class(name)).splitlines() if line.startswith(begin))
