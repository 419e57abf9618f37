"""Spots of a world, and what a task asks of the one where its episode begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rig.envs.tasks import Start

FOREST, PLAINS = "forest", "plains"

TREE, GRASS, DIRT = "tree", "grass", "dirt"
"""What may have to lie near a start."""

GRASS_RADIUS, DIRT_RADIUS = 8, 4
"""Nodes around a spot within which tufts and earth are counted: those of mod/survey.lua."""

_NOT_YET_THERE = 3
"""Steps to a tree, at the least: it is to be walked to."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A place to stand on, and what lies about it.

    Attributes:
        area: "forest" or "plains".
        at: x, y, z of the node at the player's feet.
        soil: whether one stands on earth.
        tree: steps to beside the nearest tree with a trunk of four nodes or more; -1 where none can be walked to.
        grass: tufts within GRASS_RADIUS that can be walked to, 16 at the most.
        dirt: nodes of earth within DIRT_RADIUS, under air.
        soft: nodes straight below that a hand can dig, 10 at the most.
        firm: nodes straight below without a hole, and with neither hole nor water beside them, 10 at the most.
        air: free nodes upwards, 16 at the most.
        far: x, y, z of a place somewhat farther off than `go_explore` asks for that can be walked to; empty for none.
    """

    area: str
    at: tuple[int, int, int]
    soil: bool
    tree: int
    grass: int
    dirt: int
    soft: int
    firm: int
    air: int
    far: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Place(Start):
    """How an episode of Minetest begins; `limit` is in ticks, and the first item of `inventory` is in `first_slot`.

    Attributes:
        area: "forest" or "plains", or empty for either.
        first_slot: place of the hotbar of the first item, the others behind it; place 1 is in hand.
        least: field of `Spot` -> its least value.
    """

    area: str = ""
    first_slot: int = 1
    least: Mapping[str, int] = field(default_factory=dict)

    def fits(self, spot: Spot) -> bool:
        """Return whether the episode can begin at `spot`."""
        return (
            self.area in ("", spot.area)
            and (not self.roam or spot.far != ())
            and all(getattr(spot, name) >= value for name, value in self.least.items())
            and all(self._is_near(spot, thing, *wanted) for thing, wanted in self.near.items())
        )

    def slots(self) -> list[dict[str, object]]:
        """Return what is held at the start as the engine's command has it."""
        held = enumerate(self.inventory.items(), self.first_slot)
        return [{"slot": slot, "item": item, "count": count} for slot, (item, count) in held]

    def _is_near(self, spot: Spot, thing: str, count: int, distance: int) -> bool:
        if thing == TREE:
            return _NOT_YET_THERE <= spot.tree <= distance
        return {GRASS: spot.grass, DIRT: spot.dirt}[thing] >= count
