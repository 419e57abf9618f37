"""Ways over Crafter's ground: what a step onto a cell costs, and how far everything is from the nearest goal."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter.engine import AREA, Engine
from rig.envs.crafter.facts import WALKABLE

Position = tuple[int, int]

IMPASSABLE = 0.0
CREATURE_COST = 4.0
"""Extra cost of a cell on which a creature stands: it may move away, or must be fought."""


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


def step_costs(engine: Engine, tools: Tools) -> NDArray[np.float64]:
    """Return the cost in steps of entering each cell, float [64, 64]; 0 where it cannot be entered."""
    world = engine.world
    table = np.zeros(len(world._mat_names) + 1)
    for index, name in world._mat_names.items():
        if name in WALKABLE:
            table[index] = 1.0
        elif name in tools.digs:
            table[index] = 2.0
        elif name == "water" and tools.bridges:
            table[index] = 3.0
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
    found: dict[Position, float] = {}
    queue = [(0.0, goal) for goal in goals]
    heapq.heapify(queue)
    while queue:
        far, position = heapq.heappop(queue)
        if position in found:
            continue
        found[position] = far
        if position == until:
            break
        # Coming from a neighbour, one pays for entering `position` (1 for a goal that is only walked up to).
        pays = max(costs[position], 1.0)
        for other in neighbours(position):
            if other not in found and far + pays <= limit and (costs[other] or other == until):
                heapq.heappush(queue, (far + pays, other))
    return found
