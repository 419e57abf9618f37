"""Minetest's tasks in the real engine: starts, success, failure, counts, and worlds without a start."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from minetest_makers import needs_engine
from test_data_roundtrip import assert_same

from rig.actions import NOOP, Action
from rig.agents import TeacherActor
from rig.envs import Split, make_world, split_of
from rig.envs.minetest import world as minetest_world
from rig.envs.minetest.places import Spot
from rig.envs.minetest.progress import Progress, highest_column, kind_of
from rig.envs.minetest.tasks import DEPTH, DISTANCE, TASKS
from rig.envs.minetest.world import MinetestWorld, MinetestWorldConfig
from rig.envs.rollout import Episode, play
from rig.errors import RigError, SimulatorError, UnknownNameError
from rig.records import Lineage
from rig.teachers import RandomTeacher
from rig.teachers.minetest import MinetestExpert

SEED = Split.VALIDATION.seed(0)
ATTACK, USE, JUMP_AND_USE = Action.press("attack"), Action.press("use"), Action.press("jump", "use")
CELLS = [(task.name, setting) for task, setting in TASKS.variants()]
HELD = {
    "chop_a_tree": "default:axe_steel",
    "break_grass": "default:sword_steel",
    "collect_dirt": "default:shovel_steel",
    "dig_down": "default:pick_steel",
    "go_explore": "default:sword_steel",
    "build_a_tower": "default:shovel_steel",
    "craft_planks": "default:tree",
    "craft_a_wooden_pickaxe": "default:wood",
}
SPOT = Spot(area="plains", at=(0, 9, 0), soil=True, tree=-1, grass=16, dirt=60, soft=2, firm=10, air=16, far=(0, 9, 34))


@pytest.fixture(scope="module")
def world():
    world = MinetestWorld(MinetestWorldConfig(size=64))
    yield world
    world.close()


def start(world, task, setting="manual", seed=SEED):
    return world.reset(seed=seed, options={"task": task, "setting": setting})


def look(world, pitch):
    world.env.command({"name": "look", "yaw": 0, "pitch": pitch})
    world.env.step_without_render({})


def ahead(world):
    """A bare floor around, and the node that is looked at: two nodes off, at the player's feet."""
    x, y, z = world.progress.start
    around = [(x + dx, z + dz) for dx in range(-3, 4) for dz in range(-3, 4)]
    layers = ((y - 1, "default:stone"), *((y + up, "air") for up in range(4)))
    nodes = [{"name": "set_node", "position": [i, h, k], "node": node} for h, node in layers for i, k in around]
    world.env.command(*nodes)
    look(world, 33)
    return [x, y, z + 2]


def break_nodes(world, node):
    target = ahead(world)
    while True:
        world.env.command({"name": "set_node", "position": target, "node": node})
        yield NOOP
        for _ in range(30):
            yield ATTACK
            if any(event["kind"] == "dug" for event in world.privileged()["events"]):
                break


def dig(world):
    look(world, 89)
    while True:
        yield ATTACK


def go_far(world):
    x, y, z = world.progress.start
    world.env.command({"name": "teleport", "position": [x, y + 20, z + DISTANCE + 1]})
    yield NOOP


def pile_up(world):
    ahead(world)
    look(world, 89)
    yield Action.press("hotbar.2")
    while True:
        yield JUMP_AND_USE


def click(places, cursor=(320, 180)):
    """Open the menu, and click at each (x, y, key), as near as the camera's grid of 5 degrees comes: 10 pixels."""
    yield Action.press("inventory")
    for x, y, key in places:
        shift = (round((y - cursor[1]) / 10) * 5, round((x - cursor[0]) / 10) * 5)
        cursor = (cursor[0] + 2 * shift[1], cursor[1] + 2 * shift[0])
        yield Action.press(camera=shift)
        yield Action.press(key)
        yield NOOP


def craft_planks(_):
    return click([(228, 205, "attack"), (273, 91, "attack"), (378, 115, "attack")])


def craft_a_wooden_pickaxe(_):
    column = [299, 117, "use"], [299, 143, "use"]
    row = [(x, 91, "use") for x in (273, 299, 325)]
    return click([(228, 205, "attack"), *row, (254, 205, "attack"), *column, (378, 115, "attack")])


