"""Where a dream and what really comes part: the cells that look otherwise, the codes that differ, and the pixels.

The dream is held against what the tokenizer makes of the real frame: what no dream could show is not held against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rig.records import Codes, Frame

UNLIKE = 32
"""Levels of 255 by which a pixel differs in a channel that is of another colour."""

OTHERWISE = 16.0
"""Levels of 255 by which a cell differs on average that looks otherwise. In Crafter, over 48 dreamed frames of the
shipped agent, each of the 546 cells that the world's reader reads as something else is above this, and each of the
3,342 that it reads as the same below."""

APART = 0.1
"""The share of cells that look otherwise above which a dream is said to have parted from what comes."""


@dataclass(frozen=True, kw_only=True)
class Parting:
    """How far a dream is from what really comes.

    Attributes:
        cells: those that look otherwise, each the place of a code in raster order.
        looks: their share of all.
        codes: the share of codes that differ, of which many look alike.
        pixels: the share of pixels that are of another colour.
    """

    cells: list[int]
    looks: float
    codes: float
    pixels: float

    @property
    def is_apart(self) -> bool:
        """Whether that is more than a few cells."""
        return self.looks > APART


def parting_of(dreamed: Frame, dreamed_codes: Codes, real: Frame, real_codes: Codes) -> Parting:
    """Return how far a dream is from what really comes.

    Args:
        dreamed: uint8 [size, size, 3].
        dreamed_codes: uint16 [grid²], of which it was drawn.
        real: uint8 [size, size, 3], what the tokenizer draws of `real_codes`.
        real_codes: uint16 [grid²], what it makes of the real frame.
    """
    difference = np.abs(dreamed.astype(np.int16) - real)
    looks = _by_cell(difference, round(len(real_codes) ** 0.5)) > OTHERWISE
    return Parting(
        cells=np.flatnonzero(looks).tolist(),
        looks=float(looks.mean()),
        codes=float((dreamed_codes != real_codes).mean()),
        pixels=float((difference > UNLIKE).any(-1).mean()),
    )


def _by_cell(difference: np.ndarray, grid: int) -> np.ndarray:
    """Return the mean difference of each of grid x grid cells, float64 [grid, grid]."""
    edges = np.linspace(0, len(difference), grid, endpoint=False).round().astype(int)
    rows = np.add.reduceat(difference.mean(-1), edges, axis=0)
    sums: np.ndarray = np.add.reduceat(rows, edges, axis=1)
    sizes = np.diff([*edges, len(difference)])
    return sums / np.outer(sizes, sizes)
