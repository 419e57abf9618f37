"""Which cell comes next where stones are laid in a line in Crafter, and from which side.

To face a gap one must walk up to it: from two cells away, one step towards it, and then the stone goes in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter.facts import longest_line
from rig.envs.crafter.ground import Position, distances, minus, plus

_SIDES: tuple[Position, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
_SEARCH = 6
_FAR = 24.0
RUN_UP = 2
"""How many cells from a gap one begins to walk up to it."""
CORRIDOR = 5
"""Free cells in a row that a new wall takes: three for its stones, two to walk up from."""

Gap = tuple[Position, Position]
"""(cell to fill, side from which to fill it)."""


class Ground(Protocol):
    """What the choice of a gap needs to know.

    Attributes:
        here: where the player stands.
        faced: the cell ahead of it.
        costs: of entering each cell, float [64, 64].
        placed: where its own stones stand.
    """

    here: Position
    faced: Position
    costs: NDArray[np.float64]

    @property
    def placed(self) -> Collection[Position]: ...  # noqa: D102

    def is_open(self, cell: Position) -> bool:
        """Return whether `cell` could be stood on; the player's own cell counts."""
        ...


def next_gap(ground: Ground) -> Gap | None:
    """Return which gap is to be filled next: the one that takes the fewest steps; None where there is no room."""
    from_here = distances(ground.costs, [ground.here], limit=_FAR)
    return _cheapest(ground, from_here, _lengthening(ground)) or _cheapest(ground, from_here, _beginnings(ground))


def run_up(gap: Gap) -> Position:
    """Return the cell from which one walks up to a gap."""
    return plus(*gap, RUN_UP)


def corridor(gap: Gap) -> list[Position]:
    """Return the cells that are to be free where a gap is to be the first of a wall, it among them."""
    return [plus(*gap, times) for times in range(CORRIDOR)]


def _cheapest(ground: Ground, from_here: dict[Position, float], gaps: Iterator[Gap]) -> Gap | None:
    best: tuple[float, Gap] | None = None
    for gap, side in gaps:
        stand, start = plus(gap, side), run_up((gap, side))
        if not ground.is_open(gap):
            continue
        if (ground.here, ground.faced) == (stand, gap):
            return gap, side
        if ground.is_open(stand) and ground.is_open(start) and start in from_here:
            plan = (from_here[start], (gap, side))
            best = plan if best is None or plan[0] < best[0] else best
    return best[1] if best else None


def _lengthening(ground: Ground) -> Iterator[Gap]:
    """Yield every way to add a stone to an end of the longest line that stands."""
    placed = ground.placed
    length = longest_line(set(placed))
    for axis in ((1, 0), (0, 1)) if length else ():
        across = (axis[1], axis[0])
        for stone in sorted(placed):
            end = plus(stone, axis, length - 1)
            if all(plus(stone, axis, times) in placed for times in range(length)):
                for gap, outward in ((minus(stone, axis), minus((0, 0), axis)), (plus(end, axis), axis)):
                    yield from ((gap, side) for side in (outward, across, minus((0, 0), across)))


def _beginnings(ground: Ground) -> Iterator[Gap]:
    """Yield every place near the player where a first stone leaves room for the rest of the wall."""
    x0, y0 = ground.here
    cells = [(x0 + dx, y0 + dy) for dx in range(-_SEARCH, _SEARCH + 1) for dy in range(-_SEARCH, _SEARCH + 1)]
    for cell in sorted(cells, key=lambda cell: (abs(cell[0] - x0) + abs(cell[1] - y0), cell)):
        for side in _SIDES:
            if all(map(ground.is_open, corridor((cell, side)))):
                yield cell, side
