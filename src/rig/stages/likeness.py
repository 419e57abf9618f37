"""Perceptual hashes of frames: what looks nearly the same has nearly the same bits.

A frame is averaged over 16 x 17 and 17 x 16 areas; a bit says whether an area is brighter than the one before it in its
row, or above it in its column. So brightness, a few pixels and video compression change few of the 512 bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rig.stages.reshaping_config import HASH_BITS

_SIDE = 16
_MARGIN = 2.0
"""By how much of 255 an area is to be brighter: noise and rounding on an even ground then change no bit."""

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
WORDS = HASH_BITS // 64


def perceptual_hashes(frames: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hash of each of some frames, uint64 [B, 8].

    Args:
        frames: uint8 [B, H, W, 3], of any size.
    """
    grey = frames.astype(np.float32) @ _LUMINANCE
    rows, columns = _averaged(grey, _SIDE, _SIDE + 1), _averaged(grey, _SIDE + 1, _SIDE)
    across, down = np.diff(rows, axis=2) > _MARGIN, np.diff(columns, axis=1) > _MARGIN
    bits = np.concatenate([across.reshape(len(frames), -1), down.reshape(len(frames), -1)], axis=1)
    return np.packbits(bits, axis=1).view(np.uint64)


def differing_bits(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return in how many bits hashes differ, int64 [...]; both are uint64 [..., 8], and broadcast."""
    return np.bitwise_count(some ^ others).sum(axis=-1, dtype=np.int64)


def _averaged(grey: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return the means of `height` x `width` areas, float32 [B, height, width]; `grey` is [B, H, W]."""
    for axis, count in ((1, height), (2, width)):
        edges = np.linspace(0, grey.shape[axis], count + 1).astype(np.int64)
        sizes = np.maximum(1, np.diff(edges)).astype(np.float32)
        sums = np.add.reduceat(grey, edges[:-1], axis=axis)
        grey = np.divide(sums, sizes[:, None] if axis == 1 else sizes, dtype=np.float32)
    return grey
