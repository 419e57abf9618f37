"""A LeRobotDataset v3 in the making: episodes one after the other, their frames as videos, their rows beside them.

    writer = LeRobotWriter(folder, features, CAMERA, fps=20, encoding=VideoEncoding(), robot_type="crafter")
    writer.write(episodes)

An episode's frames are asked for twice: to be written, and to be compared with what the video then gives back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rig.data.lerobot.layout import (
    COUNTED,
    DATA,
    DATA_MB,
    FILES_IN_CHUNK,
    INFO,
    STATS,
    VERSION,
    VIDEO_MB,
    VIDEOS,
    Feature,
    filled,
)
from rig.data.lerobot.loss import VideoLoss
from rig.data.lerobot.statistics import PictureStatistics, TotalStatistics, looked_at, of_numbers
from rig.data.lerobot.tables import MB, DataFiles, EpisodesFile, place_of, schema_of, table_of, write_tasks
from rig.data.video import Video
from rig.data.video_encoding import VideoEncoding, write_video
from rig.errors import RigError
from rig.records import Frame
from rig.storage import write_json

_BITS_PER_PIXEL = 2
_COUNTED = {name: Feature(dtype="int64", shape=(1,)) for name in COUNTED} | {
    "timestamp": Feature(dtype="float32", shape=(1,))
}

Shown = tuple[Frame, str, dict[str, Any]]
"""A step: its frame, its task, and its values by column, but for those that count."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """An episode to be written.

    Attributes:
        length: how many steps it has.
        steps: yields them; it is called once. Many episodes wait for their video, so it reads them when it is called.
        frames: yields their frames, once more.
        facts: what else its row among the episodes says, by column.
    """

    length: int
    steps: Callable[[], Iterator[Shown]]
    frames: Callable[[], Iterator[Frame]]
    facts: Mapping[str, Any] = field(default_factory=dict)


class LeRobotWriter:
    """Writes one dataset into a folder.

    Args:
        root: the folder.
        features: the camera, and the columns but for those that count.
        camera: which feature the frames are of.
        fps: frames in a second.
        encoding: how they become a video.
        robot_type: what `meta/info.json` calls who acts.

    Attributes:
        loss: what the videos lost.
    """

    def __init__(
        self,
        root: Path,
        features: Mapping[str, Feature],
        camera: str,
        *,
        fps: int,
        encoding: VideoEncoding,
        robot_type: str,
    ) -> None:
        self.loss = VideoLoss()
        self._root, self._camera = Path(root), camera
        self._fps, self._encoding, self._robot_type = fps, encoding, robot_type
        self._features = {**features, **_COUNTED}
        self._schema = schema_of(self._features)
        self._data, self._episodes = DataFiles(self._root, self._schema), EpisodesFile(self._root)
        self._tasks: dict[str, int] = {}
        self._num_episodes = self._num_frames = 0
        self._total = TotalStatistics()

    def write(self, episodes: Iterable[Episode]) -> None:
        """Write all episodes, and what `meta/` says of them.

        Raises:
            RigError: there is no episode, or no such video can be written, or it does not give back all frames.
            MissingDependencyError: PyAV is not installed.
        """
        height, width, _ = self._features[self._camera].shape
        most = VIDEO_MB * MB * 8 // (height * width * _BITS_PER_PIXEL)
        with closing(self._data), closing(self._episodes):
            for number, group in enumerate(_groups(episodes, most)):
                path = self._video(number)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, self._shown(group, place_of(number)), self._fps, self._encoding)
                self._compare(path, group)
        if not self._num_episodes:
            raise RigError("there is no episode to write; a LeRobotDataset has one at least")
        self._write_meta()

    def _video(self, number: int) -> Path:
        return filled(self._root, VIDEOS, video_key=self._camera, **place_of(number))

    def _shown(self, group: Sequence[Episode], place: Mapping[str, int]) -> Iterator[Frame]:
        """Yield the frames of all episodes of a video; behind the last one of each its rows are written."""
        before = 0
        for episode in group:
            rows: list[dict[str, Any]] = []
            pictures, of_these = PictureStatistics(), looked_at(episode.length)
            for frame, task, row in episode.steps():
                if len(rows) in of_these:
                    pictures.add(frame)
                rows.append({**row, "task_index": self._tasks.setdefault(task, len(self._tasks))})
                yield frame
            seconds = {"from_timestamp": before / self._fps, "to_timestamp": (before + len(rows)) / self._fps}
            shown = {f"videos/{self._camera}/{name}": value for name, value in {**place, **seconds}.items()}
            self._keep(rows, pictures, {**shown, **episode.facts})
            before += len(rows)

    def _keep(self, rows: Sequence[dict[str, Any]], pictures: PictureStatistics, known: Mapping[str, Any]) -> None:
        """Write an episode's rows, and its own."""
        first, length = self._num_frames, len(rows)
        counted: dict[str, list[Any]] = {
            "timestamp": [number / self._fps for number in range(length)],
            "frame_index": list(range(length)),
            "episode_index": [self._num_episodes] * length,
            "index": list(range(first, first + length)),
        }
        columns = {
            name: counted[name] if name in counted else [row[name] for row in rows] for name in self._schema.names
        }
        tasks = list(self._tasks)
        self._episodes.add(
            {
                "episode_index": self._num_episodes,
                "tasks": [tasks[number] for number in dict.fromkeys(columns["task_index"])],
                "length": length,
                **{f"data/{name}": at for name, at in self._data.write(table_of(columns, self._schema)).items()},
                "dataset_from_index": first,
                "dataset_to_index": first + length,
                **known,
                **self._statistics(columns, pictures),
            }
        )
        self._num_episodes, self._num_frames = self._num_episodes + 1, first + length

    def _statistics(self, columns: Mapping[str, Sequence[Any]], pictures: PictureStatistics) -> dict[str, Any]:
        numbers = [name for name in columns if self._features[name].dtype != "string"]
        found = {self._camera: pictures.found(), **{name: of_numbers(np.array(columns[name])) for name in numbers}}
        self._total.add(found)
        return {
            f"stats/{name}/{part}": value.tolist() for name, parts in found.items() for part, value in parts.items()
        }

    def _compare(self, path: Path, group: Sequence[Episode]) -> None:
        """Compare the frames of a video with those that it was made of."""
        wanted = chain.from_iterable(episode.frames() for episode in group)
        before, length = self.loss.frames, sum(episode.length for episode in group)
        with Video(path) as video:
            for frame, found in zip(wanted, video.frames(), strict=False):
                self.loss.add(frame, found)
        if self.loss.frames - before != length:
            raise RigError(f"{path} gives back {self.loss.frames - before} of {length} frames; choose another encoding")

    def _write_meta(self) -> None:
        features = {name: one.to_json() for name, one in self._features.items()}
        features[self._camera]["info"] = self._described_video()
        info = {
            "codebase_version": VERSION,
            "robot_type": self._robot_type,
            "total_episodes": self._num_episodes,
            "total_frames": self._num_frames,
            "total_tasks": len(self._tasks),
            "chunks_size": FILES_IN_CHUNK,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": self._fps,
            "splits": {"train": f"0:{self._num_episodes}"},
            "data_path": DATA,
            "video_path": VIDEOS,
            "features": features,
        }
        write_tasks(self._root, list(self._tasks))
        write_json(self._root / STATS, self._total.to_json())
        write_json(self._root / INFO, info)

    def _described_video(self) -> dict[str, Any]:
        with Video(self._video(0)) as video:
            info = video.info
        return {
            "video.height": info.height,
            "video.width": info.width,
            "video.codec": info.codec,
            "video.pix_fmt": self._encoding.pixel_format,
            "video.is_depth_map": False,
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
        }


def _groups(episodes: Iterable[Episode], most: int) -> Iterator[list[Episode]]:
    """Yield the episodes in groups of at most so many frames, and of one episode where that has more."""
    group: list[Episode] = []
    for episode in episodes:
        if group and sum(one.length for one in group) + episode.length > most:
            yield group
            group = []
        group.append(episode)
    if group:
        yield group
