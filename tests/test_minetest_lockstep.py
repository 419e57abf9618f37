"""The real engine in lock-step: what it shows follows from the seed and the actions alone, to the bit."""

import hashlib
import itertools
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from minetest_makers import hold, make_env, needs_engine

pytestmark = needs_engine

KEYS = ("forward", "jump", "attack", "left", "sprint", "use")


def wander(env, seed, *, ticks=60, pause=0.0):
    """Reset, press keys at random, and return a digest of every frame and all facts."""
    random = np.random.default_rng(5)
    observation, info = env.reset(seed=seed)
    seen = [(hashlib.sha256(observation["pov"]).hexdigest(), info["privileged"])]
    for tick in range(ticks):
        keys = {key: int(random.random() < 0.3) for key in KEYS} | {"forward": int(tick % 20 < 15)}
        observation, _, _, _, info = env.step({**keys, "camera": random.uniform(-20, 20, 2)})
        assert info["settled"]
        seen.append((hashlib.sha256(observation["pov"]).hexdigest(), info["privileged"]))
        time.sleep(pause * (tick % 10 == 0))
    return seen


def test_a_slow_agent_sees_what_a_fast_one_sees_and_so_does_one_in_another_engine():
    """In a generated world with trees, water and slopes: three engines, one of them beside another that runs too."""
    env, other = make_env(mapgen="v7"), make_env(mapgen="v7")
    fast = wander(env, 7)
    assert len({frame for frame, _ in fast}) > 50, "something happens"
    other.reset(seed=8)
    assert fast == wander(env, 7, pause=0.2)
    assert fast == wander(other, 7)
    assert fast[0][0] != wander(env, 8, ticks=1)[0][0], "another seed is another world"
    env.close()
    other.close()


@contextmanager
def busy(count):
    """Have other processes want the processor all the while."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def dig_where_grass_grows(env):
    """Return what has become of bare ground after some seconds, and a digest of every frame of digging there."""
    env.reset(seed=3)
    ground = [(x, z) for x in range(-10, 11) for z in range(-10, 11)]
    bare = [[x, 30, z] for x, z in ground if (x + z) % 2]
    grown = [[x, 30, z] for x, z in ground if not (x + z) % 2]
    env.command(
        *({"name": "set_node", "position": at, "node": "default:dirt"} for at in bare),
        *({"name": "set_node", "position": at, "node": "default:dirt_with_grass"} for at in grown),
        *({"name": "set_node", "position": [0, y, 0], "node": "default:dirt"} for y in (26, 27, 28, 29)),
        {"name": "inventory", "slots": [{"slot": 1, "item": "default:shovel_steel", "count": 1}]},
        {"name": "teleport", "position": [0, 30.5, 0]},
        {"name": "look", "yaw": 0, "pitch": 89},
    )
    for _ in range(130):  # grass spreads every 6 seconds
        env.step_without_render({})
    frames, events = [], []
    for tick in range(30):
        if tick % 3:
            env.step_without_render({"attack": 1})
        else:
            frames.append(hashlib.sha256(env.step({"attack": 1})[0]["pov"]).hexdigest())
        events += env.privileged()["events"]
    nodes = env.command(*({"name": "get_node", "position": at} for at in bare))
    assert len(set(nodes)) > 1, "grass has grown on some of the ground, not on all of it"
    assert [event["kind"] for event in events].count("dug") > 1, "more than one node was dug"
    return nodes, frames


def test_chance_in_the_world_and_in_what_flies_about_is_the_same_in_every_engine():
    """Where grass grows is drawn by lot, and so is how each piece of what is dug flies: from the same lots."""
    env = make_env()
    first = dig_where_grass_grows(env)
    with busy(1):
        assert first == dig_where_grass_grows(env)
    env.close()


@pytest.fixture(scope="module")
def env():
    env = make_env(nearby_radius=2)
    yield env
    env.close()


@pytest.fixture
def clear(env):
    """Open ground in the air, nothing held, looking ahead, at rest."""
    if env._engine is None:
        env.reset(seed=3)
    floor = [(x, z) for x in range(-6, 7) for z in range(-6, 7)]
    layers = ((30, "default:dirt"), (31, "air"))
    env.command(*({"name": "set_node", "position": [x, y, z], "node": n} for y, n in layers for x, z in floor))
    env.command(
        {"name": "inventory", "slots": []},
        {"name": "teleport", "position": [0, 30.5, 0]},
        {"name": "look", "yaw": 0, "pitch": 0},
    )
    hold(env, 2, "hotbar.1")
    hold(env, 8)
    return env


def test_a_step_is_one_tick_of_50_ms(clear):
    before = clear.privileged()
    time.sleep(0.3)
    after = hold(clear, 20)
    assert after["tick"] - before["tick"] == 20
    assert after["seconds"] - before["seconds"] == pytest.approx(1.0, abs=1e-6)


def test_facts_are_of_the_very_tick_that_the_frame_shows(clear):
    """Position and angles are the client's own of this frame: no step behind."""
    moved = [hold(clear, 1, "forward")["position"][2] for _ in range(12)]
    steps = np.diff(moved)
    assert moved[0] > 0, "the first tick of walking is seen in the first tick's facts"
    assert steps[-1] == pytest.approx(4.317 * 0.05, abs=2e-3)
    assert hold(clear, 1, camera=(0, 30))["yaw"] == pytest.approx(30, abs=0.02)


