"""A scripted expert for Crafter that knows what its student can know: the frame, and what it did last.

The expert that sees the whole map walks straight to what lies out of view, and nobody who sees frames can learn why.
This one searches. It wins less often, and its student nearly as often as itself.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from rig.actions import NOOP, Action
from rig.envs.crafter.facts import HALF, OWN, View, in_view
from rig.envs.crafter.ground import IMPASSABLE, Position, minus, plus
from rig.envs.crafter.tasks import WALL
from rig.envs.crafter.world import CrafterWorld
from rig.teachers.crafter import CrafterExpert
from rig.teachers.crafter_moment import PLACE_STONE, Moment
from rig.teachers.crafter_search import first_step, search_goal
from rig.teachers.crafter_wall import Wall, lays, next_step, site_in, wall_in


class FrameMoment(Moment):
    """A state as far as its frame and the last actions tell."""

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

    @property
    def remaining(self) -> int:
        """How many samples the task still asks for; of a wall, how many stones, as far as the rhythm tells."""
        return self.world.task.target - (len(self.placed) if self.world.task.name == WALL else self.world.samples)

    def build_wall(self) -> Action:
        """Go on with the wall that is being built, or begin one, or look for room."""
        view, wall = self._view, self._wall
        if wall is not None:
            cell = plus(self.here, next_step(view, wall))
            return PLACE_STONE if lays(view, wall) and self.is_open(cell) else self.enter(cell)
        site = site_in(view)
        if site is None:
            return self._search()
        if site.is_faced(view):
            return PLACE_STONE
        return self.enter(plus(self.here, site.way)) if site.start == OWN else self.walk([plus(self.here, site.start)])

    def is_open(self, cell: Position) -> bool:
        """Return whether `cell` is in view and could be stood on."""
        return in_view(minus(cell, self.here)) and super().is_open(cell)

    def _search(self, wanted: str = "") -> Action:
        goal = search_goal(self._view, self.world.executed, wanted)
        step = first_step(self._view, goal) if goal else None
        return self.enter(plus(self.here, step)) if step else NOOP

    @cached_property
    def _view(self) -> View:
        return View(self.world.privileged())

    @cached_property
    def _wall(self) -> Wall | None:
        return wall_in(self._view, self.world.executed) if self.world.task.name == WALL else None

    def _laid(self) -> frozenset[Position]:
        return frozenset(plus(self.here, cell) for cell in self._wall.cells) if self._wall else frozenset()

    def _places(self, kind: str) -> list[Position]:
        return [cell for cell in super()._places(kind) if in_view(minus(cell, self.here))]


class CrafterFrameExpert(CrafterExpert):
    """Solves the tasks of `rig.envs.crafter.tasks` from frames and `crafter_search.REMEMBERED` actions."""

    name = "crafter-frame-expert-4"
    moment = FrameMoment
