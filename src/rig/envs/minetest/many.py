"""Many worlds behind Gymnasium's vector environments: actions with keys left out, and the infos of one world.

Importing this teaches `gymnasium.vector` the keyboard and mouse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space, create_empty_array, iterate
from numpy.typing import NDArray

from rig.envs.minetest.keys import KeyboardAndMouse
from rig.errors import ActionError


class KeyboardsAndMice(gym.spaces.Dict):
    """The action space of `number` worlds: every key's array [number], and `camera` [number, 2].

    A vector environment takes such a mapping, in which what is left out is not pressed, or an action for each world.
    """

    def __init__(self, one: KeyboardAndMouse, number: int) -> None:
        spaces = {key: batch_space(space, number) for key, space in one.spaces.items()}
        super().__init__(spaces, seed=deepcopy(one.np_random))
        self.one, self.number = one, number

    def no_op(self) -> dict[str, NDArray[Any]]:
        """Return the actions that press nothing."""
        return {key: np.asarray(create_empty_array(space, self.number)) for key, space in self.one.spaces.items()}

    noop = no_op


@batch_space.register
def _(space: KeyboardAndMouse, n: int = 1) -> KeyboardsAndMice:
    return KeyboardsAndMice(space, n)


@iterate.register
def _(  # type: ignore[misc]
    space: KeyboardsAndMice, items: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    if not isinstance(items, Mapping):
        if len(items) != space.number:
            raise ActionError(f"{len(items)} actions for {space.number} worlds")
        return iter(items)
    for key, values in items.items():
        if np.shape(values)[:1] != (space.number,):
            raise ActionError(f"the action's {key!r} has shape {np.shape(values)}; there are {space.number} worlds")
    return ({key: values[index] for key, values in items.items()} for index in range(space.number))


def info_of(infos: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return what a vector environment's `infos` hold of the world `index`, as that world gave it."""
    return {
        key: info_of(value, index) if isinstance(value, Mapping) else value[index]
        for key, value in infos.items()
        if f"_{key}" in infos and infos[f"_{key}"][index]
    }
