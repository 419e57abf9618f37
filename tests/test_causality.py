"""The causality suite: every row plays the same episodes, what became of first proposals is counted rightly, and a
suite that was killed goes on where it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from makers import make_lively_agent

from rig.actions import NOOP
from rig.agents import PLAN_JUDGES
from rig.cli.inspecting import inspect
from rig.cli.main import main
from rig.envs import make_world
from rig.envs.rollout import Episode, play
from rig.errors import RigError, UnknownNameError
from rig.evaluate.causality import ROWS, changes_of, evaluate_causality, plans_of, row_config
from rig.evaluate.config import CausalityConfig, EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied
from rig.evaluate.watched import Watch, judge_in
from rig.recipes.causality import conclusion, write_causality_page
from rig.records import Decision, Lineage, Plan

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

BEST = {"planner": "best-of", "planner_options": ("plans=3", "dreams=1", "judge=change", "votes_weight=0")}


@pytest.fixture(scope="module")
def agent(made, tmp_path_factory):
    return make_lively_agent(made.agent, tmp_path_factory.mktemp("lively") / "agent")


def config_of(agent, **changes):
    settings = {"tasks": ("place_table/tool",), "episodes": 2, "most_steps": 2, "thought_tokens": 4, "valued": 1.0}
    return CausalityConfig(agent=str(agent), split="validation", dtype="float32", **settings | changes)


@pytest.fixture(scope="module", autouse=True)
def short_pools():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rig.agents.dream_sources._POOL_STEPS", 2)
        yield


@pytest.fixture(scope="module")
def suite(agent, tmp_path_factory):
    out = tmp_path_factory.mktemp("causality") / "best"
    return out, evaluate_causality(config_of(agent, **BEST, temperature=2.0), out)


def episodes_of(folder):
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


def timeless(value):
    if isinstance(value, dict):
        return {name: timeless(part) for name, part in value.items() if name not in ("seconds", "provenance")}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def test_every_row_plays_the_same_episodes_and_is_scored_against_own_dreams(suite):
    out, scores = suite
    assert list(scores["rows"]) == list(ROWS)
    assert json.loads((out / "causality.json").read_text()) == json.loads(json.dumps(scores))
    seeds = {row: sorted(one["seed"] for one in episodes_of(out / row)) for row in ROWS}
    assert set(map(tuple, seeds.values())) == {tuple(seeds["own"])}
    for name, row in scores["rows"].items():
        assert row["episodes"] == 2
        assert (row["against_own"] is None) == (name == "own")
        assert row["valued"] > 0
        assert row["cost_per_decision"]["seconds"] > 0
    images = {name: row["cost_per_decision"]["image_tokens"] for name, row in scores["rows"].items()}
    assert images["own"] > 0 < images["other-plan"]
    assert not any(images[name] for name in ("still", "blank", "true", "no-dreams", "majority", "random", "first"))


def test_where_nothing_is_to_be_seen_the_judge_of_change_takes_the_first_plan(suite):
    """Four rows that ought to be one, by four ways: their episodes are the same."""
    out, scores = suite
    played = {row: timeless(episodes_of(out / row)) for row in ("still", "blank", "no-dreams", "first")}
    for row, episodes in played.items():
        told = [{**one, "cost": None} for one in sorted(episodes, key=lambda one: one["seed"])]
        assert told == [{**one, "cost": None} for one in sorted(played["first"], key=lambda one: one["seed"])], row
        assert scores["rows"][row]["changed"]["value"] == 0
    assert scores["rows"]["own"]["changed"]["value"] > 0, "where it is warm proposals differ"


def test_a_lookahead_is_held_against_acting_at_once_and_votes(agent):
    config = config_of(agent, dreams=2, stop_entropy=1.5)
    still = row_config(config, "still")
    assert (still.planner, still.planner_options) == ("lookahead", ("dreams=2", "stop_entropy=1.5"))
    assert (still.dreams_from, still.dreams, still.episodes) == ("still", 0, 2)
    assert row_config(config, "no-dreams").planner == "basic"
    majority = row_config(replace(config, votes=6), "majority")
    assert majority.planner_options == ("plans=6", "dreams=0", 'judge="majority"')
    several = config_of(agent, plans=3, judge="change")
    assert plans_of(several) == 3
    refusing = replace(config, plans=3, judge="effect", resample=True)
    at_random = row_config(refusing, "random")
    options = ("plans=3", "dreams=0", 'judge="chance"', "stop_entropy=1.5", "refused=0.1")
    assert (at_random.planner, at_random.planner_options, at_random.resample) == ("resample", options, False)
    assert row_config(refusing, "majority").planner_options == ("plans=3", "dreams=0", 'judge="majority"')
    assert row_config(several, "no-dreams").planner_options == ("plans=3", "dreams=0", 'judge="change"')
    assert "chance" in PLAN_JUDGES
    assert type(still) is EmbodiedConfig


def test_a_suite_by_command_its_page_and_its_json(agent, tmp_path, capsys):
    out = tmp_path / "suite"
    rows = ("own", "still", "no-dreams")
    words = f"causality --agent {agent} --tasks place_table/tool --episodes 2 --most-steps 2 --thought-tokens 4"
    words = [*words.split(), "--dtype", "float32", "--valued", "0.5", "--out", str(out)]
    assert main([*words, "--rows", *rows[:2]]) == 0
    assert "still copies of the present" in capsys.readouterr().out
    assert main([*words, "--rows", *rows[:2]]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*words, "--rows", "no-dreams", "--resume", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert tuple(scores["rows"]) == rows
    assert scores["rows"]["own"]["cost_per_decision"]["image_tokens"] > 0
    page = (out / "causality.md").read_text()
    assert page.count("\n| ") == 4
    assert "no dreams" in page
    found = inspect(out)
    assert found["kind"] == "causality.json"
    assert "against own dreams" in found["text"]


def test_a_suite_that_was_killed_goes_on_and_ends_with_the_same_scores(agent, suite, tmp_path):
    """Killed while it plays a row: rows that are whole are left alone, and the one at work is gone on with."""
    whole, scores = suite
    out = tmp_path / "cut"
    shutil.copytree(whole, out)
    for row in ROWS[5:]:
        shutil.rmtree(out / row)
    for name in ("causality.json", "still/summary.json"):
        (out / name).unlink()
    kept = (out / "still" / "episodes.jsonl").read_text().splitlines(keepends=True)
    (out / "still" / "episodes.jsonl").write_text(kept[0] + kept[1][:20])
    before = (out / "own" / "episodes.jsonl").read_bytes()
    again = evaluate_causality(config_of(agent, **BEST, temperature=2.0), out, resume=True)
    assert (out / "own" / "episodes.jsonl").read_bytes() == before
    assert (out / "still" / "episodes.jsonl").read_text().startswith(kept[0])
    assert timeless(again) == timeless(scores)


def test_a_killed_process_leaves_what_can_be_gone_on_with(agent, tmp_path):
    """`kill -9` as soon as the first row is there."""
    out = tmp_path / "out"
    words = ["causality", "--agent", str(agent), "--tasks", "place_table/tool", "--episodes", "2", "--most-steps"]
    words += ["2", "--thought-tokens", "4", "--dtype", "float32", "--valued", "0", "--rows", "own", "still"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rig", *words, "--out", str(out)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    while process.poll() is None and not (out / "own" / "episodes.jsonl").exists():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (out / "own" / "episodes.jsonl").exists()
    assert main([*words, "--out", str(out), "--resume"]) == 0
    found = json.loads((out / "causality.json").read_text())["rows"]
    assert {name: row["episodes"] for name, row in found.items()} == {"own": 2, "still": 2}


def test_mistakes_are_named_before_anything_is_played(agent, suite, tmp_path):
    for changes, error, message in (
        ({"rows": ("own", "stil")}, UnknownNameError, r"unknown row 'stil'. Did you mean 'still'"),
        ({"dreams": 0}, RigError, r"--dreams of 1 or more"),
        ({"planner": "best-of", "planner_options": ("plans=3",)}, RigError, r"--dreams of 1 or more"),
        ({"planner": "best_of"}, UnknownNameError, r"Did you mean 'best-of'"),
        ({"agent": "teacher:crafter"}, RigError, r"teacher:crafter does not dream"),
    ):
        with pytest.raises(error, match=message):
            evaluate_causality(replace(config_of(agent), **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for changes, message in (
        ({"votes": 0}, "votes=0"),
        ({"valued": 1.5}, r"valued=1.5: a share"),
        ({"dreams_from": "still"}, r"among the --rows"),
        ({"rows": ("own", "own")}, r"each once"),
    ):
        with pytest.raises(RigError, match=message):
            config_of(agent, **changes)
    out, _ = suite
    with pytest.raises(RigError, match=r"another configuration: votes"):
        evaluate_causality(config_of(agent, **BEST, temperature=2.0, votes=2), out, resume=True)


class Scripted:
    """Proposes one action and does another, of nothing, the teacher's and a step to the left, by turns."""

    def __init__(self, pairs):
        self.pairs, self.asked, self.worlds = pairs, [], {}
        self.teacher = judge_in("crafter", 80).teacher

    def deciding(self, places):
        return self

    def see(self, key, world):
        self.worlds[key] = self.teacher.act(world)

    def submit(self, key, observation, seed):
        self.asked.append(key)

    def next(self):
        key = self.asked.pop(0)
        first, done = ({"best": self.worlds[key], "nothing": NOOP}[name] for name in self.pairs)
        plans = (Plan(thought=None, action=first), Plan(thought=None, action=done))
        return key, Decision(action=done, plans=plans, chosen=1)


