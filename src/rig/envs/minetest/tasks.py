"""Minetest's tasks: the six of RIG's paper, with bare hands and with a tool, and two that are crafted with the mouse.

`chop_a_tree`, `break_grass` and `collect_dirt` count what is taken from the world; `dig_down`, `go_explore` and
`build_a_tower` are accomplished at a depth, a distance and a height, in nodes. What each needs around its start keeps
it solvable: bare hands dig no stone, so without a pickaxe `dig_down` begins where the ground is soft enough.
"""

from __future__ import annotations

from rig.envs.minetest.places import DIRT, DIRT_RADIUS, FOREST, GRASS, GRASS_RADIUS, PLAINS, TREE, Place, Spot
from rig.envs.tasks import MANUAL, TOOL, Task, TaskTable

LIMIT = 3000
"""Ticks of an episode: 150 s, as in the paper."""

DEPTH = 4
DISTANCE = 32
HEIGHT = 8

_BLOCKS = {"default:dirt": 99}
_SWORD, _SHOVEL = {"default:sword_steel": 1}, {"default:shovel_steel": 1}
_AXE, _PICKAXE = {"default:axe_steel": 1}, {"default:pick_steel": 1}
_NEAR_TREE = {TREE: (1, 12)}
_NEAR_GRASS = {GRASS: (10, GRASS_RADIUS)}
_NEAR_DIRT = {DIRT: (24, DIRT_RADIUS)}
_SOIL = {"soil": 1}
_DEEP_SOIL = {"soft": DEPTH, "firm": DEPTH + 2}
_DEEP = {"firm": DEPTH + 2}
_HIGH = {"air": HEIGHT + 4}

_WATCHED = {"chop_a_tree": ("group:tree", 14), "break_grass": ("group:grass", 17), "collect_dirt": ("group:soil", 5)}


def watched_for(task: str, spot: Spot) -> dict[str, object]:
    """Return what `privileged()["sight"]` is to tell about: nodes within a distance, or the way to a far place."""
    if task == "go_explore":
        return {"nodes": [], "goal": list(spot.far)}
    nodes, radius = _WATCHED.get(task, ("", 0))
    return {"nodes": [nodes] if nodes else [], "radius": radius}


TASKS = TaskTable(
    [
        Task(
            name="chop_a_tree",
            instruction="chop a tree",
            kind="collection",
            target=4,
            starts={
                MANUAL: Place(limit=LIMIT, area=FOREST, near=_NEAR_TREE),
                TOOL: Place(limit=LIMIT, area=FOREST, near=_NEAR_TREE, inventory=_AXE),
            },
        ),
        Task(
            name="break_grass",
            instruction="break grass",
            kind="collection",
            target=8,
            starts={
                MANUAL: Place(limit=LIMIT, area=PLAINS, near=_NEAR_GRASS),
                TOOL: Place(limit=LIMIT, area=PLAINS, near=_NEAR_GRASS, inventory=_SWORD),
            },
        ),
        Task(
            name="collect_dirt",
            instruction="collect dirt",
            kind="collection",
            target=8,
            starts={
                MANUAL: Place(limit=LIMIT, area=PLAINS, near=_NEAR_DIRT, least=_SOIL),
                TOOL: Place(limit=LIMIT, area=PLAINS, near=_NEAR_DIRT, least=_SOIL, inventory=_SHOVEL),
            },
        ),
        Task(
            name="dig_down",
            instruction="dig down",
            kind="achievement",
            target=DEPTH,
            starts={
                MANUAL: Place(limit=LIMIT, least=_DEEP_SOIL),
                TOOL: Place(limit=LIMIT, area=PLAINS, least=_DEEP, inventory=_PICKAXE),
            },
        ),
        Task(
            name="go_explore",
            instruction="go explore",
            kind="achievement",
            target=DISTANCE,
            starts={
                MANUAL: Place(limit=LIMIT, area=PLAINS, roam=DISTANCE),
                TOOL: Place(limit=LIMIT, area=PLAINS, roam=DISTANCE, inventory=_SWORD),
            },
        ),
        Task(
            name="build_a_tower",
            instruction="build a tower",
            kind="achievement",
            target=HEIGHT,
            starts={
                MANUAL: Place(limit=LIMIT, area=PLAINS, least=_HIGH, inventory=_BLOCKS, first_slot=2),
                TOOL: Place(limit=LIMIT, area=PLAINS, least=_HIGH, inventory=_SHOVEL | _BLOCKS),
            },
        ),
        Task(
            name="craft_planks",
            instruction="craft planks",
            kind="long",
            target=4,
            starts={MANUAL: Place(limit=LIMIT, area=PLAINS, inventory={"default:tree": 1})},
        ),
        Task(
            name="craft_a_wooden_pickaxe",
            instruction="craft a wooden pickaxe",
            kind="long",
            target=1,
            starts={MANUAL: Place(limit=LIMIT, area=PLAINS, inventory={"default:wood": 3, "default:stick": 2})},
        ),
    ],
    world="minetest",
)
