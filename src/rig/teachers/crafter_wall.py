"""How a wall is built in Crafter by whoever knows a frame and its last actions.

Stones that one laid look like any others, so which cell comes next cannot be seen where rock is about. A rhythm needs
no more than what was done last: lay a stone, walk two steps back, one forth, and lay the next before it.

        facing left        a stone     two steps back    one forth     the next
        . . . @ . .        . . s @ .     . . s . . @      . . s . @      . . s s @
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rig.actions import Action
from rig.envs.crafter.facts import DIRECTIONS, OWN, WALKABLE, Offset, View, cells, direction_of, in_view
from rig.envs.crafter.ground import minus, plus
from rig.teachers.crafter_gaps import CORRIDOR, RUN_UP, Gap, corridor, run_up
from rig.teachers.crafter_search import REMEMBERED
from rig.teachers.crafter_view import ways_in

_LAY = "place_stone"


@dataclass(frozen=True, kw_only=True)
class Wall:
    """A wall in the making.

    Attributes:
        way: from the player to its stones.
        near: how far away the nearest is.
        stones: how many stand.
    """

    way: Offset
    near: int
    stones: int

    @property
    def cells(self) -> list[Offset]:
        """Where its stones stand, nearest first."""
        return [plus(OWN, self.way, self.near + number) for number in range(self.stones)]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where there is room for a wall.

    Attributes:
        first: the cell of its first stone.
        way: in which that stone is laid.
    """

    first: Offset
    way: Offset

    @property
    def gap(self) -> Gap:
        """The cell of its first stone, and the side from which it is laid."""
        return self.first, minus(OWN, self.way)

    @property
    def start(self) -> Offset:
        """From where one walks up to the first stone."""
        return run_up(self.gap)

    def is_faced(self, view: View) -> bool:
        """Return whether its first stone can be laid at once."""
        return self.first == self.way == view.facing


def wall_in(view: View, executed: Sequence[Action]) -> Wall | None:
    """Return the wall that one is building; None where there is none, or no going on with it.

    Args:
        view: what the frame shows.
        executed: the last actions, newest first.
    """
    way, laid = _rhythm(view, executed)
    near = _nearest_stone(view, way)
    if not laid or near is None:
        return None
    stones = 0
    while _stands(view, plus(OWN, way, near + stones), unseen=stones < laid):
        stones += 1
    wall = Wall(way=way, near=near, stones=stones)
    return wall if view.material(next_step(view, wall)) in WALKABLE else None


def next_step(view: View, wall: Wall) -> Offset:
    """Return the cell beside the player that comes next: where the next stone is laid, or where one walks."""
    return wall.way if wall.near > RUN_UP or lays(view, wall) else minus(OWN, wall.way)


def lays(view: View, wall: Wall) -> bool:
    """Return whether a stone comes next, and not a step."""
    return wall.near == RUN_UP and view.facing == wall.way


def site_in(view: View) -> Site | None:
    """Return where a wall is begun in the fewest steps; None where the frame shows no room for one."""
    ways = ways_in(view)

    def rank(site: Site) -> tuple[float, bool, Offset, Offset]:
        far = 0.0 if site.is_faced(view) else 1 + ways[site.start]
        return far, site.way != view.facing, site.start, site.way

    return min((site for site in _sites(view) if site.is_faced(view) or site.start in ways), key=rank, default=None)


def _sites(view: View) -> Iterator[Site]:
    """Yield every place in view with room for a wall, and no stone before it that could be taken for its own."""
    for first in cells():
        for way in DIRECTIONS.values():
            site = Site(first=first, way=way)
            if all(map(view.is_free, corridor(site.gap))) and view.material(plus(first, way)) != "stone":
                yield site


def _rhythm(view: View, executed: Sequence[Action]) -> tuple[Offset, int]:
    """Return the way to the stones that were laid last, and how many the last actions laid in that line."""
    since: list[Offset] = []
    way, laid = view.facing, 0
    for action in executed[:REMEMBERED]:
        key = next(iter(action.keys), "")
        step = direction_of(key)
        if key == _LAY:
            way = way if laid or not since else _way_back(view, since[-1])
            laid += 1
        elif step is not None:
            since.append(step)
        if laid and any(step not in (way, minus(OWN, way)) for step in since):
            return way, laid - (key == _LAY)
    return way, laid


def _way_back(view: View, step: Offset) -> Offset:
    """Return the way to the stone from which the first step behind it led away, or into which it ran."""
    back = minus(OWN, step)
    return back if _nearest_stone(view, back) is not None else step


def _nearest_stone(view: View, way: Offset) -> int | None:
    return next((far for far in range(1, CORRIDOR) if view.material(plus(OWN, way, far)) == "stone"), None)


def _stands(view: View, cell: Offset, *, unseen: bool) -> bool:
    """Return whether a stone stands in `cell`; out of view, what is said by `unseen`."""
    return view.material(cell) == "stone" if in_view(cell) else unseen
