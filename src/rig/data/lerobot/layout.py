"""Where a LeRobotDataset v3 has what, and what its `meta/info.json` says: the names that reading and writing share.

meta/info.json      the columns ("features") with type and shape, frames per second, patterns of the files' names
meta/stats.json     least, most, mean, … of every column
meta/tasks.parquet  the instructions, by number
meta/episodes/…     a row per episode: its rows in the data, its seconds in the videos
data/…              a row per step, several episodes in a file
videos/KEY/…        a video per camera, as many frames as there are steps, several episodes in a file
meta/rig.json       ours alone, which nobody else reads: what the dataset was
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from rig.errors import DatasetError
from rig.validation import Meta, load_json, shown, validated

VERSION = "v3.0"
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
OUR_INFO = "meta/rig.json"
EPISODES_FOLDER = "meta/episodes"
_FILE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES = f"{EPISODES_FOLDER}/{_FILE}.parquet"
DATA = f"data/{_FILE}.parquet"
VIDEOS = f"videos/{{video_key}}/{_FILE}.mp4"

PICTURES = "pictures"
"""Ours alone: the folder of a dataset of those pictures that no step observes."""
OUR_PREFIX = "rig/"
"""Ours alone: what the columns begin with in which the episodes' rows say what a trajectory is."""
FORMAT = 1
"""The version of what `meta/rig.json` and the columns under `rig.` say."""

FILES_IN_CHUNK = 1000
DATA_MB = 100
VIDEO_MB = 200

COUNTED = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""The columns that every such dataset has: numbers, and the second of the episode."""

_CHANGED = "restore it, or fetch the dataset once more"
_OLD = (
    "v3 has several episodes in a file; convert it with LeRobot's own command, python -m "
    "lerobot.datasets.v30.convert_dataset_v21_to_v30"
)
_OLD_FILES = ("meta/episodes.jsonl", "meta/tasks.jsonl")
_FIELD = re.compile(r"\{(\w*)(?::0?(\d{0,2})d)?\}")
Count = Annotated[int, Meta(ge=0, le=2**48)]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column, or a video.

    Attributes:
        dtype: numpy's name of its type, or "string", "video", "image".
        shape: of one step's value.
        names: of the value's parts, as far as somebody gave some: a list, or lists within a mapping.
    """

    dtype: Annotated[str, Meta(max_length=40)]
    shape: tuple[Count, ...]
    names: Any = None

    @property
    def is_picture(self) -> bool:
        """Whether it is a video, or images."""
        return self.dtype in ("video", "image")

    def part_names(self) -> list[str]:
        """Return the names of its parts, none where they have none."""
        names = self.names
        while isinstance(names, Mapping) and names:
            names = next(iter(names.values()))
        return [str(name) for name in names] if isinstance(names, Sequence) and not isinstance(names, str) else []

    def to_json(self) -> dict[str, Any]:
        """Return what `meta/info.json` says of it."""
        return {"dtype": self.dtype, "shape": list(self.shape), "names": self.names}


@dataclass(frozen=True, kw_only=True)
class Info:
    """What `meta/info.json` says, as far as reading needs it."""

    codebase_version: str
    fps: Annotated[float, Meta(gt=0, le=1000)]
    features: dict[str, Feature] = field(default_factory=dict)
    total_episodes: Count
    total_frames: Count
    data_path: Annotated[str, Meta(max_length=300)] = DATA
    video_path: Annotated[str, Meta(max_length=300)] | None = VIDEOS

    def pictures(self) -> list[str]:
        """Return the names of its videos and images."""
        return [name for name, feature in self.features.items() if feature.is_picture]


def load_info(root: Path) -> Info:
    """Return what the dataset in `root` says of itself.

    Raises:
        DatasetError: there is none, it is of version 2, or `meta/info.json` is malformed.
    """
    path = root / INFO
    if not path.is_file():
        _refuse_old(root, any((root / name).is_file() for name in _OLD_FILES), "version 2")
        raise DatasetError(
            f"{root} is no LeRobotDataset: {INFO} is missing; give the folder that holds meta/ and data/"
        )
    found = load_json(path, _CHANGED, DatasetError)
    version = found.get("codebase_version")
    _refuse_old(root, isinstance(version, str) and re.match(r"v[12]\b", version) is not None, version)
    if not isinstance(version, str) or not re.match(r"v3\b", version):
        raise DatasetError(f"{path}: codebase_version is {shown(version)}, and v3 is read here; {_CHANGED}")
    known = {name: value for name, value in found.items() if name in Info.__dataclass_fields__}
    known["features"] = _features(known.get("features"), path)
    return validated(known, Info, path, _CHANGED, DatasetError)


def _refuse_old(root: Path, is_old: bool, version: object) -> None:
    if is_old:
        raise DatasetError(f"{root} is a LeRobotDataset of {version}, which has a file per episode; {_OLD}")


def _features(given: Any, path: Path) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise DatasetError(f"{path}: features are {shown(given)}, not an object; {_CHANGED}")
    found = {}
    for name, value in given.items():
        if not isinstance(value, dict):
            raise DatasetError(f"{path}: the feature {shown(name)} is {shown(value)}, not an object; {_CHANGED}")
        found[name] = {part: value[part] for part in ("dtype", "shape", "names") if part in value}
    return found


def filled(root: Path, pattern: str, **values: Any) -> Path:
    """Return the file that a pattern of `meta/info.json` names, within `root`.

    Only the fields that are given are filled in, numbers as wide as the pattern says.

    Raises:
        DatasetError: the pattern has another field, or names a place outside of `root`.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise DatasetError(f"{root / INFO}: {shown(pattern)} has a field {match[1]!r}; {_CHANGED}")
        given = values[match[1]]
        return f"{given:0{int(match[2] or 0)}d}" if isinstance(given, int) else str(given)

    name = _FIELD.sub(value, pattern)
    path = root / name
    if "\0" in name or "{" in name or not path.resolve().is_relative_to(root.resolve()):
        raise DatasetError(f"{root / INFO}: {shown(name)} is no file of this dataset; {_CHANGED}")
    return path
