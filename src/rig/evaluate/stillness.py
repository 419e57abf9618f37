"""Whether a dream stands still: whether it shows the frame that it began at, as far as pictures can tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rig.evaluate.images import psnr
from rig.records import Dream, Frame

_PATCH = 16
"""Pixels of a side of what is compared; what changes in a small part of a frame is not lost in its mean."""

_CHANGED, _EXACT = 6.0, 3.0
"""Levels, of 255, by which a patch that changed differs at the least, and one of a sharp dream at the most."""

_CLEARLY = 1.0
"""dB by which a blurred dream must be nearer to one of two frames than to the other."""


def stands_still(observed: Frame, dream: Dream) -> bool | None:
    """Return whether a dream shows `observed` again, None where that cannot be told.

    Of a sharp dream, most of which is as observed, every patch is looked at. One that is blurred all over differs
    everywhere; it is held against what really came, where that is known and is not `observed` itself, and stands still
    where it is clearly nearer to `observed`.
    """
    if dream.frame is None or dream.frame.shape != observed.shape:
        return None
    patches = _differences(observed, dream.frame)
    if np.median(patches) <= _EXACT:
        return bool(patches.max() <= _CHANGED)
    real = dream.real_frame
    if real is None or real.shape != observed.shape or _differences(observed, real).max() <= _CHANGED:
        return None
    nearer = float(psnr(dream.frame[None], observed[None])[0] - psnr(dream.frame[None], real[None])[0])
    return nearer > 0 if abs(nearer) >= _CLEARLY else None


def _differences(one: Frame, other: Frame) -> NDArray[np.float64]:
    """Return the mean difference of each patch of two frames of one shape, in levels; float64 [patches]."""
    difference = np.abs(one.astype(np.float64) - other).mean(axis=2)
    rows, columns = (np.arange(0, length, _PATCH) for length in difference.shape)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, axis=0), columns, axis=1)
    sizes = np.outer(np.diff([*rows, difference.shape[0]]), np.diff([*columns, difference.shape[1]]))
    return (sums / sizes).ravel()
