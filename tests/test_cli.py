"""The command line: quick helps, examples that parse, mistakes told in a line, results as one line of JSON."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import yaml
from test_data_importers import LINES, episode
from test_recipes import table_rows

from rig.agents.checkpoint import AgentCheckpoint
from rig.cli.demo import _kinds, run_demo
from rig.cli.main import main, read_verb
from rig.cli.verbs import GROUPS, VERBS, example_of, overview, verb_class
from rig.data import Dataset
from rig.errors import RigError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import named_planner
from rig.evaluate.parallel import play_in_parallel
from rig.teachers.crafter import CrafterExpert
from rig.train.config import Mixture
from rig.train.mixture import parts_of

ASK_EVERY_VERB_FOR_HELP = """
import contextlib, io, json, sys
from rig.cli.main import main
from rig.cli.verbs import GROUPS, VERBS
def help_of(*words):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        try:
            status = main([*words])
        except SystemExit as end:
            status = end.code
    return [status, text.getvalue()]
overview = help_of("--help")
early = [name for name in sys.modules if name.startswith("rig.") or name == "tyro"]
groups = {name: help_of(name) for name in GROUPS}
verbs = {verb: help_of(*verb.split(), "--help") for verb in VERBS}
heavy = [name for name in ("torch", "numba") if name in sys.modules]
print(json.dumps({"overview": overview, "early": early, "groups": groups, "verbs": verbs, "heavy": heavy}))
"""

SPELLINGS = """
collect, import, reason, review, align, branch, rehearse, rereview, annotate-report, train-tokenizer,
train-vision, train, improve,
import-janus, export-janus, play, picture, eval, imagine, causality, eval-reviews, judge, view, inspect, reproduce,
publish, card, demo, bench decode, bench train, bench dreams, bench policy, bench loop, bench env, bench serve, doctor,
export, bench data, data merge, data split, data filter, data dedupe, data card, serve,
playground, bench walk
"""
"""The verbs, each as it has been spelled since it was there."""


def rig(capsys, *words):
    """Run a command; return its status, and what it wrote to stdout and stderr."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def result(capsys, *words):
    """Run a command with --json; return its result, which is all that it printed."""
    status, out, err = rig(capsys, *words, "--json")
    assert status == 0, err
    assert out.count("\n") == 1
    return json.loads(out)


def mistake(capsys, *words):
    """Run a command that the user got wrong; return the one line that says so."""
    status, out, err = rig(capsys, *words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    return err


@pytest.fixture(scope="module")
def helps():
    command = [sys.executable, "-c", ASK_EVERY_VERB_FOR_HELP]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_helps_come_without_torch_and_with_an_example(helps):
    assert set(helps["verbs"]) == set(VERBS)
    for verb, (status, text) in helps["verbs"].items():
        assert status == 0
        assert f"Example: rig {verb}" in text
        assert "Attributes:" not in text
    assert helps["heavy"] == []


def test_the_overview_imports_no_verb(helps):
    assert "rig.cli.verbs" in helps["early"]
    assert not {"tyro", *(module.partition(":")[0] for module, _ in VERBS.values())} & set(helps["early"])


def test_every_verb_is_in_a_group_under_its_old_name():
    listed = [verb for group in GROUPS.values() for verb in group.verbs]
    assert sorted(listed) == sorted(VERBS) == sorted(re.split(r",\s+", SPELLINGS.strip()))
    assert not set(GROUPS) & set(VERBS), "a word is a group or a verb"


def lines_of(help_text):
    """Return the first column of a help's indented lines."""
    return [line[2:].split("  ")[0] for line in help_text.splitlines() if re.match(r"  \w", line)]


def fits(text, lines):
    return len(text.splitlines()) <= lines and all(len(line) <= 120 for line in text.splitlines())


def test_the_overview_fits_a_screen_and_lists_groups_with_a_line_for_each_verb(capsys):
    status, out, _ = rig(capsys, "--help")
    assert status == 0
    assert fits(out, 52)
    assert [line.split(":")[0] for line in out.splitlines()[4:-4] if not line.startswith(" ")] == list(GROUPS)
    assert [verb for verb in lines_of(out) if not verb.endswith(" WHAT")] == [verb for verb in VERBS if " " not in verb]
    for family, verbs in {
        "bench": "decode, train, dreams, walk, policy, serve, loop, data, env",
        "data": "merge, split, filter, dedupe, card",
    }.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {family} WHAT")]
        assert f"{verbs}: `rig {family}`" in line
    assert [rig(capsys, *words)[:2] for words in ((), ("help",), ("-h",))] == [(0, out)] * 3


@pytest.mark.parametrize("name", GROUPS)
def test_a_groups_help_fits_a_small_screen_and_has_each_verbs_example(capsys, helps, name):
    status, text = helps["groups"][name]
    assert status == 0
    assert fits(text, 24)
    assert lines_of(text) == list(GROUPS[name].verbs)
    examples = [line.strip() for line in text.splitlines() if re.match(r"   +rig ", line)]
    assert examples == [example_of(verb) for verb in GROUPS[name].verbs]
    for words in ((name, "--help"), ("help", name), ("--help", name), (name, "help")):
        assert rig(capsys, *words)[:2] == (0, text)


def test_the_help_of_a_verb_can_be_asked_for_in_front_of_it(capsys):
    for verb in (["eval"], ["bench", "dreams"]):
        asked = rig(capsys, *verb, "--help")
        assert asked[0] == 0
        assert rig(capsys, "help", *verb) == rig(capsys, "--help", *verb) == asked


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("stages collect --out 'a b'", "is a group of verbs, each of which stands alone: `rig collect --out 'a b'`."),
        ("stages colect", "unknown verb 'colect'. Did you mean 'collect'? `rig stages` lists those of stages."),
        ("data collect --out 'a b'", "'collect' stands alone: `rig collect --out 'a b'`."),
        ("data merg", "unknown verb 'data merg'. Did you mean 'data merge'? `rig data` lists those of data."),
        ("bench polcy", "unknown verb 'bench polcy'. Did you mean 'bench policy'? `rig bench` lists those of bench."),
        ("bench --json", "'bench' is a group of verbs; give one of them before '--json'. `rig bench` lists"),
        ("evaluat", "unknown verb 'evaluat'. Did you mean 'evaluate'? `rig --help` lists them."),
        ("help train-vison", "unknown verb 'train-vison'. Did you mean 'train-vision'?"),
        ("help stages collect", "each of which stands alone: `rig collect`"),
    ],
)
def test_what_is_no_verb_is_told_with_what_may_have_been_meant(capsys, words, told):
    assert told in mistake(capsys, *shlex.split(words))


