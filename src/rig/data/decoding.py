"""Bytes that others wrote, decoded: whatever a decoder says of them becomes one error that names the file.

A decoder may raise anything on damaged bytes: zlib.error, RecursionError, struct.error, what Arrow has. No list of
those is complete, so `decoding` takes every exception. What a file claims to hold is looked at before room is made
for it: an image of 30,000 x 30,000 pixels, or an array of terabytes, is refused by its header.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from rig.errors import DatasetError, RigError
from rig.records import Frame

MAX_SIDE = 8192
"""The largest height and width of a frame, in pixels."""


@contextmanager
def decoding(place: object, fix: str) -> Iterator[None]:
    """Turn whatever is raised where the bytes of `place` are decoded into a DatasetError with the fix.

    Raises:
        DatasetError: anything but a RigError was raised within the block.
    """
    try:
        yield
    except RigError:
        raise
    except Exception as error:
        told = str(error) or type(error).__name__
        raise DatasetError(f"{place} cannot be read ({told[:200]}); {fix}") from error


def read_image(path: Path) -> Frame:
    """Return the RGB image in a PNG file, uint8 [H, W, 3].

    Raises:
        DatasetError: it is no PNG, is damaged, is not RGB, or is larger than `MAX_SIDE`.
    """
    with warnings.catch_warnings(), decoding(path, "write it again as a PNG of 8-bit RGB"):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is looked at here
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode != "RGB":
                raise DatasetError(f"{path} is of mode {image.mode}; convert it to 8-bit RGB")
            refuse_size(path, image.height, image.width)
            return np.array(image)


def refuse_size(place: object, height: int, width: int) -> None:
    """Raise where frames of this size are none.

    Raises:
        DatasetError: a side is 0, or longer than `MAX_SIDE`.
    """
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise DatasetError(f"{place} is {height} x {width}; a frame has 1 to {MAX_SIDE} pixels a side: resize it")
