"""Reading one shard: its index of trajectories, its columns, and its rows with their images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rig.data.frames import FrameReader
from rig.data.manifest import SHARD_FOLDER, DatasetInfo, Shard, ShardFile
from rig.data.problems import RESTORE, altered, damaged, reading
from rig.data.row_reading import (
    Images,
    coded_numbers,
    decode_rows,
    frame_numbers,
    pixel_numbers,
    rows_of,
    with_pixels,
)
from rig.data.rows import CANDIDATES, EARLIER, SCHEMA, Row
from rig.errors import DatasetError
from rig.lazy import lazily
from rig.records import Codes, Frame, Trajectory
from rig.storage import sha256_file

_BLANK = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One trajectory of a dataset, as its index knows it.

    Attributes:
        id: the trajectory's id.
        shard: number of its shard in the manifest.
        start: its first row in the shard.
        stop: the row after its last.
        task: its task.
        setting: its setting.
        stage: the stage in its lineage.
        success: whether its task's test was met.
    """

    id: str
    shard: int
    start: int
    stop: int
    task: str
    setting: str
    stage: str
    success: bool


class CodeSource(Protocol):
    """Where VQ codes of stored frames come from: a `CodesCache`."""

    tokenizer_hash: str

    def lookup(self, shard: Shard, numbers: Sequence[int]) -> Mapping[int, Codes]:
        """Return the codes of the frames with these numbers, or raise DatasetError where one is not there."""


class FrameSource(Protocol):
    """Where pixels of stored frames come from, other than the frames file: a `FrameStore`.

    Attributes:
        frames: uint8 [F, H, W, 3].
    """

    frames: NDArray[np.uint8]

    def rows(self, shard: str, numbers: Sequence[int]) -> NDArray[np.int32]:
        """Return where the frames with these numbers of the frames file with the hash `shard` stand in `frames`."""


