"""Where an episode of a task can begin in a world: a free cell with everything the task needs within reach."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np

from rig.envs.crafter.ground import Position, Tools, distances, neighbours, step_costs
from rig.envs.crafter.simulator import AREA, CrafterSimulator
from rig.envs.tasks import Start, Task

_CANDIDATES = 80
_MARGIN = 5
_PEACE = 5
"""No zombie stands this near to the start: three at once kill before anybody has learned anything."""
_DIGGING = Tools(digs=frozenset({"stone", "coal"}))


def find_start(engine: CrafterSimulator, task: Task, setting: str, seed: int) -> tuple[Position, Position] | None:
    """Return (position, facing) of the start in the engine's fresh world, or None where there is none.

    The choice depends on the seed, the task and the setting only.
    """
    random = np.random.default_rng([seed, crc32(f"{task.name}/{setting}".encode())])
    start = task.start(setting)
    free = np.argwhere(_open_ground(engine))
    if len(free) == 0:
        return None
    walking, digging = step_costs(engine, Tools()), step_costs(engine, _DIGGING)
    names = engine.world._mat_map
    ids = {material: engine.world._mat_ids[material] for material in start.near}
    for index in random.permutation(len(free))[:_CANDIDATES]:
        position = (int(free[index][0]), int(free[index][1]))
        if not _plausible(names, ids, position, start) or not _roams(walking, position, start.roam):
            continue
        if all(
            _reachable(walking if material == "tree" else digging, names, ids[material], position, count, far)
            for material, (count, far) in start.near.items()
        ):
            facings = ((-1, 0), (1, 0), (0, -1), (0, 1))
            return position, facings[int(random.integers(4))]
    return None


def _open_ground(engine: CrafterSimulator) -> np.ndarray:
    """Return bool [64, 64]: grass or sand in the inner world, with no creature beside it and no zombie near."""
    world = engine.world
    allowed = np.zeros(AREA, bool)
    inner = slice(_MARGIN, -_MARGIN)
    ground = np.isin(world._mat_map, [world._mat_ids["grass"], world._mat_ids["sand"]])
    allowed[inner, inner] = ground[inner, inner]
    for creature in world.objects:
        if creature is not engine.player:
            x, y = (int(value) for value in creature.pos)
            far = _PEACE if type(creature).__name__ == "Zombie" else 1
            allowed[max(0, x - far) : x + far + 1, max(0, y - far) : y + far + 1] = False
    return allowed


def _plausible(names: np.ndarray, ids: Mapping[str, int], position: Position, start: Start) -> bool:
    x, y = position
    for material, (count, far) in start.near.items():
        around = names[max(0, x - far) : x + far + 1, max(0, y - far) : y + far + 1]
        if int((around == ids[material]).sum()) < count:
            return False
    return True


def _roams(costs: np.ndarray, position: Position, far: int) -> bool:
    """Return whether a cell `far` away can be walked to without turning back for long."""
    reached = distances(costs, [position], limit=1.5 * far) if far else {}
    return not far or any(max(abs(x - position[0]), abs(y - position[1])) >= far for x, y in reached)


def _reachable(costs: np.ndarray, names: np.ndarray, wanted: int, position: Position, count: int, far: int) -> bool:
    """Return whether `count` cells of material `wanted` can be walked up to within `far` steps."""
    reached = distances(costs, [position], limit=far)
    touched = {beside for cell in reached for beside in neighbours(cell) if names[beside] == wanted}
    return len(touched) >= count
