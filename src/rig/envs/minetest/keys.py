"""MineRL's keys and camera as the engine's: what becomes of each, and of those that it does not have.

| key | in the engine |
|---|---|
| `sprint` | its "special" key, with Minecraft's sprinting speed |
| `hotbar.9` | the ninth place of the hotbar, which the mod adds |
| `ESC` | closes a menu; with none open it would pause the game, so it is not pressed and reported as ignored |
| `swapHands`, `pickItem` | do not exist: never pressed, and reported as ignored |

The camera turns the view, and moves the cursor while a menu is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np

from rig.actions import MINERL, Action
from rig.actions.native import read_camera, read_mapping, read_pressed
from rig.envs.minetest.link import Request
from rig.errors import ActionError
from rig.registry import suggestion
from rig.validation import shown

ENGINE_KEYS = MINERL.keys
"""Bit i of `Request.keys` is key i; the order is that of KEYS in native/input.c."""

LACKING = ("swapHands", "pickItem")
"""Keys of MineRL that the engine does not have."""

COUNTS_PER_DEGREE = 20
"""Counts of the mouse for one degree: the camera is exact to a fortieth of a degree."""

assert MINERL.camera is not None
GRID = MINERL.camera.step
"""Degrees of the camera's steps in the tasks."""

CAMERA_LIMIT = 180.0
_ESCAPE = "ESC"


class KeyboardAndMouse(gym.spaces.Dict):
    """MineRL's action space: every key `Discrete(2)`, and `camera` [pitch, yaw] in degrees, down and right positive."""

    def __init__(self) -> None:
        keys = {key: gym.spaces.Discrete(2) for key in (*ENGINE_KEYS, *LACKING)}
        camera = gym.spaces.Box(-CAMERA_LIMIT, CAMERA_LIMIT, (2,), np.float32)
        super().__init__({**keys, "camera": camera})

    def no_op(self) -> dict[str, Any]:
        """Return the action that presses nothing, as MineRL's spaces do."""
        return {**dict.fromkeys((*ENGINE_KEYS, *LACKING), 0), "camera": np.zeros(2, np.float32)}

    noop = no_op


def native_action(action: Action) -> dict[str, Any]:
    """Return a key-and-camera action as the environment takes it.

    Raises:
        ActionError: the action is not one of MineRL's.
    """
    MINERL.check(action)
    return {**dict.fromkeys(action.keys, 1), "camera": action.camera}


def on_grid(angle: float) -> int:
    """Return the step of the camera's grid that is nearest to `angle`, both in degrees."""
    return GRID * round(angle / GRID)


def shared_out(camera: Any, ticks: int, *, menu_open: bool) -> list[tuple[float, float]]:
    """Return the camera's [pitch, yaw] for each of `ticks` ticks that `camera` is for: equal shares of a turn.

    A cursor goes all the way in the first tick, because it moves by whole pixels.

    Raises:
        ActionError: it is no pair of angles within ±180.
    """
    pitch, yaw = read_camera(camera, CAMERA_LIMIT)
    if menu_open:
        return [(pitch, yaw)] + [(0.0, 0.0)] * (ticks - 1)
    goals = [(round(pitch * tick / ticks, 2), round(yaw * tick / ticks, 2)) for tick in range(ticks + 1)]
    return [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(goals)]


def read_action(action: Mapping[str, Any], *, menu_open: bool, cursor_scale: float) -> tuple[Request, tuple[str, ...]]:
    """Return what is sent to the engine for `action`, and the pressed keys that it does not take.

    Args:
        action: key -> 0 or 1, and "camera" -> [pitch, yaw] in degrees; what is left out is not pressed.
        menu_open: whether a menu is open.
        cursor_scale: pixels of the cursor for one degree.

    Raises:
        ActionError: a name that is no key of MineRL, a value that is neither 0 nor 1, or a camera that is no pair of
            angles within ±180.
    """
    pressed = _pressed(action)
    ignored = [key for key in LACKING if key in pressed]
    if _ESCAPE in pressed and not menu_open:
        ignored.append(_ESCAPE)
    pitch, yaw = read_camera(action.get("camera", (0.0, 0.0)), CAMERA_LIMIT)
    request = Request(
        keys=sum(1 << bit for bit, key in enumerate(ENGINE_KEYS) if key in pressed and key not in ignored),
        turn=(round(yaw * COUNTS_PER_DEGREE), round(pitch * COUNTS_PER_DEGREE)),
        shift=(round(yaw * cursor_scale), round(pitch * cursor_scale)),
    )
    return request, tuple(ignored)


def held_keys(bits: int) -> list[str]:
    """Return the keys of `Request.keys`."""
    return [key for bit, key in enumerate(ENGINE_KEYS) if bits >> bit & 1]


def _pressed(action: Mapping[str, Any]) -> set[str]:
    pressed = set()
    for name, value in read_mapping(action).items():
        if name == "camera":
            continue
        if name not in ENGINE_KEYS and name not in LACKING:
            raise ActionError(
                f"{shown(name)} is not a key.{suggestion(name, ENGINE_KEYS)} Keys: {', '.join(ENGINE_KEYS)}"
            )
        if read_pressed(value, name):
            pressed.add(name)
    return pressed