def turns_exactly(env):
    facts = hold(env, 1)
    for pitch, yaw in ((0, 5), (10, -45), (-20, 180), (0, -180), (45, 0), (-35, 12.5), (0, 0.6)):
        after = hold(env, 1, camera=(pitch, yaw))
        assert (after["yaw"] - facts["yaw"] - yaw + 180) % 360 - 180 == pytest.approx(0, abs=0.021)
        assert after["pitch"] - facts["pitch"] == pytest.approx(pitch, abs=0.021)
        facts = after


def test_the_camera_turns_by_exactly_the_degrees(clear):
    turns_exactly(clear)


def test_the_camera_is_as_exact_where_the_engine_widens_its_view():
    env = make_env(width=640, height=640)
    env.reset(seed=3)
    turns_exactly(env)
    env.close()


def test_small_turns_add_up(clear):
    before = clear.privileged()["yaw"]
    assert hold(clear, 72, camera=(0, 5))["yaw"] == pytest.approx(before, abs=0.021)


def test_ways_of_walking(clear):
    def speed_of(*keys):
        hold(clear, 5)
        clear.command({"name": "teleport", "position": [0, 30.5, 0]})
        hold(clear, 5)
        return hold(clear, 12, *keys)["velocity"]

    assert speed_of("forward")[2] == pytest.approx(4.317, abs=0.01)
    assert speed_of("back")[2] == pytest.approx(-4.317, abs=0.01)
    assert speed_of("left")[0] == pytest.approx(-4.317, abs=0.01)
    assert speed_of("right")[0] == pytest.approx(4.317, abs=0.01)
    assert speed_of("forward", "sprint")[2] == pytest.approx(5.612, abs=0.01)
    assert speed_of("forward", "sneak")[2] == pytest.approx(1.35, abs=0.01)
    heights = [hold(clear, 1, "jump")["position"][1] for _ in range(8)]
    assert max(heights) > 31.4


def test_digging_and_placing_are_told_as_they_happen(clear):
    looking = hold(clear, 1, camera=(60, 0))["pointed"]
    assert looking["node"] == "default:dirt"
    events = []
    while not any(event["kind"] == "dug" for event in events):
        events += hold(clear, 1, "attack")["events"]
    assert [event for event in events if event["kind"] == "dug"] == [
        {"kind": "dug", "node": "default:dirt", "at": looking["under"]}
    ]
    assert hold(clear, 2)["inventory"] == {"default:dirt": 1}
    hold(clear, 1, camera=(0, 90))
    placed = hold(clear, 3, "use")
    assert [event["node"] for event in placed["events"] if event["kind"] == "placed"] == ["default:dirt"]
    assert placed["inventory"] == {}


def test_places_of_the_hotbar_dropping_and_what_is_in_hand(clear):
    clear.command(
        {
            "name": "inventory",
            "slots": [{"slot": 2, "item": "default:tree", "count": 5}, {"slot": 9, "item": "default:pick_steel"}],
        }
    )
    for place, item in ((2, "default:tree"), (9, "default:pick_steel"), (1, "")):
        facts = hold(clear, 2, f"hotbar.{place}")
        assert (facts["hotbar"], facts["wielded"]) == (place, item)
    hold(clear, 2, "hotbar.2")
    assert hold(clear, 2, "drop")["inventory"] == {"default:pick_steel": 1}


def test_planks_are_crafted_with_the_mouse(clear):
    """A menu opens, the camera moves its cursor, clicks carry the wood: what a person does, by the same keys."""
    clear.command({"name": "inventory", "slots": [{"slot": 1, "item": "default:tree", "count": 1}]})
    assert hold(clear, 2, "inventory")["menu_open"]
    yaw = clear.privileged()["yaw"]
    cursor = (320, 180)
    events = []
    for x, y in ((228, 205), (273, 91), (378, 115), (254, 205)):
        shift = ((y - cursor[1]) / 2, (x - cursor[0]) / 2)
        cursor = (x, y)
        hold(clear, 1, camera=shift)
        for keys in ((), ("attack",), ("attack",), (), ()):
            events += hold(clear, 1, *keys)["events"]
    assert {"kind": "crafted", "item": "default:wood", "count": 4} in events
    facts = hold(clear, 2, "ESC")
    assert not facts["menu_open"]
    assert facts["inventory"] == {"default:wood": 4}
    assert facts["yaw"] == yaw


def test_nearby_nodes_are_named(clear):
    nearby = clear.privileged()["nearby"]
    names = np.array(nearby["names"])[np.array(nearby["nodes"]).reshape(5, 5, 5)]  # z, y, x
    height = 30 - nearby["low"][1]
    assert (names[:, height] == "default:dirt").all()
    assert (names[:, height + 1] == "air").all()


def test_events_are_told_once(clear):
    clear.command({"name": "health", "health": 15})
    kinds = [[event["kind"] for event in hold(clear, 1)["events"]] for _ in range(4)]
    assert list(itertools.chain(*kinds)).count("health") <= 1


def test_death_ends_the_episode(clear):
    clear.command({"name": "health", "health": 0})
    _, _, terminated, truncated, info = clear.step({})
    assert (terminated, truncated) == (True, False)
    assert info["privileged"]["health"] == 0
    clear.close()
