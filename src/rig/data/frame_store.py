"""All frames of datasets for training: loaded once, each distinct one once, addressed by row.

They lie in memory, or uncompressed in a file that is mapped into it: the processes of a machine then share one copy,
and the system keeps as much of it in memory as there is room for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.data.dataset import Dataset
from rig.data.decoding import decoding
from rig.data.frames import FrameReader
from rig.data.manifest import PIXELS_FOLDER
from rig.errors import DatasetError
from rig.machine import usable_memory
from rig.storage import LOCK_NAME, Lock, atomic_file, remove_unfinished

_NAME_LENGTH = 16
_PIECE = 64
_SHARE = 0.5
"""The share of a machine's memory that frames may take; more of them are mapped."""


class FrameStore:
    """All frames that the steps of some datasets mention, each distinct one once.

    Attributes:
        frames: uint8 [F, H, W, 3].
    """

    def __init__(self, frames: NDArray[np.uint8], rows: dict[str, NDArray[np.int32]]) -> None:
        self.frames = frames
        self._rows = rows

    def __len__(self) -> int:
        return len(self.frames)

    def rows(self, shard: str, numbers: Sequence[int] | NDArray) -> NDArray[np.int32]:
        """Return where the frames with these numbers of a shard's frames file stand in `frames`.

        Args:
            shard: the hash of the frames file.
            numbers: what the columns `frame`, `next_frame` and those of dreams hold.

        Raises:
            DatasetError: a frame was not loaded; the bank was made for a smaller part of the dataset.
        """
        rows = self._rows.get(shard, np.empty(0, np.int32))
        wanted = np.asarray(numbers, dtype=np.int64)
        if len(wanted) and (wanted.max() >= len(rows) or (rows[wanted] < 0).any()):
            raise DatasetError(f"shard {shard[:12]} has frames that are not in this bank; load_frames what is read")
        return rows[wanted]


def load_frames(*datasets: Dataset, shared: bool = False, progress: bool = True) -> FrameStore:
    """Return the frames of `datasets` (parts of them, where they are filtered), each distinct one once.

    60,000 frames of 144x144 take 3.7 GB. `dataset.with_frames(store)` then reads steps whose frames are views into the
    bank. Datasets that show the same frames (thoughts about a recording, and descriptions of it) share them there.

    Args:
        datasets: the datasets.
        shared: map the frames from a file beside the first dataset, which processes share; the first of them writes it.
            More frames than fit half of the machine's memory are mapped in any case.
        progress: whether to show a progress bar.

    Raises:
        DatasetError: a file cannot be read, or the datasets' frames have different sizes.
        RigError: the disk is full.
    """
    size = datasets[0].info.frame_size
    for dataset in datasets:
        if dataset.info.frame_size != size:
            raise DatasetError(
                f"{datasets[0].path} has frames of {size} and {dataset.path} of {dataset.info.frame_size} pixels; "
                f"use datasets of one size"
            )
    shown = _Shown(datasets, progress)
    shape = (len(shown.keys), *size, 3)
    if shared or math.prod(shape) > _SHARE * usable_memory():
        return FrameStore(_mapped(datasets[0].path / PIXELS_FOLDER, shown, shape), shown.rows)
    return FrameStore(_read(shown, shape), shown.rows)


class _Shown:
    """Which frames some datasets show, and where each stands among the distinct ones.

    Attributes:
        keys: of every distinct frame, in their order.
        rows: for each shard, by the hash of its frames file, where its frames stand; -1 for those not shown.
    """

    def __init__(self, datasets: Sequence[Dataset], progress: bool) -> None:
        places: dict[bytes, int] = {}
        self.rows: dict[str, NDArray[np.int32]] = {}
        self._shards = [(dataset, *shard) for dataset in datasets for shard in dataset.shard_frames()]
        self._progress = progress
        for dataset, reader, numbers in self._shards:
            row = self.rows.setdefault(reader.frames_hash, np.full(reader.shard.frames, -1, np.int32))
            with dataset.skipping(str(reader.frames_path)):
                keys = reader.open_frames().keys()
                row[numbers] = [places.setdefault(keys[number], len(places)) for number in numbers]
        self.keys = list(places)

    def blocks(self) -> Iterator[tuple[int, FrameReader, list[int]]]:
        """Yield the distinct frames: the place of the next one, and the numbers of those that follow in a file."""
        filled = 0
        with tqdm(total=len(self.keys), desc="frames", unit="frame", disable=not self._progress) as bar:
            for _, reader, numbers in self._shards:
                row = self.rows[reader.frames_hash]
                new = [number for number in numbers if row[number] >= filled]
                if new:
                    yield filled, reader.open_frames(), new
                filled += len(new)
                bar.update(len(new))


def _read(shown: _Shown, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the frames in memory."""
    frames = np.empty(shape, np.uint8)
    for place, reader, numbers in shown.blocks():
        reader.read(numbers, into=frames[place : place + len(numbers)])
    return frames


def _mapped(folder: Path, shown: _Shown, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the frames in a file, which is written unless it is there; its name follows from what is in it."""
    path = folder / f"{hashlib.sha256(repr(shape).encode() + b''.join(shown.keys)).hexdigest()[:_NAME_LENGTH]}.npy"
    with Lock(folder / LOCK_NAME, wait=True):
        if not path.exists():
            remove_unfinished(folder)
            _write(path, shown, shape)
    with decoding(path, "delete it, and it is made again"):
        frames = np.load(path, mmap_mode="r").view(np.ndarray)
        if frames.shape != shape or frames.dtype != np.uint8:
            raise ValueError(f"it holds {frames.dtype} {list(frames.shape)}, and not uint8 {list(shape)}")
    return frames


def _write(path: Path, shown: _Shown, shape: tuple[int, ...]) -> None:
    """Write the frames to a file, piece by piece: a full disk kills who writes to a file through its mapping."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for _, reader, numbers in shown.blocks():
            for start in range(0, len(numbers), _PIECE):
                file.write(reader.read(numbers[start : start + _PIECE]).data)
