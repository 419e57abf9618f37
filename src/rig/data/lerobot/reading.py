"""A LeRobotDataset v3 that is read: its episodes one by one, their rows at once and their frames when asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from rig.data.decoding import decoding, refuse_size
from rig.data.lerobot.layout import EPISODES_FOLDER, INFO, OUR_PREFIX, TASKS, Count, filled, load_info
from rig.data.video import Video
from rig.errors import DatasetError
from rig.lazy import HeldFrames, Lazy
from rig.records import Frame
from rig.validation import Meta, validated

FIX = "fetch the dataset once more, or mend what wrote it"
MAX_STEPS = 10_000_000
"""The most steps that an episode may have."""

_EPISODE = {
    "number": "episode_index",
    "length": "length",
    "chunk": "data/chunk_index",
    "file": "data/file_index",
}
_SHOWN = {"chunk": "chunk_index", "file": "file_index", "begin": "from_timestamp"}
_ORDER = ("episode_index", "frame_index")
_IMAGES = ("PNG", "JPEG")
Second = Annotated[float, Meta(ge=0, le=1e9)]


@dataclass(frozen=True, kw_only=True)
class VideoPart:
    """Where a video shows an episode: the file's place, and from which second on."""

    chunk: Count
    file: Count
    begin: Second


@dataclass(frozen=True, kw_only=True)
class EpisodeEntry:
    """An episode, as its row among the episodes has it.

    Attributes:
        number: its `episode_index`.
        length: its steps.
        chunk: where the file with its rows is.
        file: alike.
        shown: by video, where that shows it.
        ours: what an export of ours says of it, by column.
    """

    number: Count
    length: Annotated[int, Meta(ge=1, le=MAX_STEPS)]
    chunk: Count
    file: Count
    shown: Mapping[str, VideoPart] = field(default_factory=dict)
    ours: Mapping[str, Any] = field(default_factory=dict)


class LeRobotReader:
    """Reads one dataset; holds no file open.

    Args:
        root: its folder.

    Attributes:
        info: what it says of itself.
        tasks: the instructions by number.

    Raises:
        DatasetError: it is none, or `meta/` is damaged.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.info = load_info(self.root)
        self.tasks = _read_tasks(self.root / TASKS)
        self._located: tuple[Path, pa.ChunkedArray] | None = None

    def episode_rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each row among the episodes with its place, not looked into.

        Raises:
            DatasetError: a file of them cannot be read.
        """
        for path in sorted((self.root / EPISODES_FOLDER).glob("*/*.parquet")):
            with decoding(path, FIX):
                file = pq.ParquetFile(path)
                names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
                tables = [file.read_row_group(n, names, use_threads=False) for n in range(file.num_row_groups)]
                rows = [row for table in tables for row in table.to_pylist()]
            yield from ((f"{path}, row {number}", row) for number, row in enumerate(rows))

    def entry(self, row: Mapping[str, Any], place: str) -> EpisodeEntry:
        """Return the episode of a row.

        Raises:
            DatasetError: a value is lacking, or out of its range.
        """
        found = {name: _value(row, column, place) for name, column in _EPISODE.items()}
        shown = {
            key: {name: _value(row, f"videos/{key}/{column}", place) for name, column in _SHOWN.items()}
            for key, feature in self.info.features.items()
            if feature.dtype == "video"
        }
        ours = {name: value for name, value in row.items() if name.startswith(OUR_PREFIX)}
        return validated({**found, "shown": shown, "ours": ours}, EpisodeEntry, place, FIX, DatasetError)

    def columns(self, entry: EpisodeEntry, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return columns of an episode's rows, a value a step.

        Raises:
            DatasetError: the file is damaged, lacks a column, or has not all rows of this episode one behind the other.
        """
        path = filled(self.root, self.info.data_path, chunk_index=entry.chunk, file_index=entry.file)
        wanted = list(dict.fromkeys((*names, *_ORDER)))
        with decoding(path, FIX):
            file = pq.ParquetFile(path)
            lacking = [name for name in wanted if name not in file.schema_arrow.names]
            if lacking:
                known = ", ".join(file.schema_arrow.names)
                raise DatasetError(f"{path} has no column {lacking[0]!r}; it has {known}. {FIX}")
            table = _rows(file, self._first_row(path, file, entry), entry.length, wanted)
            found = {name: table.column(name).to_pylist() for name in wanted}
        for name, values in zip(_ORDER, ([entry.number] * entry.length, list(range(entry.length))), strict=True):
            if found[name] != values:
                raise DatasetError(f"{path}: rows of episode {entry.number} are in no order, by their {name}; {FIX}")
        return {name: found[name] for name in names}

    def frames(self, entry: EpisodeEntry, key: str) -> Lazy[Frame]:
        """Return an episode's frames of a video or of images, each read when it is asked for.

        Raises:
            DatasetError: there are none. What is wrong with a frame is raised when it is asked for.
        """
        if self.info.features[key].dtype == "image":
            return self._images(entry, key)
        if self.info.video_path is None:
            raise DatasetError(f"{self.root / INFO} has the video {key!r}, and no pattern of videos' names; {FIX}")
        at = entry.shown[key]
        path = filled(self.root, self.info.video_path, video_key=key, chunk_index=at.chunk, file_index=at.file)
        video, held = _EpisodeVideo(path, at.begin, entry.length, self.info.fps), HeldFrames()
        return Lazy(lambda number: held.get(number, video.frame), range(entry.length))

    def _images(self, entry: EpisodeEntry, key: str) -> Lazy[Frame]:
        stored = self.columns(entry, [key])[key]
        place, held = f"{self.root}, episode {entry.number}, {key}", HeldFrames()
        return Lazy(lambda number: held.get(number, lambda n: _image(stored[n], f"{place} {n}")), range(len(stored)))

    def _first_row(self, path: Path, file: pq.ParquetFile, entry: EpisodeEntry) -> int:
        """Return the number of an episode's first row in its file, whose episodes lie one behind the other."""
        if self._located is None or self._located[0] != path:
            self._located = path, file.read(["episode_index"], use_threads=False).column(0)
        numbers = self._located[1]
        first = pc.index(numbers, pa.scalar(entry.number, numbers.type)).as_py()
        count = pc.sum(pc.equal(numbers, entry.number)).as_py() or 0
        if count != entry.length:
            raise DatasetError(f"{path} has {count} rows of episode {entry.number}, which has {entry.length}; {FIX}")
        return first


def _rows(file: pq.ParquetFile, first: int, count: int, names: Sequence[str]) -> pa.Table:
    """Return rows of a file, of which only the pieces that hold them are read."""
    sizes = np.array([file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)])
    ends = sizes.cumsum()
    wanted = np.nonzero((ends > first) & (ends - sizes < first + count))[0].tolist()
    table = file.read_row_groups(wanted, list(names), use_threads=False)
    return table.slice(first - int((ends - sizes)[wanted[0]]), count)


