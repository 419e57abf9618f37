"""The frames of a recorded episode: one array, or numbered images in the order of their numbers; read one by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

from rig.data.decoding import read_image, refuse_size
from rig.data.packed import PackedArray
from rig.errors import DatasetError
from rig.lazy import HeldFrames, Lazy
from rig.records import Frame

PACKED = "frames.npz"
IMAGES = "frames"

_NUMBERED = re.compile(r"(.*?)([0-9]+)")


def open_frames(folder: Path) -> Lazy[Frame]:
    """Return an episode's frames, which are read when asked for: of images, each may be of another size.

    Raises:
        DatasetError: they are missing, or in no certain order, or an array is damaged. Where an image is, that is
            raised when it is asked for.
    """
    packed, images = folder / PACKED, numbered_images(folder / IMAGES)
    if packed.exists() == bool(images):
        which = "both" if images else "neither"
        raise DatasetError(f"{folder} has {which} of {PACKED} and {IMAGES}/*.png; give one of them")
    return _held(lambda number: read_image(images[number]), len(images)) if images else _packed(packed)


def numbered_images(folder: Path) -> list[Path]:
    """Return the images in `folder` by their numbers: `9.png` comes before `10.png`.

    Raises:
        DatasetError: a name has no number, names differ in more than their numbers, two have the same one, or one is
            missing between others; no order would be certain then.
    """
    files = [path for path in folder.glob("*") if not path.name.startswith(".") and path.stem[-1:].isdigit()]
    unnumbered = [path for path in folder.glob("*.png") if path not in files and not path.name.startswith(".")]
    strangers = [*unnumbered, *(path for path in files if path.suffix.lower() != ".png")]
    if strangers:
        raise DatasetError(
            f"{sorted(strangers)[0]} is no numbered frame; name them all 0.png, 1.png, ... and keep nothing else there"
        )
    found = [(_numbered(path), path) for path in files]
    found.sort(key=lambda item: item[0][1])
    for ((prefix, number), path), ((other, following), next_path) in pairwise(found):
        if prefix != other:
            raise DatasetError(f"{path} and {next_path.name} differ in more than a number; rename one kind of them")
        if following != number + 1:
            fault = "have the same number" if following == number else "leave numbers out"
            raise DatasetError(
                f"{path} and {next_path.name} {fault}, so no order of the frames is certain; number them one by one"
            )
    return [path for _, path in found]


def _numbered(path: Path) -> tuple[str, int]:
    match = _NUMBERED.fullmatch(path.stem)
    if match is None:
        raise DatasetError(f"{path} has no plain number; name the frames 0.png, 1.png, ...")
    return match[1], int(match[2])


def _packed(path: Path) -> Lazy[Frame]:
    found = PackedArray(path, "frames", np.uint8, 4, "save it with np.savez(path, frames=frames)")
    if found.shape[3] != 3:
        raise DatasetError(f"{path}: frames are uint8 {list(found.shape)}, and must be uint8 [T, H, W, 3]")
    refuse_size(path, found.shape[1], found.shape[2])
    return _held(found.row, len(found))


def _held(read: Callable[[int], Frame], count: int) -> Lazy[Frame]:
    """Return `count` frames that are read when asked for, each once while somebody holds it."""
    held = HeldFrames()
    return Lazy(lambda number: held.get(number, read), range(count))
