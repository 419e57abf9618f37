"""Ways over the ground cost what the plainest search over the same cells says."""

import numpy as np
import pytest

from rig.envs.crafter.ground import distances, neighbours
from rig.envs.crafter.simulator import AREA


def plainly(costs, goals, limit=np.inf):
    """Return the costs to the nearest goal by relaxing every cell until nothing changes."""
    found = dict.fromkeys(goals, 0.0)
    changed = set(found)
    while changed:
        following = set()
        for cell in changed:
            then = found[cell] + max(costs[cell], 1.0)
            for other in neighbours(cell):
                if costs[other] and then < found.get(other, np.inf) and then <= limit:
                    found[other] = then
                    following.add(other)
        changed = following
    return found


@pytest.fixture(params=range(6))
def ground(request):
    random = np.random.default_rng(request.param)
    costs = random.choice([0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 5.0], AREA)
    goals = [tuple(map(int, random.integers(0, 64, 2))) for _ in range(1 + 4 * request.param)]
    return costs, [*goals, (0, 0), (63, 63)][: len(goals) + request.param % 3], random


def test_distances_are_the_least(ground):
    costs, goals, _ = ground
    assert distances(costs, goals) == plainly(costs, goals)
    near = distances(costs, goals, limit=12.0)
    assert near == plainly(costs, goals, limit=12.0)
    assert list(near.values()) == sorted(near.values()), "the nearest first"


def test_until_a_cell_all_nearer_ones_are_known(ground):
    costs, goals, random = ground
    whole = plainly(costs, goals)
    here = list(whole)[int(random.integers(len(whole)))]
    found = distances(costs, goals, until=here)
    assert found == {cell: whole[cell] for cell in found}
    assert set(found) >= {cell for cell, far in whole.items() if far < whole[here]} | {here}
    walled = costs.copy()
    walled[here] = 0.0
    assert (here in distances(walled, goals, until=here)) == any(
        beside in plainly(walled, goals) or beside in goals for beside in neighbours(here)
    ) or here in goals
    assert distances(costs, []) == {}
