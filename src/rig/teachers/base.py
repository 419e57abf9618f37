"""What a teacher is: something that plays well, by whatever means, and is never asked how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from zlib import crc32

import numpy as np

from rig.actions import NOOP, Action
from rig.envs import World
from rig.registry import Registry


class Teacher(Protocol):
    """Chooses actions in a world, privileged state included.

    Attributes:
        name: name and version, kept in the lineage of every trajectory.
    """

    name: str

    def act(self, world: World) -> Action:
        """Return the action to take in the world's current state, without changing it."""
        ...


class RandomTeacher:
    """Presses uniformly random single keys: the floor of every table.

    Every episode draws from a stream of its own, so that it is the same whatever is played beside or before it.
    """

    name = "random-1"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._streams: dict[str, np.random.Generator] = {}

    def act(self, world: World) -> Action:
        """Return `noop` or one key, all equally likely."""
        episode = f"{world.task.name}-{world.setting}-{world.seed}"
        if episode not in self._streams:
            self._streams[episode] = np.random.default_rng([self.seed, crc32(episode.encode())])
        key = self._streams[episode].integers(len(world.actions.keys) + 1)
        return NOOP if key == len(world.actions.keys) else Action.press(world.actions.keys[key])


TEACHERS: Registry[Callable[[], Teacher]] = Registry("teacher", "rig.teachers")
TEACHERS.add("random", RandomTeacher)
TEACHERS.add("crafter", "rig.teachers.crafter:CrafterExpert")
TEACHERS.add("crafter-frame", "rig.teachers.crafter_frame:CrafterFrameExpert")
TEACHERS.add("minetest", "rig.teachers.minetest:MinetestExpert")
TEACHERS.add("steve1", "rig.teachers.minecraft:Steve1Teacher")
TEACHERS.add("vpt", "rig.teachers.minecraft:VPTTeacher")
