"""The mouse's cursor, drawn where a recording has left it out: an arrow of sixteen pixels in a frame of 360 lines."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rig.records import Frame

SIZE = 16
"""Height and width of the cursor where a frame has 360 lines, as the game draws it."""
LINES = 360


def draw_cursor(frame: Frame, x: int, y: int) -> None:
    """Draw a cursor into `frame`, its tip at column `x` and line `y`; what lies outside is left out."""
    height, width = frame.shape[:2]
    if not (0 <= x < width and 0 <= y < height):
        return
    inside, edge = _arrow(max(4, round(SIZE * height / LINES)))
    rows, columns = min(len(inside), height - y), min(len(inside), width - x)
    part = frame[y : y + rows, x : x + columns]
    part[edge[:rows, :columns]] = 0
    part[inside[:rows, :columns]] = 255


@lru_cache(maxsize=4)
def _arrow(size: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pixels of a square are inside an arrow that points up and left, and which are its edge.

    It is the wedge between the line straight down from the tip and one that falls steeply to the right, cut off below.
    """
    row, column = np.mgrid[:size, :size]
    arrow = (column <= row * 0.7) & (row + 0.6 * column <= 0.95 * size)
    padded = np.pad(arrow, 1)
    inside = arrow & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside, arrow & ~inside
