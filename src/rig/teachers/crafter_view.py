"""Crafter's ground as far as a frame shows it, on a map with the player in its middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter.facts import Offset, View, cells
from rig.envs.crafter.ground import IMPASSABLE, Position, Tools, distances, entry_cost, minus, plus
from rig.envs.crafter.simulator import AREA

MIDDLE: Position = (AREA[0] // 2, AREA[1] // 2)
"""Where the player stands on a map that holds the view alone."""


def map_of(view: View) -> NDArray[np.float64]:
    """Return a map that holds the view alone, its cells' costs; float [64, 64], the player in its middle."""
    costs, tools = np.zeros(AREA), Tools.of(view.inventory)
    for cell in cells():
        costs[plus(MIDDLE, cell)] = _cost(view, cell, tools)
    return costs


def ways_in(view: View) -> dict[Offset, float]:
    """Return what the way to each cell in view costs that can be got to, in steps."""
    costs = map_of(view)
    return {minus(cell, MIDDLE): far for cell, far in distances(costs, [MIDDLE]).items() if costs[cell] != IMPASSABLE}


def can_enter(view: View, cell: Offset) -> bool:
    """Return whether the player could get onto a cell in view, were it beside it: walk, or dig or bridge its way."""
    return _cost(view, cell, Tools.of(view.inventory)) != IMPASSABLE


def _cost(view: View, cell: Offset, tools: Tools) -> float:
    return IMPASSABLE if cell in view.creatures else entry_cost(view.material(cell), tools)
