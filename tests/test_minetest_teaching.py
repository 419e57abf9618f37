"""The scripted expert of Minetest in the real engine: it succeeds, by small turns, looks, and recovers."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from minetest_makers import FLAT, hold, make_env, needs_engine

from rig.actions import NOOP, Action
from rig.envs import Split
from rig.envs.minetest.keys import native_action
from rig.envs.minetest.progress import kind_of
from rig.envs.minetest.world import MinetestWorld, MinetestWorldConfig
from rig.errors import RigError
from rig.teachers import TEACHERS
from rig.teachers.minetest import gather, walk
from rig.teachers.minetest_aim import FASTEST, IN_FRAME, aim_at
from rig.teachers.minetest_craft import RECIPES, craft

AHEAD = {"position": [0.0, 8.5, 0.0], "yaw": 0.0, "pitch": 0.0}


@pytest.fixture(scope="module")
def world():
    world = MinetestWorld(MinetestWorldConfig(size=64))
    yield world
    world.close()


def watch_the_expert(world, task, setting, steps=200, skip=0, slips=(), split=Split.VALIDATION):
    """Play an episode after some slips, and return each decision with the facts it was made by."""
    expert = TEACHERS.get("minetest")()
    seed = world.episode_seeds(world.tasks[task], setting, split, 1, skip=skip)[0]
    world.reset(seed=seed, options={"task": task, "setting": setting})
    decisions = []
    for random_action in slips:
        world.step_without_render(random_action)
    for _ in range(steps):
        facts = world.privileged()
        action = expert.act(world)
        assert expert.act(world) == action, "it has no memory"
        decisions.append((facts, action))
        _, terminated, _ = world.step_without_render(action)
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
    if task == "go_explore":
        start = decisions[0][0]
        assert abs(aim_at(start, start["sight"]["heading"]).yaw) <= IN_FRAME


@needs_engine
def test_the_expert_walks_to_a_tree_and_chops_what_is_under_the_crosshair(world):
    decisions = watch_the_expert(world, "chop_a_tree", "tool")
    assert world.samples >= world.task.target
    assert "forward" in decisions[0][1].keys or decisions[0][1].camera != (0, 0)
    blows = [facts["pointed"] for facts, action in decisions if "attack" in action.keys]
    assert all(blows), "never at nothing"
    assert sum(kind_of(pointed["node"]) == "tree" for pointed in blows) >= len(blows) / 2


@needs_engine
def test_the_expert_finds_a_trunk_to_stand_beside_and_clears_leaves_from_its_way(world):
    """On this slope the nearest trunks are out of reach, and the engine's way leads under needles."""
    decisions = watch_the_expert(world, "chop_a_tree", "tool", split=Split.TRAIN)
    assert world.samples >= world.task.target
    blows = [facts["pointed"]["node"] for facts, action in decisions if "attack" in action.keys]
    assert "default:pine_needles" in blows


@needs_engine
def test_the_expert_never_digs_what_only_one_of_engine_and_facts_points_at(world):
    """In this world it once looked exactly along the edge of a stone, and hit that for ever."""
    decisions = watch_the_expert(world, "collect_dirt", "manual", skip=3)
    assert world.samples >= world.task.target
    for (facts, action), (after, _) in pairwise(decisions):
        punched = [event["at"] for event in after["events"] if event["kind"] == "punched"]
        assert "attack" not in action.keys or not punched or facts["pointed"]["under"] in punched


@needs_engine
@pytest.mark.parametrize(
    ("task", "slips", "laid"),
    [
        ("craft_planks", (), []),
        # Two planks lie in one cell, the third is on the cursor, and the menu is closed.
        ("craft_a_wooden_pickaxe", ("inventory", (15, -45), "attack", (-60, 20), "use", "use", (60, 0), "ESC"), [2]),
    ],
)
def test_the_expert_crafts_with_the_mouse_whatever_lies_about(world, task, slips, laid):
    moves = [
        Action.press(random_action) if isinstance(random_action, str) else Action.press(camera=random_action)
        for random_action in slips
    ]
    decisions = watch_the_expert(world, task, "manual", slips=[one for move in moves for one in (move, NOOP)])
    assert [one["count"] for one in decisions[0][0]["craft"]] == laid
    assert world.samples >= world.task.target
    assert max(abs(angle) for _, action in decisions for angle in action.camera) <= FASTEST


@needs_engine
def test_the_expert_takes_its_tool_again_and_closes_a_menu(world):
    slips = [Action.press("hotbar.3"), Action.press("inventory")]
    decisions = watch_the_expert(world, "dig_down", "tool", slips=slips)
    assert [sorted(action.keys) for _, action in decisions[:2]] == [["ESC"], ["hotbar.1"]]
    assert world.samples >= world.task.target


