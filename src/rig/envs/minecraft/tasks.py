"""The paper's six tasks in Minecraft, each with bare hands and with a tool; worlds, limit and the tower's dirt are its.

Of what is collected the paper counts how much, to the limit: `World.samples`. What it counts as a success in the others
it does not say: the numbers, also for what is collected, are those of our Minetest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rig.envs.tasks import MANUAL, TOOL, Start, Task, TaskTable

LIMIT = 3000
"""Ticks of an episode: 150 s at 20 Hz."""

STACK = 64
"""How many of an item, other than tools, a slot holds."""

COLLECTION = "collection"
"""The kind of task whose episodes go on to the limit."""

FOREST, PLAINS = "forest", "plains"

DEPTH = 4
DISTANCE = 32
HEIGHT = 8

_SLOTS_IN_HAND = 9


@dataclass(frozen=True, kw_only=True)
class Spawn(Start):
    """A start in a world of Minecraft; `near` and `roam` are not looked at, for nobody can look into its worlds.

    Attributes:
        biome: where the engine is asked to have the player enter.
    """

    biome: str = PLAINS


def stacks(inventory: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield item and count for each slot that an inventory takes, the first slot of the hotbar first."""
    for item, count in inventory.items():
        for taken in range(0, count, STACK):
            yield item, min(STACK, count - taken)


def commands(inventory: Mapping[str, int]) -> list[str]:
    """Return the chat commands that put an inventory into a player's slots."""
    return [
        f"/replaceitem entity @p {_slot(number)} minecraft:{item} {count}"
        for number, (item, count) in enumerate(stacks(inventory))
    ]


def _slot(number: int) -> str:
    return f"hotbar.{number}" if number < _SLOTS_IN_HAND else f"inventory.{number - _SLOTS_IN_HAND}"


_DIRT = {"dirt": 9 * STACK}


def _settings(biome: str, tool: str, held: Mapping[str, int] | None = None) -> dict[str, Spawn]:
    """Return the two settings of a task: what is held in both, and the tool before it in one."""
    held = held or {}
    return {
        MANUAL: Spawn(limit=LIMIT, biome=biome, inventory=held),
        TOOL: Spawn(limit=LIMIT, biome=biome, inventory={tool: 1, **held}),
    }


_TASKS = (
    Task(
        name="chop_a_tree",
        instruction="chop a tree",
        kind=COLLECTION,
        target=4,
        starts=_settings(FOREST, "iron_axe"),
    ),
    Task(
        name="break_grass",
        instruction="break grass",
        kind=COLLECTION,
        target=8,
        starts=_settings(PLAINS, "iron_sword"),
    ),
    Task(
        name="collect_dirt",
        instruction="collect dirt",
        kind=COLLECTION,
        target=8,
        starts=_settings(PLAINS, "iron_shovel"),
    ),
    Task(
        name="dig_down",
        instruction="dig down",
        kind="achievement",
        target=DEPTH,
        starts=_settings(PLAINS, "iron_pickaxe"),
    ),
    Task(
        name="go_explore",
        instruction="go explore",
        kind="achievement",
        target=DISTANCE,
        starts=_settings(PLAINS, "iron_sword"),
    ),
    Task(
        name="build_a_tower",
        instruction="build a tower",
        kind="achievement",
        target=HEIGHT,
        starts=_settings(PLAINS, "iron_shovel", _DIRT),
    ),
)


def tasks_of(world: str) -> TaskTable:
    """Return the table of the world that is registered under a name; each takes tasks of others for itself."""
    return TaskTable(_TASKS, world=world)