WAYS = {
    "chop_a_tree": lambda world: break_nodes(world, "default:pine_tree"),
    "break_grass": lambda world: break_nodes(world, "default:grass_4"),
    "collect_dirt": lambda world: break_nodes(world, "default:dirt_with_grass"),
    "dig_down": dig,
    "go_explore": go_far,
    "build_a_tower": pile_up,
    "craft_planks": craft_planks,
    "craft_a_wooden_pickaxe": craft_a_wooden_pickaxe,
}


@needs_engine
@pytest.mark.parametrize(("task", "setting"), CELLS)
def test_every_task_starts_as_it_says_fails_in_time_and_can_be_accomplished(world, task, setting):
    _, info = start(world, task, setting)
    in_hand = HELD[task] if setting == "tool" or task.startswith("craft") else ""
    assert info["privileged"]["wielded"] == in_hand
    assert info["privileged"]["inventory"] == dict(world.task.start(setting).inventory)
    assert np.abs(info["privileged"]["velocity"]).max() == 0

    world.ticks = world.task.start(setting).limit - world.config.ticks_per_step
    _, reward, terminated, truncated, info = world.act(NOOP)
    assert (reward, terminated, truncated, info["success"]) == (0, False, True, False)

    world.ticks, total = 0, 0.0
    for action in WAYS[task](world):
        reward, terminated, truncated = world.step_without_render(action)
        total += reward
        assert not truncated
        if terminated:
            break
    assert world.samples >= world.task.target
    assert total == pytest.approx(1)


@needs_engine
def test_a_seed_begins_alike_each_time(world):
    frame, info = start(world, "go_explore")
    again, info_again = start(world, "go_explore")
    assert np.array_equal(frame, again)
    assert info == info_again
    assert frame.shape == (64, 64, 3)
    assert info["privileged"]["yaw"] % 5 == pytest.approx(0, abs=0.06)


@needs_engine
def test_a_replay_is_exact_and_counts_alike_and_so_is_a_glide(world):
    """Saved while digging."""
    start(world, "dig_down")
    look(world, 89)
    for _ in range(5):
        world.act(ATTACK)
    state = world.save()

    def go_on():
        seen = [world.act(Action.press("attack", camera=(0, 5)))[0] for _ in range(8)]
        return seen, world.privileged(), world.samples, world.ticks

    seen, *known = go_on()
    assert known[1] > 0
    later = world.save()
    world.load(state)
    for _ in range(8):
        world.step_without_render(Action.press("attack", camera=(0, 5)))
    known[0].pop("view")  # it is of frames
    assert [world.privileged(), world.samples, world.ticks] == known
    assert np.array_equal(world.load(later), seen[-1]), "the last tick was not drawn: it is repeated"


@needs_engine
def test_rollouts_play_it_and_death_and_a_broken_engine_end_it(world, monkeypatch):
    monkeypatch.setitem(TASKS["chop_a_tree"].starts, "tool", replace(TASKS["chop_a_tree"].start("tool"), limit=20))
    episode = Episode(task="chop_a_tree", setting="tool", seed=SEED)
    lineage = Lineage(stage="test", actor="random")
    [played] = play(lambda: world, TeacherActor(RandomTeacher()), [episode], lineage=lineage)
    assert len(played.trajectory.steps) == 5, "20 ticks, of 4 a step"
    assert (played.trajectory.success, played.trajectory.action_space) == (False, "minerl")

    world.ticks = 0
    world.env.command({"name": "health", "health": 0})
    _, reward, terminated, truncated, info = world.act(NOOP)
    assert (reward, terminated, truncated, info["success"]) == (0, True, False, False)

    os.kill(world.env._engine.process_id, signal.SIGKILL)
    *_, truncated, info = world.step({})
    assert truncated
    assert "engine" in info["engine_failed"]


