"""A world names its kit: who works in it where a user names nobody, in every stage, score, recipe and verb."""

import json
import shutil
from dataclasses import replace

import pytest
from world_makers import coin_agent, coin_package

from rig.agents.checkpoint import about_agent
from rig.annotators import checker_of
from rig.annotators.kit import world_of_teacher
from rig.cli.main import main
from rig.data import Dataset
from rig.dialogue import PromptFormat, TextTokenizer
from rig.envs import CELL_READERS, WORLDS, WorldSpec, about_of, cell_reader_of, make_world, spec_of
from rig.errors import MissingDependencyError, RigError, UnknownNameError
from rig.evaluate.config import EmbodiedConfig, ImaginationConfig
from rig.evaluate.embodied import environment_of, evaluate_embodied
from rig.evaluate.imagination import evaluate_imagination
from rig.recipes.ladder import Ladder
from rig.recipes.presets import LADDERS
from rig.stages import (
    AlignConfig,
    CollectConfig,
    LookaheadConfig,
    ReasonConfig,
    RehearseConfig,
    RereviewConfig,
    align,
    collect,
    reason,
    rehearse,
    rereview,
    review,
)
from rig.teachers import TEACHERS
from rig.train import AgentTraining
from rig.train.runs import check_run, plain

KIT = ("teacher", "reasoner", "reviewer", "labeller", "describer", "checker", "cell_reader")
TINY = ("--preset", "coin", "--steps", 1, "--batch-size", 1)
SHORT = {"episodes": 1, "states": 1, "horizons": (1.0,), "most_steps": 2, "dtype": "float32", "tasks": ("go_home",)}

BARE = """
from coin_world import CoinWorld

class Bare(CoinWorld):
    name = "bare"
"""


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """The folder of the coin's package, installed, and beside it the world "bare": the same board without a kit."""
    folder = tmp_path_factory.mktemp("coin")
    with coin_package(folder), pytest.MonkeyPatch.context() as patch:
        (folder / "coin_bare.py").write_text(BARE)
        bare = WorldSpec(world="coin_bare:Bare", **dict.fromkeys(KIT, ""))
        patch.setitem(WORLDS._entries, "bare", bare)
        yield folder


@pytest.fixture(scope="module")
def taught(home):
    """The first two stages in the coin's world, and the same data as of the bare one."""
    collect(CollectConfig(environment="coin", episodes=4), home / "s1")
    reason(home / "s1", ReasonConfig(), home / "s2")
    collect(CollectConfig(environment="bare", teacher="coin", episodes=1), home / "bare-s1")
    reason(home / "bare-s1", ReasonConfig(reasoner="coin"), home / "bare-s2")
    return home


@pytest.fixture(scope="module")
def agents(home):
    """An untrained agent for each of the two worlds, by the world's name."""
    return {name: coin_agent(home / f"agent-{name}", name) for name in ("coin", "bare")}


def config_of(folder):
    return Dataset(folder).info.config


def test_every_stage_takes_who_the_kit_names_and_says_so(taught, agents, tmp_path):
    made = {"s1": taught / "s1", "s2": taught / "s2"}
    review(LookaheadConfig(agent=agents["coin"], **SHORT), tmp_path / "s3")
    align(AlignConfig(agent=agents["coin"], **SHORT), tmp_path / "s4")
    rehearse(taught / "s2", RehearseConfig(states=1, slips=1), tmp_path / "taught")
    rereview(tmp_path / "taught", RereviewConfig(), tmp_path / "anew")
    made |= {name: tmp_path / name for name in ("s3", "s4", "taught", "anew")}
    named = {
        name: {role: config_of(path)[role] for role in KIT if role in config_of(path)} for name, path in made.items()
    }
    whole = {"teacher": "coin", "reviewer": "coin"}
    assert named == {
        "s1": {"teacher": "coin"},
        "s2": {"reasoner": "coin"},
        "s3": whole,
        "s4": whole | {"reasoner": "coin"},
        "taught": whole,
        "anew": {"reviewer": "coin"},
    }
    assert Dataset(tmp_path / "taught").num_steps > 0
    assert all(step.thought for step in Dataset(taught / "s2")[Dataset(taught / "s2").ids[0]].steps)


