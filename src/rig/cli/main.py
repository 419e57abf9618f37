"""The `rig` command: finds the verb, reads its flags, runs it, and says what came of it.

Verbs are frozen dataclasses with a `run` method; only the module of the chosen one is imported, and none of them
imports torch before `run`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence, Set
from importlib import import_module
from typing import Any

from rig import __version__
from rig.cli.terminal import harmless, take_any_text
from rig.errors import RigError
from rig.machine import refusal, usable_cores
from rig.registry import suggestion

VERBS = {
    "collect": ("rig.cli.data:Collect", "S1: let a teacher play, and keep what it does"),
    "import": ("rig.cli.data:Import", "S0: read other people's data"),
    "reason": ("rig.cli.data:Reason", "S2: add thoughts to a dataset"),
    "review": ("rig.cli.data:ReviewVerb", "S3: play an agent beside the teacher, and review its mistakes"),
    "align": ("rig.cli.data:Align", "S4: replay an agent's dreams in the engine"),
    "branch": (
        "rig.cli.data:BranchVerb",
        "counterfactual sets: several plans from one state, dreamed and tried",
    ),
    "rehearse": ("rig.cli.data:Rehearse", "S4 without an agent: review what a teacher did"),
    "rewrite": ("rig.cli.data:Rewrite", "S3 or S4 once more: another Reviewer over the same steps"),
    "train-tokenizer": ("rig.cli.training:TrainTokenizer", "train the frame and text tokenizers on a dataset"),
    "train-vision": ("rig.cli.training:TrainVision", "train the understanding encoder to name what patches show"),
    "train": ("rig.cli.training:Train", "train an agent on datasets"),
    "import-janus": ("rig.cli.janus:ImportJanus", "make a base to train from of a Janus checkpoint"),
    "export-janus": ("rig.cli.janus:ExportJanus", "write an agent's network as transformers opens it"),
    "play": ("rig.cli.playing:Play", "play episodes, print them and write a trace"),
    "picture": ("rig.cli.playing:Picture", "draw a moving picture of an agent's most telling decision"),
    "eval": ("rig.cli.playing:Eval", "score an agent or a teacher on unseen seeds"),
    "imagine": ("rig.cli.playing:Imagine", "score an agent's dreams against what really comes"),
    "reconsider": ("rig.cli.playing:Reconsider", "score an agent's reviews of lookaheads that are given"),
    "view": ("rig.cli.playing:View", "turn a dataset's episodes into a page to look at"),
    "inspect": ("rig.cli.looking:Inspect", "say what a dataset, agent, run or result holds"),
    "reproduce": ("rig.cli.looking:Reproduce", "run a whole ladder: data, training, evaluation, report"),
    "publish": ("rig.cli.looking:Publish", "copy an agent to give away, with a card of its making and its scores"),
    "card": ("rig.cli.looking:Card", "write a dataset's card: what it holds, how it was made, how it is read"),
    "demo": ("rig.cli.looking:Demo", "play every task with the shipped agent"),
    "bench decode": ("rig.cli.bench:BenchDecode", "time writing beside transformers' modules"),
    "bench train": ("rig.cli.bench:BenchTrain", "time training beside Hugging Face's Trainer"),
    "bench dreams": ("rig.cli.bench:BenchDreams", "time the ways to write a dream"),
    "bench policy": ("rig.cli.bench:BenchPolicy", "time decisions over worlds"),
    "bench loop": ("rig.cli.bench:BenchLoop", "time the whole way once: episodes and conversations a second"),
    "bench env": ("rig.cli.bench:BenchEnv", "time Minetest's lock-step: ticks a second, and resets"),
    "doctor": ("rig.cli.looking:Doctor", "say what this machine has and lacks"),
}
"""Verb -> (dataclass, one line of help); a verb is one word, or two where it is one of a family."""

JSON_FLAGS = frozenset({"--json", "--json-last"})
"""Flags of every verb: its result as JSON in place of its text, or behind it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; return the exit status: 0, 2 for a user's mistake, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    take_any_text()
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if given[0] == "--version":
        print(__version__)
        return 0
    name = given.pop(0)
    if given and f"{name} {given[0]}" in VERBS:
        name = f"{name} {given.pop(0)}"
    if name not in VERBS:
        _complain(f"rig: unknown verb {name!r}.{suggestion(name, VERBS)} `rig --help` lists them.")
        return 2
    return _run(name, given)


def _run(name: str, given: Sequence[str]) -> int:
    verb = None
    try:
        verb = read_verb(name, [word for word in given if word not in JSON_FLAGS])
        _keep_to_quota()
        _show(verb.run(), JSON_FLAGS & set(given))
    except BrokenPipeError:  # whoever reads has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except RigError as error:
        _complain(f"rig {name}: {error}")
        return 2
    except OSError as error:
        told = refusal(error)
        if told is None:
            raise
        _complain(f"rig {name}: {told}")
        return 2
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding():
            raise
        _complain(
            f"rig {name}: files here have names in {error.encoding}, which cannot hold {error.object!r}; "
            "set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
        )
        return 2
    except KeyboardInterrupt:
        _complain(f"\nrig {name}: interrupted{_kept(verb)}")
        return 130
    return 0


def _keep_to_quota() -> None:
    """Have libraries start as many threads as this process has cores: they know its affinity, and no quota."""
    if hasattr(os, "sched_getaffinity") and usable_cores() < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def _kept(verb: Any) -> str:
    """Return what is left of an interrupted verb: it says so itself, by whether it can resume."""
    out = getattr(verb, "out", None) or getattr(verb, "root", None)
    if not hasattr(verb, "resume"):
        return f"; nothing was written to {out}" if out and not os.path.exists(out) else ""
    if out and not os.path.exists(out):
        return f" before anything was finished; there is no {out} yet"
    return "; what is finished is kept. Run it again with --resume."


def _complain(text: str) -> None:
    print(harmless(text), file=sys.stderr)


def overview() -> str:
    """Return the help of the whole command."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {line}" for name, (_, line) in VERBS.items()]
    return "\n".join(
        [
            "rig: one transformer that reasons, acts, imagines and reviews (arXiv 2503.24388)",
            "",
            "usage: rig VERB [flags] [--json | --json-last]",
            "",
            *lines,
            "",
            "`rig VERB --help` shows a verb's flags and an example. --json prints the result as one line of JSON and",
            "nothing else, --json-last as the last line.",
            "example: rig play --agent runs/rig/agent --tasks collect_wood --dreams 3 --out runs/trace.html",
        ]
    )


def read_verb(name: str, given: Sequence[str]) -> Any:
    """Return the verb with its flags filled in; `--help` prints and exits, wrong flags exit with status 2."""
    import tyro

    module, _, attribute = VERBS[name][0].partition(":")
    kind = getattr(import_module(module), attribute)
    return tyro.cli(kind, prog=f"rig {name}", args=list(given), description=describe(kind))


def describe(kind: type) -> str:
    """Return a verb's description and example, from its docstring up to its attributes."""
    text = (kind.__doc__ or "").partition("Attributes:")[0]
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _show(result: dict[str, Any], flags: Set[str]) -> None:
    """Print a verb's text for people, or its result as one line of JSON, or both; nothing where another rank does."""
    if not result:
        return
    text = result.pop("text")
    if "--json" not in flags:
        print(harmless(text), flush=True)
    if flags:
        print(json.dumps(result, default=str), flush=True)  # in ASCII: JSON's escapes are read back, and obeyed by none


if __name__ == "__main__":
    sys.exit(main())
