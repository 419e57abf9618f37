"""Worlds side by side: in turn or in threads, episodes are the same; what differs is who waits for whom."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from test_data_roundtrip import assert_same

from rig.actions import Action
from rig.agents import TeacherActor
from rig.envs import Split, make_world
from rig.envs.crafter.world import CrafterWorld
from rig.envs.rollout import Episode, play
from rig.errors import SimulatorError
from rig.records import Decision, Dream, Lineage, Plan
from rig.teachers import RandomTeacher
from rig.teachers.crafter import CrafterExpert

EPISODES = [
    Episode(task=task, setting=setting, seed=seed)
    for task, setting in (("collect_wood", "manual"), ("place_table", "tool"))
    for seed in make_world("crafter").episode_seeds(CrafterWorld.tasks[task], setting, Split.TRAIN, 4)
]


class Waiting(CrafterWorld):
    """Crafter as if its engine were another process, which takes longest for the first episode."""

    most_at_once = 3
    made = 0
    begun = 0
    most_begun = 0
    lock = threading.Lock()

    def __init__(self):
        super().__init__()
        Waiting.made += 1

    def act(self, action):
        with Waiting.lock:
            Waiting.begun += 1
            Waiting.most_begun = max(Waiting.most_begun, Waiting.begun)
        time.sleep(0.01 if (self.task.name, self.seed) == ("collect_wood", EPISODES[0].seed) else 0.001)
        result = super().act(action)
        with Waiting.lock:
            Waiting.begun -= 1
        return result


class Failing(Waiting):
    """One whose engine fails so many times at the third step of the second episode."""

    left = 0

    def step(self, native):
        frame, reward, terminated, truncated, info = super().step(native)
        if Failing.left and (self.task.name, self.seed) == ("collect_wood", EPISODES[1].seed) and self.engine.time == 3:
            Failing.left -= 1
            return frame, reward, False, True, {**info, "engine_failed": "it is gone"}
        return frame, reward, terminated, truncated, info


class Searching(Waiting):
    """Says nothing of the first three worlds until all of them have been asked about."""

    together = threading.Barrier(3, timeout=30)

    def solvable(self, task, setting, seed):
        if seed < 3:
            Searching.together.wait()
        return seed % 2 == 0


def played(make, teacher=None, **settings):
    lineage = Lineage(stage="test", actor="random")
    return list(play(make, TeacherActor(teacher or RandomTeacher()), EPISODES, lineage=lineage, **settings))


def test_what_is_waited_for_in_threads_is_the_same_and_in_the_order_given():
    Waiting.made = Waiting.most_begun = 0
    alone = {one.episode: one.trajectory for one in played(CrafterWorld, batch_size=1)}
    indices = {}

    def before(episode, world, index):
        assert (world.task.name, world.seed) == (episode.task, episode.seed)
        assert threading.current_thread() is threading.main_thread()
        indices.setdefault(episode, []).append(index)

    found = played(Waiting, before=before)
    assert [one.episode for one in found] == EPISODES
    for one in found:
        assert_same(one.trajectory, alone[one.episode])
        assert indices[one.episode] == list(range(len(one.trajectory.steps)))
    assert Waiting.made == 3, "as many as are useful"
    assert Waiting.most_begun > 1


def test_as_many_worlds_as_asked_for():
    Waiting.made = 0
    played(Waiting, batch_size=5)
    assert Waiting.made == 5
    assert list(play(Waiting, TeacherActor(RandomTeacher()), [], lineage=Lineage(stage="test", actor="random"))) == []


def test_an_episode_whose_engine_fails_begins_anew():
    whole = {one.episode: one for one in played(Waiting, teacher=CrafterExpert())}
    Failing.left = 2
    indices = []

    def before(episode, world, index):
        if episode == EPISODES[1]:
            indices.append(index)

    for one in played(Failing, teacher=CrafterExpert(), before=before):
        assert_same(one.trajectory, whole[one.episode].trajectory)
        assert one.cost == whole[one.episode].cost
    steps = len(whole[EPISODES[1]].trajectory.steps)
    assert indices == [0, 1, 2, 0, 1, 2, *range(steps)]


def test_an_engine_that_fails_for_ever_is_told_and_no_thread_goes_on():
    Failing.left = 3
    with pytest.raises(SimulatorError, match=rf"each of 3 attempts at the episode {EPISODES[1].id}; .*: it is gone"):
        played(Failing)
    assert Failing.left == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("world")]


def test_episodes_are_cut_after_so_many_steps():
    whole, cut = played(CrafterWorld), played(CrafterWorld, most_steps=7)
    steps = {one.episode: one.trajectory.steps for one in whole}
    assert any(len(every) > 7 for every in steps.values())
    for one in cut:
        assert_same(one.trajectory.steps, steps[one.episode][:7])


def test_worlds_whose_engines_are_processes_are_searched_beside_each_other():
    world = Searching()
    assert world.episode_seeds(world.task, "manual", Split.TRAIN, 3) == [0, 2, 4]


class Dreamer:
    """Dreams up to two steps ahead, then does the first of them or something else: by the seed alone."""

    def deciding(self, places):
        self.waiting = []
        return self

    def submit(self, key, observation, seed):
        keys = np.random.default_rng(seed).choice(["move_left", "move_up", "use", "noop"], 3)
        plan, then, other = (Action() if name == "noop" else Action.press(str(name)) for name in keys)
        dreams = [Dream(thought=None, action=action) for action in (plan, then)][: 1 + seed % 2]
        plans = (Plan(thought=None, action=plan, dreams=tuple(dreams)),)
        self.waiting.append((key, Decision(action=plan if seed % 3 else other, plans=plans)))

    def next(self):
        return self.waiting.pop(0)


def dreamed(make, *, follow_dreams):
    lineage = Lineage(stage="test", actor="random")
    made = play(make, Dreamer(), EPISODES[:2], most_steps=6, lineage=lineage, follow_dreams=follow_dreams)
    return {entry.episode.id: entry.trajectory for entry in made}


@pytest.mark.parametrize("make", [CrafterWorld, Waiting])
def test_what_would_have_come_is_known_of_every_dream_and_changes_no_episode(make):
    plain, followed = (dreamed(make, follow_dreams=follow) for follow in (False, True))
    changed = 0
    for name, trajectory in followed.items():
        world = CrafterWorld()
        next(episode for episode in EPISODES if episode.id == name).begin(world)
        for step in trajectory.steps:
            state = world.save()
            for dream in step.dreams:
                came, *_, info = world.act(dream.action)
                assert np.array_equal(came, dream.real_frame)
                assert info["privileged"] == dream.privileged
            world.load(state)
            assert np.array_equal(world.act(step.action)[0], step.next_frame)
            changed += step.action != step.proposal
        forgotten = [
            replace(dream, real_frame=None, privileged={}) for step in trajectory.steps for dream in step.dreams
        ]
        assert forgotten == [dream for step in plain[name].steps for dream in step.dreams]
        bare = [tuple(replace(step, dreams=()) for step in one.steps) for one in (trajectory, plain[name])]
        assert_same(trajectory.with_steps(bare[0]), plain[name].with_steps(bare[1]))
    assert changed > 2


def test_an_engine_that_fails_in_a_copy_begins_the_episode_anew():
    Failing.left = 1
    found, wanted = (dreamed(make, follow_dreams=True) for make in (Failing, CrafterWorld))
    assert Failing.left == 0
    for name, trajectory in wanted.items():
        assert_same(found[name], trajectory)
