"""Where to look for what is not in view in Crafter: on where one was going, by what the frame shows.

Whoever plays can be told its last actions; the way that they go is its heading. Where nothing wanted is in view, it
makes for the cell that lies far ahead and is not too far to walk. The expert for frames does it, and the Reasoner says
it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rig.actions import Action
from rig.envs.crafter.facts import DIRECTIONS, HALF, MATERIALS, OWN, Offset, View, cells, direction_of
from rig.envs.crafter.ground import IMPASSABLE, distances, plus
from rig.teachers.crafter_view import MIDDLE, map_of, ways_in

REMEMBERED = 8
"""How many of its last actions one has to know."""

_AHEAD, _ASIDE, _EDGE, _ROCK, _STEP = 2.0, 0.5, 2.0, 12.0, 0.9
"""What a cell ahead, one aside, the edge of the frame, behind which is new ground, and rock all around are worth, and
what a step costs."""
_IN_ROCK = frozenset({"stone", "coal", "iron", "diamond"})
_ROCKY = frozenset(MATERIALS[name] for name in (*_IN_ROCK, "path"))
_REACH = 2


def heading(executed: Sequence[Action]) -> Offset | None:
    """Return the way that the last actions go on the whole; None where they lead nowhere.

    A key that only turned the player counts as well: who is told the actions cannot tell it apart.

    Args:
        executed: the last actions, newest first.
    """
    steps = [direction_of(next(iter(action.keys), "")) or OWN for action in executed[:REMEMBERED]]
    x, y = sum(step[0] for step in steps), sum(step[1] for step in steps)
    if max(abs(x), abs(y)) < 2:
        return None
    return (int(np.sign(x)), 0) if abs(x) >= abs(y) else (0, int(np.sign(y)))


def search_goal(view: View, executed: Sequence[Action], wanted: str = "") -> Offset | None:
    """Return the cell in view to make for; None where there is no way to any.

    Args:
        view: what the frame shows.
        executed: the last actions, newest first.
        wanted: the material that is looked for; what lies in rock is looked for there.
    """
    way, ways = heading(executed) or view.facing, ways_in(view)
    rock = _rock_about(view) if wanted in _IN_ROCK else {}

    def worth(cell: Offset) -> float:
        return _worth(cell, way) + _ROCK * rock.get(cell, 0.0) - _STEP * ways[cell]

    return max(ways.keys() - {OWN}, key=lambda cell: (worth(cell), cell), default=None)


def first_step(view: View, goal: Offset) -> Offset | None:
    """Return the way of the first step to a cell in view, straight on where ways tie; None where there is none."""
    costs = map_of(view)
    to_goal = distances(costs, [plus(MIDDLE, goal)], until=MIDDLE)
    ways = [view.facing, *(way for way in DIRECTIONS.values() if way != view.facing)]
    ends = {way: plus(MIDDLE, way) for way in ways}
    open_ways = [way for way, end in ends.items() if end in to_goal and costs[end] != IMPASSABLE]
    return min(open_ways, key=lambda way: to_goal[ends[way]] + costs[ends[way]], default=None)


def _worth(cell: Offset, way: Offset) -> float:
    (right, down), (dx, dy) = cell, way
    at_edge = abs(right) == HALF[0] or abs(down) == HALF[1]
    return _AHEAD * (right * dx + down * dy) + _ASIDE * abs(right * dy - down * dx) + _EDGE * at_edge


def _rock_about(view: View) -> dict[Offset, float]:
    """Return for each cell in view the share of rock, dug or not, among those in view around it."""
    rock = np.array([[letter in _ROCKY for letter in row] for row in view.facts["view"]], float)
    windows = {cell: _around(cell) for cell in cells()}
    return {cell: float(rock[window].mean()) for cell, window in windows.items()}


def _around(cell: Offset) -> tuple[slice, slice]:
    column, row = cell[0] + HALF[0], cell[1] + HALF[1]
    return slice(max(0, row - _REACH), row + _REACH + 1), slice(max(0, column - _REACH), column + _REACH + 1)
