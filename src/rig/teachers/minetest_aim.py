"""Where the player of Minetest looks, and the camera's steps that bring the crosshair onto a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EYE_HEIGHT = 1.625
GRID = 5
FASTEST = 30
"""Degrees that the camera turns in a step, at the most: what is passed can be seen."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """The turn that is left to a place.

    Attributes:
        pitch: degrees down, on the camera's grid.
        yaw: degrees to the right, on the camera's grid.
        distance: from the eye, in nodes.
    """

    pitch: int
    yaw: int
    distance: float

    @property
    def is_done(self) -> bool:
        """Whether no step of the camera would come nearer."""
        return (self.pitch, self.yaw) == (0, 0)

    @property
    def camera(self) -> tuple[int, int]:
        """The camera's turn in this step."""
        return _clip(self.pitch), _clip(self.yaw)

    @property
    def size(self) -> int:
        """The greater of the two turns, in degrees."""
        return max(abs(self.pitch), abs(self.yaw))


def aim_at(facts: dict[str, Any], place: Sequence[float], pitch: float | None = None) -> Aim:
    """Return the turn from where one looks to `place` [x, y, z], or to its side with the given pitch."""
    x, y, z = facts["position"]
    dx, dy, dz = place[0] - x, place[1] - (y + EYE_HEIGHT), place[2] - z
    across = math.hypot(dx, dz)
    down = -math.degrees(math.atan2(dy, across)) if pitch is None else pitch
    right = math.degrees(math.atan2(dx, dz)) - facts["yaw"]
    return Aim(
        pitch=_on_grid(down - facts["pitch"]),
        yaw=_on_grid((right + 180) % 360 - 180),
        distance=math.hypot(across, dy),
    )


def _on_grid(angle: float) -> int:
    return GRID * round(angle / GRID)


def _clip(angle: int) -> int:
    return max(-FASTEST, min(FASTEST, angle))
