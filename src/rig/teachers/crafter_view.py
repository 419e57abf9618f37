"""Crafter's ground as far as a frame shows it, on a map with the player in its middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter.facts import OWN, Offset, View, cells, in_view
from rig.envs.crafter.ground import IMPASSABLE, Position, Tools, entry_cost, minus, plus
from rig.envs.crafter.simulator import AREA
from rig.teachers.crafter_gaps import Gap, next_gap

MIDDLE: Position = (AREA[0] // 2, AREA[1] // 2)
"""Where the player stands on a map that holds the view alone."""


def map_of(view: View) -> NDArray[np.float64]:
    """Return a map that holds the view alone, its cells' costs; float [64, 64], the player in its middle."""
    costs, tools = np.zeros(AREA), Tools.of(view.inventory)
    for cell in cells():
        costs[plus(MIDDLE, cell)] = _cost(view, cell, tools)
    return costs


def can_enter(view: View, cell: Offset) -> bool:
    """Return whether the player could get onto a cell in view, were it beside it: walk, or dig or bridge its way."""
    return _cost(view, cell, Tools.of(view.inventory)) != IMPASSABLE


def gap_in(view: View) -> Gap | None:
    """Return which gap of a wall is to be filled next, as offsets, as far as the frame shows; None where none is."""
    gap = next_gap(_ViewedGround(view))
    return (minus(gap[0], MIDDLE), gap[1]) if gap else None


class _ViewedGround:
    """The ground on which a wall is built, and the player's own stones, as far as they are in view."""

    def __init__(self, view: View) -> None:
        self.here = MIDDLE
        self.faced = plus(MIDDLE, view.facing)
        self.placed = [plus(MIDDLE, stone) for stone in view.placed]
        self.costs = map_of(view)
        for stone in self.placed:
            self.costs[stone] = IMPASSABLE
        self._view = view

    def is_open(self, cell: Position) -> bool:
        offset = minus(cell, MIDDLE)
        return in_view(offset) and (offset == OWN or self._view.is_free(offset))

    def strays(self, gap: Position, side: Position) -> bool:
        """Return whether the player stands off the line in which a wall grows towards it.

        Laid in such a line, what comes next is told by how far away the last stone is.
        """
        way = minus(self.here, gap)
        return way[0] * side[1] != way[1] * side[0] or way[0] * side[0] + way[1] * side[1] < 0


def _cost(view: View, cell: Offset, tools: Tools) -> float:
    return IMPASSABLE if cell in view.creatures else entry_cost(view.material(cell), tools)
