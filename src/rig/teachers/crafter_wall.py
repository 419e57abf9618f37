"""How to lay stones in a line in Crafter, where pressing a key towards a free cell walks there.

To face a gap one must walk up to it: from two cells away, one step towards it, and then the stone goes in.
"""

from __future__ import annotations

from collections.abc import Iterator

from rig.actions import Action
from rig.envs.crafter.facts import longest_line
from rig.envs.crafter.ground import IMPASSABLE, Position, distances, minus, plus
from rig.teachers.crafter_moment import Moment

_SIDES: tuple[Position, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
_SEARCH = 6
_FAR = 24.0
_CORRIDOR = 4
"""Free cells that a new wall needs in a row behind its first stone: two for its stones, two to walk up from."""

Gap = tuple[Position, Position]
"""(cell to fill, side from which to fill it)."""


def lay_stone(moment: Moment) -> Action:
    """Return the next action of building a wall: place a stone, or get to where one can be placed."""
    from_here = distances(moment.costs, [moment.here], limit=_FAR)
    return (
        _cheapest(moment, from_here, _lengthening(moment))
        or _cheapest(moment, from_here, _beginnings(moment))
        or moment.leave_corner()
    )


def _cheapest(moment: Moment, from_here: dict[Position, float], gaps: Iterator[Gap]) -> Action | None:
    best: tuple[tuple[float, bool], Gap] | None = None
    for gap, side in gaps:
        stand, run_up = plus(gap, side), plus(gap, side, 2)
        if not moment.is_open(gap):
            continue
        if (moment.here, moment.faced) == (stand, gap):
            return Action.press("place_stone")
        if moment.is_open(stand) and moment.is_open(run_up) and run_up in from_here:
            plan = ((from_here[run_up], moment.strays(gap, side)), (gap, side))
            best = plan if best is None or plan[0] < best[0] else best
    return _approach(moment, *best[1]) if best else None


def _approach(moment: Moment, gap: Position, side: Position) -> Action:
    stand, run_up = plus(gap, side), plus(gap, side, 2)
    if moment.here == run_up:
        return moment.enter(stand)
    if moment.here == gap:
        return moment.enter(stand)
    kept = moment.costs[gap]
    moment.costs[gap] = IMPASSABLE
    action = moment.walk([run_up])
    moment.costs[gap] = kept
    return action


def _lengthening(moment: Moment) -> Iterator[Gap]:
    """Yield every way to add a stone to an end of the longest line that stands."""
    placed = moment.world.placed
    length = longest_line(set(placed))
    for axis in ((1, 0), (0, 1)) if length else ():
        across = (axis[1], axis[0])
        for stone in sorted(placed):
            end = plus(stone, axis, length - 1)
            if all(plus(stone, axis, times) in placed for times in range(length)):
                for gap, outward in ((minus(stone, axis), minus((0, 0), axis)), (plus(end, axis), axis)):
                    yield from ((gap, side) for side in (outward, across, minus((0, 0), across)))


def _beginnings(moment: Moment) -> Iterator[Gap]:
    """Yield every place near the player where a first stone leaves room for the rest of the wall."""
    x0, y0 = moment.here
    cells = [(x0 + dx, y0 + dy) for dx in range(-_SEARCH, _SEARCH + 1) for dy in range(-_SEARCH, _SEARCH + 1)]
    for cell in sorted(cells, key=lambda cell: (abs(cell[0] - x0) + abs(cell[1] - y0), cell)):
        for side in _SIDES:
            if all(moment.is_open(plus(cell, side, times)) for times in range(_CORRIDOR + 1)):
                yield cell, side
