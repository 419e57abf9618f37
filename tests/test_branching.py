"""Counterfactual sets on real Crafter: what a branch claims is lived again, and judges are scored by it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from makers import branch_config, live_up_to

from rig.agents import PolicyConfig
from rig.cli.main import main
from rig.data import Dataset
from rig.envs import make_world
from rig.errors import DatasetError, RigError
from rig.evaluate.branches import BranchSet, by_order, by_votes, score_sets, sets_of
from rig.records import POLICY, RANDOM, TEACHER, fake_step
from rig.stages import branch
from rig.stages.advantage import Judge
from rig.stages.branching import Branch, branch_of
from rig.teachers import TEACHERS

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

LIVELY = partial(PolicyConfig, thought_tokens=4)


def config_of(made, **changes):
    return branch_config(made.agent, **changes)


@pytest.fixture(scope="module", autouse=True)
def short_thoughts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rig.stages.branching.PolicyConfig", LIVELY)
        yield


@pytest.fixture(scope="module")
def branches(made, tmp_path_factory):
    return branch(config_of(made, players=("agent", "noise")), tmp_path_factory.mktemp("branches") / "out")


def test_every_claim_of_a_branch_is_lived_again(branches):
    """In a fresh world, by the actions of the episode and then those of the branch."""
    world, spare = make_world("crafter"), make_world("crafter")
    judge = Judge(world=spare, teacher=TEACHERS.get("crafter")(), patience=80)
    assert len(branches) == 4
    lived = 0
    for trajectory in branches:
        for step in trajectory.steps:
            facts = branch_of(step)
            assert step.action == step.dreams[0].action
            assert np.array_equal(step.next_frame, step.dreams[0].real_frame)
            assert len(step.executed) == facts.state + 1, "of its own episode, not of the branch before it"
            assert np.array_equal(live_up_to(step, world, trajectory), step.frame)
            for depth, dream in enumerate(step.dreams, 1):
                frame, *_ = world.act(dream.action)
                assert np.array_equal(frame, dream.real_frame)
                assert dream.frame.shape == frame.shape
                assert facts.samples[depth - 1] == world.samples
                assert facts.totals[depth - 1] == depth + judge.cost_to_go(world.save())
                lived += 1
    assert lived > 20


def test_a_set_holds_every_plan_once_and_says_what_each_loses(branches):
    sets = sets_of(branches)
    assert len(sets) >= 8
    assert sum(fact.state == 0 for branches in sets for fact in branches.facts) > 0
    for found in sets:
        actions = [step.action for step in found.steps]
        assert len(set(actions)) == len(actions)
        assert len({step.frame.tobytes() for step in found.steps}) == 1
        assert sum(fact.votes for fact in found.facts) == 3
        for fact in found.facts:
            assert (fact.source == POLICY) == (fact.votes > 0)
            assert fact.lost == fact.totals[0] - min(other.totals[0] for other in found.facts)
            assert fact.same == (len({other.totals[0] for other in found.facts}) == 1)
    assert {fact.source for found in sets for fact in found.facts} == {POLICY, TEACHER, RANDOM}
    assert any(not fact.same for found in sets for fact in found.facts)
    thoughts = {step.thought for found in sets for step in found.steps if branch_of(step).votes == 0}
    assert None not in thoughts, "a plan of others is dreamed with the agent's own thought"


def test_both_players_are_there_and_their_episodes_are_the_same(branches):
    names = sorted(trajectory.id for trajectory in branches)
    assert [name.rpartition("-")[2] for name in names] == ["agent", "noise"] * 2
    seeds = {player: {t.seed for t in branches if t.id.endswith(player)} for player in ("agent", "noise")}
    assert seeds["agent"] == seeds["noise"]


def test_without_a_teacher_samples_say_what_a_branch_is_worth(made, tmp_path):
    made_ones = branch(config_of(made, teacher="", random=2, episodes=1), tmp_path / "out")
    for found in sets_of(made_ones):
        best = max(fact.samples[-1] for fact in found.facts)
        for fact in found.facts:
            assert fact.totals == ()
            assert fact.lost == best - fact.samples[-1]
            assert fact.source != TEACHER


def a_set(*branches):
    """A set of (source, votes, lost)."""
    facts = [
        Branch(state=0, source=source, votes=votes, totals=(lost + 5,), samples=(0,), lost=lost, same=False)
        for source, votes, lost in branches
    ]
    return BranchSet(
        episode="e", steps=tuple(fake_step(index=index) for index in range(len(facts))), facts=tuple(facts)
    )


def test_judges_are_scored_by_pairs_by_the_best_and_by_what_their_choice_costs():
    sets = [
        a_set((POLICY, 1, 4), (POLICY, 3, 2), (TEACHER, 0, 0)),
        a_set((POLICY, 2, 2), (POLICY, 1, 2), (RANDOM, 0, 0)),
        a_set((POLICY, 2, 3), (POLICY, 1, 0), (POLICY, 1, 1)),
        a_set((POLICY, 4, 7)),
    ]
    scores = score_sets(sets, {"votes": by_votes, "first": by_order})
    assert (scores["sets"], scores["branches"], scores["with_a_choice"]) == (4, 8, 2)
    assert scores["at_random"]["lost"]["value"] == pytest.approx((1 + 4 / 3) / 2)
    votes, first = scores["scorers"]["votes"], scores["scorers"]["first"]
    assert votes["best"]["value"] == 0.5
    assert votes["lost"]["value"] == 1.5
    assert votes["pairs"]["value"] == pytest.approx((1 + (0 + 0 + 0.5) / 3) / 2)
    assert first["lost"]["value"] == 2.5
    assert first["pairs"]["value"] == pytest.approx((0 + (0 + 0 + 1) / 3) / 2)


def test_the_command_prints_how_the_simplest_judges_do(made, tmp_path, capsys):
    words = ["branch", "--agent", str(made.agent), "--tasks", "place_table/tool", "--episodes", "1", "--skip", "4"]
    words += ["--states", "2", "--plans", "3", "--temperature", "1", "--most-steps", "3", "--dtype", "float32"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "own proposals" in capsys.readouterr().out


def test_mistakes_are_named(made, branches, tmp_path):
    for changes, message in (
        ({"players": ()}, "one or more"),
        ({"players": ("agent", "agent")}, "each once"),
        ({"teacher": "", "players": ("noise",)}, "without a teacher only the agent plays"),
        ({"noise": 2.0}, "a chance"),
        ({"plans": 0}, "plans"),
    ):
        with pytest.raises(RigError, match=message):
            config_of(made, **changes)
    with pytest.raises(DatasetError, match="make one of sets with `rig branch`"):
        sets_of(Dataset(made.data))
    with pytest.raises(DatasetError, match="is no branch"):
        branch_of(fake_step())
    spoilt = replace(fake_step(), privileged={"branch": {"state": "0"}})
    with pytest.raises(DatasetError, match="step 0: branch"):
        branch_of(spoilt)