def test_what_is_played_is_given_away_also_where_its_engine_is_not_installed(taught, tmp_path, monkeypatch):
    """Whose pictures a card shows is said by the world's class; it is no reason to install a game."""

    class Elsewhere(type(make_world("bare"))):
        credit = "Frames are by somebody."

        def __init__(self):
            raise MissingDependencyError("the board is not installed here")

    monkeypatch.setitem(WORLDS._entries, "bare", WorldSpec(world=Elsewhere))
    data = shutil.copytree(taught / "bare-s1", tmp_path / "s1")
    assert main(["card", "--data", str(data), "--title", "Play"]) == 0
    assert Elsewhere.credit in (data / "README.md").read_text()
    assert main(["data", "card", "--dataset", str(data), "--out", str(tmp_path / "page.html")]) == 0
    assert Elsewhere.credit in (tmp_path / "page.html").read_text()


def test_every_score_takes_who_the_kit_names(agents, tmp_path):
    scores = evaluate_embodied(EmbodiedConfig(agent="teacher:coin", episodes=2), tmp_path / "eval")
    assert scores["success"]["value"] == 1
    config = ImaginationConfig(agent=agents["coin"], chains=2, depth=1, dtype="float32", tasks=("go_home",))
    dreamed = evaluate_imagination(config, tmp_path / "imagine")
    assert (dreamed["config"]["teacher"], dreamed["config"]["reasoner"]) == ("coin", "coin")


def test_where_the_kit_has_nobody_it_is_said_which_flag_names_somebody(taught, agents, tmp_path):
    out, bare = tmp_path / "out", agents["bare"]
    dreams = ImaginationConfig(agent=bare, chains=1, depth=1)
    ladder = replace(LADDERS.get("crafter/debug"), environment="bare", tasks=())
    refused = {
        "teacher": [
            lambda: collect(CollectConfig(environment="bare"), out),
            lambda: review(LookaheadConfig(agent=bare), out),
            lambda: rehearse(taught / "bare-s2", RehearseConfig(), out),
            lambda: evaluate_imagination(dreams, out),
            lambda: Ladder(ladder, out).jobs(),
        ],
        "reasoner": [
            lambda: reason(taught / "bare-s1", ReasonConfig(), out),
            lambda: align(AlignConfig(agent=bare, teacher="coin", reviewer="coin"), out),
            lambda: evaluate_imagination(replace(dreams, teacher="coin"), out),
            lambda: Ladder(replace(ladder, teacher="coin"), out).jobs(),
        ],
        "reviewer": [
            lambda: review(LookaheadConfig(agent=bare, teacher="coin"), out),
            lambda: align(AlignConfig(agent=bare, teacher="coin", reasoner="coin"), out),
            lambda: rehearse(taught / "bare-s2", RehearseConfig(teacher="coin"), out),
            lambda: rereview(taught / "bare-s2", RereviewConfig(), out),
            lambda: Ladder(replace(ladder, teacher="coin", reasoner="coin"), out).jobs(),
        ],
    }
    for role, attempts in refused.items():
        for attempt in attempts:
            with pytest.raises(RigError, match=f"the world 'bare' has no {role}: --{role} NAME, or register the world"):
                attempt()
    assert not out.exists()


def test_who_is_not_needed_need_not_be_there(taught, agents, tmp_path):
    """A world without a kit is evaluated, and an agent dreams in it about its own actions."""
    config = EmbodiedConfig(agent="teacher:random", environment="bare", episodes=1)
    assert evaluate_embodied(config, tmp_path / "eval")["thoughts"] == {}
    dreams = ImaginationConfig(agent=agents["bare"], actions="agent", chains=2, depth=1, most_steps=2, dtype="float32")
    scores = evaluate_imagination(replace(dreams, tasks=("go_home",)), tmp_path / "imagine")
    assert scores["config"]["teacher"] is None
    assert "cells_right" not in scores["dream"][0]


def test_recordings_of_a_world_that_nobody_registered_ask_for_an_annotator_by_name(taught, tmp_path):
    manifest = taught / "bare-s1" / "manifest.json"
    text, before = manifest.read_text(), '"environment": "bare"'
    assert before in text
    try:
        manifest.write_text(text.replace(before, '"environment": "elsewhere"'))
        with pytest.raises(RigError, match="the world 'elsewhere' has no reasoner: --reasoner NAME"):
            reason(taught / "bare-s1", ReasonConfig(), tmp_path / "s2")
    finally:
        manifest.write_text(text)


