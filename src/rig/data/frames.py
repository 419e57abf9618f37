"""Frames on disk: each distinct frame of a shard once, losslessly.

A frames file is Parquet with one row per frame: `key`, a hash of the pixels, and `pixels`, the raw RGB bytes, in row
groups of a few megabytes, compressed by Parquet with zstd. Raw pixels under zstd rather than PNG files in a column:
on 2,270 distinct Crafter frames of 144x144 PNG takes 8.7 kB a frame, and this 6.2 kB, because zstd also sees the
frames before; it is written 3 times and read 2 to 5 times as fast (one core of a 2.5 GHz Xeon, Pillow 13, Arrow 26).
On screenshots of a voxel world the two are equally small. Any Parquet reader gives the pixels back without an image
library.

The same frame is stored once per shard: the frame after a step is the frame of the next step, and a world that did
not move shows the same frame again.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rig.data.problems import reading
from rig.errors import DatasetError
from rig.lazy import HeldFrames
from rig.records import Frame

GROUP_BYTES = 4 << 20
"""The pixels of one row group: the least that is read from disk for one frame."""

_KEY_BYTES = 16
_CACHED_GROUPS = 4
_RECENT = 4
"""How many frames are known by their identity, without a look at their pixels."""


class FrameWriter:
    """Writes one frames file; frames that are already in it are not written again, and none is held for long.

    Args:
        path: the file; the caller makes it final.
        size: (height, width) of every frame.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self._path, self._size = path, size
        self._schema = _schema(size)
        self._numbers: dict[bytes, int] = {}
        self._pending: list[tuple[bytes, Frame]] = []
        self._written = 0
        self._recent: deque[tuple[Frame, int]] = deque(maxlen=_RECENT)
        self._group = max(1, GROUP_BYTES // _frame_bytes(size))
        self._writer = self._begun()

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, frame: Frame) -> int:
        """Return the frame's number; a new frame is taken in, and `write` brings it to disk.

        Raises:
            DatasetError: it is not a uint8 RGB image of the dataset's size.
        """
        for held, number in self._recent:
            if held is frame:
                return number
        refuse_other_size(frame, self._size)
        key = hashlib.blake2b(np.ascontiguousarray(frame).data, digest_size=_KEY_BYTES).digest()
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self._pending.append((key, frame.copy()))
        if not frame.flags.writeable:  # what can be written to may be another frame by now
            self._recent.append((frame, self._numbers[key]))
        return self._numbers[key]

    def write(self) -> None:
        """Write out every full row group."""
        while len(self._pending) >= self._group:
            self._write(self._pending[: self._group])
            del self._pending[: self._group]

    def forget_from(self, count: int) -> None:
        """Take back every frame but the first `count`: the file will be as if the others had never been there."""
        self._recent.clear()
        for key in list(self._numbers)[count:]:
            del self._numbers[key]
        if count >= self._written:
            del self._pending[count - self._written :]
        else:
            self._rewrite(count)

    def close(self) -> None:
        """Write what is pending, and the file's footer."""
        self.write()
        if self._pending:
            self._write(self._pending)
            self._pending = []
        self._writer.close()

    def abandon(self) -> None:
        """Close the file without caring whether it is whole: it is about to be removed."""
        self._pending = []
        with suppress(OSError, pa.ArrowException):
            self._writer.close()

    def _begun(self) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=False,
        )

    def _rewrite(self, count: int) -> None:
        """Write the file anew with its first `count` frames: a Parquet file takes no row back."""
        self._writer.close()
        old = self._path.with_name(f"old-{self._path.name}")
        os.replace(self._path, old)
        self._writer, self._pending, self._written = self._begun(), [], 0
        reader, keys = FrameReader(old, self._size), list(self._numbers)
        for start in range(0, count, self._group):
            numbers = range(start, min(start + self._group, count))
            self._pending = [(keys[number], reader.frame(number)) for number in numbers]
            self.write()
        reader.close()
        old.unlink()

    def _write(self, pending: Sequence[tuple[bytes, Frame]]) -> None:
        block = np.stack([frame for _, frame in pending])
        kind = self._schema.field("pixels").type
        pixels = pa.FixedSizeBinaryArray.from_buffers(kind, len(block), [None, pa.py_buffer(block)])
        keys = pa.array([key for key, _ in pending], self._schema.field("key").type)
        self._writer.write_table(pa.Table.from_arrays([keys, pixels], schema=self._schema), row_group_size=len(block))
        self._written += len(pending)