class ShardReader:
    """One shard of a dataset.

    Args:
        folder: the dataset's folder.
        number: the shard's number in the manifest.
        shard: its entry there.
        info: what the dataset is.
        intact: whether each file that was read before had its hash; shared by the readers of a dataset.
    """

    def __init__(self, folder: Path, number: int, shard: Shard, info: DatasetInfo, intact: dict[Path, bool]) -> None:
        self.shard = shard
        self.number = number
        self.info = info
        self.steps_path = folder / SHARD_FOLDER / shard.steps_file.name
        self.frames_path = folder / SHARD_FOLDER / shard.frames_file.name
        self.frames_hash = shard.frames_file.sha256
        self._intact = intact

    def open_frames(self) -> FrameReader:
        """Return a reader of the frames file, after comparing the file with its hash.

        Raises:
            DatasetError: the file cannot be read, or is altered.
        """
        self._check(self.frames_path, self.shard.frames_file)
        reader = FrameReader(self.frames_path, self.info.frame_size)
        if len(reader) != self.shard.frames:
            raise DatasetError(damaged([altered(self.frames_path)]))
        return reader

    @cached_property
    def rows(self) -> list[Row]:
        """All rows with all columns."""
        with reading(self.steps_path):
            return rows_of(self.table(SCHEMA.names))

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns of all rows, read from disk, after comparing the file with its hash.

        A file without `CANDIDATES` is one in which no step has any, and one without `EARLIER` has nulls there.

        Raises:
            DatasetError: the file cannot be read, is altered, lacks a column, or has one of another type.
        """
        self._check(self.steps_path, self.shard.steps_file)
        with reading(self.steps_path), pq.ParquetFile(self.steps_path) as file:
            there = set(file.schema_arrow.names)
            spared = (EARLIER,) if there & set(CANDIDATES) else (EARLIER, *CANDIDATES)
            missing = [name for name in columns if name not in there and name not in spared]
            if missing:
                raise DatasetError(f"{self.steps_path} lacks the columns {', '.join(missing)}; it is not a steps file")
            stored = [name for name in columns if name in there]
            table = file.read(columns=stored, use_threads=False)
            if any(table.schema.field(name).type != SCHEMA.field(name).type for name in stored):
                raise DatasetError(f"{self.steps_path} has columns of other types; {RESTORE}")
            count = file.metadata.num_rows
        for name in set(columns) - set(stored):
            none: list[Any] = [{"candidates": [], "chosen": 0, EARLIER: None}[name]] * count
            table = table.append_column(SCHEMA.field(name), pa.array(none, SCHEMA.field(name).type))
        return table.select(list(columns))

    def entries(self) -> Iterator[Entry]:
        """Yield the shard's trajectories in order."""
        names = {
            "id": "trajectory",
            "task": "task",
            "setting": "setting",
            "stage": "lineage_stage",
            "success": "success",
        }
        with reading(self.steps_path):
            table = self.table(list(names.values()))
            columns = {name: table.column(column).to_pylist() for name, column in names.items()}
        for _, group in groupby(range(table.num_rows), key=columns["id"].__getitem__):
            rows = list(group)
            fields = {name: column[rows[0]] for name, column in columns.items()}
            yield Entry(shard=self.number, start=rows[0], stop=rows[-1] + 1, **fields)

    def read(
        self, entry: Entry, store: FrameSource | None, codes: CodeSource | None, pixels: Callable[[int], Frame]
    ) -> Trajectory:
        """Return one trajectory; everything in it is read and checked at once, but for the pixels.

        Args:
            entry: which.
            store: what its frames are views into; None: each step asks `pixels` for them, when it is asked for.
            codes: where its codes come from, or None for those stored.
            pixels: gives the frame of a number.

        Raises:
            DatasetError: a row, a frame or a code is missing or malformed.
        """
        rows = self.rows[entry.start : entry.stop]
        keep = codes is not None and codes.tokenizer_hash == self.info.tokenizer
        coded = self.stored(coded_numbers(rows, keep_dreamed=keep))
        shown = self.stored(frame_numbers(rows))
        images = Images(
            frames=self._blanks(shown) if store is None else self._stored(shown, store),
            codes=None if codes is None else codes.lookup(self.shard, coded),
            keep_dreamed=keep,
        )
        found = decode_rows(rows, self.info.action_space, images, file=str(self.steps_path), first_row=entry.start)
        if store is not None:
            return found
        return found.with_steps(lazily(partial(with_pixels, pixels), found.steps, list(map(pixel_numbers, rows))))

    def frame(self, number: int) -> Frame:
        """Return one frame of the frames file, read-only."""
        return self._frames.frame(number)

    def verify(self) -> list[str]:
        """Return the ids of the shard's trajectories, once both files hold what the manifest and `SCHEMA` say.

        Raises:
            DatasetError: they do not; a row cannot be read.
        """
        with reading(self.steps_path):
            table = self.table(SCHEMA.names)
            entries = list(self.entries())
        ids = [entry.id for entry in entries]
        if (len(ids), table.num_rows) != (self.shard.trajectories, self.shard.steps) or len(set(ids)) != len(ids):
            raise DatasetError(
                f"{self.steps_path} holds {len(set(ids))} trajectories in {table.num_rows} rows, and the manifest says "
                f"{self.shard.trajectories} in {self.shard.steps}; {RESTORE}"
            )
        images = Images(frames=self._blanks(range(len(self._frames))))
        for entry in entries:
            rows = self.rows[entry.start : entry.stop]
            decode_rows(rows, self.info.action_space, images, file=str(self.steps_path), first_row=entry.start)
        return ids

    def stored(self, numbers: Sequence[int]) -> list[int]:
        """Return those of some frame numbers that the frames file has."""
        return [number for number in numbers if 0 <= number < self.shard.frames]

    def _stored(self, numbers: Sequence[int], store: FrameSource) -> dict[int, Frame]:
        rows = store.rows(self.frames_hash, numbers)
        return {number: store.frames[row] for number, row in zip(numbers, rows, strict=True)}

    def _blanks(self, numbers: Sequence[int]) -> dict[int, Frame]:
        """Return something in the place of every frame, once the frames file proved to be whole."""
        assert len(self._frames) == self.shard.frames
        return dict.fromkeys(numbers, _BLANK)

    @cached_property
    def _frames(self) -> FrameReader:
        return self.open_frames()

    def _check(self, path: Path, file: ShardFile) -> None:
        if path not in self._intact:
            with reading(path):
                self._intact[path] = sha256_file(path) == file.sha256
        if not self._intact[path]:
            raise DatasetError(damaged([altered(path)]))