def test_a_ladder_is_run_by_the_kit_of_its_world(tmp_path):
    jobs = {job.name: job.command for job in Ladder(LADDERS.get("crafter/debug"), tmp_path).jobs()}
    assert "--reasoner crafter-views" in jobs["described"]
    assert "--labeller crafter " in jobs["vision"]
    assert "--reasoner" not in jobs["s3-1"]
    config = replace(LADDERS.get("crafter/debug"), environment="coin", tasks=("go_home",))
    jobs = {job.name: job.command for job in Ladder(config, tmp_path).jobs()}
    assert "--environment coin --teacher coin" in jobs["s1"]
    assert "--teacher coin --reasoner coin --reviewer coin" in jobs["s4-1"]
    assert "--labeller coin" in jobs["vision"]
    assert "described" not in jobs  # it is in no kit
    assert "--agent teacher:coin" in jobs["eval-teacher"]


def test_a_world_registered_as_a_class_has_the_kit_of_its_own_name(monkeypatch):
    from coin_world import CoinWorld

    monkeypatch.setitem(WORLDS._entries, "plain", CoinWorld)
    monkeypatch.setitem(TEACHERS._entries, "plain", TEACHERS.get("coin"))
    assert spec_of("plain") is None
    assert world_of_teacher("plain") == "plain"
    assert environment_of(EmbodiedConfig(agent="teacher:plain")) == "plain"
    assert checker_of("plain") is None
    assert type(checker_of("coin")).__name__ == "CoinChecker"
    assert isinstance(make_world("plain"), CoinWorld)


def test_a_kit_may_name_anybody_and_a_teacher_plays_in_the_world_of_its_kit(monkeypatch):
    monkeypatch.setitem(WORLDS._entries, "board", WorldSpec(world="coin_world:CoinWorld", teacher="walker"))
    monkeypatch.setitem(TEACHERS._entries, "walker", TEACHERS.get("coin"))
    monkeypatch.setitem(TEACHERS._entries, "stray", TEACHERS.get("coin"))
    monkeypatch.setitem(CELL_READERS._entries, "board", lambda: "a reader")
    assert environment_of(EmbodiedConfig(agent="teacher:walker")) == "board"
    assert environment_of(EmbodiedConfig(agent="teacher:random")) == "crafter"
    assert cell_reader_of("board") == "a reader"
    with pytest.raises(RigError, match="teacher 'stray' is in no world's kit; say where it is to play with --environm"):
        environment_of(EmbodiedConfig(agent="teacher:stray"))
    with pytest.raises(UnknownNameError, match=r"unknown teacher 'walkre'. Did you mean 'walker'"):
        environment_of(EmbodiedConfig(agent="teacher:walkre"))
    monkeypatch.setitem(WORLDS._entries, "other", WorldSpec(world="coin_world:CoinWorld", teacher="walker"))
    with pytest.raises(RigError, match="teacher 'walker' is in the kits of board, other; say where"):
        environment_of(EmbodiedConfig(agent="teacher:walker"))


def test_who_knows_another_world_says_so(taught, tmp_path):
    lacking = (
        "these are no facts of Crafter, for they lack view, facing, inventory, creatures; take who knows the world"
    )
    for name in ("crafter", "crafter-views"):
        with pytest.raises(RigError, match=lacking):
            reason(taught / "s1", ReasonConfig(reasoner=name), tmp_path / name)
    with pytest.raises(RigError, match=lacking):
        rehearse(taught / "s2", RehearseConfig(reviewer="crafter"), tmp_path / "s4")
    with pytest.raises(RigError, match="the expert for Crafter cannot play in 'coin'"):
        collect(CollectConfig(environment="coin", teacher="crafter", episodes=1), tmp_path / "s1")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"world": "coin_world.CoinWorld"}, "WorldSpec.world is 'coin_world.CoinWorld'; give a World class"),
        ({"world": 3}, "WorldSpec.world is 3; give a World class"),
        ({"world": "coin_word:CoinWorld"}, "'coin_word:CoinWorld' is registered, and there is no module 'coin_word'"),
        ({"world": "coin_world:CoinWord"}, "the module has no 'CoinWord'. Did you mean 'CoinWorld'"),
        ({"world": "coin_world:CoinWorld", "teacher": 3}, "WorldSpec.teacher is 3"),
        ({"world": "coin_world:CoinWorld", "shown": "go_home"}, "WorldSpec.shown is 'go_home'"),
        (
            {"world": "coin_world:CoinWorld", "teacher": "cion"},
            "registered with the teacher 'cion'.*Did you mean 'coin'",
        ),
    ],
)
def test_a_spec_that_cannot_be_is_named(monkeypatch, tmp_path, fields, says):
    def collected():
        monkeypatch.setitem(WORLDS._entries, "odd", WorldSpec(**fields))
        collect(CollectConfig(environment="odd"), tmp_path / "s1")

    with pytest.raises(RigError, match=says):
        collected()
    assert not (tmp_path / "s1").exists()