@pytest.mark.parametrize("verb", VERBS)
def test_examples_parse(verb):
    words, begin = shlex.split(example_of(verb)), ["rig", *verb.split()]
    assert words[: len(begin)] == begin
    assert isinstance(read_verb(verb, words[len(begin) :]), verb_class(verb))


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("play --agent AGENT --out FOLDER", "is a folder, and a page is a file; name one, for example"),
        ("play --agent AGENT --out FILE/page.html", "cannot be written"),
        ("view --data DATA --out FOLDER", "is a folder, and a page is a file"),
        ("demo --agent AGENT --out FOLDER", "already exists; replace the demonstration there with --overwrite"),
        ("demo --agent AGENT --out FILE", "cannot be written"),
        ("demo --agent AGENT --out FILE/demo", "cannot be written"),
        ("eval --agent AGENT --out FILE/eval", "cannot be written"),
        ("eval --agent AGENT --out FILE --resume", "cannot be written"),
        ("reproduce --preset debug --root FOLDER/new --report FOLDER", "is a folder, and a page is a file"),
        ("eval-reviews --agent AGENT --data DATA --out FILE", "cannot be written"),
        ("imagine --agent AGENT --out FILE", "cannot be written"),
        ("publish --agent AGENT --results none --title T --out FILE/new", "cannot be written"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_any_work(capsys, made, tmp_path, monkeypatch, words, wrong):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    for path in (folder / "trace.html", file):
        path.write_text("as it was")
    names = {"AGENT": made.agent, "DATA": made.data, "FOLDER": folder, "FILE": file}
    for work in (
        "rig.agents.checkpoint.AgentCheckpoint.load",
        "rig.data.Dataset.__init__",
        "rig.recipes.jobs.run_plan",
    ):
        monkeypatch.setattr(work, lambda *given, **named: pytest.fail("work was begun"))
    given = re.sub("|".join(names), lambda name: str(names[name[0]]), words).split()
    assert wrong in mistake(capsys, *given)
    assert (folder / "trace.html").read_text() == file.read_text() == "as it was"
    assert list(folder.iterdir()) == [folder / "trace.html"]


def test_the_overviews_example_parses():
    (line,) = [line for line in overview().splitlines() if line.startswith("example: ")]
    words = shlex.split(line.removeprefix("example: "))
    assert read_verb(words[1], words[2:]).dreams == 3


@pytest.mark.parametrize(
    ("words", "wrong", "right"),
    [
        (["evil"], "unknown verb 'evil'", "'eval'"),
        (["reproduce", "crafter", "--preset", "smal"], "unknown ladder 'crafter/smal'", "'crafter/small'"),
        (["reproduce", "--preset", "debug", "--plan", "--only", "s5"], "unknown job 's5'", "'s"),
        (["train-tokenizer", "--data", "d", "--preset", "debag", "--out", "OUT"], "preset 'debag'", "'debug'"),
        (["collect", "--tasks", "colect_wood", "--out", "OUT"], "unknown task 'colect_wood'", "'collect_wood'"),
        (["collect", "--tasks", "collect_wood/manul", "--out", "OUT"], "task 'collect_wood' 'manul'", "'manual'"),
        (["collect", "--teacher", "crafer", "--out", "OUT"], "unknown teacher 'crafer'", "'crafter'"),
        (["collect", "--environment", "crafte", "--out", "OUT"], "unknown environment 'crafte'", "'crafter'"),
        (["import", "--source", ".", "--importer", "open", "--out", "OUT"], "importer 'open'", "'open-folder'"),
        (["eval", "--agent", "teacher:randm", "--out", "OUT"], "unknown teacher 'randm'", "'random'"),
        (["eval", "--agent", "teacher:crafter", "--tasks", "explor", "--out", "OUT"], "task 'explor'", "'explore'"),
    ],
)
def test_a_wrong_name_is_told_in_a_line_with_the_nearest_one(capsys, tmp_path, words, wrong, right):
    out = tmp_path / "out"
    said = mistake(capsys, *(out if word == "OUT" else word for word in words))
    assert wrong in said
    assert f"Did you mean {right}" in said
    assert not out.exists(), "a mistake leaves nothing behind that stands in the way of the next try"


def test_a_wrong_task_of_a_dataset_is_told(capsys, made, tmp_path):
    said = mistake(capsys, "view", "--data", made.data, "--tasks", "colect_wood", "--out", tmp_path / "page.html")
    assert "has no task 'colect_wood'. Did you mean 'collect_wood'?" in said


def test_a_wrong_action_key_is_told_with_its_file_and_line(capsys, tmp_path):
    episode(tmp_path / "in" / "ep1", lines=[LINES[0], {"keys": ["forwrd"]}, LINES[2]])
    said = mistake(capsys, "import", "--source", tmp_path / "in", "--out", tmp_path / "out")
    assert "ep1/episode.jsonl:2: 'forwrd' is not a key of 'minerl'" in said
    assert "Did you mean 'forward'?" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--agent", "x", "--out", "y", "--drems", "3"], ["Unrecognized options: --drems", "meant", "--dreams"]),
        (["--agent", "x", "--out", "y", "--dreams", "three"], ["Error parsing --dreams", "'three'"]),
        (["--agent", "x", "--out", "y", "--split", "training"], ["--split", "'evaluation', 'validation'"]),
        (["--out", "y"], ["Missing from rig eval", "--agent"]),
    ],
)
def test_a_wrong_flag_is_told(capsys, words, told):
    status, out, err = rig(capsys, "eval", *words)
    assert (status, out) == (2, "")
    assert all(part in err for part in told)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["inspect", "nowhere"], "nowhere holds none of manifest.json"),
        (["view", "--data", "nowhere", "--out", "page.html"], "nowhere/manifest.json is missing"),
        (["reason", "--source", "nowhere", "--out", "out"], "nowhere/manifest.json is missing"),
        (["eval", "--agent", "nowhere", "--out", "out"], "`rig train`"),
        (["imagine", "--agent", "nowhere", "--out", "out"], "`rig train`"),
        (["eval", "--agent", "teacher:crafter", "--episodes", "0", "--out", "out"], "0 episodes: at least one"),
        (["collect", "--episodes", "0", "--out", "out"], "0 episodes"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(capsys, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in mistake(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_collect_and_reason_say_what_they_made(capsys, tmp_path):
    made = result(
        capsys, "collect", "--out", tmp_path / "s1", "--episodes", 2, "--skip", 1, "--tasks", "place_table/tool"
    )
    assert (made["stage"], made["trajectories"], made["complete"]) == ("s1", 2, True)
    thought = result(capsys, "reason", "--source", tmp_path / "s1", "--out", tmp_path / "s2")
    assert (thought["stage"], thought["lineage"][0]["content_hash"]) == ("s2", made["content_hash"])
    assert thought["thoughts"]["coverage"] == 1


def test_eval_says_its_scores(capsys, tmp_path):
    words = ("eval", "--agent", "teacher:crafter", "--episodes", 1, "--tasks", "place_table/tool")
    scores = result(capsys, *words, "--out", tmp_path / "eval")
    assert scores["success"]["value"] == 1
    kept = json.loads((tmp_path / "eval" / "summary.json").read_text())
    assert scores == {"out": str(tmp_path / "eval"), **kept}


def test_people_read_a_text_and_scripts_a_line_of_json_or_both(capsys, made):
    status, out, _ = rig(capsys, "inspect", made.data)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "s2: stage s2, crafter, 8 trajectories, " + f"{Dataset(made.data).num_steps} steps"
    assert any(line.split()[:2] == ["collect_wood", "4"] for line in lines)
    assert not any(line.startswith("{") for line in lines)
    status, both, _ = rig(capsys, "inspect", made.data, "--json-last")
    *text, last = both.splitlines()
    assert (status, text) == (0, lines)
    assert json.loads(last) == result(capsys, "inspect", made.data)


def test_inspect_tells_a_dataset_an_agent_a_run_and_scores_apart(capsys, made, tmp_path):
    data = result(capsys, "inspect", made.data, "--verify")
    assert (data["kind"], data["verified"], data["trajectories"]) == ("dataset", True, 8)
    agent = result(capsys, "inspect", made.agent)
    assert (agent["kind"], agent["environment"], agent["origin"]["totals"]["steps"]) == ("agent", "crafter", 4)
    assert agent["bytes"] > 1000
    run = result(capsys, "inspect", made.agent.parent)
    assert (run["kind"], run["config"]["training"]["steps"]) == ("run.json", 4)
    assert result(capsys, "inspect", made.tokenizers)["kind"] == "scores.json"


def test_view_shows_the_episodes_that_are_asked_for(capsys, made, tmp_path):
    def shown(*words):
        page = result(capsys, "view", "--data", made.data, "--out", tmp_path / "page.html", *words)
        text = (tmp_path / "page.html").read_text()
        payload = json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])
        assert page["episodes"] == len(payload["episodes"])
        return sorted(episode["task"] for episode in payload["episodes"])

    assert shown() == ["collect_wood"] * 4 + ["place_table"] * 4
    assert shown("--tasks", "collect_wood") == ["collect_wood"] * 4
    assert shown("--tasks", "collect_wood", "place_table/tool") == ["collect_wood"] * 4 + ["place_table"] * 4
    assert shown("--tasks", "place_table/tool", "--episodes", 3) == ["place_table"] * 3


def test_play_prints_an_episode_and_writes_a_page(capsys, tmp_path):
    words = ("play", "--agent", "teacher:crafter", "--tasks", "place_table/tool", "--out", tmp_path / "page.html")
    status, out, _ = rig(capsys, *words)
    assert status == 0
    assert out.splitlines()[0].endswith("steps")
    assert "-> place_table" in out
    (played,) = result(capsys, *words)["episodes"]
    assert (played["task"], played["success"]) == ("place_table", True)
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_play_plays_the_best_of_several_plans(capsys, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("rig.evaluate.embodied.play_config", lambda config: asked.append(config) or [])
    monkeypatch.setattr("rig.viewer.render_trace", lambda *given, **named: tmp_path / "page.html")
    words = ("--agent", "a", "--tasks", "x", "--plans", "4", "--dreams", "1", "--judge", "change")
    assert rig(capsys, "play", *words, "--out", tmp_path / "page.html")[0] == 0
    assert named_planner(*asked) == ("best-of", {"plans": 4, "dreams": 1, "judge": "change"})


def test_doctor_says_what_is_there_and_what_mends_the_rest(capsys, made):
    checks = {check["name"]: check for check in result(capsys, "doctor", "--agent", made.agent)["checks"]}
    for name in (
        "Python",
        "package torch",
        "package crafter",
        "noise of Crafter's worlds",
        "package torchmetrics",
        f"agent {made.agent}",
    ):
        assert checks[name]["ok"], checks[name]
        assert "mend" not in checks[name]
    assert checks["Python"]["found"] == ".".join(map(str, sys.version_info[:3]))
    assert {"compute", "processor", "disk", "cache of worlds"} <= set(checks)
    found = result(capsys, "doctor", "--agent", "nowhere")
    assert not found["ok"]
    assert "rig train" in found["checks"][-1]["mend"]
    status, out, _ = rig(capsys, "doctor", "--agent", "nowhere")
    assert status == 0, "what is missing may not be needed: the report says so, and the status only that it ran"
    assert "MISS  agent nowhere" in out
    assert "mend: train one with `rig train`" in out


def test_what_is_there_is_refused_without_resume(capsys, made, tmp_path):
    before = {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()}
    collect = ("collect", "--tasks", "place_table/tool", "--episodes", 4)
    assert "already holds" in mistake(capsys, *collect, "--out", made.root / "s1")
    assert "already holds" in mistake(capsys, "reason", "--source", made.root / "s1", "--out", made.data)
    tokenizer = ("train-tokenizer", "--data", made.data, "--preset", "debug", "--held-out", 4)
    assert "--resume" in rig(capsys, *tokenizer, "--out", made.tokenizers)[2].splitlines()[-1]
    words = ("train", "--data", made.data, "--tokenizers", made.tokenizers, "--preset", "debug")
    assert "--resume" in rig(capsys, *words, "--out", made.agent.parent)[2].splitlines()[-1]
    assert "--resume" in mistake(capsys, "eval", "--agent", "teacher:random", "--out", made.data)
    assert "--resume" in mistake(capsys, "reproduce", "--preset", "debug", "--root", made.root)
    assert {path: path.read_bytes() for path in before} == before


def test_resuming_what_is_done_changes_nothing(capsys, tmp_path):
    words = ("collect", "--out", tmp_path / "s1", "--episodes", 1, "--tasks", "place_table/tool")
    first = result(capsys, *words)
    assert result(capsys, *words, "--resume") == first
    assert "seed: 0 there, 7 now" in rig(capsys, *words, "--resume", "--seed", 7)[2]


def test_an_interrupted_command_keeps_what_is_finished(capsys, tmp_path, monkeypatch):
    words = ("eval", "--agent", "teacher:crafter", "--episodes", 2, "--tasks", "place_table/tool", "--batch-size", 1)
    act, seeds = CrafterExpert.act, set()

    def act_once_through(self, world):
        seeds.add(world.seed)
        if len(seeds) > 1:
            raise KeyboardInterrupt
        return act(self, world)

    monkeypatch.setattr(CrafterExpert, "act", act_once_through)
    status, out, err = rig(capsys, *words, "--out", tmp_path / "eval")
    assert (status, out) == (130, "")
    assert err.splitlines()[-1].endswith("interrupted; what is finished is kept. Run it again with --resume.")
    monkeypatch.undo()
    assert result(capsys, *words, "--out", tmp_path / "eval", "--resume")["episodes"] == 2


@pytest.mark.parametrize("preset", ["debug", "small"])
def test_a_plan_is_commands_that_can_be_typed(capsys, tmp_path, preset):
    root = tmp_path / "a folder"
    plan = ("reproduce", "crafter", "--preset", preset, "--root", root, "--plan", "--json-last")
    status, out, _ = rig(capsys, *plan)
    assert status == 0
    *commands, last = out.splitlines()
    assert json.loads(last)["jobs"] == len(commands)
    places = []
    for command in commands:
        program, verb, *words = shlex.split(command)
        assert program == "rig"
        places.append(read_verb(verb, words).out)
    assert len(set(places)) == len(places)
    assert all(place.startswith(f"{root}/") for place in places)
    assert not root.exists()


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        ("--data a b", {"a": 0.5, "b": 0.5}),
        ("--describe d e", {"d": 0.5, "e": 0.5}),
        ("--data a --describe d", {"a": 0.6, "d": 0.4}),
        ("--data a b --lookahead l", {"a": 0.25, "b": 0.25, "l": 0.5}),
        ("--data a --describe d --describe-share 0.2 --lookahead l m", {"a": 0.4, "d": 0.2, "l": 0.1, "m": 0.3}),
        ("--data a b --practice p", {"a": 0.25, "b": 0.25, "p": 0.5}),
        ("--practice p p2", {"p": 0.5, "p2": 0.5}),
        ("--practice p --practice-share 0.2 --describe d", {"p": 0.6, "d": 0.4}),
        ("--better b", {"b": 1.0}),
        ("--better b --describe d", {"b": 0.6, "d": 0.4}),
        ("--data a --better b --practice p --better-share 0.2 --practice-share 0.75", {"a": 0.2, "p": 0.6, "b": 0.2}),
        (
            "--data a --practice p --practice-share 0.75 --describe d --describe-share 0.2 --lookahead l",
            {"a": 0.1, "p": 0.3, "d": 0.2, "l": 0.4},
        ),
        ("--data a --lookahead empty", {"a": 1, "empty": 0}),
        ("--judge j", {"j": 1}),
        ("--data a --judge j m --judge-share 0.25", {"a": 0.75, "j": 0.25 * 2 / 17, "m": 0.25 * 15 / 17}),
        ("--data a --describe d --judge j --judge-share 0.5", {"a": 0.3, "d": 0.2, "j": 0.5}),
        ("--data a --judge j --judge-share 1", {"a": 0, "j": 1}),
        ("--lookahead l --describe d --describe-share 0.3", {"l": 0.7, "d": 0.3}),
        ("--practice p --describe d --describe-share 0.3", {"p": 0.7, "d": 0.3}),
    ],
)
def test_kinds_of_data_get_their_share_of_the_conversations_and_datasets_of_a_kind_by_size(words, shares, monkeypatch):
    sizes = {"l": 20, "m": 60, "empty": 0}
    load = "rig.data.Manifest.load"
    monkeypatch.setattr(load, lambda folder: SimpleNamespace(counts={"steps": sizes.get(folder.name, 8)}))
    verb = read_verb("train", ["--out", "o", "--tokenizers", "t", *words.split()])
    found = {part.data: part.share for part in parts_of(verb.part(Mixture))}
    total = sum(found.values())
    assert {name: share / total for name, share in found.items()} == pytest.approx(shares)


