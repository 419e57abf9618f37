"""Learning from one's own play: attempts from one state, what of them is learned, and that it makes an agent better."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from makers import interrupted_at_a_save, live_up_to
from world_makers import coin_agent, coin_package

from rig.actions import Action
from rig.agents import PolicyActor, PolicyConfig, Resample, build_policy
from rig.agents.checkpoint import AgentCheckpoint, about_agent
from rig.agents.judges import PLAN_JUDGES
from rig.cli.main import main
from rig.dialogue import Kind, PromptFormat, Role, as_written
from rig.engine import Sampler
from rig.envs import make_world
from rig.envs.rollout import Episode, play
from rig.errors import DialogueError, RigError
from rig.improve import ImproveConfig, LessonsConfig, PlayConfig, improve_agent
from rig.improve.attempts import play_round
from rig.improve.batches import ImprovingBatches, log_probs_of
from rig.improve.config import training_of
from rig.model import pack
from rig.records import Lineage
from rig.storage import read_json_lines
from rig.train import OptimiserConfig

ACTS = PromptFormat(thought=False, dream=False)
PLAY = PlayConfig(tasks=("fetch_coin",), groups=6, attempts=6, discount=0.9)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """An agent that has learned nothing, in the world of docs/extending.md."""
    folder = tmp_path_factory.mktemp("coin")
    with coin_package(folder):
        yield coin_agent(folder / "agent", prompt_format=ACTS)


@pytest.fixture(scope="module")
def dreamer(agent, tmp_path_factory):
    """One that has learned nothing either, and dreams."""
    return coin_agent(tmp_path_factory.mktemp("dreamer") / "agent", prompt_format=PromptFormat(thought=False))


class LikesLeft:
    """Has nothing against plans that go left, whatever they are dreamed to lead to."""

    looks = True
    votes_weight = 0.0

    def score(self, state, plan):
        yield from ()
        return 0.0 if plan.action.keys == {"left"} else -4.0


def actor_of(agent, **changes):
    checkpoint = AgentCheckpoint.load(agent).for_running("float32")
    settings = PolicyConfig(
        prompt_format=checkpoint.prompt_format, text=Sampler(temperature=1.0), log_probs=True, **changes
    )
    return PolicyActor(build_policy(checkpoint, settings))


def config_of(agent, rounds=2, play=PLAY, rate=3e-3, **lessons):
    some = LessonsConfig(**{"updates": 2, "decisions": 64, "pack_tokens": 1024, "kl": 0.0, **lessons})
    return ImproveConfig(
        agent=agent, play=play, lessons=some, training=training_of(rounds, 2, OptimiserConfig(learning_rate=rate))
    )


def batches_of(agent, **lessons):
    told = []
    config = config_of(agent, **lessons)
    start = AgentCheckpoint.load(agent).model.eval() if config.lessons.kl else None
    batches = ImprovingBatches(
        config, actor_of(agent), start, "coin", "coin", None, lambda step, values: told.append((step, values))
    )
    return batches, told


@pytest.fixture(scope="module")
def groups(agent):
    return play_round(PLAY, actor_of(agent), "coin", number=0, seed=0, name="coin")


def test_the_attempts_of_a_group_begin_in_one_state_and_draw_their_own(groups):
    assert [len(group) for group in groups] == [6] * 6
    for group in groups:
        first = [one.trajectory.steps[0] for one in group]
        assert all(np.array_equal(step.frame, first[0].frame) for step in first)
        assert all(step.privileged == first[0].privileged for step in first)
        assert all(step.previous_action == first[0].previous_action for step in first)
    written = {tuple(step.action for step in one.trajectory.steps) for group in groups for one in group}
    assert len(written) > 18, "36 attempts of an agent that draws its keys"


def test_states_on_the_way_are_those_of_an_episode_of_its_own(agent):
    midway = play_round(replace(PLAY, midway=1.0, groups=8), actor_of(agent), "coin", number=0, seed=0, name="coin")
    begun = [one.attempt.midway for group in midway for one in group]
    assert all(found is not None for found in begun)
    world = make_world("coin")
    for group in midway:
        step, found = group[0].trajectory.steps[0], group[0].attempt.midway
        assert np.array_equal(step.frame, world.load(found.state))
        assert step.executed == (found.previous_action, *found.earlier_actions)
        assert np.array_equal(step.frame, live_up_to(step, world, group[0].trajectory))
        for before, after in pairwise(group[0].trajectory.steps):
            assert after.executed == (before.action, *before.executed)
    assert any(found.earlier_actions for found in begun), "one at least is behind more than a step"
    assert any(found.previous_action != Action() for found in begun), "one at least is behind a step"


def test_several_states_of_an_episode_begin_groups_of_their_own(agent):
    """All of them where there are as many, in whatever order; the episode's again where there are not."""
    config = replace(PLAY, tasks=("go_home",), midway=1.0, groups=8, states=4, attempts=2, most_steps=3)
    groups = play_round(config, actor_of(agent), "coin", number=0, seed=0, name="coin")
    seeds = [group[0].attempt.seed for group in groups]
    assert seeds == [seeds[0]] * 4 + [seeds[4]] * 4
    assert seeds[0] != seeds[4]
    for episode in (groups[:4], groups[4:]):
        *three, again = [group[0].attempt.midway for group in episode]
        assert len({found.state for found in three}) == 3
        assert again == three[0]
    alone = play_round(replace(config, groups=5), actor_of(agent), "coin", number=0, seed=0, name="coin")
    assert len(alone) == 5
    both = replace(config, tasks=("go_home", "fetch_coin"))
    groups = play_round(both, actor_of(agent), "coin", number=0, seed=0, name="coin")
    played = [group[0].attempt.task for group in groups]
    assert sorted(played) == ["fetch_coin"] * 4 + ["go_home"] * 4, "the episodes have the tasks in turn"


