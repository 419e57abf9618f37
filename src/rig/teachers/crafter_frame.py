"""A scripted expert for Crafter that knows what its student can know: the frame, and what it did last.

The expert that sees the whole map walks straight to what lies out of view, and nobody who sees frames can learn why.
This one searches. It wins less often, and its student nearly as often as itself.
"""

from __future__ import annotations

import numpy as np

from rig.actions import NOOP, Action
from rig.envs.crafter.facts import HALF, View, in_view
from rig.envs.crafter.ground import IMPASSABLE, Position, minus, plus
from rig.envs.crafter.world import CrafterWorld
from rig.teachers.crafter import CrafterExpert
from rig.teachers.crafter_gaps import Gap
from rig.teachers.crafter_moment import Moment
from rig.teachers.crafter_search import first_step, search_goal
from rig.teachers.crafter_view import gap_in


class FrameMoment(Moment):
    """A state as far as its frame shows it; where the player's own stones stand in view is known as well."""

    def __init__(self, world: CrafterWorld) -> None:
        super().__init__(world)
        (x, y), (right, down) = self.here, HALF
        seen = np.full_like(self.costs, IMPASSABLE)
        window = slice(max(0, x - right), x + right + 1), slice(max(0, y - down), y + down + 1)
        seen[window] = self.costs[window]
        self.costs = seen

    def is_known(self, kind: str) -> bool:
        """Return whether `kind` is in view."""
        return bool(self._places(kind))

    def walk_to(self, kind: str) -> Action:
        """Return the first step of the way to the nearest `kind` in view, or of a search where there is none."""
        action = self.walk(self._places(kind))
        return self._search(kind) if action == NOOP else action

    def explore(self) -> Action:
        """Return the first step to where new ground is sought."""
        return self._search()

    def next_gap(self) -> Gap | None:
        """Return which gap of a wall is to be filled next, as far as the frame shows; None where none is in view."""
        gap = gap_in(self._view())
        return (plus(self.here, gap[0]), gap[1]) if gap else None

    def is_open(self, cell: Position) -> bool:
        """Return whether `cell` is in view and could be stood on."""
        return in_view(minus(cell, self.here)) and super().is_open(cell)

    def _search(self, wanted: str = "") -> Action:
        view = self._view()
        goal = search_goal(view, self.world.executed, wanted)
        step = first_step(view, goal) if goal else None
        return self.enter(plus(self.here, step)) if step else NOOP

    def _view(self) -> View:
        return View(self.world.privileged())

    def _places(self, kind: str) -> list[Position]:
        return [cell for cell in super()._places(kind) if in_view(minus(cell, self.here))]


class CrafterFrameExpert(CrafterExpert):
    """Solves the tasks of `rig.envs.crafter.tasks` from frames and `crafter_search.REMEMBERED` actions."""

    name = "crafter-frame-expert-3"
    moment = FrameMoment