def watched(pairs, share=1.0, steps=4):
    episode = Episode(task="collect_wood", setting="manual", seed=268435456)
    watch = Watch(Scripted(pairs), share, judge_in("crafter", 80))
    lineage = Lineage(stage="live", actor="scripted")
    settings = {"batch_size": 1, "most_steps": steps, "lineage": lineage, "before": watch.before}
    list(play(lambda: make_world("crafter"), watch, [episode], **settings))
    return watch.changes(episode)


def test_good_plans_that_are_spoilt_and_bad_ones_that_are_mended_are_told_apart():
    spoilt, mended, kept = watched(("best", "nothing")), watched(("nothing", "best")), watched(("best", "best"))
    assert (spoilt["decisions"], spoilt["changed"], kept["changed"]) == (4, 4, 0)
    assert all(first <= 0 < done for first, done in spoilt["lost"])
    assert any(first > 0 for first, _ in mended["lost"])
    assert all(done <= 0 for _, done in mended["lost"])
    assert all(first == done for first, done in kept["lost"])
    scores = [changes_of([{"changes": one}, {"changes": one}]) for one in (spoilt, mended, kept)]
    assert [score["spoilt"] and score["spoilt"]["value"] for score in scores][::2] == [1, 0]
    assert scores[1]["mended"]["value"] == 1
    assert scores[2]["mended"] is None
    assert scores[0]["gained"]["value"] < 0 < scores[1]["gained"]["value"]
    assert scores[0]["valued"] == 8
    assert [score["changed"]["value"] for score in scores] == [1, 1, 0]


