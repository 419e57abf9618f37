"""Frames of any size brought to the square that a network reads, as Janus' own image processor does it.

The longest side becomes the square's, by Pillow's bicubic filter; what the shorter one leaves is filled evenly with the
colour that stands for zero.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from rig.errors import RigError
from rig.records import Frame

BACKGROUND = 127
"""Half of 255, cut to a whole number: the mean that pixels are normalised by."""

SHORTEST = 14
"""Pixels that no side of a resized frame falls below, however long and thin the frame."""


def fit_frame(frame: Frame, size: int) -> Frame:
    """Return a frame, uint8 [H, W, 3], as uint8 [size, size, 3]: itself where it is so large already.

    Raises:
        RigError: it is no frame.
    """
    if frame.shape == (size, size, 3):
        return frame
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise RigError(f"a frame is uint8 [height, width, 3]; this one is {frame.dtype} {list(frame.shape)}")
    scale = size / max(frame.shape[:2])
    height, width = (max(round(side * scale), min(SHORTEST, size)) for side in frame.shape[:2])
    resized = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
    fitted = np.full((size, size, 3), BACKGROUND, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    fitted[top : top + height, left : left + width] = resized
    return fitted
