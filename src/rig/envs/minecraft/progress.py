"""How far an episode has come, from the facts of its ticks alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rig.envs.minecraft.facts import COUNTERS

_TUFTS = frozenset({"grass", "tall_grass", "fern", "large_fern"})
_EARTH = frozenset({"dirt", "grass_block", "coarse_dirt", "podzol", "mycelium", "farmland", "grass_path"})
_LOG = "_log"


@dataclass
class Progress:
    """What was done since the start.

    Attributes:
        before: the engine's counts at the start, by our names of them.
        start: [x, y, z] of the player at the start; None where the engine does not tell.
        counts: the same counts since then.
        deepest: blocks below the start that the player has been, each of them dug.
        farthest: horizontal distance from the start that was reached, in blocks.
        highest: blocks above the start that the player has been, with as many placed.
    """

    before: Mapping[str, Mapping[str, int]]
    start: tuple[float, ...] | None
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in COUNTERS})
    deepest: int = 0
    farthest: int = 0
    highest: int = 0

    @staticmethod
    def begin(facts: Mapping[str, Any]) -> Progress:
        """Return the progress of an episode that begins with `facts`."""
        place = facts.get("position")
        before = {name: dict(facts.get(name, {})) for name in COUNTERS}
        return Progress(before=before, start=None if place is None else tuple(place))

    def note(self, facts: Mapping[str, Any]) -> None:
        """Take in the facts of a tick."""
        for name, before in self.before.items():
            now = facts.get(name, {})
            self.counts[name] = Counter({kind: count - before.get(kind, 0) for kind, count in now.items()})
        if self.start is None or "position" not in facts:
            return
        x, y, z = (there - here for there, here in zip(facts["position"], self.start, strict=True))
        self.farthest = max(self.farthest, math.floor(math.hypot(x, z)))
        self.deepest = max(self.deepest, min(math.floor(-y), self.counts["mined"].total()))
        self.highest = max(self.highest, min(math.floor(y), self.counts["used"]["dirt"]))

    def mined(self, is_meant: Callable[[str], bool]) -> int:
        """Return how many blocks of some kinds were broken."""
        return sum(count for kind, count in self.counts["mined"].items() if is_meant(kind))

    def earth(self) -> int:
        """Return how many blocks of earth were broken that the player had not placed."""
        return max(0, self.mined(_EARTH.__contains__) - self.counts["used"]["dirt"])


SAMPLES: Mapping[str, Callable[[Progress], int]] = {
    "chop_a_tree": lambda progress: progress.mined(lambda kind: kind.endswith(_LOG)),
    "break_grass": lambda progress: progress.mined(_TUFTS.__contains__),
    "collect_dirt": Progress.earth,
    "dig_down": lambda progress: progress.deepest,
    "go_explore": lambda progress: progress.farthest,
    "build_a_tower": lambda progress: progress.highest,
}
"""Task -> its samples."""
