"""Ways over Crafter's ground: what a step onto a cell costs, and how far everything is from the nearest goal."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter.facts import WALKABLE
from rig.envs.crafter.simulator import AREA, CrafterSimulator

Position = tuple[int, int]

IMPASSABLE = 0.0
CREATURE_COST = 4.0
"""Extra cost of a cell on which a creature stands: it may move away, or must be fought."""
_WIDTH = AREA[1] + 2
_CELLS = [(x - 1, y - 1) for x in range(AREA[0] + 2) for y in range(_WIDTH)]


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What lets the player through: a pickaxe digs, stones bridge."""

    digs: frozenset[str] = frozenset()
    bridges: bool = False

    @staticmethod
    def of(inventory: Mapping[str, int]) -> Tools:
        """Return what `inventory` allows."""
        digs = {
            material
            for material, pickaxe in (
                ("stone", "wood_pickaxe"),
                ("coal", "wood_pickaxe"),
                ("iron", "stone_pickaxe"),
                ("diamond", "iron_pickaxe"),
            )
            if inventory.get(pickaxe, 0)
        }
        return Tools(digs=frozenset(digs), bridges=bool(inventory.get("stone", 0)) and bool(digs))


def entry_cost(material: str, tools: Tools) -> float:
    """Return the steps that it takes to enter a cell of `material`; 0 where it cannot be entered."""
    if material in WALKABLE:
        return 1.0
    if material in tools.digs:
        return 2.0
    return 3.0 if material == "water" and tools.bridges else IMPASSABLE


def step_costs(engine: CrafterSimulator, tools: Tools) -> NDArray[np.float64]:
    """Return the cost in steps of entering each cell, float [64, 64]; 0 where it cannot be entered."""
    world = engine.world
    table = np.zeros(len(world._mat_names) + 1)
    for index, name in world._mat_names.items():
        table[index] = entry_cost(name, tools)
    costs = table[world._mat_map]
    costs[0, :] = costs[:, 0] = IMPASSABLE  # Crafter sees no table around a player on these edges
    for creature in world.objects:
        if creature is not engine.player:
            costs[tuple(creature.pos)] += CREATURE_COST if costs[tuple(creature.pos)] else 0.0
    return costs


def plus(a: Position, b: Position, times: int = 1) -> Position:
    """Return `a` moved `times` times by `b`."""
    return a[0] + b[0] * times, a[1] + b[1] * times


def minus(a: Position, b: Position) -> Position:
    """Return the way from `b` to `a`."""
    return a[0] - b[0], a[1] - b[1]


def neighbours(position: Position) -> Iterator[Position]:
    """Yield the four cells beside `position` that lie in the world."""
    x, y = position
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        if 0 <= x + dx < AREA[0] and 0 <= y + dy < AREA[1]:
            yield x + dx, y + dy


def distances(
    costs: NDArray[np.float64], goals: Iterable[Position], *, until: Position | None = None, limit: float = np.inf
) -> dict[Position, float]:
    """Return the cost from each cell to the nearest goal, walking over cells that can be entered.

    A goal need not be enterable (a tree is walked up to); it is reached from a cell beside it at cost 1.

    Args:
        costs: what `step_costs` returned.
        goals: cells to get to.
        until: stop once this cell's distance and those of nearer cells are known.
        limit: leave out cells farther than this.
    """
    fence = np.zeros((AREA[0] + 2, _WIDTH))
    fence[1:-1, 1:-1] = costs
    enter: list[float] = fence.ravel().tolist()  # numbers of Python's own, and no cell without four neighbours
    target = -1 if until is None else _index(until)
    best = [np.inf] * len(enter)
    queue = [(0.0, _index(goal)) for goal in goals]
    heapq.heapify(queue)
    found: dict[int, float] = {}
    while queue:
        far, cell = heapq.heappop(queue)
        if cell in found:
            continue
        found[cell] = far
        if cell == target:
            break
        # Coming from a neighbour, one pays for entering the cell (1 for a goal that is only walked up to).
        cost = enter[cell]
        then = far + (cost if cost > 1.0 else 1.0)
        if then > limit:
            continue
        for other in (cell - _WIDTH, cell - 1, cell + 1, cell + _WIDTH):
            if then < best[other] and (enter[other] or other == target):
                best[other] = then
                heapq.heappush(queue, (then, other))
    return {_CELLS[cell]: far for cell, far in found.items()}


def _index(position: Position) -> int:
    """Return the number of a cell in the world with a fence around it."""
    return (position[0] + 1) * _WIDTH + position[1] + 1