def test_states_of_an_episode_that_began_anew_are_those_of_its_last_beginning(agent, monkeypatch):
    """Each is met once, as where no engine failed."""
    config = replace(PLAY, tasks=("go_home",), midway=1.0, groups=4, states=4, attempts=1, most_steps=4)

    def met():
        groups = play_round(config, actor_of(agent), "coin", number=0, seed=0, name="coin")
        return [(group[0].attempt.midway.state, group[0].attempt.midway.earlier_actions) for group in groups]

    whole, world = met(), type(make_world("coin"))
    step, called = world.step, []

    def failing(world, native):
        frame, reward, terminated, truncated, info = step(world, native)
        called.append(native)
        if len(called) == 3:
            return frame, reward, False, True, {**info, "engine_failed": "it ended"}
        return frame, reward, terminated, truncated, info

    monkeypatch.setattr(world, "step", failing)
    again = met()
    assert len(called) > 7, "three steps in vain, four of the episode, and the attempts'"
    assert len(set(again)) == len(set(whole)) == 4
    assert {len(earlier) for _, earlier in again} == {len(earlier) for _, earlier in whole}


def test_in_dreams_nothing_is_done_and_a_plan_is_worth_what_its_judge_says(dreamer, monkeypatch):
    monkeypatch.setitem(PLAN_JUDGES._entries, "likes-left", LikesLeft)
    config = replace(PLAY, in_dreams=True, dreams=2, judge="likes-left", midway=1.0, groups=4)
    actor = actor_of(dreamer, planner=Resample(plans=1, dreams=2, judge="likes-left"))
    wanderer = actor_of(dreamer)
    groups = play_round(config, actor, "coin", number=0, seed=0, name="coin", wanderer=wanderer)
    taken = {}
    for group in groups:
        for one in group:
            (step,) = one.trajectory.steps
            (plan,) = step.plans
            assert len(plan.dreams) == 2
            taken.setdefault(plan.action, set()).add(one.worth)
    left = Action(keys=frozenset({"left"}))
    assert taken.pop(left) == {1.0}
    assert {worth for found in taken.values() for worth in found} == {0.9**4}


def test_an_agent_learns_from_what_a_judge_makes_of_its_dreams(dreamer, tmp_path, monkeypatch):
    monkeypatch.setitem(PLAN_JUDGES._entries, "likes-left", LikesLeft)
    play = replace(PLAY, in_dreams=True, dreams=1, judge="likes-left", groups=8, states=4)
    folder = improve_agent(config_of(dreamer, rounds=6, play=play, rate=1e-2, decisions=64), tmp_path / "run")
    (improved,) = about_agent(folder).origin["improved"]
    worth = [row["worth"] for row in improved["rounds"]]
    assert worth[0] < 0.8
    assert worth[-1] > 0.95
    assert not [row for row in improved["rounds"] if "success" in row], "nothing was done"


def test_worth_is_success_sooner_rather_than_later_and_an_advantage_what_it_is_above_the_others(groups):
    for group in groups:
        worth = [0.9 ** len(one.trajectory.steps) if one.trajectory.success else 0.0 for one in group]
        assert [one.worth for one in group] == pytest.approx(worth)
        assert [one.advantage for one in group] == pytest.approx(np.array(worth) - np.mean(worth))


