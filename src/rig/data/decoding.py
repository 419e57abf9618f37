"""Bytes that others wrote, decoded: whatever a decoder says of them becomes one error that names the file.

A decoder may raise anything on damaged bytes: zlib.error, RecursionError, struct.error, what Arrow has. No list of
those is complete, so `decoding` takes every exception. What a file claims to hold is looked at before room is made
for it: an image of 30,000 x 30,000 pixels, or an array of terabytes, is refused by its header.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rig.errors import DatasetError, RigError
from rig.records import Frame

MAX_SIDE = 8192
"""The largest height and width of a frame, in pixels."""

MAX_ARRAY_BYTES = 8 << 30
"""The largest array that is read from an `.npz` file: the frames of an episode."""


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


def read_arrays(path: Path, wanted: Mapping[str, tuple[type, int]], fix: str) -> dict[str, NDArray]:
    """Return arrays of an `.npz` file, once its headers say that they are what is wanted.

    Args:
        path: the file.
        wanted: type and number of dimensions of each array, by its name.
        fix: what to do where it cannot be read.

    Raises:
        DatasetError: the file is damaged, or lacks an array, or one is of another type or shape, is larger than
            `MAX_ARRAY_BYTES`, or than what is stored of it.
    """
    with decoding(path, fix):
        with zipfile.ZipFile(path) as archive:
            for name, (kind, dimensions) in wanted.items():
                _check_header(archive, path, name, np.dtype(kind), dimensions)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in wanted}


def _check_header(archive: zipfile.ZipFile, path: Path, name: str, kind: np.dtype, dimensions: int) -> None:
    entries = {entry.filename: entry for entry in archive.infolist()}
    if f"{name}.npy" not in entries:
        raise DatasetError(f"{path} has no array {name!r} (it has {', '.join(sorted(entries)) or 'none'})")
    entry = entries[f"{name}.npy"]
    with archive.open(entry) as file:
        shape, dtype = _read_header(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype != kind or len(shape) != dimensions or dtype.hasobject:
            raise DatasetError(
                f"{path}: {name} are {dtype} {list(shape)}, and must be {kind} of {dimensions} dimensions"
            )
        if size > MAX_ARRAY_BYTES:
            raise DatasetError(
                f"{path}: {name} claims {size / 2**30:.0f} GiB, and {MAX_ARRAY_BYTES >> 30} GiB are the most; split it"
            )
        if size != entry.file_size - file.tell():
            raise DatasetError(f"{path}: {name} claims {size} bytes, and holds {entry.file_size - file.tell()}")


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return the shape and type that the header of an array says."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype
