"""What would come of other actions, tried in copies of a world: the world itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from rig.actions import Action
from rig.envs.base import World
from rig.records import Decision, Dream, Frame


class SimulatorDynamics:
    """What the engine shows after actions, tried in a copy of a world; where the episode ends, its last frame stays.

    Args:
        spare: where the copy takes its steps, between those of others; not `world`.
        world: what is copied, as it stands now.

    Attributes:
        facts: the engine's facts at the frame that `follow` gave last.
    """

    def __init__(self, spare: World, world: World) -> None:
        self._spare = spare
        self._state = world.save()
        self._last: Frame | None = None
        self.facts: Mapping[str, Any] = {}

    def follow(self, action: Action) -> Frame:
        """Return the frame after one more action in the copy."""
        if self._last is not None:
            return self._last
        self._spare.load(self._state)
        frame, _, terminated, truncated, info = self._spare.act(action)
        self._state, self.facts = self._spare.save(), info["privileged"]
        if terminated or truncated:
            self._last = frame
        return frame

    def fork(self) -> SimulatorDynamics:
        """Return one that goes on from the same actions; both take their steps in the same spare world."""
        return copy(self)


class Forks:
    """Does what was dreamed in copies of the worlds, so that each dream can be shown beside what would have come.

    A world has a spare one of its own, made where it is first needed: an engine that is a process of its own goes back
    to an episode that it knows in a moment, and to another in seconds.

    Args:
        make: builds a world.
    """

    def __init__(self, make: Callable[[], World]) -> None:
        self._make = make
        self._spares: dict[World, World] = {}

    def follow(self, decision: Decision, world: World) -> Decision:
        """Return `decision`, made of `world` as it stands now, with what would come of its dreams' actions, in order.

        A single dream of the very action that is decided for is left as it is: see `with_executed`.

        Raises:
            SimulatorError: the engine of the copy failed.
        """
        if not decision.dreams or _is_executed(decision):
            return decision
        dynamics = SimulatorDynamics(self._spare_of(world), world)
        followed = (_came(dream, dynamics.follow(dream.action), dynamics.facts) for dream in decision.dreams)
        return decision.with_dreams(tuple(followed))

    def _spare_of(self, world: World) -> World:
        if world not in self._spares:
            self._spares[world] = self._make()
        return self._spares[world]


def with_executed(decision: Decision, after: Frame, facts: Mapping[str, Any]) -> tuple[Dream, ...]:
    """Return the dreams of a decision that led to the frame `after`, which is what came of a single dream of it.

    `facts` are the engine's there.
    """
    return tuple(_came(dream, after, facts) for dream in decision.dreams) if _is_executed(decision) else decision.dreams


def _is_executed(decision: Decision) -> bool:
    return [dream.action for dream in decision.dreams] == [decision.action]


def _came(dream: Dream, frame: Frame, facts: Mapping[str, Any]) -> Dream:
    return replace(dream, real_frame=frame, privileged=facts)