def test_a_round_follows_from_its_number_and_its_seed(agent, groups):
    again = play_round(PLAY, actor_of(agent), "coin", number=0, seed=0, name="coin")
    other = play_round(PLAY, actor_of(agent), "coin", number=1, seed=0, name="coin")

    def done(found):
        return [[step.action for step in one.trajectory.steps] for group in found for one in group]

    assert done(again) == done(groups)
    assert {one.trajectory.seed for group in other for one in group}.isdisjoint(
        one.trajectory.seed for group in groups for one in group
    )


def test_what_is_learned_stands_as_it_was_written(agent):
    """The log-probabilities that the engine noted are those of the network on the conversation that is learned."""
    actor = actor_of(agent)
    episode = Episode(task="go_home", setting="manual", seed=1)
    lineage = Lineage(stage="live", actor="coin")
    (played,) = play(lambda: make_world("coin"), actor, [episode], lineage=lineage)
    policy = actor.policy
    for step in played.trajectory.steps:
        ids = step.tokens.ids
        sequence = as_written(step, policy.space, policy.encoder, ACTS, np.ones(len(ids), np.float32))
        assert sequence.ids[-len(ids) :].tolist() == ids.tolist()
        assert set(sequence.kinds[-len(ids) :]) == {Kind.TEXT}
        assert set(sequence.roles[-len(ids) :]) == {Role.ACTION}
        # A key is one of five words, and whatever else the network would like is not to be had.
        free = step.tokens.log_probs < -1e-3
        likely = log_probs_of(policy.engine.model, pack([sequence])).numpy()
        assert free.any()
        assert (likely[free] <= step.tokens.log_probs[free] + 1e-4).all()


def test_a_step_that_no_model_wrote_is_refused(agent, groups):
    policy, step = actor_of(agent).policy, groups[0][0].trajectory.steps[0]
    with pytest.raises(DialogueError, match="written by no model"):
        as_written(replace(step, tokens=None), policy.space, policy.encoder, ACTS, np.ones(1, np.float32))


def test_tokens_weigh_what_their_attempt_is_worth_beside_the_others(agent):
    batches, told = batches_of(agent)
    packs = [pack for _ in range(2) for pack, _ in batches.next_packs().packs]
    weights = torch.cat([batch.text_weights for batch in packs])
    assert (weights > 0).any()
    assert (weights < 0).any()
    assert not any(len(batch.code_rows) for batch in packs), "an image is never learned from reward"
    (step, values), *more = told
    assert (step, more) == (1, [])
    assert values["play/decisions"] <= 64
    assert 0 < values["play/open_groups"] <= values["play/groups"] == 6


def test_only_attempts_that_won_are_imitated_where_that_is_asked_for(agent):
    batches, _ = batches_of(agent, learn="won")
    packs = [pack for _ in range(2) for pack, _ in batches.next_packs().packs]
    assert set(torch.cat([batch.text_weights for batch in packs]).tolist()) == {1.0}


def test_what_became_likelier_than_at_the_start_counts_against_it(agent):
    """At the start nothing has; once the network has moved, what it moved to weighs less."""
    batches, told = batches_of(agent, kl=0.5)
    plain, _ = batches_of(agent)
    weights, bare = (torch.cat([pack.text_weights for pack, _ in some.next_packs().packs]) for some in (batches, plain))
    # The engine chooses among keys alone, so it is surer of each than the network is.
    assert (weights <= bare + 1e-4).all()
    assert told[0][1]["play/kl"] >= 0


def test_a_round_in_which_all_do_alike_teaches_nothing_and_is_passed_over(agent, tmp_path):
    idle = replace(PLAY, most_steps=1, groups=2, attempts=1)
    folder = improve_agent(config_of(agent, rounds=1, play=idle), tmp_path / "run")
    assert about_agent(folder).origin["improved"][-1]["rounds"][0]["decisions"] == 0


def lines_of(folder, name):
    """The lines of a run's log that tell `name`."""
    return [line for line in read_json_lines(folder / "metrics.jsonl") if name in line]


