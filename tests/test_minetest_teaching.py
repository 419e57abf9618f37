"""The scripted expert of Minetest in the real engine: it succeeds, by small turns, and looks before it acts."""

import pytest
from minetest_makers import needs_engine

from rig.envs import Split
from rig.envs.minetest.progress import kind_of
from rig.envs.minetest.world import MinetestWorld, MinetestWorldConfig
from rig.errors import RigError
from rig.teachers import TEACHERS
from rig.teachers.minetest_aim import FASTEST, aim_at

AHEAD = {"position": [0.0, 8.5, 0.0], "yaw": 0.0, "pitch": 0.0}


@pytest.fixture(scope="module")
def world():
    world = MinetestWorld(MinetestWorldConfig(size=64))
    yield world
    world.close()


def watch_the_expert(world, task, setting, steps=200):
    """Play an episode, and return each decision with the facts it was made by."""
    expert = TEACHERS.get("minetest")()
    seed = world.episode_seeds(world.tasks[task], setting, Split.VALIDATION, 1)[0]
    world.reset(seed=seed, options={"task": task, "setting": setting})
    decisions = []
    for _ in range(steps):
        facts = world.privileged()
        action = expert.act(world)
        assert expert.act(world) == action, "it has no memory"
        decisions.append((facts, action))
        _, terminated, _ = world.glide(action)
        if terminated:
            break
    return decisions


@needs_engine
@pytest.mark.parametrize("task", ["dig_down", "build_a_tower", "go_explore", "break_grass", "collect_dirt"])
def test_the_expert_accomplishes_the_task_with_turns_that_can_be_followed(world, task):
    decisions = watch_the_expert(world, task, "tool")
    assert world.samples >= world.task.target
    assert max(abs(angle) for _, action in decisions for angle in action.camera) <= FASTEST
    for _, action in decisions:
        world.actions.check(action)


@needs_engine
def test_the_expert_walks_to_a_tree_and_chops_what_is_under_the_crosshair(world):
    decisions = watch_the_expert(world, "chop_a_tree", "tool")
    assert world.samples >= world.task.target
    assert "forward" in decisions[0][1].keys or decisions[0][1].camera != (0, 0)
    blows = [facts["pointed"] for facts, action in decisions if "attack" in action.keys]
    assert all(blows), "never at nothing"
    assert sum(kind_of(pointed["node"]) == "tree" for pointed in blows) >= len(blows) / 2


def test_the_expert_says_what_it_cannot_do(world):
    world.task = world.tasks["craft_planks"]
    with pytest.raises(RigError, match="does not know the task 'craft_planks'"):
        TEACHERS.get("minetest")().act(world)


@pytest.mark.parametrize(
    ("place", "pitch", "yaw"),
    [((0, 10.125, 5), 0, 0), ((5, 10.125, 5), 0, 45), ((-5, 10.125, 0), 0, -90), ((0, 5.125, 5), 45, 0)],
)
def test_an_aim_is_the_turn_that_is_left(place, pitch, yaw):
    aim = aim_at(AHEAD, place)
    assert (aim.pitch, aim.yaw) == (pitch, yaw)
    assert max(map(abs, aim.camera)) <= FASTEST
    turned = {**AHEAD, "yaw": float(yaw), "pitch": float(pitch)}
    assert aim_at(turned, place).is_done
