"""The stages on real Crafter: what a record claims is lived again in a fresh world, and no kill shows in the end."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter, deque
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from makers import TASKS, branch_config, fail_engine, live_up_to
from test_data_roundtrip import assert_same, write

from rig.actions import CRAFTER, NOOP, Action
from rig.agents import PolicyConfig
from rig.annotators import CHECKERS, REASONERS, REVIEWERS, ReviewCase, RuleReasoner, RuleReviewer
from rig.data import CodesCache, Dataset, DatasetWriter
from rig.dialogue import prompt
from rig.engine import Sampler
from rig.envs import make_world
from rig.envs.seeds import Split, split_of
from rig.errors import DatasetError, RigError, SimulatorError
from rig.records import NOISE, POLICY, TEACHER, Decision, Dream, Observation, fake_trajectory
from rig.stages import (
    AlignConfig,
    CollectConfig,
    LookaheadConfig,
    Opening,
    PlayerConfig,
    ReasonConfig,
    RehearseConfig,
    RereviewConfig,
    align,
    branch,
    collect,
    collect_on_policy,
    reason,
    rehearse,
    rereview,
    review,
)
from rig.stages.lookahead import LookaheadBuilder, ReviewBuilder
from rig.stages.s2_reason import annotate, diverse_successes
from rig.stages.s3_review import review_episode
from rig.stages.s4_align import aligned, dream_beside
from rig.stages.s4_rehearse import rehearse_episode
from rig.teachers import TEACHERS
from rig.train import Tokenizers
from rig.train.tokenizers import encode_frames

STAGES = ("collect", "on_policy", "reason", "review", "align", "rehearse", "rereview", "branch")
SHARD_STEPS = {
    "collect": 30,
    "on_policy": 4,
    "reason": 30,
    "review": 12,
    "align": 1,
    "rehearse": 8,
    "rereview": 4,
    "branch": 8,
}
PIECES = {"collect": "s1_collect.teach", "on_policy": "s1_onpolicy.correct", "reason": "s2_reason.annotate"}
PIECES |= {"review": "s3_review.review_episode", "align": "s4_align.align_episode"}
PIECES |= {"rehearse": "s4_rehearse.rehearse_episode", "rereview": "rereviewing.rereview_episode"}
PIECES |= {"branch": "branching.branch_episode"}
HORIZON = 2
REHEARSAL = RehearseConfig(states=4, slips=2, horizons=(0, 1))
LIVELY = partial(PolicyConfig, thought_tokens=4, text=Sampler(temperature=1.0))
"""An agent after four steps of training presses one key for ever; at this temperature it tries them all."""


def prepare(patch, stage, writer=DatasetWriter):
    """Make the agent lively and the stage's shards small."""
    patch.setattr("rig.stages.lookahead.PolicyConfig", LIVELY)
    patch.setattr("rig.stages.branching.PolicyConfig", partial(PolicyConfig, thought_tokens=4))
    patch.setattr("rig.stages.base.DatasetWriter", partial(writer, shard_steps=SHARD_STEPS[stage]))


def lookahead(root, kind=LookaheadConfig, **changes):
    config = kind(
        agent=str(root / "basic" / "agent"),
        tasks=("place_table/tool",),
        episodes=4,
        skip=4,
        states=99,
        horizons=(0, 1),
        batch_size=2,
        dtype="float32",
    )
    return replace(config, **changes)


def run(stage, root, out, *, resume=False, **changes):
    """Run a stage on what lies in `root`, with `changes` of this file's configuration."""
    opening = Opening(resume=resume)
    if stage == "collect":
        return collect(replace(CollectConfig(tasks=TASKS, episodes=4), **changes), out, opening)
    if stage == "on_policy":
        player = PlayerConfig(player=str(root / "basic" / "agent"), mixture=0.5, most_steps=4, dtype="float32")
        config = CollectConfig(tasks=TASKS, episodes=2, skip=4)
        return collect_on_policy(config, replace(player, batch_size=2, **changes), out, opening)
    if stage == "reason":
        return reason(root / "s1", replace(ReasonConfig(), **changes), out, opening)
    if stage == "review":
        return review(lookahead(root, **changes), out, opening)
    if stage == "rehearse":
        return rehearse(root / "s2", replace(REHEARSAL, **changes), out, opening)
    if stage == "rereview":
        reviewed = rehearse(root / "s2", REHEARSAL, root / "s4-taught", Opening(resume=True))
        return rereview(reviewed.path, replace(RereviewConfig(), **changes), out, opening)
    if stage == "branch":
        return branch(branch_config(root / "basic" / "agent", players=("agent", "noise"), **changes), out, opening)
    return align(lookahead(root, AlignConfig, **{"episodes": 2, "states": 3, **changes}), out, opening)


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    """Every stage's dataset, made without interruption."""
    folder, datasets = tmp_path_factory.mktemp("whole"), {}
    for stage in STAGES:
        with pytest.MonkeyPatch.context() as patch:
            prepare(patch, stage)
            datasets[stage] = run(stage, made.root, folder / stage)
    return datasets


