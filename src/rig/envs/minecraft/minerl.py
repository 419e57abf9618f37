"""MineRL 1.0's human-survival environment as an engine, and the world over it.

Inventory and biome are handlers of its specification, of which it makes new ones at every reset; the seed is given
before each, because a reset forgets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from rig.actions import MINERL
from rig.envs.minecraft.engine import NATIVE_SIZE, VIEW, Engine, Tick, ask, imported, tick_of, unattended
from rig.envs.minecraft.keys import Pressed
from rig.envs.minecraft.prerequisites import LOST_HINT, MINERL_INSTALL, START_HINT, refuse_missing_minerl
from rig.envs.minecraft.tasks import Spawn, stacks, tasks_of
from rig.envs.minecraft.world import MinecraftWorld

NAME = "minerl"


class MineRLEngine:
    """An environment of a specification of our own, made anew where the last one failed."""

    def __init__(self) -> None:
        self.keys: frozenset[str] = frozenset()
        self._spawn: list[Spawn] = []
        self._env: Any = None
        self._nothing: Mapping[str, Any] = {}

    def begin(self, seed: int, spawn: Spawn) -> Tick:
        """Start an episode.

        Raises:
            MissingDependencyError: something that it needs is not there.
            SimulatorError: the engine did not start.
        """
        self._spawn[:] = [spawn]
        with unattended("MineRL"):
            if self._env is None:
                self._open()
            self._call(partial(self._env.seed, seed), "taking a seed")
            obs = self._call(self._env.reset, "starting", START_HINT)
        self._nothing = self._env.action_space.no_op()
        self.keys = frozenset(MINERL.keys) & self._nothing.keys()
        return self._call(lambda: tick_of(obs.get("pov"), obs, False), "starting")

    def step(self, pressed: Pressed) -> Tick:
        """Let a tick pass.

        Raises:
            SimulatorError: the engine failed.
        """
        return self._call(partial(self._step, pressed), "a step", LOST_HINT)

    def close(self) -> None:
        """End the engine, if it runs."""
        env, self._env = self._env, None
        if env is not None:
            env.close()

    def _open(self) -> None:
        refuse_missing_minerl()
        _give_numpy_its_old_names()
        specs = imported("minerl.herobraine.env_specs.human_survival_specs", MINERL_INSTALL)
        handlers = imported("minerl.herobraine.hero.handlers", MINERL_INSTALL)
        spec = _specification(specs.HumanSurvival, handlers, self._spawn)
        self._env = self._call(lambda: spec(resolution=NATIVE_SIZE, **VIEW).make(), "starting", START_HINT)

    def _step(self, pressed: Pressed) -> Tick:
        obs, _, done, info = self._env.step(pressed.over(self._nothing))
        return tick_of(obs.get("pov"), {**obs, **info}, done)

    def _call(self, call: Any, doing: str, hint: str = "") -> Any:
        return ask(call, self.close, doing, hint)


def _give_numpy_its_old_names() -> None:
    """Let numpy say `int` and `float` for Python's own, as it did until 1.24: MineRL does, also in each reset."""
    for kind in (int, float, bool, object):
        if kind.__name__ not in vars(np):
            setattr(np, kind.__name__, kind)


def _specification(survival: type, handlers: Any, spawns: list[Spawn]) -> type:
    """Return human survival with the start that `spawns` holds when an episode begins."""

    def create_agent_start(self: Any) -> list[Any]:
        started = survival.create_agent_start(self)  # type: ignore[attr-defined]
        for spawn in spawns:
            held = [{"type": item, "quantity": count} for item, count in stacks(spawn.inventory)]
            started += [handlers.SimpleInventoryAgentStart(held), handlers.PreferredSpawnBiome(spawn.biome)]
        return started

    return type("RIGSurvival", (survival,), {"create_agent_start": create_agent_start})


class MineRLWorld(MinecraftWorld):
    """Minecraft 1.16.5 as MineRL 1.0 runs it."""

    name = NAME
    tasks = tasks_of(NAME)

    def make_engine(self) -> Engine:
        """Return the engine, which starts with the first episode."""
        return MineRLEngine()

    def refuse_missing(self) -> None:
        """Raise MissingDependencyError where MineRL cannot start."""
        refuse_missing_minerl()
