"""How a Minetest world looks and how patient its keeper is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from rig.validation import Meta, check_fields

TICK_SECONDS = 0.05
"""Game time of one step: 20 Hz, as in MineRL."""

READABLE = (640, 360)
"""Width and height below which the engine's heads-up display and its menus cannot be read."""

Pixels = Annotated[int, Meta(ge=16, le=1920)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]

Mapgen = Literal["carpathian", "flat", "fractal", "singlenode", "v5", "v6", "v7", "valleys"]
"""The engine's world generators; it takes its own default for a name that it does not know."""

Point = tuple[float, float, float]
"""x, y, z in nodes; y is up. A player stands on the node below it at half a node above that node's middle."""


@dataclass(frozen=True, kw_only=True)
class MinetestConfig:
    """A world of the stock engine.

    Attributes:
        width: of the observed frame, in pixels.
        height: of the observed frame, in pixels.
        view_range: how far one sees, in nodes; 16 to 1000.
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

    width: Pixels = 640
    height: Pixels = 360
    display_width: Pixels = READABLE[0]
    display_height: Pixels = READABLE[1]
    view_range: Annotated[int, Meta(ge=16, le=1000)] = 40
    field_of_view: Annotated[float, Meta(ge=45, le=160)] = 70.0
    cursor_pixels_per_degree: Annotated[float, Meta(gt=0, le=100)] = 2.0
    nearby_radius: Annotated[int, Meta(ge=0, le=16)] = 0
    view_cells: Annotated[int, Meta(ge=0, le=32)] = 0
    mapgen: Mapgen = "v7"
    start_timeout: Seconds = 60.0
    step_timeout: Seconds = 60.0
    attempts: Annotated[int, Meta(ge=1, le=100)] = 3

    def __post_init__(self) -> None:
        check_fields(self)

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