def test_repeats_are_left_out_of_single_turns_alone(monkeypatch):
    monkeypatch.setattr("rig.data.Manifest.load", lambda folder: SimpleNamespace(counts={"steps": 8}))
    words = "--out o --tokenizers t --data a --practice p --describe d --lookahead l --repeats 0.25"
    parts = parts_of(read_verb("train", words.split()).part(Mixture))
    assert {part.data: part.repeats for part in parts} == {"a": 0.25, "p": 0.25, "d": 1, "l": 1}


def payload_of(page):
    """What a page of episodes shows."""
    return json.loads(
        re.search(r'<script[^>]* type="application/json"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)[1]
    )


def test_the_demonstration_plays_both_ways_and_counts_claims(capsys, made, tmp_path):
    words = ("demo", "--agent", made.agent, "--tasks", "place_table/tool", "--episodes", 2, "--dreams", 1)
    words += ("--plans", 1, "--out", tmp_path / "demo", "--json-last")
    status, out, err = rig(capsys, *words)
    assert status == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert re.search(r"place_table/tool  [012] of 2", out)
    assert out.splitlines()[-2] == str((tmp_path / "demo" / "trace.html").absolute())
    kinds = [summary["RIG-basic"], summary["RIG-lookahead, n = 1"]]
    for kind in kinds:
        assert kind["episodes"] == 2
        assert set(kind["cells"]) == {"place_table/tool"}
    assert not kinds[0]["reviews"]
    decisions = kinds[1]["cost_per_decision"]["decisions"]
    reviews = kinds[1]["reviews"]
    assert reviews["reviews"] == sum(reviews["says"].values()) == decisions
    changed, counts = round(reviews["changed"] * decisions), [reviews["says"], reviews["against"]]
    said = [part[name] for name in ("keep", "change") for part in counts]
    assert re.search(r"\nRIG-lookahead, n = 1 +" + " +".join(map(str, [decisions, changed, *said])) + "\n", out)
    page = (tmp_path / "demo" / "trace.html").read_text()
    assert "RIG-basic, then RIG-lookahead, n = 1" in page
    assert "<title>RIG plays Crafter</title>" in page
    saved = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert saved == {name: value for name, value in summary.items() if name != "text"}
    steps = [step for episode in payload_of(tmp_path / "demo" / "trace.html")["episodes"] for step in episode["steps"]]
    assert all(len(step["dreams"]) == 1 for step in steps), "RIG-basic dreams as well, to be looked at"
    assert all(dream["real"] is not None for step in steps for dream in step["dreams"])
    assert "already exists; replace the demonstration there with --overwrite" in mistake(capsys, *words)


def test_who_never_learned_to_review_is_shown_without_lookahead_unless_it_is_asked_for(made):
    def shown(agent, dreams, plans=1):
        return list(_kinds(EmbodiedConfig(agent=str(agent), tasks=("place_table",), episodes=1), dreams, "", plans))

    assert shown(made.agent, None) == shown(made.agent, 0) == ["RIG-basic"]
    assert shown(made.agent, 2) == ["RIG-basic", "RIG-lookahead, n = 2"]
    crafter = ["RIG-basic", "RIG-lookahead, n = 1", "best of 4 plans, n = 1"]
    assert shown("checkpoints/rig-crafter-small", None, None) == crafter
    assert shown(made.agent, None, 2) == ["RIG-basic", "best of 2 plans, n = 1"]


def test_plans_are_not_weighed_unasked_without_dreams_or_where_worlds_are_engines(made, tmp_path, monkeypatch):
    def shown(agent):
        return list(_kinds(EmbodiedConfig(agent=str(agent), tasks=("place_table",), episodes=1), 0, ""))

    assert shown(made.agent) == ["RIG-basic", "best of 4 plans, n = 1"]
    control = shutil.copytree(made.agent, tmp_path / "control")
    about = json.loads((control / "agent.json").read_text())
    about["form"]["dream"] = False
    (control / "agent.json").write_text(json.dumps(about))
    assert shown(control) == shown("teacher:crafter") == ["RIG-basic"]
    monkeypatch.setattr("rig.envs.crafter.world.CrafterWorld.most_at_once", 2)
    assert shown(made.agent) == ["RIG-basic"]


def test_the_demonstration_shows_the_dreams_of_several_plans(made, tmp_path):
    fixed = {"episodes": 1, "most_steps": 4, "temperature": 1.0, "dtype": "float32"}
    config = EmbodiedConfig(agent=str(made.agent), tasks=("place_table/tool",), **fixed)
    found = run_demo(config, 0, tmp_path / "demo", plans=3)
    counts = found["best of 3 plans, n = 1"]["plans"]
    assert counts["decisions"] == found["best of 3 plans, n = 1"]["cost_per_decision"]["decisions"]
    assert found["RIG-basic"]["plans"]["decisions"] == 0
    weighed = counts["decisions"] - counts["agreed"]
    row = [counts["decisions"], counts["agreed"], weighed, counts["against"], counts["told"], counts["best"]]
    assert re.search(r"\nbest of 3 plans, n = 1 +" + " +".join(map(str, row)) + "\n", found["text"])
    page = payload_of(tmp_path / "demo" / "trace.html")
    assert [episode["way"] for episode in page["episodes"]] == ["RIG-basic", "best of 3 plans, n = 1"]
    steps = [step for step in page["episodes"][1]["steps"] if len(step["plans"]) > 1]
    assert len(steps) == weighed > 0
    for step in steps:
        for plan in step["plans"]:
            (dream,) = step["dreams"] if plan["chosen"] else plan["dreams"]
            assert plan["action"] == dream["action"]
            assert None not in (dream["frame"], dream["real"]), "what would come of every plan is known"


def test_the_demonstration_dreams_and_reviews_one_episode_of_each_task_and_counts_all(made, tmp_path):
    """Unless it is asked for dreams; what is shown is what every way played."""
    fixed = {"episodes": 2, "most_steps": 4, "thought_tokens": 16, "temperature": 1.0, "dtype": "float32"}
    config = EmbodiedConfig(agent=str(made.agent), tasks=("place_table/tool", "collect_wood/tool"), **fixed)
    found = run_demo(config, None, tmp_path / "few", plans=2)
    asked = run_demo(config, 1, tmp_path / "all", plans=2)
    ways = {"RIG-basic": 4, "best of 2 plans, n = 1": 4}
    assert {name: found[name]["episodes"] for name in found if name in (*ways, "RIG-lookahead, n = 1")} == ways
    assert {name: asked[name]["episodes"] for name in (*ways, "RIG-lookahead, n = 1")} == {
        **ways,
        "RIG-lookahead, n = 1": 4,
    }
    assert found["RIG-basic"]["cells"] == asked["RIG-basic"]["cells"]
    written = [found["RIG-basic"]["cost_per_decision"], asked["RIG-basic"]["cost_per_decision"]]
    assert [cost["image_tokens"] == 81 for cost in written] == [False, True]
    assert written[0]["text_tokens"] == written[1]["text_tokens"], "the same is done, dreamed or not"
    shown = payload_of(tmp_path / "few" / "trace.html")["episodes"]
    assert {episode["task"] for episode in shown} == {"place_table", "collect_wood"}
    assert all(step["dreams"] for episode in shown if episode["way"] == "RIG-basic" for step in episode["steps"])


def test_the_demonstration_is_the_same_in_several_processes(made, tmp_path, monkeypatch):
    tasks = ("place_table", "collect_wood/tool")
    played = {"episodes": 1, "most_steps": 5, "thought_tokens": 16, "dtype": "float32"}
    config = EmbodiedConfig(agent=str(made.agent), tasks=tasks, **played)
    found = {}
    for count in (1, 2):
        monkeypatch.setattr("rig.evaluate.parallel.usable_cores", lambda count=count: count)
        found[count] = run_demo(config, 1, tmp_path / f"demo-{count}", plans=1)
    for name in ("RIG-basic", "RIG-lookahead, n = 1"):
        one, two = (found[count][name] for count in (1, 2))
        assert one["episodes"] == two["episodes"] == 3
        assert one["cells"] == two["cells"]
        assert one["cost_per_decision"]["text_tokens"] == two["cost_per_decision"]["text_tokens"]
        assert one["reviews"] == two["reviews"]
    pages = [payload_of(tmp_path / f"demo-{count}" / "trace.html") for count in (1, 2)]
    assert pages[0]["first"] == pages[1]["first"]
    shown = [[(episode["task"], episode["seed"]) for episode in page["episodes"]] for page in pages]
    assert shown[0] == shown[1] == sorted(shown[0])
    assert shown[0][::2] == shown[0][1::2], "both ways of playing, beside each other"


def test_what_ends_a_process_ends_the_demonstration(made, monkeypatch):
    monkeypatch.setattr("rig.evaluate.parallel.usable_cores", lambda: 2)
    config = EmbodiedConfig(agent=str(made.agent), tasks=("place_table",), episodes=0)
    with pytest.raises(RigError, match="0 episodes: at least one"):
        play_in_parallel({"one": config})


def test_a_dataset_has_a_card_that_hubs_read(capsys, made, tmp_path, monkeypatch):
    monkeypatch.setattr("rig.envs.crafter.world.CrafterWorld.credit", "Frames are by somebody.")
    folder = shutil.copytree(made.data, tmp_path / "s2")
    dataset, words = Dataset(folder), ("card", "--data", folder, "--title", 'Play of an "expert"')
    assert result(capsys, *words)["card"] == str(folder / "README.md")
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["pretty_name"] == 'Play of an "expert"'
    for config in head["configs"]:
        found = list(folder.glob(config["data_files"]))
        assert len(found) == len(dataset.manifest.shards), config
    rows = table_rows(card.split("## What it holds")[1].split("The most frequent")[0].splitlines())
    assert [row[:3] for row in rows[1:]] == [
        [f"{task}/{setting}", str(len(part)), str(part.num_steps)]
        for task, setting in (("collect_wood", "manual"), ("place_table", "tool"))
        for part in [dataset.filter(task=task, setting=setting)]
    ]
    for wanted in (dataset.content_hash, "Frames are by somebody.", "(train split)", "crafter-expert", "(s1, `"):
        assert wanted in card
    exec(compile(card.split("```python")[1].split("```")[0].replace("this/folder", str(folder)), "card", "exec"))
    assert "README.md already" in mistake(capsys, *words)
    assert Dataset(folder).verify() is None
    (folder / "README.md").unlink()
    shard = next(folder.glob("shards/steps-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert shard.name in mistake(capsys, *words)
    assert not (folder / "README.md").exists()


def test_a_published_agent_has_a_card_with_its_making_and_scores(capsys, made, tmp_path):
    scores, chains, out = tmp_path / "eval", tmp_path / "imagine", tmp_path / "given"
    result(capsys, "eval", "--agent", made.agent, "--tasks", "place_table/tool", "--episodes", 2, "--out", scores)
    few = ("--chains", 2, "--depth", 1)
    result(capsys, "imagine", "--agent", made.agent, "--tasks", "collect_wood/tool", *few, "--out", chains)
    words = ("publish", "--agent", made.agent, "--title", "A debug agent", "--made-by", "make it")
    found = result(capsys, *words, "--results", scores, chains, "--out", out)
    card = (out / "README.md").read_text()
    assert found["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    for wanted in ("# A debug agent", "`make it`", "RIG-basic, n = 0", "| place_table/tool |", "| 1 |", "Seeds: 0 of"):
        assert wanted in card
    summary = json.loads((scores / "summary.json").read_text())
    assert f"{summary['success']['value']:.2f} [" in card
    assert f", in {summary['runs_in']['dtype']})" in card
    assert Dataset(made.data).content_hash[:16] in card
    assert result(capsys, "inspect", out)["kind"] == "agent"
    half = tmp_path / "half"
    smaller = result(capsys, *words, "--results", scores, "--out", half, "--dtype", "bfloat16")
    assert smaller["bytes"] < 0.6 * found["bytes"]
    assert "MB, bfloat16." in (half / "README.md").read_text()
    at_half, whole = AgentCheckpoint.load(half).model, AgentCheckpoint.load(out).for_running("bfloat16").model
    assert all(torch.equal(value, at_half.state_dict()[name]) for name, value in whole.state_dict().items())
    assert "already" in mistake(capsys, *words, "--results", scores, "--out", out)
    assert "holds neither summary.json" in mistake(capsys, *words, "--results", made.data, "--out", tmp_path / "b")
    other = shutil.copytree(made.agent, tmp_path / "other")
    words = ("publish", "--agent", other, "--title", "Other", "--results", scores, "--out", tmp_path / "b")
    assert f"not of {other}" in mistake(capsys, *words)
    assert not (tmp_path / "b").exists()
