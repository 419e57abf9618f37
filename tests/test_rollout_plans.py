"""The plans of a decision become those of a step, and with `follow_dreams` it is known what would come of each."""

import numpy as np
import pytest
from test_data_roundtrip import assert_same, info_for, write
from test_rollout import EPISODES

from rig.actions import Action
from rig.data import Dataset
from rig.envs.crafter.world import CrafterWorld
from rig.envs.rollout import play
from rig.records import Decision, Dream, Lineage, Plan

KEYS = ("move_left", "move_up", "use", "move_right")


def plan(key, then, count, votes):
    actions = (Action.press(key), Action.press(then))[:count]
    dreams = tuple(Dream(thought=None, action=action) for action in actions)
    return Plan(thought=f"1. I could {key}.", action=Action.press(key), dreams=dreams, votes=votes, score=votes / 3)


class Weighing:
    """Weighs three plans that it dreams none, one and two steps ahead, and takes one of them: by the seed alone."""

    def deciding(self, places):
        self.waiting = []
        return self

    def submit(self, key, observation, seed):
        random = np.random.default_rng(seed)
        names = random.permutation(KEYS)
        plans = tuple(plan(str(name), KEYS[seed % 4], count, votes=1 + count) for count, name in enumerate(names[:3]))
        chosen = int(random.integers(3))
        taken = plans[chosen]
        self.waiting.append((key, Decision(action=taken.action, thought=taken.thought, plans=plans, chosen=chosen)))

    def next(self):
        return self.waiting.pop(0)


def weighed(*, follow_dreams):
    made = play(
        CrafterWorld,
        Weighing(),
        EPISODES[:2],
        most_steps=6,
        lineage=Lineage(stage="test", actor="weighing"),
        follow_dreams=follow_dreams,
    )
    return {entry.episode.id: entry.trajectory for entry in made}


@pytest.fixture(scope="module")
def played():
    return weighed(follow_dreams=False), weighed(follow_dreams=True)


def test_a_step_keeps_every_plan_of_its_decision(played):
    for trajectory in played[0].values():
        for step in trajectory.steps:
            taken = step.plans[step.chosen]
            assert [len(one.dreams) for one in step.plans] == [0, 1, 2]
            assert [one.votes for one in step.plans] == [1, 2, 3]
            assert (taken.action, taken.thought, taken.dreams) == (step.action, step.thought, step.dreams)


def test_what_would_have_come_is_known_of_every_plan_and_changes_no_episode(played):
    plain, followed = played
    others = 0
    for name, trajectory in followed.items():
        lived = CrafterWorld()
        next(episode for episode in EPISODES if episode.id == name).begin(lived)
        for step, before in zip(trajectory.steps, plain[name].steps, strict=True):
            state = lived.save()
            for number, one in enumerate(step.plans):
                lived.load(state)
                for dream in one.dreams:
                    came, *_, info = lived.act(dream.action)
                    assert np.array_equal(came, dream.real_frame)
                    assert info["privileged"] == dream.privileged
                    others += number != step.chosen
            lived.load(state)
            assert np.array_equal(lived.act(step.action)[0], step.next_frame)
            assert_same(step.with_dreams(()), before.with_dreams(()))
    assert others > 10


def test_a_live_episode_is_stored_with_its_plans(played, tmp_path):
    followed = list(played[1].values())
    info = info_for(size=followed[0].steps[0].frame.shape[0])
    for found, wanted in zip(Dataset(write(tmp_path / "live", followed, info)), followed, strict=True):
        assert_same(tuple(found.steps), tuple(wanted.steps))