@pytest.fixture(scope="module")
def builder(made):
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch, "review")
        return LookaheadBuilder(lookahead(made.root))


@pytest.fixture(scope="module")
def visits(builder):
    """The agent's own episodes, by id."""
    return {visit.trajectory.id: visit for visit in builder.visit(builder.episodes())}


@pytest.fixture(scope="module")
def wanderings(builder):
    """Episodes of random keys in place of the agent's: the same on every machine."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder.policy, "deciding", Wandering)
        visits = list(builder.visit(builder.episodes()))
    assert {step.thought for visit in visits for step in visit.trajectory.steps} == {WAITING}
    return visits


WAITING = "1. I wait here."


class Wandering:
    """Presses a key by the seed alone."""

    def __init__(self, places):
        self.waiting = deque()

    def submit(self, key, observation, seed):
        pressed = str(np.random.default_rng(seed).choice(CRAFTER.keys))
        self.waiting.append((key, Decision(action=Action.press(pressed), thought=WAITING)))

    def next(self):
        return self.waiting.popleft()


@pytest.fixture
def teacher():
    return TEACHERS.get("crafter")()


def relive(trajectory):
    """Press a trajectory's keys in a fresh world; return the world, and what it was before each step."""
    world = make_world("crafter")
    frame, info = world.reset(seed=trajectory.seed, options={"task": trajectory.task, "setting": trajectory.setting})
    moments = []
    for step in trajectory.steps:
        moments.append(SimpleNamespace(frame=frame, facts=info["privileged"], state=world.save()))
        frame, _, _, _, info = world.act(step.action)
    return world, moments


def steps_left(world, teacher, state, patience=80):
    """Return how many steps the teacher needs from `state`."""
    world.load(state)
    for count in range(patience):
        if world.samples >= world.task.target:
            return count
        if world.act(teacher.act(world))[2]:
            return count + 1 if world.samples >= world.task.target else patience
    return patience


