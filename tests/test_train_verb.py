"""`rig train` has the flags that it always had, and makes the configurations that earlier versions saved, of them."""

import json
import re
import shutil
from dataclasses import MISSING, fields

import pytest
from makers import interrupted_at_a_save

from rig.cli.main import main, read_verb
from rig.cli.training import Train
from rig.data.manifest import RENAMED
from rig.errors import RigError
from rig.train.config import AgentTraining, Execution, JudgeTraining, Mixture
from rig.train.runs import check_run, plain

FLAGS = json.loads("""
{"tokenizers": "", "data": [], "describe": [], "describe_share": 0.4, "lookahead": [], "lookahead_share": 0.5,
 "preset": "small", "thought": true, "dream": true, "read_back": ["pixels", "codes"], "reobserve": true,
 "learn_kept": true, "vision": "", "start": "", "image_stride": 0, "fraction": 1.0, "repeats": 1.0,
 "steps": 3000, "batch_size": 8, "pack_tokens": 0, "step_tokens": 0, "learning_rate": 0.001, "warmup": 100,
 "action_weight": 1.0, "image_weight": 1.0, "compile": true, "seed": 0, "freeze": [], "lora": [],
 "lora_rank": 16, "parallel": "ddp", "recompute": false, "resume": false}
""")
"""Every flag of old but --out, which must be given, and what it is where it is not."""

JUDGING = json.loads("""
{"judge": [], "judge_share": 0.3, "judge_scale": "lost", "judge_given": ["real"], "judge_closed": false,
 "judge_words": null, "verdict_weight": 4.0}
""")
"""The flags of judgements, of which earlier versions knew nothing."""

HISTORY = {"history": None}
"""The flag of how many actions are told, likewise."""

PRACTISING = {"practice": [], "practice_share": 0.5, "better": [], "better_share": 0.1}
"""The flags of an agent's own play, likewise."""

LATER = {"judging": None}
"""What configurations have had since; of a run without it nothing is asked."""

WORDS = """
--out o --start s --tokenizers t --data DATA --describe DATA --lookahead DATA DATA --describe-share 0.2
--lookahead-share 0.6 --preset debug --no-thought --no-dream --read-back codes --no-reobserve --no-learn-kept
--vision v --image-stride 3 --fraction 0.5 --repeats 0.25 --steps 77 --batch-size 5 --pack-tokens 900
--step-tokens 1800 --learning-rate 2e-3 --warmup 7 --action-weight 2 --image-weight 0.5 --no-compile --seed 9
--freeze vision aligner --lora decoder --lora-rank 4 --parallel fsdp --recompute --resume
"""
"""Every flag, with what it is not by default."""

SAVED = """
{"preset": "debug", "tokenizers": "t", "parts": [
   {"data": "DATA", "style": "basic", "share": 0.32000000000000006, "fraction": 0.5, "repeats": 0.25},
   {"data": "DATA", "style": "describe", "share": 0.2, "fraction": 0.5, "repeats": 1.0},
   {"data": "DATA", "style": "lookahead", "share": 0.24, "fraction": 0.5, "repeats": 1.0},
   {"data": "DATA", "style": "lookahead", "share": 0.24, "fraction": 0.5, "repeats": 1.0}],
 "form": {"thought": false, "dream": false, "read_back": "pixels", "reobserve": false, "about": null},
 "read_backs": ["codes"], "learn_kept": false, "vision": "v", "start": "s", "image_stride": 3,
 "freeze": ["vision", "aligner"], "lora": ["decoder"], "lora_rank": 4,
 "training": {"steps": 77, "batch_size": 5, "pack_tokens": 900, "step_tokens": 1800, "seed": 9,
   "optimiser": {
     "learning_rate": 0.002, "final_fraction": 0.05, "warmup": 7, "weight_decay": 0.05, "betas": [0.9, 0.95],
     "clip": 1.0},
   "weights": {"thought": 1.0, "action": 2.0, "image": 0.5}, "compile": false, "log_every": 25, "save_every": 250,
   "preview_every": 500},
 "model_seed": 9}
"""
"""What the version that wrote every flag down by itself saved in `run.json` for `WORDS`."""

TRACKING = {"track": []}
"""What came after that; no part of what is saved."""


def renamed(saved):
    """Return what is saved today for what an earlier version saved."""
    return {RENAMED.get(name, name): value for name, value in json.loads(saved).items()}


@pytest.fixture
def saved(made):
    return SAVED.replace("DATA", str(made.data))


@pytest.fixture
def words(made):
    return WORDS.replace("DATA", str(made.data)).split()


def test_the_flags_and_their_defaults_are_those_of_old():
    verb = read_verb("train", ["--out", "o"])
    assert plain(verb) == FLAGS | JUDGING | HISTORY | PRACTISING | TRACKING | {"out": "o"}
    assert [field.name for field in fields(Train) if field.default is MISSING] == ["out"]


