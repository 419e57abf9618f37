"""Frames of any size brought to the square that a network reads, as Janus' own image processor does it, and back.

The longest side becomes the square's, by Pillow's bicubic filter; what the shorter one leaves is filled evenly with the
colour that stands for zero. A rectangle is filled alike.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from rig.errors import RigError
from rig.records import Frame
from rig.validation import shown

BACKGROUND = 127
"""Half of 255, cut to a whole number: the mean that pixels are normalised by."""

SHORTEST = 14
"""Pixels that no side of a resized frame falls below, however long and thin the frame."""


def fit_frame(frame: Frame, size: int) -> Frame:
    """Return a frame, uint8 [H, W, 3], as uint8 [size, size, 3]: itself where it is so large already.

    Raises:
        RigError: it is no frame.
    """
    return fit_within(frame, size, size)


def refuse_no_frame(frame: object) -> None:
    """Raise RigError unless `frame` is uint8 [height, width, 3]."""
    if not isinstance(frame, np.ndarray):
        raise RigError(f"a frame is an array, uint8 [height, width, 3]; this is {shown(frame)}")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or not frame.size:
        raise RigError(f"a frame is uint8 [height, width, 3]; this one is {frame.dtype} {list(frame.shape)}")


def fit_within(frame: Frame, height: int, width: int) -> Frame:
    """Return a frame, uint8 [H, W, 3], as uint8 [height, width, 3], its proportions kept: itself where it is so large.

    Raises:
        RigError: it is no frame.
    """
    refuse_no_frame(frame)
    if frame.shape == (height, width, 3):
        return frame
    rows, columns = _place(frame.shape[0], frame.shape[1], height, width)
    fitted = np.full((height, width, 3), BACKGROUND, np.uint8)
    fitted[rows, columns] = _resized(frame, rows.stop - rows.start, columns.stop - columns.start)
    return fitted


def unfit_frame(frame: Frame, height: int, width: int) -> Frame:
    """Return a square frame as uint8 [height, width, 3]: what stands where `fit_frame` puts frames of that size.

    So are dreams, which a network writes as large as it reads frames, laid beside the frames of a world.
    """
    if frame.shape == (height, width, 3):
        return frame
    return _resized(frame[_place(height, width, frame.shape[0], frame.shape[0])], height, width)


def _place(height: int, width: int, rows: int, columns: int) -> tuple[slice, slice]:
    """Return which of `rows` and `columns` a frame of `height` by `width` pixels takes."""
    scale = min(rows / height, columns / width)
    return _middle(height * scale, rows), _middle(width * scale, columns)


def _middle(side: float, whole: int) -> slice:
    """Return the middle of `whole` pixels that a side takes which is to be `side` long."""
    taken = max(round(side), min(SHORTEST, whole))
    return slice((whole - taken) // 2, (whole - taken) // 2 + taken)


def _resized(frame: Frame, height: int, width: int) -> Frame:
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
