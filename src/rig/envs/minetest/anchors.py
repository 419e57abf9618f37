"""Where an engine was before and can go back to in a moment, and which of these places are kept.

An anchor is the engine itself, standing still at a tick (native/anchors.c): going back there is exact to the bit, and
takes some 20 ms at any age of the episode. From there the rest of the way is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle

from rig.envs.minetest.link import Reply
from rig.envs.minetest.process import MinetestProcess
from rig.records import Frame

SPACING = 100
"""Ticks between milestones, at first: an anchor takes as long as some ten ticks."""

_MILESTONES = 8
"""At the most: each takes some 70 MB, which is what the engine has written to since."""

_NUMBERS = 32
"""As many as the engine tells apart (ANCHORS in native/lockstep.h)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchor:
    """A tick that an engine can go back to.

    Attributes:
        number: the engine's name for it.
        way: the packed requests that led there.
        reply: what came of the last.
        frame: what was seen; None where nothing was drawn.
    """

    number: int
    way: list[bytes]
    reply: Reply
    frame: Frame | None

    def is_on(self, way: list[bytes]) -> bool:
        """Return whether `way` leads through here; where it ends here, the frame must be known."""
        length = len(self.way)
        if length > len(way) or (length == len(way) and self.frame is None):
            return False
        return self.way == way[:length]


class Anchors:
    """The anchors of one engine: milestones on the ways that were gone, and the place that one went to last.

    Args:
        engine: what goes back.
    """

    def __init__(self, engine: MinetestProcess) -> None:
        self._engine = engine
        self._milestones: list[Anchor] = []
        self._last: Anchor | None = None
        self._numbers = cycle(range(_NUMBERS))

    def keep_milestone(self, way: list[bytes], frame: Frame | None) -> None:
        """Make an anchor of the present, to which `way` led; an engine that cannot is left as it is."""
        if any(one.way == way for one in self._milestones):
            return
        if len(self._milestones) == _MILESTONES:
            least = min(self._milestones, key=self._worth)
            self._milestones.remove(least)
            self._engine.drop(least.number)
        anchor = self._keep(way, frame)
        if anchor is not None:
            self._milestones.append(anchor)

    def keep_last(self, way: list[bytes], frame: Frame) -> None:
        """Make an anchor of the present in place of the last such one; a milestone where no other leads here."""
        if any(one.way == way and one.frame is not None for one in self._all()):
            return
        if not any(one.is_on(way) for one in self._milestones):
            self.keep_milestone(way, frame)
            return
        if self._last is not None:
            self._engine.drop(self._last.number)
        self._last = self._keep(way, frame)

    def nearest(self, way: list[bytes]) -> Anchor | None:
        """Return the anchor from which the rest of `way` is shortest."""
        return max((one for one in self._all() if one.is_on(way)), key=lambda one: len(one.way), default=None)

    def go_back(self, anchor: Anchor) -> bool:
        """Have the engine go back; return whether it is there, with all facts as they were.

        Raises:
            SimulatorError: the engine failed.
        """
        return self._engine.go_back(anchor.number) and self._engine.reply == anchor.reply

    def _worth(self, milestone: Anchor) -> float:
        """Return the ticks that would have to be repeated to come there from another milestone."""
        before = [len(one.way) for one in self._milestones if one is not milestone and one.is_on(milestone.way)]
        return len(milestone.way) - max(before) if before else math.inf

    def _keep(self, way: list[bytes], frame: Frame | None) -> Anchor | None:
        taken = {one.number for one in self._all()}
        # In turn: one that was just dropped may not have ended yet, and would still answer to its number.
        number = next(number for number in self._numbers if number not in taken)
        if not self._engine.keep(number):
            return None
        return Anchor(number=number, way=list(way), reply=self._engine.reply, frame=frame)

    def _all(self) -> list[Anchor]:
        return [*self._milestones, *([self._last] if self._last is not None else [])]
