"""How far an episode has come, from the engine's events and the player's place alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rig.envs.minetest.places import DIRT, GRASS, TREE

Node = tuple[int, int, int]

_TRUNKS = ("default:tree", "default:jungletree", "default:pine_tree", "default:acacia_tree", "default:aspen_tree")
_TUFTS = ("default:grass_", "default:dry_grass_", "default:marram_grass_", "default:fern_", "default:junglegrass")
_EARTH = ("default:dirt", "default:dry_dirt")


def kind_of(node: str) -> str:
    """Return what the tasks call a node: "tree" (its trunk), "grass", "dirt", or "" for anything else."""
    if node in _TRUNKS:
        return TREE
    if node.startswith(_TUFTS):
        return GRASS
    return DIRT if node.startswith(_EARTH) else ""


@dataclass
class Progress:
    """What was done since the start.

    Attributes:
        start: node at the player's feet at the start.
        broken: kind of node -> how many were dug that the player had not placed.
        crafted: item -> how many.
        dug: where the player dug.
        placed: where nodes stand that the player placed.
        deepest: nodes below the start that the player has stood in a place that it dug.
        farthest: horizontal distance from the start that was reached, in nodes.
    """

    start: Node
    broken: Counter[str] = field(default_factory=Counter)
    crafted: Counter[str] = field(default_factory=Counter)
    dug: set[Node] = field(default_factory=set)
    placed: set[Node] = field(default_factory=set)
    deepest: int = 0
    farthest: int = 0

    def note(self, facts: Mapping[str, Any]) -> None:
        """Take in the facts of a tick."""
        for event in facts["events"]:
            self._note_event(event)
        x, y, z = facts["position"]
        feet = _feet((x, y, z))
        if feet in self.dug:
            self.deepest = max(self.deepest, self.start[1] - feet[1])
        self.farthest = max(self.farthest, math.floor(math.hypot(x - self.start[0], z - self.start[2])))

    def _note_event(self, event: Mapping[str, Any]) -> None:
        if event["kind"] == "crafted":
            self.crafted[event["item"]] += event["count"]
        elif event["kind"] == "placed":
            self.placed.add(_node(event["at"]))
        elif event["kind"] == "dug":
            at = _node(event["at"])
            self.broken[kind_of(event["node"])] += at not in self.placed
            self.placed.discard(at)
            self.dug.add(at)


SAMPLES: Mapping[str, Callable[[Progress], int]] = {
    "chop_a_tree": lambda progress: progress.broken[TREE],
    "break_grass": lambda progress: progress.broken[GRASS],
    "collect_dirt": lambda progress: progress.broken[DIRT],
    "dig_down": lambda progress: progress.deepest,
    "go_explore": lambda progress: progress.farthest,
    "build_a_tower": lambda progress: highest_column(progress.placed),
    "craft_planks": lambda progress: progress.crafted["default:wood"],
    "craft_a_wooden_pickaxe": lambda progress: progress.crafted["default:pick_wood"],
}
"""Task -> its samples."""


def highest_column(nodes: Iterable[Node]) -> int:
    """Return how many of `nodes` stand on each other in the highest column without a gap."""
    standing = set(nodes)
    feet = (node for node in standing if (node[0], node[1] - 1, node[2]) not in standing)
    return max((_height(foot, standing) for foot in feet), default=0)


def _height(foot: Node, standing: set[Node]) -> int:
    x, y, z = foot
    height = 1
    while (x, y + height, z) in standing:
        height += 1
    return height


def _feet(position: tuple[float, float, float]) -> Node:
    x, y, z = position
    return math.floor(x + 0.5), math.floor(y + 0.51), math.floor(z + 0.5)


def _node(at: Iterable[int]) -> Node:
    x, y, z = at
    return int(x), int(y), int(z)