def test_a_round_stops_once_the_network_has_moved_too_far_from_who_played_it(agent, tmp_path):
    """The second step of two is passed over: it moves no weight, and counts no conversation."""
    for name, most in (("bound", 1e-3), ("free", None)):
        improve_agent(config_of(agent, rounds=1, rate=1e-2, most_kl=most), tmp_path / name)
    (stopped,) = lines_of(tmp_path / "bound", "stopped/kl")
    assert (stopped["step"], stopped["stopped/updates"]) == (1, 1)
    assert stopped["stopped/kl"] > 1e-3
    assert not lines_of(tmp_path / "free", "stopped/kl")
    (bound,), (free,) = (lines_of(tmp_path / name, "norm") for name in ("bound", "free"))
    assert (bound["step"], bound["norm"]) == (2, 0.0)
    assert free["norm"] > 0
    assert 0 < bound["conversations"] < free["conversations"]
    moves, stays = (AgentCheckpoint.load(tmp_path / name / "agent").model.state_dict() for name in ("free", "bound"))
    assert any(not torch.equal(value, stays[name]) for name, value in moves.items())


def test_a_round_that_hardly_moves_the_network_is_learned_to_its_end(agent, tmp_path):
    improve_agent(config_of(agent, rounds=2, rate=1e-6, most_kl=1e-2), tmp_path / "run")
    assert not lines_of(tmp_path / "run", "stopped/kl")
    assert all(line["norm"] > 0 for line in lines_of(tmp_path / "run", "norm"))


def test_an_agent_learns_from_reward_alone_to_go_home(agent, tmp_path):
    """From keys drawn at random to the way home: no teacher, no thought, nothing but success."""
    play = replace(PLAY, tasks=("go_home",))
    folder = improve_agent(config_of(agent, rounds=10, play=play, rate=1e-2, decisions=128), tmp_path / "run")
    (improved,) = about_agent(folder).origin["improved"]
    won = [row["success"] for row in improved["rounds"]]
    assert len(won) == 10
    assert np.mean(won[:2]) < 0.4
    assert np.mean(won[-3:]) > 0.7
    assert [row["step"] for row in improved["rounds"]] == list(range(1, 21, 2))


def test_a_killed_run_goes_on_as_if_it_had_not_been(agent, tmp_path):
    config = config_of(agent, rounds=3)
    whole = improve_agent(config, tmp_path / "whole")
    with interrupted_at_a_save(step=4):
        improve_agent(config, tmp_path / "cut")
    cut = improve_agent(config, tmp_path / "cut", resume=True)
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    logged = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    kept = [
        [{key: value for key, value in json.loads(line).items() if "play/" in key} for line in lines]
        for lines in logged
    ]
    assert kept[0] == kept[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--dreams", "1"), "take --plans of 2 or more"),
        (("--in-dreams",), "of 1 dream or more"),
        (("--in-dreams", "--dreams", "1", "--plans", "2"), "an attempt is one plan"),
        (("--in-dreams", "--dreams", "1", "--judge", "effect", "--learn", "won"), "nothing is won there"),
        (("--in-dreams", "--dreams", "1", "--judge", "effect"), "trained without dreams"),
        (("--states", "0"), "states=0"),
        (("--discount", "0"), "discount=0"),
        (("--replay", "1"), "replay=1.0"),
        (("--most-kl", "0"), "most_kl=0"),
        (("--attempts", "0"), "attempts=0"),
        (("--tasks", "fetch_gold"), "fetch_gold"),
        (("--pack-tokens", "16", "--groups", "2"), "pack_tokens=16"),
    ],
)
def test_what_cannot_be_is_refused(agent, tmp_path, flags, message, capsys):
    assert main(["improve", "--agent", agent, "--out", str(tmp_path / "run"), "--kl", "0", *flags]) == 2
    assert message in capsys.readouterr().err


def test_rounds_are_never_cut(agent):
    lessons, training = LessonsConfig(updates=4), training_of(3, 4, OptimiserConfig(), save_every=2)
    assert ImproveConfig(agent=agent, lessons=lessons, training=training).rounds == 3
    with pytest.raises(RigError, match="save_every=6: rounds are of 4 steps"):
        ImproveConfig(agent=agent, lessons=lessons, training=replace(training, save_every=6, log_every=2))
    with pytest.raises(RigError, match="steps=13"):
        ImproveConfig(agent=agent, lessons=lessons, training=replace(training, steps=13))


def test_a_finished_run_goes_on_for_more_rounds(agent, tmp_path):
    improve_agent(config_of(agent, rounds=1), tmp_path / "run")
    folder = improve_agent(config_of(agent, rounds=2), tmp_path / "run", resume=True)
    (improved,) = about_agent(folder).origin["improved"]
    assert [row["step"] for row in improved["rounds"]] == [1, 3]