def _value(row: Mapping[str, Any], column: str, place: str) -> Any:
    if column not in row:
        raise DatasetError(f"{place} has no {column!r}; {FIX}")
    return row[column]


def _read_tasks(path: Path) -> dict[int, str]:
    """Return the tasks by number: the column of numbers, and the other one, whatever pandas called it."""
    with decoding(path, FIX):
        table = pq.ParquetFile(path).read(use_threads=False)
        names = [name for name in table.column_names if name != "task_index"]
        if len(names) == len(table.column_names) or not names:
            raise DatasetError(
                f"{path} has the columns {', '.join(table.column_names)}; task_index and task belong there"
            )
        name = "task" if "task" in names else "__index_level_0__" if "__index_level_0__" in names else names[0]
        tasks = dict(zip(table.column("task_index").to_pylist(), table.column(name).to_pylist(), strict=True))
    for number, task in tasks.items():
        if type(number) is not int or not isinstance(task, str):
            raise DatasetError(f"{path}: task {number!r} is {task!r}, and must be a text; {FIX}")
    return tasks


def _image(stored: Any, place: str) -> Frame:
    """Return the picture in a column of images, which holds the bytes of a file."""
    data = stored.get("bytes") if isinstance(stored, Mapping) else None
    if not isinstance(data, bytes):
        raise DatasetError(f"{place} holds no image, but a file's name perhaps; write the images into the table")
    with decoding(place, FIX), Image.open(io.BytesIO(data), formats=_IMAGES) as image:
        refuse_size(place, image.height, image.width)
        return np.array(image.convert("RGB"))


class _EpisodeVideo:
    """The frames of an episode within a video, quickest in their order; the file is open between two of them alone."""

    def __init__(self, path: Path, begin: float, length: int, fps: float) -> None:
        self._path, self._begin, self._length, self._fps = path, begin, length, fps
        self._video: Video | None = None
        self._next, self._coming = 0, iter(())  # type: tuple[int, Iterator[Frame]]

    def frame(self, number: int) -> Frame:
        """Return a frame.

        Raises:
            DatasetError: it cannot be decoded, or the video ends before it.
        """
        if self._video is None or number < self._next:
            self._close()
            self._video = Video(self._path)
            end = self._begin + self._length / self._fps
            self._next, self._coming = number, self._video.between(self._begin + number / self._fps, end)
        for _ in range(number - self._next):
            next(self._coming, None)
        found = next(self._coming, None)
        self._next = number + 1
        if found is None or self._next == self._length:
            self._close()
        if found is None:
            raise DatasetError(f"{self._path} ends before frame {number} of an episode of {self._length}; {FIX}")
        return found

    def _close(self) -> None:
        if self._video is not None:
            self._video.close()
        self._video, self._next, self._coming = None, 0, iter(())
