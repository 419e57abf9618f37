"""MineStudio's simulator (1.1) as an engine, and the world over it.

Its seed and biome are arguments of the simulator, and the seed is forgotten by the first reset: it is given again
before each, and a world of another biome asks for another simulator. It has neither `drop` nor `ESC`. What is held at
the start is put there by chat commands, which take a few ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rig.actions import MINERL
from rig.envs.minecraft.engine import NATIVE_SIZE, Engine, Tick, ask, imported, tick_of, unattended
from rig.envs.minecraft.facts import read_facts
from rig.envs.minecraft.keys import CAMERA, Pressed
from rig.envs.minecraft.prerequisites import LOST_HINT, MINESTUDIO_INSTALL, START_HINT, refuse_missing_minestudio
from rig.envs.minecraft.tasks import Spawn, commands, tasks_of
from rig.envs.minecraft.world import MinecraftWorld
from rig.errors import SimulatorError

NAME = "minestudio"

_PATIENCE = 60
"""Ticks after which what was asked for by chat must be in the inventory."""

_IMAGE = (128, 128)
"""Size of the simulator's own observation, which is not looked at: square, since it reads its two sides either way."""


class MineStudioEngine:
    """A `MinecraftSim`, made anew where a world asks for another biome, or the last one failed."""

    def __init__(self) -> None:
        self.keys: frozenset[str] = frozenset()
        self._sim: Any = None
        self._biome = ""
        self._nothing: dict[str, Any] = {}

    def begin(self, seed: int, spawn: Spawn) -> Tick:
        """Start an episode; the first, and one in another biome, takes a new process.

        Raises:
            MissingDependencyError: something that it needs is not there.
            SimulatorError: the engine did not start, or did not give what is held at the start.
        """
        if self._sim is not None and self._biome == spawn.biome:
            self._call(partial(self._sim.env.seed, seed), "taking a seed")
        else:
            self.close()
            self._open(seed, spawn.biome)
        with unattended("MineStudio"):
            obs, info = self._call(self._sim.reset, "starting", START_HINT)
        del obs
        return self._hold(_tick(info, False), spawn.inventory)

    def step(self, pressed: Pressed) -> Tick:
        """Let a tick pass.

        Raises:
            SimulatorError: the engine failed.
        """
        return self._call(partial(self._step, pressed), "a step", LOST_HINT)

    def close(self) -> None:
        """End the engine, if it runs."""
        sim, self._sim = self._sim, None
        if sim is not None:
            sim.close()

    def _open(self, seed: int, biome: str) -> None:
        refuse_missing_minestudio()
        with unattended("MineStudio"):
            simulator = imported("minestudio.simulator", MINESTUDIO_INSTALL)
            make = partial(
                simulator.MinecraftSim,
                action_type="env",
                obs_size=_IMAGE,
                render_size=NATIVE_SIZE,
                seed=seed,
                preferred_spawn_biome=biome,
            )
            self._sim = self._call(make, "starting", START_HINT)
        self._biome = biome
        taken = self._sim.action_space.spaces
        self.keys = frozenset(MINERL.keys) & taken.keys()
        self._nothing = {**dict.fromkeys(taken, 0), CAMERA: np.zeros(2, np.float32)}

    def _hold(self, tick: Tick, inventory: Mapping[str, int]) -> Tick:
        """Return the first tick at which the player holds `inventory`."""
        if not inventory:
            return tick
        for command in commands(inventory):
            self._call(partial(self._sim.env.execute_cmd, command), f"the command {command}")
        for _ in range(_PATIENCE):
            tick = self.step(Pressed(frozenset(), (0.0, 0.0)))
            if read_facts(tick.told).get("inventory") == dict(inventory):
                return tick
        self.close()
        raise SimulatorError(
            f"the engine has not given {dict(inventory)} within {_PATIENCE} ticks, but {read_facts(tick.told)}"
        )

    def _step(self, pressed: Pressed) -> Tick:
        _, _, terminated, truncated, info = self._sim.step(pressed.over(self._nothing))
        return _tick(info, terminated or truncated)

    def _call(self, call: Any, doing: str, hint: str = "") -> Any:
        return ask(call, self.close, doing, hint)


def _tick(info: Mapping[str, Any], done: Any) -> Tick:
    return tick_of(info.get("pov"), info, done)


class MineStudioWorld(MinecraftWorld):
    """Minecraft 1.16.5 as MineStudio runs it."""

    name = NAME
    tasks = tasks_of(NAME)

    def make_engine(self) -> Engine:
        """Return the engine, which starts with the first episode."""
        return MineStudioEngine()

    def refuse_missing(self) -> None:
        """Raise MissingDependencyError where MineStudio cannot start."""
        refuse_missing_minestudio()