@needs_engine
def test_an_episode_whose_engine_is_killed_is_played_again(world):
    episode = Episode(task="collect_dirt", setting="tool", seed=SEED)
    begun = []

    def before(_, world, index):
        begun.append(index)
        if begun == [0, 1, 2]:
            os.kill(world.env._engine.process_id, signal.SIGKILL)

    lineage = Lineage(stage="test", actor="expert")
    (whole,), (again,) = (
        play(lambda: world, TeacherActor(MinetestExpert()), [episode], lineage=lineage, before=each)
        for each in (None, before)
    )
    assert_same(again.trajectory, whole.trajectory)
    assert begun == [0, 1, 2, *range(len(whole.trajectory.steps))]

    for last in (world.act, world.step_without_render):
        world.reset(seed=SEED)
        os.kill(world.env._engine.process_id, signal.SIGKILL)
        with pytest.raises(SimulatorError, match="engine"):
            last(NOOP)


@needs_engine
def test_every_split_has_worlds_of_its_own(world):
    task = TASKS["break_grass"]
    seeds = [seed for split in Split for seed in world.episode_seeds(task, "tool", split, 1)]
    assert [split_of(seed) for seed in seeds] == list(Split)


def test_a_world_without_a_start_is_never_handed_out(monkeypatch):
    bare = replace(SPOT, grass=0)
    monkeypatch.setattr(minetest_world, "spots_of", lambda seed: (SPOT,) if seed % 2 else (bare,))
    world, task = make_world("minetest"), TASKS["break_grass"]
    assert world.episode_seeds(task, "manual", Split.TRAIN, 3, skip=1) == [3, 5, 7]
    assert not world.solvable(TASKS["chop_a_tree"], "manual", 1), "no tree"
    with pytest.raises(RigError, match="seed 2 has no start for break_grass/manual"):
        start(world, "break_grass", seed=2)


@pytest.mark.parametrize(
    ("task", "setting", "change"),
    [
        ("chop_a_tree", "manual", {"tree": 13}),
        ("break_grass", "manual", {"grass": 9}),
        ("collect_dirt", "tool", {"soil": False}),
        ("collect_dirt", "tool", {"dirt": 23}),
        ("dig_down", "manual", {"soft": DEPTH - 1}),
        ("dig_down", "tool", {"firm": DEPTH + 1}),
        ("go_explore", "manual", {"far": ()}),
        ("build_a_tower", "tool", {"air": 11}),
        ("craft_planks", "manual", {"area": "forest"}),
    ],
)
def test_a_spot_must_have_what_the_task_needs(task, setting, change):
    place = TASKS[task].start(setting)
    good = replace(SPOT, area=place.area or "forest", tree=5, soft=DEPTH)
    assert place.fits(good)
    assert not place.fits(replace(good, **change))


def facts(*events, position=(0.0, 8.5, 0.0)):
    return {"events": [{"kind": kind, "node": node, "at": list(at)} for kind, node, at in events], "position": position}


def test_what_one_placed_oneself_is_not_collected():
    progress = Progress(start=(0, 9, 0))
    progress.note(facts(("placed", "default:dirt", (1, 9, 0)), ("dug", "default:dirt", (1, 9, 0))))
    progress.note(facts(("dug", "default:dirt_with_grass", (2, 8, 0)), ("dug", "default:aspen_tree", (3, 9, 0))))
    assert dict(progress.broken) == {"dirt": 1, "tree": 1}
    assert [kind_of(node) for node in ("default:stone", "default:leaves", "default:grass_2")] == ["", "", "grass"]


def test_depth_is_that_of_a_hole_one_has_dug():
    progress = Progress(start=(0, 9, 0))
    progress.note(facts(position=(5.0, 3.5, 0.0)))
    assert (progress.deepest, progress.farthest) == (0, 5)
    progress.note(facts(("dug", "default:sand", (0, 8, 0)), position=(0.1, 7.5, 0.0)))
    assert progress.deepest == 1


def test_a_tower_is_one_column_without_a_gap():
    assert highest_column([]) == 0
    assert highest_column([(0, 1, 0), (0, 2, 0), (0, 4, 0), (1, 2, 0), (1, 3, 0), (1, 4, 0)]) == 3


def test_mistakes_are_named():
    world = make_world("minetest")
    with pytest.raises(UnknownNameError, match="Did you mean 'dig_down'"):
        start(world, "dig_dow")
    with pytest.raises(UnknownNameError, match="setting"):
        start(world, "craft_planks", "tool")
    with pytest.raises(RigError, match="ticks_per_step is 0"):
        MinetestWorldConfig(ticks_per_step=0)
