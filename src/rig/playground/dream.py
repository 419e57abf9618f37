"""Dream: a person walks through what an agent imagines; beside it, if that is asked for, what really comes."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import NamedTuple

from rig.actions import Action
from rig.agents.walk import DreamWalk
from rig.envs import refuse_without_saves
from rig.envs.forks import SimulatorDynamics
from rig.errors import RigError
from rig.playground import messages as said
from rig.playground.hall import Hall
from rig.playground.parting import parting_of
from rig.playground.scene import Scene
from rig.playground.views import picture, refuse
from rig.records import Codes

MOST = 10_000
"""Frames of a walk, whose codes are kept to be compared with what really comes."""


class _Dreamed(NamedTuple):
    action: Action
    codes: Codes


class Dream:
    """The view; see `rig.playground.views.ViewState`.

    Args:
        hall: the world, whose episode stands still meanwhile, and the agent.
    """

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._shows_reality = False
        self._at: tuple[Scene, int] | None = None
        self._walk: DreamWalk | None = None
        self._dreamed: list[_Dreamed] = []
        self._reality: SimulatorDynamics | None = None
        self._followed = 0

    def show(self) -> None:
        """Begin to dream, or go on where the episode stands as it stood."""
        if self._at != self._here:
            self._wake()
        else:
            self._tell_woken()

    def hide(self) -> None:
        """It goes on when it is looked at again."""

    def close(self) -> None:
        """There is nothing to keep."""

    def wait(self) -> float | None:
        """Return 0 while something was dreamed of which it is still to be shown what really comes."""
        return 0.0 if self._shows_reality and self._followed < len(self._dreamed) else None

    def go_on(self) -> None:
        """Do in a copy of the world what was dreamed to be done, one step further."""
        if self.wait() is not None:
            self._followed += 1
            self._follow(self._followed)

    def handle(self, told: said.Said) -> None:
        """Do what the page says.

        Raises:
            RigError: that cannot be done now.
        """
        match told:
            case said.Press():
                self._press(self._hall.world.actions.quantise(frozenset(told.keys), told.turn))
            case said.Wake():
                self._wake()
            case said.Reality():
                self._show_reality(told.on)
            case _:
                raise refuse(told, "dream")

    @property
    def _here(self) -> tuple[Scene, int]:
        return self._hall.scene, self._hall.scene.steps

    def _wake(self) -> None:
        """Begin where the episode stands."""
        self._at, self._reality, self._followed = self._here, None, 0
        self._walk = self._hall.mind.walk(self._hall.scene.observation)
        self._dreamed = []
        self._tell_woken()

    def _press(self, action: Action) -> None:
        assert self._walk is not None
        if len(self._dreamed) >= MOST:
            raise RigError(f"this dream has {MOST} frames, and no more are kept; wake up and begin anew")
        self._hall.world.actions.check(action)
        started = time.perf_counter()
        dream = self._hall.mind.follow(self._walk, action)
        seconds = time.perf_counter() - started
        assert dream.frame is not None
        assert dream.codes is not None
        self._dreamed.append(_Dreamed(action, dream.codes))
        self._hall.tell(
            "dreamed",
            number=len(self._dreamed),
            action=self._hall.world.actions.format(action),
            frame=picture(dream.frame, like=self._hall.scene.frame),
            seconds=seconds,
            entropy=dream.entropy,
        )

    def _show_reality(self, on: bool) -> None:
        if on:
            refuse_without_saves(self._hall.world, "what really comes, beside dreams,", "dream without it")
        self._shows_reality = on

    def _follow(self, number: int) -> None:
        """Do what was dreamed to be done at a step, all before it being done, and tell what comes of it."""
        if self._reality is None:
            self._reality = SimulatorDynamics(self._hall.spare(), self._hall.world)
        dreamed = self._dreamed[number - 1]
        real = self._reality.follow(dreamed.action)
        mind = self._hall.mind
        codes = mind.codes_of(real)
        drawn, really = mind.drawn(dreamed.codes, codes)
        parting = parting_of(drawn, dreamed.codes, really, codes)
        self._hall.tell(
            "really",
            number=number,
            frame=picture(real),
            apart=parting.is_apart,
            grid=mind.policy.engine.model.config.vq.grid,
            **asdict(parting),
        )

    def _tell_woken(self) -> None:
        scene = self._hall.scene
        self._hall.tell("woken", frame=picture(scene.frame), frames=len(self._dreamed), **scene.told())
