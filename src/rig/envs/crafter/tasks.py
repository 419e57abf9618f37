"""Crafter's eight tasks: three of collection, three of achievement, two long ones.

Manual starts with empty hands, so stone and coal first ask for wood, a table and a pickaxe. Tool starts with what the
task needs. Limits are environment steps, two to three times what the expert
takes; Crafter's nights begin near step 150, so every episode is played by day.
"""

from __future__ import annotations

from rig.envs.tasks import MANUAL, TOOL, Start, Task, TaskTable

WALL = "build_wall"
WALL_LENGTH = 3
EXPLORE_DISTANCE = 16

TASKS = TaskTable(
    [
        Task(
            name="collect_wood",
            instruction="collect wood",
            kind="collection",
            target=4,
            starts={
                MANUAL: Start(limit=40, near={"tree": (6, 8)}),
                TOOL: Start(limit=40, near={"tree": (6, 8)}, inventory={"wood_pickaxe": 1, "wood_sword": 1}),
            },
        ),
        Task(
            name="collect_stone",
            instruction="collect stone",
            kind="collection",
            target=4,
            starts={
                MANUAL: Start(limit=80, near={"tree": (4, 7), "stone": (6, 10)}),
                TOOL: Start(limit=40, near={"stone": (6, 8)}, inventory={"wood_pickaxe": 1}),
            },
        ),
        Task(
            name="collect_coal",
            instruction="collect coal",
            kind="collection",
            target=2,
            starts={
                MANUAL: Start(limit=90, near={"tree": (4, 7), "coal": (2, 12)}),
                TOOL: Start(limit=40, near={"coal": (2, 9)}, inventory={"wood_pickaxe": 1}),
            },
        ),
        Task(
            name="place_table",
            instruction="place a table",
            kind="achievement",
            target=1,
            starts={
                MANUAL: Start(limit=40, near={"tree": (4, 8)}),
                TOOL: Start(limit=10, inventory={"wood": 4}),
            },
        ),
        Task(
            name="explore",
            instruction="go explore",
            kind="achievement",
            target=EXPLORE_DISTANCE,
            starts={
                MANUAL: Start(limit=40, roam=EXPLORE_DISTANCE),
                TOOL: Start(limit=40, roam=EXPLORE_DISTANCE, inventory={"wood_pickaxe": 1, "stone": 5}),
            },
        ),
        Task(
            name=WALL,
            instruction="build a wall",
            kind="achievement",
            target=WALL_LENGTH,
            starts={
                MANUAL: Start(limit=100, near={"tree": (4, 7), "stone": (6, 10)}),
                TOOL: Start(limit=40, inventory={"wood_pickaxe": 1, "stone": 6}),
            },
        ),
        Task(
            name="make_stone_pickaxe",
            instruction="make a stone pickaxe",
            kind="long",
            target=1,
            starts={MANUAL: Start(limit=90, near={"tree": (5, 8), "stone": (6, 10)})},
        ),
        Task(
            name="collect_iron",
            instruction="collect iron",
            kind="long",
            target=1,
            starts={MANUAL: Start(limit=120, near={"tree": (5, 9), "stone": (6, 10), "iron": (1, 14)})},
        ),
    ],
    world="crafter",
)
