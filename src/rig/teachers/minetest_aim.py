"""Where the player of Minetest looks, and the camera's steps that bring the crosshair onto a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rig.envs.minetest.keys import on_grid

EYE_HEIGHT = 1.625
FASTEST = 30
"""Degrees that the camera turns in a step, at the most: what is passed can be seen."""

IN_FRAME = 45
"""Degrees to each side that surely are in the frame."""

SEARCH_PITCH = 15
"""Where one looks while one turns to find something."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The turn that is left to a place.

    Attributes:
        pitch: degrees down, on the camera's grid.
        yaw: degrees to the right, on the camera's grid.
        level: degrees down to where one looks while searching, on the camera's grid.
    """

    pitch: int
    yaw: int
    level: int

    @property
    def is_done(self) -> bool:
        """Whether no step of the camera would come nearer."""
        return (self.pitch, self.yaw) == (0, 0)

    @property
    def is_in_frame(self) -> bool:
        """Whether the place is not too far to the side to be seen."""
        return abs(self.yaw) <= IN_FRAME

    @property
    def camera(self) -> tuple[int, int]:
        """The camera's turn in this step: to the place, or to the right where it cannot be seen yet."""
        return self.straight if self.is_in_frame else (_clip(self.level), FASTEST)

    @property
    def straight(self) -> tuple[int, int]:
        """The camera's turn in this step to the place, wherever it is."""
        return _clip(self.pitch), _clip(self.yaw)

    @property
    def size(self) -> int:
        """The greater of the two turns, in degrees."""
        return max(abs(self.pitch), abs(self.yaw))


def aim_at(facts: dict[str, Any], place: Sequence[float], pitch: float | None = None) -> Aim:
    """Return the turn from where one looks to `place` [x, y, z], or to its side with the given pitch."""
    x, y, z = facts["position"]
    dx, dy, dz = place[0] - x, place[1] - (y + EYE_HEIGHT), place[2] - z
    down = -math.degrees(math.atan2(dy, math.hypot(dx, dz))) if pitch is None else pitch
    right = math.degrees(math.atan2(dx, dz)) - facts["yaw"]
    return turn_by(facts, on_grid(down - facts["pitch"]), on_grid((right + 180) % 360 - 180))


def turn_by(facts: dict[str, Any], pitch: int, yaw: int) -> Aim:
    """Return the turn by angles on the camera's grid."""
    return Aim(pitch=pitch, yaw=yaw, level=on_grid(SEARCH_PITCH - facts["pitch"]))


def reach_to(facts: dict[str, Any], place: Sequence[float]) -> float:
    """Return the distance from the eye to `place`, in nodes."""
    x, y, z = facts["position"]
    return math.dist((x, y + EYE_HEIGHT, z), place)


def _clip(angle: int) -> int:
    return max(-FASTEST, min(FASTEST, angle))
