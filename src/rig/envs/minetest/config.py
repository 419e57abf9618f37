"""How a Minetest world looks and how patient its keeper is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rig.errors import RigError

TICK_SECONDS = 0.05
"""Game time of one step: 20 Hz, as in MineRL."""

READABLE = (640, 360)
"""Width and height below which the engine's heads-up display and its menus cannot be read."""

_LEAST, _MOST = 16, 1920

Point = tuple[float, float, float]
"""x, y, z in nodes; y is up. A player stands on the node below it at half a node above that node's middle."""


@dataclass(frozen=True, kw_only=True)
class MinetestConfig:
    """A world of the stock engine.

    Attributes:
        width: of the observed frame, in pixels.
        height: of the observed frame, in pixels.
        view_range: how far one sees, in nodes.
        field_of_view: vertical, in degrees; 70 as in MineRL.
        display_width: that the engine draws at, at the least. Below 640 × 360 its menus cannot be read, hotbar and
            hearts are left out, and small frames take less time.
        display_height: likewise.
        cursor_pixels_per_degree: how far the camera's degrees move the cursor while a menu is open, in pixels of what
            is drawn.
        nearby_radius: nodes within so many of the player go into the privileged state; 0 leaves them out.
        view_cells: rows and columns of cells of the frame for each of which the privileged state tells what is seen
            there; 0 leaves them out.
        mapgen: the engine's world generator.
        start_timeout: seconds for an engine to start and to generate its first surroundings.
        step_timeout: seconds for one tick.
        attempts: starts that are tried before the failure is reported.
    """

    width: int = 640
    height: int = 360
    display_width: int = READABLE[0]
    display_height: int = READABLE[1]
    view_range: int = 40
    field_of_view: float = 70.0
    cursor_pixels_per_degree: float = 2.0
    nearby_radius: int = 0
    view_cells: int = 0
    mapgen: str = "v7"
    start_timeout: float = 60.0
    step_timeout: float = 60.0
    attempts: int = 3

    def __post_init__(self) -> None:
        for name in ("width", "height", "display_width", "display_height"):
            value = getattr(self, name)
            if not _LEAST <= value <= _MOST:
                raise RigError(f"MinetestConfig.{name} is {value}; give {_LEAST} to {_MOST} pixels")
        if not 45 <= self.field_of_view <= 160:
            raise RigError(f"MinetestConfig.field_of_view is {self.field_of_view}; the engine takes 45 to 160 degrees")
        if not 0 <= self.nearby_radius <= 16:
            raise RigError(f"MinetestConfig.nearby_radius is {self.nearby_radius}; give 0 to 16 nodes")
        if not 0 <= self.view_cells <= 32:
            raise RigError(f"MinetestConfig.view_cells is {self.view_cells}; give 0 to 32 rows and columns")
        if self.attempts < 1:
            raise RigError(f"MinetestConfig.attempts is {self.attempts}; at least one start must be tried")

    @property
    def drawn(self) -> tuple[int, int]:
        """Width and height that the engine draws at; what is observed is shrunk from it by area."""
        return max(self.width, self.display_width), max(self.height, self.display_height)

    @property
    def is_readable(self) -> bool:
        """Whether hotbar, hearts and menus are drawn large enough to be told."""
        return all(size >= least for size, least in zip(self.drawn, READABLE, strict=True))

    @property
    def drawn_view(self) -> tuple[float, float]:
        """Horizontal and vertical field of view of what is drawn, in degrees.

        The engine widens the vertical one in windows narrower than 16:10.
        """
        width, height = self.drawn
        vertical = self.field_of_view * min(max(math.sqrt(1.6 * height / width), 1.0), 1.4)
        return math.degrees(2 * math.atan(math.tan(math.radians(vertical) / 2) * width / height)), vertical

    @property
    def undersampling(self) -> int:
        """How many times coarser the world may be drawn than the display on top, and still as fine as observed."""
        width, height = self.drawn
        return max(1, min(8, width // self.width, height // self.height))