@pytest.fixture
def said(capsys):
    """Runs a command; returns its status, and what it printed."""

    def run(*words):
        return main([str(word) for word in words]), capsys.readouterr()

    return run


def test_verbs_take_the_kit_of_the_world(taught, tmp_path, said):
    assert said("play", "--agent", "teacher:coin", "--out", tmp_path / "p.html", "--quiet")[0] == 0
    assert said("demo", "--teacher", "coin", "--tasks", "go_home", "--out", tmp_path / "demo")[0] == 0
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["the teacher coin"]["cells"] == {"go_home/manual": 1.0}
    status, printed = said("train-vision", "--data", taught / "bare-s1", "--preset", "coin", "--out", tmp_path / "v")
    assert status
    assert "the world 'bare' has no labeller: --labeller NAME" in printed.err
    assert said("train-vision", "--data", taught / "s1", "--out", tmp_path / "v", *TINY)[0] == 0


def test_an_agent_is_told_what_its_world_is_about_and_keeps_it(taught, agents, tmp_path, said):
    words = {}
    for data in ("bare-s2", "s2"):
        folder = tmp_path / f"tokenizers-{data}"
        assert said("train-tokenizer", "--data", taught / data, "--out", folder, "--held-out", 4, *TINY)[0] == 0
        words[data] = (folder / "tokenizer.json").read_text()
    assert "better" in words["s2"]  # a word of the Reviewer alone
    assert "better" not in words["bare-s2"]
    told = "system: You reason step by step about a board game, act with keys and mouse, and imagine what the next "
    tokenizer = TextTokenizer.load(tmp_path / "tokenizers-s2")
    assert len(tokenizer.encode(told + "frame will show.\n", literal=True)) == 1
    train = ("train", "--data", taught / "s2", "--no-compile", *TINY)
    assert said(*train, "--tokenizers", tmp_path / "tokenizers-s2", "--out", tmp_path / "new")[0] == 0
    assert about_agent(tmp_path / "new" / "agent").form.about == "a board game"
    assert said(*train, "--start", agents["coin"], "--out", tmp_path / "further")[0] == 0
    assert about_agent(tmp_path / "further" / "agent").form.about is None
    config = EmbodiedConfig(
        agent=str(tmp_path / "new" / "agent"), episodes=1, most_steps=1, tasks=("go_home",), dreams=1
    )
    assert evaluate_embodied(config, tmp_path / "eval")["episodes"] == 1


def test_the_worlds_of_the_shipped_agents_are_about_what_those_were_told():
    assert [PromptFormat(about=about_of(world)) for world in ("crafter", "minetest", "elsewhere")] == [
        PromptFormat()
    ] * 3
    assert about_of("coin") == "a board game"
    assert about_of("bare") == "a task"


def test_a_run_that_was_begun_before_forms_could_say_it_goes_on(tmp_path):
    config = AgentTraining(
        preset="coin", tokenizers="t", parts=(), prompt_format=PromptFormat(about=about_of("crafter"))
    )
    before = plain(config)
    before["form"] = before.pop("prompt_format")  # as it was called then
    assert before["form"].pop("about") is None
    (tmp_path / "run.json").write_text(json.dumps({"config": before}))
    check_run(tmp_path, config, resume=True)
    with pytest.raises(RigError, match=r"prompt_format.about: None there, 'a board game' now"):
        check_run(tmp_path, replace(config, prompt_format=PromptFormat(about=about_of("coin"))), resume=True)


def test_an_agent_of_a_world_that_nobody_registered_is_told(tmp_path):
    agent = coin_agent(tmp_path / "agent", "cion")
    with pytest.raises(UnknownNameError, match=r"unknown environment 'cion'. Did you mean 'coin'"):
        evaluate_imagination(ImaginationConfig(agent=agent), tmp_path / "out")
