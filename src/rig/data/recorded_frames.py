"""The frames of a recorded episode: one array, or numbered images in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from rig.data.decoding import read_arrays, read_image, refuse_size
from rig.errors import DatasetError
from rig.records import Frame

PACKED = "frames.npz"
IMAGES = "frames"

_NUMBERED = re.compile(r"(.*?)([0-9]+)")


def read_frames(folder: Path) -> list[Frame]:
    """Return an episode's frames, all of one size.

    Raises:
        DatasetError: they are missing, damaged, of different sizes, or in no certain order.
    """
    packed, images = folder / PACKED, numbered_images(folder / IMAGES)
    if packed.exists() == bool(images):
        which = "both" if images else "neither"
        raise DatasetError(f"{folder} has {which} of {PACKED} and {IMAGES}/*.png; give one of them")
    return _read_images(images) if images else _read_packed(packed)


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


def _read_images(paths: Sequence[Path]) -> list[Frame]:
    frames = [read_image(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise DatasetError(f"{path} is {frame.shape[:2]} and {paths[0]} {frames[0].shape[:2]}; resize one of them")
    return frames


def _read_packed(path: Path) -> list[Frame]:
    found = read_arrays(path, {"frames": (np.uint8, 4)}, "save it with np.savez(path, frames=frames)")["frames"]
    if found.shape[3] != 3:
        raise DatasetError(f"{path}: frames are uint8 {list(found.shape)}, and must be uint8 [T, H, W, 3]")
    refuse_size(path, found.shape[1], found.shape[2])
    return list(found)