def test_every_step_of_every_stage_remembers_what_was_executed_before_it(whole):
    """Lived again from its own memory of it, the episode shows what the step shows."""
    world, kept = make_world("crafter"), set()
    for stage in STAGES:
        longest = 0
        for trajectory in whole[stage]:
            steps = trajectory.steps
            for step in (steps[0], steps[len(steps) // 2], steps[-1]):
                assert np.array_equal(live_up_to(step, world, trajectory), step.frame)
                longest = max(longest, len(step.earlier_actions))
        assert longest > 1, stage
        table = whole[stage].table(["earlier_actions"]).column("earlier_actions")
        kept |= {stage} if table.null_count < len(table) else set()
    assert kept == {"review", "align", "rehearse", "rereview", "branch"}, "where steps of an episode are left out"


# S1


def test_a_taught_episode_is_what_the_teacher_does_in_that_world(made, teacher):
    dataset = Dataset(made.root / "s1")
    for trajectory in dataset:
        world, moments = relive(trajectory)
        assert trajectory.success == (world.samples >= world.task.target)
        assert trajectory.samples == world.samples
        assert trajectory.lineage.actor == teacher.name
        for step, moment in zip(trajectory.steps, moments, strict=True):
            assert np.array_equal(step.frame, moment.frame)
            assert np.array_equal(step.frame, world.load(moment.state))
            assert step.privileged == moment.facts
            if step.actor == TEACHER:
                assert teacher.act(world) == step.action
            frame, reward, *_ = world.act(step.action)
            assert np.array_equal(step.next_frame, frame)
            assert step.reward == reward
        assert [step.previous_action for step in trajectory.steps[1:]] == [s.action for s in trajectory.steps[:-1]]
    actors = [step.actor for step in dataset.steps()]
    assert set(actors) == {TEACHER, NOISE}
    assert actors.count(TEACHER) > actors.count(NOISE)


@pytest.mark.parametrize("name", ["crafter", "random"])
def test_the_worlds_are_of_training_and_skipping_gives_the_next_ones(made, tmp_path, name):
    everything = run("collect", made.root, tmp_path / "all", teacher=name, episodes=2)
    assert {split_of(trajectory.seed) for trajectory in everything} == {Split.TRAIN}
    later = run("collect", made.root, tmp_path / "later", teacher=name, episodes=1, skip=1)
    assert later.ids == everything.ids[len(TASKS) :]
    for trajectory in later:
        assert_same(trajectory, everything[trajectory.id])


def test_one_configuration_is_one_dataset(made, tmp_path):
    again = run("collect", made.root, tmp_path / "again")
    assert again.content_hash == Dataset(made.root / "s1").content_hash
    other = run("collect", made.root, tmp_path / "other", seed=1)
    assert other.ids == again.ids
    assert other.content_hash != again.content_hash


def test_noise_comes_as_often_as_asked_and_what_it_spoils_is_not_reasoned_about(made, tmp_path):
    changes = {"tasks": ("collect_wood/manual",), "episodes": 2}
    calm = run("collect", made.root, tmp_path / "calm", noise=0.0, **changes)
    assert {step.actor for step in calm.steps()} == {TEACHER}
    wild = run("collect", made.root, tmp_path / "wild", noise=1.0, **changes)
    assert {step.actor for step in wild.steps()} == {NOISE}
    assert len({step.action for step in wild.steps()}) > 10
    assert [trajectory.success for trajectory in wild] == [False, False]
    assert reason(tmp_path / "wild", ReasonConfig(), tmp_path / "s2").ids == []


# S2


def test_every_taught_step_gets_a_thought_and_every_thought_is_true(made):
    checker = CHECKERS.get("crafter")()
    for step in Dataset(made.data).steps():
        if step.thought is None:
            assert step.actor == NOISE
            continue
        verdicts = checker.check(step.thought, step.privileged, step.action)
        assert verdicts[-1].concludes
        assert all(verdict.holds for verdict in verdicts), step.thought


def test_thoughts_are_all_that_reasoning_adds_and_the_same_each_time(made, tmp_path):
    taught, reasoner = Dataset(made.root / "s1"), REASONERS.get("crafter")()
    dataset = run("reason", made.root, tmp_path / "again")
    assert dataset.content_hash == Dataset(made.data).content_hash
    assert dataset.info.parent == taught.as_parent()
    assert dataset.ids == [trajectory.id for trajectory in taught if trajectory.success]
    for trajectory in dataset:
        lineage = trajectory.lineage
        assert (lineage.stage, lineage.parent) == ("s2", trajectory.id)
        assert (lineage.annotator, lineage.prompt) == (reasoner.name, reasoner.prompt)
        bare = trajectory.with_steps(tuple(replace(step, thought=None) for step in trajectory.steps))
        assert_same(replace(bare, lineage=taught[trajectory.id].lineage), taught[trajectory.id])


class Liar(RuleReasoner):
    name = "liar"

    def answer(self, known):
        return "1. I look up at diamond. 2. I rest."


def test_a_false_thought_is_left_out_where_a_checker_looks(made):
    trajectory, liar = Dataset(made.root / "s1")[0], Liar()
    lies = liar.reason(trajectory.steps)
    checked = annotate(trajectory, lies, liar, CHECKERS.get("crafter")())
    assert {step.thought for step in checked.steps} == {None}
    assert None not in {step.thought for step in annotate(trajectory, lies, liar, None).steps}


def test_of_the_same_actions_only_some_are_kept(tmp_path):
    plain = fake_trajectory(0, size=8)
    many = [replace(plain, id=f"same-{number}") for number in range(4)]
    many += [replace(fake_trajectory(1, size=8), id="other"), replace(plain, id="failed", success=False)]
    many += [replace(plain, id="elsewhere", setting="tool")]
    dataset = Dataset(write(tmp_path / "set", many))
    assert diverse_successes(dataset, 2) == ["same-0", "same-1", "other", "elsewhere"]
    assert diverse_successes(dataset, 9) == [trajectory.id for trajectory in many if trajectory.success]


# S3


def test_a_review_begins_where_the_agent_stood_and_ends_with_what_the_teacher_does(whole, visits, teacher):
    reviewer = REVIEWERS.get("crafter")()
    assert whole["review"].num_steps > 8
    for trajectory in whole["review"]:
        own = visits[trajectory.id].trajectory
        world, moments = relive(own)
        assert split_of(trajectory.seed) is Split.TRAIN
        for step in trajectory.steps:
            moment, taken = moments[step.index], own.steps[step.index : step.index + HORIZON]
            assert np.array_equal(step.frame, moment.frame)
            assert np.array_equal(step.frame, world.load(moment.state))
            assert teacher.act(world) == step.action == step.review.action != taken[0].action
            assert np.array_equal(step.next_frame, world.act(step.action)[0])
            world.load(moment.state)
            for dream, mine in zip(step.dreams, taken, strict=len(own.steps) - 1 - step.index >= HORIZON):
                assert (dream.thought, dream.action) == (mine.thought, mine.action)
                frame, _, _, _, info = world.act(dream.action)
                assert np.array_equal(dream.frame, frame)
                assert np.array_equal(dream.real_frame, frame)
                assert dream.privileged == info["privileged"]
            assert (step.review.helped, step.actor) == (True, POLICY)
            assert step.thought == step.review.thought
            assert step.thought == reviewer.review([ReviewCase(step=step, better=step.action)])[0]


def test_what_is_reviewed_is_what_the_agent_decides_there(whole, builder):
    for trajectory in whole["review"]:
        step = trajectory.steps[0]
        observation = Observation(frame=step.frame, instruction="place a table", previous_action=step.previous_action)
        seed = next(episode for episode in builder.episodes() if episode.id == trajectory.id).decision_seed(step.index)
        decision = builder.policy.decide([observation], [seed])[0]
        assert (decision.thought, decision.action) == (step.dreams[0].thought, step.dreams[0].action)


def test_kept_are_the_states_where_the_agents_action_costs_the_margin(builder, wanderings, teacher, monkeypatch):
    counts = []
    for margin in (0, 1, 2):
        monkeypatch.setattr(builder, "config", replace(builder.config, margin=margin))
        counts.append(0)
        for visit in wanderings:
            world, moments = relive(visit.trajectory)
            steps, last = visit.trajectory.steps, len(moments) - 1
            expected = []
            for index in range(last):
                before, after = (steps_left(world, teacher, moments[at].state) for at in (index, index + 1))
                world.load(moments[index].state)
                if teacher.act(world) != steps[index].action and 1 + after - before >= margin:
                    expected.append(index)
            found = review_episode(builder, visit)
            assert [step.index for step in (found.steps if found else ())] == expected
            counts[-1] += len(expected)
    assert counts[0] > counts[1] > counts[2]


def test_no_more_states_than_asked_and_none_whose_thoughts_cannot_be_said(builder, wanderings, monkeypatch):
    visit = max(wanderings, key=lambda visit: len(visit.states))
    every = {step.index for step in review_episode(builder, visit).steps}
    assert max(every) > HORIZON
    steps = list(visit.trajectory.steps)
    steps[HORIZON] = replace(steps[HORIZON], thought=f"I see.{prompt.NEXT_ACTION}")
    mute = replace(visit, trajectory=visit.trajectory.with_steps(tuple(steps)))
    left = {step.index for step in review_episode(builder, mute).steps}
    assert left == {index for index in every if not index <= HORIZON < index + HORIZON}
    monkeypatch.setattr(builder, "config", replace(builder.config, states=2))
    few = [step.index for step in review_episode(builder, visit).steps]
    assert few == sorted(few)
    assert len(few) == 2
    assert set(few) < every


def test_what_frames_do_not_show_changes_no_plan(builder, wanderings, monkeypatch):
    monkeypatch.setattr(builder.reviewer.__class__, "tells", lambda reviewer, known: False)
    wait = [Dream(thought="1. I wait here.", action=NOOP)]
    assert not any(review_episode(builder, visit) for visit in wanderings)
    for visit in wanderings:
        (found,) = aligned(
            builder, REASONERS.get("crafter")(), [(visit, dict.fromkeys(range(len(visit.states)), wait))]
        )
        assert {(step.action, step.review.helped) for step in found.steps} == {(NOOP, False)}


# S4


def test_a_dream_is_aligned_with_what_the_engine_shows(whole, visits, made):
    """Thoughts are written anew for what really came; the first, about what was really seen, is the agent's own."""
    vq, dataset, reasoner = Tokenizers.load(made.tokenizers).vq, whole["align"], REASONERS.get("crafter")()
    cache = CodesCache(dataset, "vq")
    cache.fill(lambda frames: encode_frames(vq, frames), progress=False)
    moved = 0
    for trajectory in dataset.with_codes(cache):
        world, moments = relive(visits[trajectory.id].trajectory)
        for step in trajectory.steps:
            frame, facts = world.load(moments[step.index].state), step.privileged
            assert np.array_equal(step.frame, frame)
            assert facts == moments[step.index].facts
            ended = False
            for number, dream in enumerate(step.dreams):
                seen = replace(step, frame=frame, privileged=facts, action=dream.action)
                assert (dream.thought == reasoner.reason([seen])[0]) == (number > 0)
                frame, _, ended, _, info = world.act(dream.action)
                facts = info["privileged"]
                assert np.array_equal(dream.real_frame, frame)
                assert np.array_equal(dream.real_codes, encode_frames(vq, frame[None])[0])
                assert dream.privileged == facts
                assert not np.array_equal(dream.frame, frame)
            assert ended or len(step.dreams) == HORIZON
            moved += not np.array_equal(step.frame, frame)
    assert moved, "some dream goes somewhere"


def test_the_dreams_are_the_agents_own(whole, builder):
    for trajectory in whole["align"]:
        step = trajectory.steps[0]
        observation = Observation(frame=step.frame, instruction="place a table", previous_action=step.previous_action)
        seed = next(episode for episode in builder.episodes() if episode.id == trajectory.id).decision_seed(step.index)
        dreamed = builder.policy.dream_ahead([observation], [seed], [len(step.dreams)])[0]
        assert step.dreams[0].thought == dreamed[0].thought
        assert [dream.action for dream in step.dreams] == [dream.action for dream in dreamed]
        assert all(np.array_equal(found.frame, dream.frame) for found, dream in zip(step.dreams, dreamed, strict=True))


def test_states_can_be_those_that_reviews_lead_to(builder):
    config = replace(builder.config, states=3)
    reasoner = REASONERS.get("crafter")()
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch, "align")
        patch.setattr(builder, "config", config)
        for visit in builder.visit(builder.episodes()[:2], dreams=1):
            assert all(step.review and len(step.dreams) == 1 for step in visit.trajectory.steps)
            (found,) = aligned(builder, reasoner, zip([visit], dream_beside(builder, [visit]), strict=True))
            for step in found.steps:
                played = visit.trajectory.steps[step.index]
                assert np.array_equal(step.frame, played.frame)
                assert step.proposal == played.proposal
                assert 1 <= len(step.dreams) <= 2
                assert all(dream.real_frame is not None for dream in step.dreams)


def test_a_dream_ends_with_its_episode(builder, wanderings, monkeypatch):
    dream = Dream(thought="1. I put down table now.", action=Action.press("place_table"))
    monkeypatch.setattr(
        builder.policy, "dream_ahead", lambda observations, seeds, counts: [[dream] * n for n in counts]
    )
    lengths = []
    dreamed = zip(wanderings, dream_beside(builder, wanderings), strict=True)
    for visit, found in zip(wanderings, aligned(builder, REASONERS.get("crafter")(), dreamed), strict=True):
        world, moments = relive(visit.trajectory)
        for step in found.steps:
            world.load(moments[step.index].state)
            ends = [world.act(dream.action)[2] for _ in step.dreams]
            assert ends == [*[False] * (len(ends) - 1), len(ends) < HORIZON]
            lengths.append(len(ends))
    assert {1, HORIZON} <= set(lengths)


def test_an_aligned_step_keeps_a_good_proposal_and_corrects_a_bad_one(whole, visits, teacher):
    reviewer, helped = REVIEWERS.get("crafter")(), []
    for trajectory in whole["align"]:
        world, moments = relive(visits[trajectory.id].trajectory)
        for step in trajectory.steps:
            state, proposal = moments[step.index].state, step.dreams[0].action
            world.load(state)
            world.act(proposal)
            lost = 1 + steps_left(world, teacher, world.save()) - steps_left(world, teacher, state)
            world.load(state)
            better = teacher.act(world)
            assert step.action == step.review.action == (better if better == proposal or lost >= 1 else proposal)
            assert step.review.helped == (step.action != proposal)
            assert np.array_equal(step.next_frame, world.act(step.action)[0])
            assert step.thought == reviewer.review([ReviewCase(step=step, better=step.action)])[0]
            helped.append(step.review.helped)
    assert True in helped


# S4 without an agent


def test_a_rehearsal_keeps_what_the_teacher_did_and_corrects_its_noise(whole, made, teacher):
    taught, reviewer, helped = Dataset(made.root / "s2"), REVIEWERS.get("crafter")(), []
    for trajectory in whole["rehearse"]:
        own = taught[trajectory.id]
        world, moments = relive(own)
        assert (trajectory.lineage.stage, trajectory.lineage.parent) == ("s4", own.id)
        assert (trajectory.lineage.actor, trajectory.lineage.annotator) == (own.lineage.actor, reviewer.name)
        for step in trajectory.steps:
            done, moment = own.steps[step.index], moments[step.index]
            ahead = own.steps[step.index : step.index + min(HORIZON, len(own.steps) - 1 - step.index)]
            for dream, mine in zip(step.dreams, ahead, strict=True):
                assert (dream.thought, dream.action) == (mine.thought, mine.action)
                assert np.array_equal(dream.frame, mine.next_frame)
                assert np.array_equal(dream.real_frame, mine.next_frame)
                assert dream.privileged == own.steps[mine.index + 1].privileged
            if done.actor == NOISE:
                world.load(moment.state)
                world.act(done.action)
                assert 1 + steps_left(world, teacher, world.save()) > steps_left(world, teacher, moment.state)
            world.load(moment.state)
            assert step.action == (done.action if done.actor == TEACHER else teacher.act(world))
            assert np.array_equal(step.next_frame, world.act(step.action)[0])
            assert step.review.helped == (done.actor == NOISE)
            assert step.thought == step.review.thought
            assert step.thought == reviewer.review([ReviewCase(step=step, better=step.action)])[0]
            helped.append(step.review.helped)
    assert {True, False} == set(helped)


def test_a_rehearsal_meets_what_a_teacher_seldom_does(made):
    taught = Dataset(made.root / "s2")
    bench = ReviewBuilder(REHEARSAL, "crafter")
    for trajectory in taught:
        often = Counter(step.action for step in trajectory.steps[:-1] if step.actor == TEACHER)
        found = []
        for number in range(60):
            bench.config = replace(REHEARSAL, states=1, slips=0, seed=number)
            found.append(rehearse_episode(bench, trajectory))
        met = Counter(rehearsed.steps[0].action for rehearsed in found if rehearsed is not None)
        assert set(met) == set(often)
        assert all(60 / len(often) / 3 < count < 60 / len(often) * 3 for count in met.values())


def test_what_cannot_be_rehearsed_is_said(whole, made, tmp_path):
    with pytest.raises(DatasetError, match=r"s1 has no thoughts, .*`rig reason`"):
        rehearse(made.root / "s1", REHEARSAL, tmp_path / "s4")
    trajectory = next(found for found in Dataset(made.root / "s2") if any(s.actor == NOISE for s in found.steps[:-1]))
    bench = ReviewBuilder(replace(REHEARSAL, slips=99), "crafter")
    others = tuple(replace(step, frame=255 - step.frame) for step in trajectory.steps)
    with pytest.raises(DatasetError, match=r"does not replay: step \d+ shows another frame .* --slips 0"):
        rehearse_episode(bench, trajectory.with_steps(others))
    mute = tuple(replace(step, thought=None) for step in trajectory.steps)
    assert rehearse_episode(bench, trajectory.with_steps(mute)) is None
    unheld = tuple(replace(step, thought="I wait. <Imagine:> So go on.") for step in trajectory.steps)
    assert rehearse_episode(bench, trajectory.with_steps(unheld)) is None, "no conversation can hold these"


# Reviews written anew


class Curt(RuleReviewer):
    name, prompt = "curt-1", "none"

    def answer(self, known):
        return f"1. {'I stay' if known.evidence.better == known.evidence.proposal else 'I change'}."


def test_reviews_are_written_anew_and_nothing_else(whole, made, tmp_path, monkeypatch):
    monkeypatch.setitem(REVIEWERS._entries, "curt", Curt)
    reviewed = Dataset(made.root / "s4-taught")
    curt = run("rereview", made.root, tmp_path / "curt", reviewer="curt")
    assert curt.info.stage == "s4"
    assert curt.info.parent == reviewed.as_parent()
    assert curt.ids == reviewed.ids
    for trajectory in curt:
        own = reviewed[trajectory.id]
        assert {step.thought for step in trajectory.steps} <= {"1. I stay.", "1. I change."}
        for step, old in zip(trajectory.steps, own.steps, strict=True):
            assert step.thought == ("1. I change." if old.review.helped else "1. I stay.")
            assert step.review == replace(old.review, thought=step.thought)
            assert_same(replace(step, thought=old.thought, review=old.review), old)
        wanted = replace(own.lineage, annotator="curt-1", prompt="none", parent=own.id)
        assert_same(replace(trajectory, steps=own.steps), replace(own, lineage=wanted))
    back = rereview(curt.path, RereviewConfig(), tmp_path / "back")
    assert [step.thought for step in back.steps()] == [step.thought for step in reviewed.steps()]


def test_what_holds_no_reviews_is_not_rewritten(made, tmp_path):
    with pytest.raises(DatasetError, match=r"has no review at step 0; give a dataset of `rig review`"):
        rereview(made.root / "s2", RereviewConfig(), tmp_path / "out")


# All of them


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("collect", {"noise": 0.5}, "config.noise: 0.08 there, 0.5 now"),
        ("on_policy", {"mixture": 0.25}, "config.mixture: 0.5 there, 0.25 now"),
        ("reason", {"same_actions": 3}, "config.same_actions: 20 there, 3 now"),
        ("review", {"margin": 2}, "config.margin: 1 there, 2 now"),
        ("align", {"horizons": (1,)}, r"config.horizons: \[0, 1\] there, \[1\] now"),
        ("rehearse", {"slips": 1}, "config.slips: 2 there, 1 now"),
        ("rereview", {"reviewer": "minetest"}, "config.reviewer: 'crafter' there, 'minetest' now"),
    ],
)
def test_what_is_there_is_neither_overwritten_nor_gone_on_with_differently(whole, made, stage, changes, message):
    path = whole[stage].path
    before = stamps(path)
    with pytest.raises(DatasetError, match=r"already holds a dataset; go on with it .--resume.*--overwrite"):
        run(stage, made.root, path)
    with pytest.raises(DatasetError, match=rf"begun with another configuration \({message}\)"):
        run(stage, made.root, path, resume=True, **changes)
    assert stamps(path) == before
    Dataset(path).verify()


