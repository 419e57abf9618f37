"""Native actions of every kind of nonsense: each is taken for what it says, or refused by name."""

from __future__ import annotations

import copy
import math
import random
from collections import Counter
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from rig.actions import MINERL
from rig.envs import Split
from rig.envs.crafter.world import CrafterWorld
from rig.envs.minecraft.keys import CAMERA_LIMIT
from rig.envs.minecraft.keys import read_action as read_minecraft
from rig.envs.minetest.keys import ENGINE_KEYS, LACKING, read_action
from rig.errors import ActionError

NAMES: list[Any] = [
    *ENGINE_KEYS, *LACKING, "camera", "camera", "forwrd", "FORWARD", "", "hotbar.10", "noop", 3, None, ("a",),
    "\x1b[2J",
]  # fmt: skip
TAKEN = [0, 1, True, False, np.int64(1), np.int8(0), np.bool_(True), np.array(1), np.array([0]), np.uint8(1)]
CAMERAS = [
    [0, 0], (5, -10), [180, -180], np.zeros(2, np.float32), np.array([5, 5]), [0.5, np.float32(3)], [180.1, 0], [0], [],
    [0, 0, 0], [math.nan, 0], (math.inf, 1), "ab", "5, 5", None, 5.0, {"pitch": 5}, [True, 0], ["5", "5"], [[0, 0]],
    [10**400, 0], np.zeros((2, 1)), np.array(["a", "b"]), np.array([None, 0]), {1, 2}, [1 + 2j, 0], [[1], [2, 3]],
    np.array([1 + 2j, 0]), np.array([True, False]), np.array([np.nan, 0]), b"ab", range(2), object(),
]  # fmt: skip
NONSENSE: list[Any] = [
    0.7, -1, 2, 1.0, 0.0, "1", "yes", None, [], [1], (1,), {}, {1}, math.nan, math.inf, 10**400, -(10**400), b"1",
    object(),
    np.array([0, 1]), np.array([]), np.array([[1, 1]]), np.float32(1), np.array(0.5), np.array("x"), 1j, Fraction(1),
    np.datetime64("2020"), np.array([object()]), int, lambda: 1, float("1e-320"), bytearray(b"1"), "\x07", "a" * 10_000,
]  # fmt: skip
WHOLE: list[Any] = [-1, 17, 10**400, *TAKEN[:2], 16, np.int64(16), np.array([3]), np.array(4), "move_left", {"use": 1}]


def run(count: int, seed: int) -> dict[str, int]:
    """Try `count` actions of each world; return how many were taken and refused.

    Raises:
        AssertionError: something else than an ActionError came of one, or it was taken for what it does not say.
    """
    outcomes: Counter[str] = Counter()
    for case in range(count):
        for world, attempt in (("minetest", _minetest), ("minecraft", _minecraft), ("crafter", _crafter)):
            try:
                outcomes[f"{world} {attempt(random.Random(f'{seed}/{case}/{world}'))}"] += 1
            except Exception as error:
                raise AssertionError(f"actions of {world}, seed {seed}, case {case}: {error!r}") from error
    return dict(outcomes)


def _keys_and_camera(chance: random.Random) -> Any:
    action: Any = {}
    for name in chance.sample(NAMES, chance.randint(0, 4)):
        values = CAMERAS if name == "camera" else TAKEN if chance.random() < 0.6 else NONSENSE
        action[name] = chance.choice(values)
    return chance.choice([*NONSENSE, *CAMERAS]) if chance.random() < 0.1 else action


def _said(action: Any) -> set[str]:
    return {name for name, value in action.items() if name != "camera" and any(value is one for one in TAKEN) and value}


def _minecraft(chance: random.Random) -> str:
    action = _keys_and_camera(chance)
    try:
        pressed = read_minecraft(action)
    except ActionError as error:
        _check_told(error)
        return "refused"
    assert pressed.keys == _said(action), f"{action} pressed {pressed.keys}"
    given = pressed.over({**dict.fromkeys(MINERL.keys, 0), "camera": None})
    assert {type(value) for name, value in given.items() if name != "camera"} == {int}
    assert given["camera"].dtype == np.float32
    assert np.all(np.abs(given["camera"]) <= CAMERA_LIMIT)
    return "taken"


def _minetest(chance: random.Random) -> str:
    action = _keys_and_camera(chance)
    try:
        request, ignored = read_action(
            action, menu_open=chance.random() < 0.5, cursor_scale=chance.choice([0.1, 2.0, 100])
        )
    except ActionError as error:
        _check_told(error)
        return "refused"
    request.pack()
    pressed = {key for bit, key in enumerate(ENGINE_KEYS) if request.keys >> bit & 1} | set(ignored)
    assert pressed == _said(action), f"{action} pressed {pressed}"
    return "taken"


@cache
def _world() -> tuple[CrafterWorld, bytes]:
    world = CrafterWorld()
    world.reset(seed=world.episode_seeds(world.task, "manual", Split.VALIDATION, 1)[0])
    return world, world.save()


def _crafter(chance: random.Random) -> str:
    world, start = _world()
    if world.engine.time >= 40 or world.engine.player.health <= 0:
        world.load(start)
    action, time = copy.copy(chance.choice([*WHOLE, *NONSENSE, *CAMERAS, *range(17)])), world.engine.time
    try:
        frame, *_ = world.step(action)
    except ActionError as error:
        _check_told(error)
        assert world.engine.time == time, "a refused action let time pass"
        return "refused"
    assert frame.shape == (144, 144, 3)
    assert int(np.asarray(action).reshape(())) in range(17), f"{action!r} was taken"
    return "taken"


def _check_told(error: ActionError) -> None:
    assert len(str(error)) < 1000, f"a message of {len(str(error))} characters"