def test_decisions_are_valued_by_their_own_seeds():
    """The same ones whoever plays, and none where nobody is to be asked."""
    some = watched(("best", "best"), share=0.5, steps=8)
    assert 0 < len(some["lost"]) < some["decisions"] == 8
    assert len(watched(("best", "nothing"), share=0.0)["lost"]) == 0


def test_a_table_says_what_own_dreams_beat(suite, tmp_path):
    _, scores = suite
    better = {"estimate": {"value": -0.3, "low": -0.4, "high": -0.1, "n": 9}, "p_value": 0.01, "wins": 0, "losses": 3}
    rows = {"own": scores["rows"]["own"], "still": {**scores["rows"]["still"], "against_own": better}}
    assert conclusion({**scores, "rows": rows}) == "Own dreams win more than still copies of the present."
    even = {**better, "estimate": {**better["estimate"], "high": 0.1}}
    rows["majority"] = {**scores["rows"]["majority"], "against_own": even}
    assert "that they win more than majority of 3 is not shown" in conclusion({**scores, "rows": rows})
    page = write_causality_page({**scores, "rows": rows}, tmp_path / "page.md").read_text()
    assert "| -0.30 [-0.40, -0.10] | 0, 3 |" in page
    assert "Nothing to compare" in conclusion({**scores, "rows": {"own": rows["own"]}})


def test_an_evaluation_counts_what_became_of_first_proposals(agent, tmp_path):
    settings = {"tasks": ("place_table/tool",), "episodes": 2, "most_steps": 3, "thought_tokens": 4, "dtype": "float32"}
    config = EmbodiedConfig(agent=str(agent), dreams=1, valued=1.0, **settings)
    kept = []
    evaluate_embodied(config, tmp_path / "one", keep=kept)
    rows = {row["seed"]: row for row in episodes_of(tmp_path / "one")}
    for trajectory in kept:
        counted = rows[trajectory.seed]["changes"]
        assert counted["decisions"] == len(trajectory.steps)
        assert counted["changed"] == sum(step.action != step.proposal for step in trajectory.steps)
        assert len(counted["lost"]) <= counted["decisions"]
