"""Gymnasium's vector environments over the real engine: the same worlds as alone, and no engine left behind."""

import os
import signal
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.utils import batch_space, iterate
from minetest_makers import FLAT, is_alive, make_env, name_of, needs_engine, wait_for_the_end_of

from rig.envs.minetest import ENVIRONMENT_ID, info_of
from rig.envs.minetest.keys import KeyboardAndMouse
from rig.envs.minetest.places import Spot
from rig.envs.minetest.world import MinetestWorld, MinetestWorldConfig
from rig.errors import ActionError

WALK = {"forward": np.array([1, 0]), "camera": np.array([[0, 5], [10, 0]], np.float32)}


def children(process):
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def families(vector):
    """Return for each world's process the keeper that it started, the engine and the display."""
    keepers = [[child for child in children(one.pid) if name_of(child) == "keeper"] for one in vector.processes]
    return [[*some, *(child for keeper in some for child in children(keeper))] for some in keepers]


@needs_engine
def test_worlds_of_a_vector_are_those_alone_begin_anew_when_they_end_and_close_leaves_none():
    vector = gymnasium.make_vec(ENVIRONMENT_ID, num_envs=2, vectorization_mode="async", **FLAT)
    assert vector.observation_space["pov"].shape == (2, 64, 64, 3)
    assert vector.shared_memory
    first = vector.reset(seed=[3, 4])[0]["pov"].copy()
    walked, rewards, terminated, truncated, infos = vector.step(WALK)
    walked = walked["pov"].copy()
    assert not np.any([rewards, terminated, truncated])
    env = make_env()
    assert np.array_equal(first[1], env.reset(seed=4)[0]["pov"])
    frame, _, _, _, info = env.step({"forward": 0, "camera": [10, 0]})
    env.close()
    assert np.array_equal(walked[1], frame["pov"])
    assert info_of(infos, 1) == info
    assert info_of(infos, 0)["privileged"]["yaw"] == pytest.approx(5, abs=0.01)
    assert list(infos["settled"]) == [True, True]

    *_, infos = vector.step([{"swapHands": 1}, {}])
    assert [list(keys) for keys in infos["ignored_keys"]] == [["swapHands"], []]
    vector.call("command", {"name": "health", "health": 0})
    assert vector.step(vector.action_space.no_op())[2].all()
    *_, terminated, _, infos = vector.step({})
    assert not terminated.any()
    assert [info_of(infos, index)["privileged"]["health"] for index in range(2)] == [20, 20]

    processes = [process for some in families(vector) for process in some]
    assert len(processes) == 6
    vector.close()
    assert wait_for_the_end_of(processes) == []


def flat_world():
    """RIG's world over a flat map, entered at a spot that nobody had to look for."""
    from rig.envs.minetest import MinetestConfig, MinetestEnv
    from rig.envs.minetest import world as module

    at = (0, 9, 0)
    numbers = {"tree": -1, "grass": 16, "dirt": 60, "soft": 2, "firm": 10, "air": 16}
    module.spots_of = lambda seed: (Spot(area="plains", at=at, soil=True, far=(0, 9, 34), **numbers),)
    world = MinetestWorld(MinetestWorldConfig(size=64))
    world.env = MinetestEnv(MinetestConfig(**FLAT))
    return world


@needs_engine
def test_a_killed_process_takes_its_engine_along_and_the_others_can_be_ended():
    """With RIG's own world, in processes that begin anew."""
    vector = AsyncVectorEnv([flat_world] * 2, shared_memory=True, context="spawn")
    frames, infos = vector.reset(seed=3, options={"task": "break_grass", "setting": "tool"})
    assert info_of(infos, 1)["privileged"]["wielded"] == "default:sword_steel"
    assert frames.shape == (2, 64, 64, 3)
    assert vector.step({"forward": np.array([1, 1])})[0].any()
    first, second = families(vector)
    os.kill(vector.processes[0].pid, signal.SIGKILL)
    assert wait_for_the_end_of(first) == []
    assert all(map(is_alive, second))
    with pytest.raises((EOFError, OSError)):
        vector.step({})
    vector.close(terminate=True)
    assert wait_for_the_end_of(second) == []


def test_actions_of_many_worlds_are_told_apart():
    space = batch_space(KeyboardAndMouse(), 2)
    assert space.contains(space.no_op())
    assert space.contains(space.sample())
    one, two = iterate(space, space.no_op())
    assert KeyboardAndMouse().contains({**one, "camera": np.asarray(one["camera"])})
    assert set(one) == set(two) == set(KeyboardAndMouse().spaces)
    assert list(iterate(space, {"jump": [0, 1]})) == [{"jump": 0}, {"jump": 1}]
    assert list(iterate(space, {})) == [{}, {}]
    with pytest.raises(ActionError, match=r"'jump' has shape \(3,\); there are 2 worlds"):
        iterate(space, {"jump": [0, 1, 1]})
    with pytest.raises(ActionError, match="1 actions for 2 worlds"):
        iterate(space, [{}])
