"""What would come of other actions, tried in copies of a world: the world itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any

from rig.actions import Action
from rig.envs.base import World
from rig.records import Decision, Dream, Frame, Plan


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
        """Return `decision`, made of `world` as it stands now, with what would come of each plan's dreams, in order.

        A single dream of the very action that is decided for is left as it is: see `with_executed`.

        Raises:
            SimulatorError: the engine of the copy failed.
        """
        if all(_is_known(plan, decision) for plan in decision.plans):
            return decision
        start = SimulatorDynamics(self._spare_of(world), world)
        plans = (plan if _is_known(plan, decision) else _followed(plan, start.fork()) for plan in decision.plans)
        return replace(decision, plans=tuple(plans))

    def _spare_of(self, world: World) -> World:
        if world not in self._spares:
            self._spares[world] = self._make()
        return self._spares[world]


def with_executed(decision: Decision, after: Frame, facts: Mapping[str, Any]) -> Decision:
    """Return a decision that led to the frame `after`, which is what came of a plan's single dream of its action.

    `facts` are the engine's there.
    """
    plans = (
        replace(plan, dreams=(_came(plan.dreams[0], after, facts),)) if _is_executed(plan, decision) else plan
        for plan in decision.plans
    )
    return replace(decision, plans=tuple(plans))


def _is_known(plan: Plan, decision: Decision) -> bool:
    """Return whether the world itself will show all that was dreamed of a plan."""
    return not plan.dreams or _is_executed(plan, decision)


def _is_executed(plan: Plan, decision: Decision) -> bool:
    return [dream.action for dream in plan.dreams] == [decision.action]


def _followed(plan: Plan, dynamics: SimulatorDynamics) -> Plan:
    dreams = (_came(dream, dynamics.follow(dream.action), dynamics.facts) for dream in plan.dreams)
    return replace(plan, dreams=tuple(dreams))


def _came(dream: Dream, frame: Frame, facts: Mapping[str, Any]) -> Dream:
    return replace(dream, real_frame=frame, privileged=facts)
