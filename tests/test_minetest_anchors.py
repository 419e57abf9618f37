"""Going back in the engine that has been there: as exact as a new one, many times as quick, and safe where it fails."""

import os
import signal

import numpy as np
import pytest
from minetest_makers import hold, make_env, members, needs_engine, wait_for_the_end_of

from rig.envs.minetest.anchors import SPACING, Anchors
from rig.envs.minetest.link import Reply, Request

SHOVEL_AND_DIRT = [{"slot": 1, "item": "default:dirt", "count": 30}, {"slot": 2, "item": "default:shovel_steel"}]
DOINGS = (
    (2, ["hotbar.2"]),
    (14, ["attack"]),
    (2, ["hotbar.1"]),
    (3, ["use"]),
    (6, ["forward", "jump", "attack"]),
    (2, ["drop"]),
    (1, ["inventory"]),
    (4, []),
    (1, ["ESC"]),
    (8, ["left", "sprint", "jump"]),
    (2, ["hotbar.2"]),
    (20, ["attack", "forward"]),
)


@pytest.fixture(scope="module")
def env():
    env = make_env(nearby_radius=3)
    yield env
    env.close()


def go_on(env, actions):
    return [(env.step(action)[0]["pov"].tobytes(), env.privileged()) for action in actions]


def kinds_of(seen):
    return {event["kind"] for _, facts in seen for event in facts["events"]}


@needs_engine
def test_all_that_follows_is_as_it_was_after_every_load_and_in_another_engine(env):
    """Digging, placing, dropping, jumping and menus; saved in the midst of it, loaded in another order."""
    env.reset(seed=4)
    env.command({"name": "inventory", "slots": SHOVEL_AND_DIRT})
    env.step({"camera": (50, 0)})
    env.load(env.save())
    actions = [{**dict.fromkeys(keys, 1), "camera": (0, 0.5)} for ticks, keys in DOINGS for _ in range(ticks)]
    digging, jumping, in_a_menu = 8, 24, 33
    seen, states = [], {}
    for index, action in enumerate(actions):
        if index in (digging, jumping, in_a_menu):
            states[index] = env.save()
        seen += go_on(env, [action])
    assert {"dug", "placed", "punched"} <= kinds_of(seen)
    assert seen[jumping - 1][1]["velocity"][1] != 0
    assert seen[in_a_menu - 1][1]["menu_open"]
    for index in (jumping, in_a_menu, digging):
        assert env.load(states[index])["pov"].tobytes() == seen[index - 1][0]
        assert env.privileged() == seen[index - 1][1]
        assert go_on(env, actions[index : index + 12]) == seen[index : index + 12]
    assert env.loads == {"ahead": 1, "back": 3}

    later, other = env.save(), make_env(nearby_radius=3)
    assert other.load(later)["pov"].tobytes() == env.render().tobytes()
    assert go_on(other, actions[-10:]) == go_on(env, actions[-10:])
    assert other.loads == {"anew": 1}
    other.close()


@needs_engine
def test_leaves_wither_again_in_the_same_tick(env):
    """A matter of chance and of the world's own doing: neither the player nor a dug node says so."""
    env.reset(seed=4)
    x, y, z = (round(part) for part in env.privileged()["position"])
    trunk = {"name": "set_node", "position": [x, y + 2, z + 3], "node": "default:tree"}
    leaves = [{**trunk, "position": [x + side, y + 2, z + 2], "node": "default:leaves"} for side in range(-2, 3)]
    env.command(trunk, *leaves)
    env.command({**trunk, "node": "air"})
    state = env.load(env.save()) and env.save()

    def count():
        nearby = env.privileged()["nearby"]
        return sum(nearby["names"][node] == "default:leaves" for node in nearby["nodes"])

    def wither():
        left = []
        for _ in range(250):
            env.step_without_render({})
            left.append(count())
        return left

    assert count() == 5
    left = wither()
    assert left[-1] == 0
    before = env.loads["back"]
    env.load(state)
    assert env.loads["back"] == before + 1
    assert count() == 5
    assert wither() == left


@needs_engine
def test_what_does_not_verify_is_gone_to_with_a_new_engine(env):
    """A tick that nobody was told of; then an anchor that is no more, and one of the engine's processes that dies."""
    env.reset(seed=4)
    hold(env, 5, "forward")
    frame, state = env.render(), env.save()
    hold(env, 5, "forward")
    ahead = env.save()
    env.load(state)
    anew = env.loads["anew"]
    env._engine.tick(Request(keys=1), draw=False)
    env.load(ahead)
    assert env.loads["anew"] == anew + 1
    assert np.array_equal(env.load(state)["pov"], frame)
    assert env.loads["anew"] == anew + 1, "the place where the episode began is kept"

    env.step({})
    env._engine.drop(env._anchors._last.number)
    assert np.array_equal(env.load(state)["pov"], frame)
    assert env.loads["anew"] == anew + 2

    *_, last = members(env)
    os.kill(last, signal.SIGKILL)
    env.step({})
    assert np.array_equal(env.load(state)["pov"], frame)
    assert env.loads["anew"] == anew + 3


@needs_engine
def test_loads_start_no_engine_and_leave_none(env):
    env.reset(seed=4)
    for _ in range(SPACING + 20):
        env.step_without_render({"forward": 1, "jump": 1})
    state, before = env.save(), env.loads.copy()
    for _ in range(3):
        env.step_without_render({})
        env.load(state)
    assert env.loads - before == {"back": 3}
    all_of_them = members(env)
    assert len(all_of_them) > 4, "the display, the engine, where it began, a milestone, and the last place"
    env.close()
    assert wait_for_the_end_of(all_of_them) == []


class StandIn:
    """Keeps what it is told to keep; what was dropped last may still be ending, as an engine's anchor may."""

    def __init__(self):
        self.kept = set()
        self.ending = None
        self.reply = Reply(menu_open=False, settled=True, held=0, cursor=(0, 0), state={})

    def keep(self, anchor):
        assert anchor in set(range(32)) - self.kept - {self.ending}
        self.kept.add(anchor)
        return True

    def drop(self, anchor):
        self.kept.remove(anchor)
        self.ending = anchor


def test_milestones_are_spread_over_the_way_and_the_beginning_stays():
    engine = StandIn()
    anchors = Anchors(engine)
    way = [bytes([index % 256]) for index in range(20 * SPACING)]
    frame = np.zeros((1, 1, 3), np.uint8)
    for length in range(0, len(way), SPACING):
        anchors.keep_milestone(way[:length], frame)
        anchors.keep_last(way[:length], frame)
        assert len(engine.kept) <= 9
    for length in range(0, len(way), SPACING):
        before = anchors.nearest(way[: length + 1])
        assert length + 1 - len(before.way) <= 8 * SPACING
    assert anchors.nearest([b"elsewhere"]).way == []
