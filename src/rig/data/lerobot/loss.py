"""What a video loses of its frames, as PSNR: ten times the logarithm of 255² over the mean squared difference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rig.records import Frame


class VideoLoss:
    """Of many frames, each against what became of it.

    Attributes:
        frames: how many were compared.
        exact: how many of them came back as they were; they have no PSNR.
    """

    def __init__(self) -> None:
        self.frames = self.exact = 0
        self._sum, self._lowest = 0.0, math.inf

    def add(self, wanted: Frame, found: Frame) -> None:
        """Compare a frame."""
        error = float(np.square(wanted.astype(np.int32) - found).mean())
        self.frames += 1
        if not error:
            self.exact += 1
            return
        psnr = 10 * math.log10(255**2 / error)
        self._sum += psnr
        self._lowest = min(self._lowest, psnr)

    def to_json(self) -> dict[str, Any]:
        """Return the mean and the lowest PSNR in dB, None where every frame is exact, and the counts."""
        lossy = self.frames - self.exact
        psnr = {"mean": round(self._sum / lossy, 2), "lowest": round(self._lowest, 2)} if lossy else None
        return {"frames": self.frames, "exact": self.exact, "psnr": psnr}
