"""Where a dream and what really comes part: which codes of the image differ, and how many of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rig.model.fit import unfit_frame
from rig.records import Codes, Frame

UNLIKE = 32
"""Levels of 255 by which a pixel differs in a channel that is another colour to the eye."""

APART = 0.1
"""The share of codes that differ above which a dream is said to have parted from what comes."""


@dataclass(frozen=True, kw_only=True)
class Parting:
    """How far a dream is from what really comes.

    Attributes:
        cells: the codes that differ, by their places in raster order.
        codes: their share of all.
        pixels: the share of pixels that are of another colour.
    """

    cells: list[int]
    codes: float
    pixels: float

    @property
    def is_apart(self) -> bool:
        """Whether that is more than a few cells."""
        return self.codes > APART


def parting_of(dreamed: Frame, dreamed_codes: Codes, real: Frame, real_codes: Codes) -> Parting:
    """Return how far a dream is from what really comes.

    Args:
        dreamed: uint8 [size, size, 3].
        dreamed_codes: uint16 [write_tokens], of which it was drawn.
        real: uint8 [H, W, 3].
        real_codes: uint16 [write_tokens], what the same tokenizer makes of it.
    """
    cells = np.flatnonzero(dreamed_codes != real_codes)
    beside = unfit_frame(dreamed, *real.shape[:2]).astype(np.int16)
    unlike = (np.abs(beside - real) > UNLIKE).any(-1)
    return Parting(cells=cells.tolist(), codes=len(cells) / len(real_codes), pixels=float(unlike.mean()))