def test_the_help_names_every_flag_and_says_what_it_is(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = "\n".join(line.strip("│ ") for line in capsys.readouterr().out.splitlines())
    entries = re.findall(r"^--([a-z][a-z-]+)(.*?)\((?:default|required)", text, re.DOTALL | re.MULTILINE)
    assert {name.replace("-", "_") for name, _ in entries} == {
        "out",
        *FLAGS,
        *JUDGING,
        *HISTORY,
        *PRACTISING,
        *TRACKING,
    }
    assert not [name for name, said in entries if not re.search(r"[a-z]+ [a-z]+", said)], "these say nothing"


def test_every_flag_comes_to_where_it_came(words, saved):
    verb = read_verb("train", words)
    given = plain(verb)
    assert not [name for name, value in FLAGS.items() if given[name] == value], "each of them is to be told apart"
    wanted = renamed(saved) | LATER
    wanted["prompt_format"] |= {"judgement": None, "history": 1}
    wanted["parts"] = [part | {"actors": []} for part in wanted["parts"]]
    assert plain(verb.config()) == wanted
    assert verb.part(Execution) == Execution(parallel="fsdp", recompute=True)


def test_judgements_come_to_where_they_are_learned(made):
    words = ["--out", "o", "--tokenizers", "t", "--data", str(made.data), "--judge", str(made.data)]
    assert read_verb("train", words).config().judging == JudgeTraining()
    words += ["--judge-share", "0.25", "--judge-scale", "to-go", "--judge-given", "dreams", "nothing"]
    words += ["--judge-closed", "--judge-words", "crafter", "--verdict-weight", "2"]
    verb = read_verb("train", words)
    given = plain(verb)
    assert not [name for name, value in JUDGING.items() if given[name] == value], "each of them is to be told apart"
    config = verb.config()
    assert config.prompt_format.judgement == "to-go"
    assert {part.style: part.share for part in config.parts} == pytest.approx({"basic": 0.45, "judge": 0.15})
    assert config.judging == JudgeTraining(
        judge_scale="to-go",
        judge_given=("dreams", "nothing"),
        judge_closed=True,
        judge_words="crafter",
        verdict_weight=2.0,
    )
    assert config.learned.verdict == 2


def test_an_agent_is_told_as_many_actions_as_asked_for_or_as_the_one_that_it_begins_with(made, tmp_path):
    shutil.copytree(made.agent, tmp_path / "start")
    words = ["--out", "o", "--start", str(tmp_path / "start"), "--data", str(made.data)]
    path = tmp_path / "start" / "agent.json"
    about = json.loads(path.read_text())
    assert about["form"].pop("history") == 1
    for start, given, found in (({}, [], 1), ({"history": 4}, [], 4), ({"history": 4}, ["--history", "8"], 8)):
        path.write_text(json.dumps(about | {"form": about["form"] | start}))
        assert read_verb("train", [*words, *given]).config().prompt_format.history == found


@pytest.mark.parametrize("count", ["0", "65"])
def test_a_history_that_is_none_is_told(made, capsys, count):
    words = ["train", "--out", "o", "--tokenizers", "t", "--data", str(made.data), "--history", count]
    assert main(words) == 2
    assert f"PromptFormat.history is {count}" in capsys.readouterr().err


def test_a_run_that_was_begun_by_an_earlier_version_is_the_same_run(words, saved, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"config": json.loads(saved), "provenance": {}}))
    check_run(tmp_path, read_verb("train", words).config(), resume=True)
    words[words.index("0.6")] = "0.7"
    with pytest.raises(RigError, match=r"begun with another configuration: parts"):
        check_run(tmp_path, read_verb("train", words).config(), resume=True)


def test_a_run_whose_configuration_an_earlier_version_wrote_down_goes_on_to_its_end(made, tmp_path, capsys):
    """Its `run.json` had the fields in another order, and one under another name."""
    run = tmp_path / "run"
    words = ["train", "--out", run, "--data", made.data, "--tokenizers", made.tokenizers, "--preset", "debug"]
    words = [*map(str, words), "--steps", "2", "--batch-size", "2", "--no-compile", "--no-dream"]
    with interrupted_at_a_save():
        read_verb("train", words[1:]).run()
    record = json.loads((run / "run.json").read_text())
    assert set(record["config"]) == {*renamed(SAVED), *LATER} == {field.name for field in fields(AgentTraining)}
    record["config"] = {name: record["config"][RENAMED.get(name, name)] for name in json.loads(SAVED)}
    del record["config"]["form"]["judgement"], record["config"]["form"]["history"]
    (run / "run.json").write_text(json.dumps(record))
    assert main([*words, "--resume"]) == 0, capsys.readouterr().err
    assert json.loads((run / "run.json").read_text())["config"] == record["config"]
    assert (run / "agent" / "agent.json").is_file()


@pytest.mark.parametrize(("flag", "value"), [("--describe-share", "1.5"), ("--lookahead-share", "nan")])
def test_a_share_that_is_none_is_told(flag, value, made, capsys):
    status = main(["train", "--out", "o", "--tokenizers", "t", "--data", str(made.data), flag, value])
    assert status == 2
    name = flag.removeprefix("--").replace("-", "_")
    assert f"{name}={float(value)}: a finite number, at least 0, at most 1" in capsys.readouterr().err
    with pytest.raises(RigError, match=name):
        Mixture(**{name: float(value)})