@needs_engine
def test_the_expert_clears_what_hangs_over_its_head_where_it_must_jump():
    env = make_env(**FLAT)
    env.reset(seed=4)
    x, y, z = (round(value + 0.1) for value in env.privileged()["position"])
    floor = [(x + i, z + k) for i in range(-2, 3) for k in range(-2, 6)]
    steps = [{"name": "set_node", "position": [i, y, k], "node": "default:dirt"} for i, k in floor if k > z]
    leaves = [{"name": "set_node", "position": [i, y + 2, k], "node": "default:leaves"} for i, k in floor if k <= z]
    here = [{"name": "teleport", "position": [x, y - 0.5, z]}, {"name": "look", "yaw": 0, "pitch": 0}]
    env.command(*steps, *leaves, *here, {"name": "watch", "nodes": [], "goal": [x, y + 1, z + 4]})
    hold(env, 10)
    assert env.privileged()["sight"]["roof"] == [x, y + 2, z]
    for _ in range(60):
        action = native_action(walk(env.privileged()))
        for tick in range(4):
            env.step_without_render(action, look=tick == 3)
    assert env.privileged()["position"][2] > z + 3
    env.close()


@needs_engine
def test_the_expert_goes_for_what_the_frame_shows_before_what_is_nearer_and_hidden():
    env = make_env(**FLAT)
    env.reset(seed=4)
    x, y, z = (round(value + 0.1) for value in env.privileged()["position"])
    ahead, behind = [x, y, z + 6], [x, y, z - 3]
    tufts = [{"name": "set_node", "position": at, "node": "default:grass_3"} for at in (ahead, behind)]
    here = [{"name": "teleport", "position": [x, y - 0.5, z]}, {"name": "look", "yaw": 0, "pitch": 15}]
    env.command(*tufts, *here, {"name": "watch", "nodes": ["group:grass"], "radius": 8})
    hold(env, 10)
    facts = env.privileged()
    assert facts["sight"]["wanted"] == [behind, ahead]
    assert facts["sight"]["is_shown"]
    assert math.dist(facts["sight"]["way"][-1], ahead) == 1
    assert "forward" in gather(facts).keys
    wall = [[x + i, y + k, z + 2] for i in range(-2, 3) for k in range(3)]
    env.command(*({"name": "set_node", "position": at, "node": "default:stone"} for at in wall))
    hold(env, 10)
    facts = env.privileged()
    assert not facts["sight"]["is_shown"], "it stands behind a wall"
    assert math.dist(facts["sight"]["way"][-1], behind) == 1
    assert gather(facts).camera[1] == FASTEST, "it searches"
    env.close()


def test_the_expert_turns_by_the_shorter_side_to_a_way_whose_end_it_sees():
    """Where it always turned to the right, it came to see something else that it wanted, and back again."""
    sight = {"way": [[0, 9, 0], [-3, 9, 2]], "heading": [-3, 9, 2], "is_up": False, "roof": [], "wanted": [[-3, 9, 3]]}
    facts = {**AHEAD, "sight": sight, "pointed": {}}
    assert not aim_at(facts, sight["heading"]).is_in_frame
    assert walk(facts).camera[1] == -FASTEST
    assert walk({**facts, "sight": {**sight, "wanted": []}}).camera[1] == FASTEST, "it searches"
    behind = {**sight, "way": [[0, 9, 0], [2, 9, 3]], "heading": [-3, 9, -1], "wanted": []}
    assert walk({**facts, "sight": behind}).camera[1] == FASTEST, "what would be out of the frame before one is there"


def test_the_expert_says_what_it_cannot_do(world, monkeypatch):
    monkeypatch.setattr(world, "task", replace(world.tasks["craft_planks"], name="craft_a_boat"))
    with pytest.raises(RigError, match="does not know the task 'craft_a_boat'"):
        TEACHERS.get("minetest")().act(world)


def test_slips_never_throw_the_tool_away_and_open_menus_only_where_one_crafts(world, monkeypatch):
    facts = {"menu_open": False}
    monkeypatch.setattr(world.env, "privileged", lambda: facts)

    def slips(task, **changes):
        facts.update(changes)
        monkeypatch.setattr(world, "task", world.tasks[task])
        random = np.random.default_rng(0)
        return [world.random_action(random) for _ in range(300)]

    moves = {"forward", "back", "left", "right", "jump"}
    digging = slips("dig_down")
    assert {key for random_action in digging for key in random_action.keys} == moves | {"attack", "use"}
    assert NOOP in digging
    assert max(abs(angle) for random_action in digging for angle in random_action.camera) == FASTEST
    assert {key for random_action in slips("craft_planks") for key in random_action.keys} == moves | {"inventory"}
    in_menu = slips("craft_planks", menu_open=True)
    assert {key for random_action in in_menu for key in random_action.keys} == moves | {
        "attack",
        "use",
        "inventory",
        "ESC",
    }
    for random_action in digging + in_menu:
        world.actions.check(random_action)


def test_crafting_waits_for_a_key_to_be_let_go():
    facts = {"menu_open": False, "keys": [], "cursor": [320, 180], "craft": [], "slots": []}
    assert craft(facts, RECIPES["craft_planks"]) == Action.press("inventory")
    assert craft({**facts, "keys": ["inventory"]}, RECIPES["craft_planks"]) == NOOP
    assert craft({**facts, "menu_open": True}, RECIPES["craft_planks"]) == NOOP, "there is nothing to craft from"


@pytest.mark.parametrize("angle", [50, 180, -50, -175])
def test_what_is_outside_the_frame_is_searched_to_the_right(angle):
    facts = {**AHEAD, "yaw": float(-angle % 360), "pitch": 60.0}
    assert aim_at(facts, (0, 10.125, 5)).camera == (-FASTEST, FASTEST)


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