def test_what_an_earlier_version_began_is_gone_on_with(whole, made, tmp_path):
    """It knew nothing of players that look ahead, and none did."""
    path = tmp_path / "on_policy"
    shutil.copytree(whole["on_policy"].path, path)
    manifest = json.loads((path / "manifest.json").read_text())
    for name in ("plans", "dreams", "judge", "resample"):
        del manifest["config"][name]
    (path / "manifest.json").write_text(json.dumps(manifest))
    run("on_policy", made.root, path, resume=True)


KILLED = """
import os, signal, sys
from pathlib import Path
folder, stage, root, out, kept = sys.argv[1:]
sys.path.insert(0, folder)
import pytest, test_stages
from rig.data import DatasetWriter

class Doomed(DatasetWriter):
    def append(self, trajectory):
        if len(self.done) == int(kept):
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(trajectory)

test_stages.prepare(pytest.MonkeyPatch(), stage, Doomed)
test_stages.run(stage, Path(root), Path(out))
"""


def stamps(path):
    """Return what tells whether a shard's file was touched."""
    files = [(file.name, file.stat()) for file in (path / "shards").glob("*.parquet")]
    return {(name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in files}


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on_where_it_was_and_ends_the_same(whole, made, tmp_path, monkeypatch, stage):
    out, wanted = tmp_path / "cut", whole[stage]
    kept = {
        "collect": 4,
        "on_policy": 2,
        "reason": 4,
        "review": 3,
        "align": 1,
        "rehearse": 3,
        "rereview": 2,
        "branch": 2,
    }[stage]
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), stage, str(made.root), str(out), str(kept)]
    killed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pytest.raises(DatasetError, match="unfinished"):
        Dataset(out)
    left = Dataset(out, allow_incomplete=True)
    assert 0 < len(left) <= kept < len(wanted)
    assert bool(list((out / "shards").glob("*.tmp"))) == (len(left) < kept), "lost is the shard in the making"
    before, again = stamps(out), []

    module, _, name = PIECES[stage].partition(".")
    make = getattr(sys.modules[f"rig.stages.{module}"], name)

    def noted(*arguments):
        made_again = make(*arguments)
        if made_again is not None:
            again.append(made_again.id)
        return made_again

    prepare(monkeypatch, stage)
    monkeypatch.setattr(f"rig.stages.{PIECES[stage]}", noted)
    dataset = run(stage, made.root, out, resume=True)
    assert sorted(again) == sorted(set(wanted.ids) - set(left.ids))
    assert before < stamps(out)
    assert sorted(dataset.ids) == sorted(wanted.ids)
    for trajectory in dataset:
        assert_same(trajectory, wanted[trajectory.id])
    assert dataset.content_hash == wanted.content_hash
    assert not list((out / "shards").glob("*.tmp"))
    dataset.verify()


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (CollectConfig, {"noise": 1.5}, r"noise=1.5: a chance"),
        (CollectConfig, {"burst": 0}, "burst=0: at least 1"),
        (ReasonConfig, {"same_actions": 0}, "same_actions=0: at least 1"),
        (LookaheadConfig, {"agent": "", "batch_size": 0}, "batch_size=0: at least 1"),
        (LookaheadConfig, {"agent": "", "most_steps": 0}, "most_steps=0: at least 1"),
        (LookaheadConfig, {"agent": "", "states": 0}, "states=0"),
        (AlignConfig, {"agent": "", "states": 0}, "states=0"),
        (AlignConfig, {"agent": "", "dreams": -1}, "dreams=-1: at least 0"),
        (RehearseConfig, {"slips": -1}, "slips=-1: at least 0"),
        (LookaheadConfig, {"agent": "", "horizons": (0, 0)}, r"horizons \(0, 0\)"),
    ],
)
def test_numbers_that_make_no_data_are_refused(config, changes, message):
    with pytest.raises(RigError, match=message):
        config(**changes)


