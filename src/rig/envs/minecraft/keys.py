"""MineRL's keys and camera as a mapping that names every key, which is what both engines are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from rig.actions import MINERL, Action
from rig.actions.native import read_camera, read_mapping, read_pressed
from rig.errors import ActionError
from rig.validation import refuse_unknown

CAMERA_LIMIT = 180.0
"""The widest turn of a tick, in degrees, that the engines take."""

CAMERA = "camera"


class Pressed(NamedTuple):
    """What is done in a tick: the keys that are pressed, and the camera's [pitch, yaw] in degrees."""

    keys: frozenset[str]
    turn: tuple[float, float]

    def over(self, nothing: Mapping[str, Any]) -> dict[str, Any]:
        """Return a new mapping for an engine: `nothing`, which names all that it takes, with what is done.

        Keys are whole numbers, since the engines write down `True` as a word that they do not read.
        """
        turn = np.asarray(self.turn, np.float32)
        return {**nothing, **{key: int(key in self.keys) for key in MINERL.keys if key in nothing}, CAMERA: turn}

    def within(self, keys: Collection[str]) -> Pressed:
        """Return what of it an engine that has only `keys` can do."""
        return Pressed(self.keys & frozenset(keys), self.turn)


def action_space() -> gym.spaces.Dict:
    """Return the space of native actions: every key `Discrete(2)`, and the camera, down and right positive."""
    camera = gym.spaces.Box(-CAMERA_LIMIT, CAMERA_LIMIT, (2,), np.float32)
    return gym.spaces.Dict({**{key: gym.spaces.Discrete(2) for key in MINERL.keys}, CAMERA: camera})


def native_action(action: Action) -> dict[str, Any]:
    """Return a key-and-camera action as the world's `step` takes it.

    Raises:
        ActionError: the action is not one of MineRL's.
    """
    MINERL.check(action)
    pressed = Pressed(action.keys, (float(action.camera[0]), float(action.camera[1])))
    return pressed.over(dict.fromkeys(MINERL.keys, 0))


def read_action(action: Any) -> Pressed:
    """Return what a native action does; what is left out is not pressed.

    Raises:
        ActionError: a name that is no key, a value that is neither 0 nor 1, or a camera that is no pair of angles
            within ±180.
    """
    given = read_mapping(action)
    refuse_unknown(given, (*MINERL.keys, CAMERA), "the action", ActionError)
    keys = frozenset(key for key, value in given.items() if key != CAMERA and read_pressed(value, key))
    return Pressed(keys, read_camera(given.get(CAMERA, (0.0, 0.0)), CAMERA_LIMIT))