def refuse_other_size(frame: Frame, size: tuple[int, int]) -> None:
    """Raise where `frame` is no frame of a dataset of this `size`.

    Raises:
        DatasetError: it is not a uint8 RGB image of (height, width) = `size`.
    """
    if frame.shape != (*size, 3) or frame.dtype != np.uint8:
        raise DatasetError(
            f"a frame is {frame.dtype} {list(frame.shape)} and the dataset holds uint8 {[*size, 3]}; "
            f"resize it first, as `rig import --frame-size {size[0]} {size[1]}` does, or give the dataset another "
            f"frame_size"
        )


class FrameReader:
    """Reads one frames file by number, a row group at a time.

    Raises:
        DatasetError: the file cannot be read, or holds frames of another size.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path = path
        self.size = size
        with reading(path):
            self._file = pq.ParquetFile(path)
            found = self._file.schema_arrow
        if not found.equals(_schema(size), check_metadata=True):
            raise DatasetError(f"{path} does not hold frames of {size[0]}x{size[1]}; it is not this dataset's file")
        rows = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._starts = np.cumsum([0, *rows])
        self._blocks: dict[int, NDArray[np.uint8]] = {}
        self._held = HeldFrames()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def keys(self) -> list[bytes]:
        """Return the key of every frame, by number; frames with the same pixels have the same key."""
        with reading(self.path):
            return self._file.read(columns=["key"]).column("key").to_pylist()

    def read(self, numbers: Sequence[int], into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Return the frames with these ascending numbers, uint8 [len(numbers), H, W, 3], in `into` where given."""
        wanted = np.asarray(numbers, dtype=np.int64)
        assert (np.diff(wanted) > 0).all()
        frames = np.empty((len(wanted), *self.size, 3), np.uint8) if into is None else into
        groups = np.searchsorted(self._starts, wanted, side="right") - 1
        for group in np.unique(groups):
            chosen = np.flatnonzero(groups == group)
            places = wanted[chosen] - self._starts[group]
            np.take(self._block(int(group)), places, axis=0, out=frames[chosen[0] : chosen[-1] + 1], mode="clip")
        return frames

    def frame(self, number: int) -> Frame:
        """Return one frame, read-only and apart from its neighbours; while somebody holds it, it is not read again."""
        return self._held.get(number, self._read_one)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read_one(self, number: int) -> Frame:
        group = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._block(group)[number - self._starts[group]].copy()

    def _block(self, group: int) -> NDArray[np.uint8]:
        """Return the frames of one row group; the last few are kept, for neighbours often share one."""
        if group not in self._blocks:
            if len(self._blocks) == _CACHED_GROUPS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[group] = self._read_block(group)
        return self._blocks[group]

    def _read_block(self, group: int) -> NDArray[np.uint8]:
        with reading(self.path):
            table = self._file.read_row_group(group, columns=["pixels"], use_threads=False)
            pixels = table.column("pixels").combine_chunks()
            flat = np.frombuffer(pixels.buffers()[1], np.uint8)
            return flat[pixels.offset * pixels.type.byte_width :].reshape(-1, *self.size, 3)[: len(pixels)]


def _schema(size: tuple[int, int]) -> pa.Schema:
    return pa.schema(
        [pa.field("key", pa.binary(_KEY_BYTES), False), pa.field("pixels", pa.binary(_frame_bytes(size)), False)],
        metadata={"shape": f"{size[0]}x{size[1]}x3"},
    )


def _frame_bytes(size: tuple[int, int]) -> int:
    return size[0] * size[1] * 3
