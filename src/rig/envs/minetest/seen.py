"""Questions about what a frame of Minetest shows, for annotators: what it shows of the world, and where.

They read the cells of `privileged()["view"]`, what is under the crosshair, and the tilt of the head; nothing that lies
out of view.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rig.envs.facts import refuse_other_facts
from rig.envs.minetest.keys import on_grid
from rig.envs.minetest.progress import kind_of

SKY = "sky"
TRUNK, TUFT, DIRT, LEAVES, SAND, GRAVEL, STONE, WATER, SNOW, PLANT, BLOCK = THINGS = (
    *("trunk", "grass", "dirt", "leaves", "sand", "gravel", "stone", "water", "snow", "plant", "block"),
)
"""What the nodes of a frame are called; "block" is anything else."""

_TASKS = {"tree": TRUNK, "grass": TUFT, "dirt": DIRT}
_PARTS = (
    (LEAVES, ("leaves", "needles")),
    (SAND, ("sand",)),
    (GRAVEL, ("gravel",)),
    (STONE, ("stone", "cobble")),
    (WATER, ("water",)),
    (SNOW, ("snow", "ice")),
    (
        PLANT,
        ("flowers:", "sapling", "stem", "papyrus", "cactus", "shrub", "fern", "farming:", "mushroom", "bush", "apple"),
    ),
)
_ITEMS = (
    *(("axe", ":axe_"), ("sword", ":sword_"), ("shovel", ":shovel_"), ("pickaxe", ":pick_")),
    *(("planks", ":wood"), ("stick", ":stick")),
)

_READ = ("view", "pointed", "wielded", "pitch", "menu_open")
"""The facts that a `Seen` is of."""


def thing_of(node: str) -> str:
    """Return what a node is called: one of THINGS."""
    known = _TASKS.get(kind_of(node))
    if known:
        return known
    if "sandstone" in node:
        return STONE
    return next((thing for thing, parts in _PARTS if any(part in node for part in parts)), BLOCK)


def item_of(item: str) -> str:
    """Return what an item of the hotbar is called, "" for none."""
    if not item:
        return ""
    return next((name for name, part in _ITEMS if part in item), thing_of(item))


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A cell of the frame that shows something.

    Attributes:
        right: degrees that the camera would turn to the right to bring it under the crosshair, on its grid.
        down: degrees that it would turn down.
        distance: whole nodes from the eye.
    """

    right: int
    down: int
    distance: int

    def off(self, right: float, down: float) -> float:
        """Return how far it is from a direction, in degrees."""
        return math.hypot(self.right - right, self.down - down)


class Seen:
    """Questions about a state's facts.

    Args:
        facts: of `MinetestWorld.privileged`.

    Raises:
        RigError: they are those of another world.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        refuse_other_facts(facts, _READ, "Minetest")
        self.facts = facts
        self._across, self._upwards = (math.tan(math.radians(angle) / 2) for angle in facts["view"]["field"])

    @property
    def crosshair(self) -> str:
        """What is under the crosshair and in reach; "" for nothing."""
        pointed = self.facts["pointed"]
        return thing_of(pointed["node"]) if pointed else ""

    @property
    def hand(self) -> str:
        """What is held in the hand; "" for nothing."""
        return item_of(self.facts["wielded"])

    @property
    def tilt(self) -> int:
        """Degrees that one looks down, on the camera's grid."""
        return on_grid(self.facts["pitch"])

    @property
    def cells(self) -> int:
        """Rows, and columns, of the view."""
        return self.facts["view"]["cells"]

    def thing(self, row: int, column: int) -> str:
        """Return what a cell shows: one of THINGS, or SKY."""
        index = self.facts["view"]["nodes"][row * self.cells + column]
        return SKY if index < 0 else self._names[index]

    def distance(self, row: int, column: int) -> int:
        """Return how far it is to what a cell shows, in whole nodes."""
        return self.facts["view"]["distances"][row * self.cells + column]

    def find(self, thing: str) -> list[Sighting]:
        """Return where `thing` is in view, nearest first, and of those as far nearest to the crosshair."""
        found = (self._sighting(row, column) for row, column in self._places if self.thing(row, column) == thing)
        return sorted(found, key=lambda one: (one.distance, one.off(0, 0), one.right, one.down))

    @cached_property
    def _names(self) -> list[str]:
        return [thing_of(name) for name in self.facts["view"]["names"]]

    @property
    def _places(self) -> Iterator[tuple[int, int]]:
        return ((row, column) for row in range(self.cells) for column in range(self.cells))

    def _sighting(self, row: int, column: int) -> Sighting:
        aside = self._across * ((2 * column + 1) / self.cells - 1)
        high = self._upwards * (1 - (2 * row + 1) / self.cells)
        tilt = math.radians(self.facts["pitch"])
        along = math.cos(tilt) + high * math.sin(tilt)
        rise = high * math.cos(tilt) - math.sin(tilt)
        down = -math.degrees(math.atan2(rise, math.hypot(aside, along))) - self.facts["pitch"]
        return Sighting(
            right=on_grid(math.degrees(math.atan2(aside, along))),
            down=on_grid(down),
            distance=self.distance(row, column),
        )