@pytest.mark.parametrize("changes", [{"episodes": 0}, {"skip": -1}])
def test_episodes_that_cannot_be_counted_are_refused(made, tmp_path, changes):
    with pytest.raises(RigError, match=r"episodes of 2 tasks after"):
        run("collect", made.root, tmp_path / "s1", **changes)
    assert not (tmp_path / "s1").exists()


def test_a_task_named_twice_is_collected_once(made, tmp_path):
    tasks = ("place_table/tool", "place_table", "place_table/tool")
    dataset = run("collect", made.root, tmp_path / "s1", tasks=tasks, episodes=1)
    assert [(entry.task, entry.setting) for entry in dataset.entries] == [
        ("place_table", "tool"),
        ("place_table", "manual"),
    ]


def test_any_number_of_workers_makes_the_same_dataset_and_looks_for_the_same_worlds(made, tmp_path):
    beside = collect(CollectConfig(tasks=TASKS, episodes=4), tmp_path / "beside", workers=2)
    alone = Dataset(made.root / "s1")
    assert beside.ids == alone.ids
    for trajectory in beside:
        assert_same(trajectory, alone[trajectory.id])
    assert beside.content_hash == alone.content_hash
    assert beside.info.config == alone.info.config


def test_of_several_seeds_none_is_looked_at_that_need_not_be():
    world, asked = make_world("crafter"), []

    def look(task, setting, seeds):
        asked.extend(seeds)
        return [seed % 3 == 0 for seed in seeds]

    first = Split.VALIDATION.first
    wanted = [seed for seed in range(first, first + 30) if seed % 3 == 0][2:6]
    assert world.episode_seeds(world.tasks["collect_wood"], "manual", Split.VALIDATION, 4, skip=2, look=look) == wanted
    assert asked == list(range(first, wanted[-1] + 1)), "as one after the other: none twice, none too many"


def test_a_worker_that_is_killed_costs_its_episode_alone(made, tmp_path, monkeypatch):
    class Killing(DatasetWriter):
        def append(self, trajectory):
            super().append(trajectory)
            if len(self.done) == 2:
                os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    config, out = CollectConfig(tasks=TASKS, episodes=4), tmp_path / "cut"
    monkeypatch.setattr("rig.stages.base.DatasetWriter", Killing)
    with pytest.raises(RigError, match=r"the process that had the episode \w+-\w+-\d+ was killed"):
        collect(config, out, workers=2)
    monkeypatch.undo()
    assert multiprocessing.active_children() == []
    left = Dataset(out, allow_incomplete=True)
    assert 2 <= len(left) < 8
    whole = collect(config, out, Opening(resume=True), workers=2)
    alone = Dataset(made.root / "s1")
    assert sorted(whole.ids) == sorted(alone.ids)
    for trajectory in whole:
        assert_same(trajectory, alone[trajectory.id])


@pytest.mark.parametrize(("failures", "teacher"), [(2, "crafter"), (1, "random"), (3, "crafter")])
def test_an_episode_whose_engine_fails_is_played_again_and_not_for_ever(tmp_path, monkeypatch, failures, teacher):
    config = CollectConfig(tasks=("collect_wood/manual",), episodes=2, teacher=teacher)
    wanted = collect(config, tmp_path / "good")
    left = fail_engine(monkeypatch, wanted[1], failures)
    if failures == 3:
        with pytest.raises(SimulatorError, match=rf"each of 3 attempts at the episode {wanted.ids[1]}.*: it ended"):
            collect(config, tmp_path / "bad")
        assert Dataset(tmp_path / "bad", allow_incomplete=True).ids == wanted.ids[:1]
    else:
        assert collect(config, tmp_path / "good again").content_hash == wanted.content_hash
    assert left == [0]
