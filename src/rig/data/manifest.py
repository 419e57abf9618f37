"""The manifest of a dataset: what it holds, where it comes from, and which shards are complete.

`manifest.json` is the commit point: a shard exists once the manifest lists it, so whatever a killed writer left beside
the listed shards does not count. A dataset's identity is the hash over its shards' hashes; a child dataset keeps its
parent's name and hash, and its parent's parent's, so the chain of stages can be read without the parents' files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rig.actions import ActionSpace
from rig.data.problems import Skipped, missing
from rig.errors import DatasetError
from rig.storage import write_json

FILE_NAME = "manifest.json"
SHARD_FOLDER = "shards"
CODES_FOLDER = "codes"
PIXELS_FOLDER = "pixels"
FORMAT = 1
"""The newest format that this code writes, and the newest it reads."""


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The dataset that another one was made from, by content.

    Attributes:
        name: its name.
        stage: its stage.
        content_hash: the hash over its shards.
        parent: what it was itself made from, or None.
    """

    name: str
    stage: str
    content_hash: str
    parent: Parent | None = None

    def chain(self) -> list[Parent]:
        """Return this dataset and its ancestors, newest first."""
        return [self, *(self.parent.chain() if self.parent else ())]


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What a dataset is: everything about it that is known before its first trajectory.

    Attributes:
        name: the dataset's name.
        stage: the stage that writes it, "s0" … "s4", or "live".
        environment: registry name of the environment of every trajectory.
        action_space: the action space of every trajectory; stored whole, so reading needs no plug-in.
        frame_size: (height, width) of every frame, dreams included.
        config: the resolved configuration of what writes it, JSON-able.
        parent: the dataset it is made from, or None; `Dataset.as_parent()` gives it.
        tokenizer: hash of the tokenizer whose VQ codes the steps hold; empty where they hold none.
    """

    name: str
    stage: str
    environment: str
    action_space: ActionSpace
    frame_size: tuple[int, int]
    config: Mapping[str, Any] = field(default_factory=dict)
    parent: Parent | None = None
    tokenizer: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; `info_from_json` is its inverse.

        Raises:
            DatasetError: the configuration holds something that JSON cannot.
        """
        found = {name: getattr(self, name) for name in ("name", "stage", "environment", "tokenizer")}
        found |= {"frame_size": list(self.frame_size), "action_space": asdict(self.action_space)}
        found |= {"config": dict(self.config), "parent": asdict(self.parent) if self.parent else None}
        try:
            return json.loads(json.dumps(found, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DatasetError(f"the configuration of dataset {self.name!r} is not JSON ({error})") from error


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One file of a shard: its name in the shard folder, its size and its SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A complete shard: two files, and how much they hold."""

    steps_file: ShardFile
    frames_file: ShardFile
    trajectories: int
    steps: int
    frames: int

    def files(self) -> tuple[ShardFile, ShardFile]:
        """Return both files."""
        return self.steps_file, self.frames_file

    def faults(self, folder: Path) -> Iterator[Skipped]:
        """Yield what a look at the files' sizes finds wrong, the data unread."""
        for file in self.files():
            path = folder / SHARD_FOLDER / file.name
            if not path.is_file():
                yield missing(path)
            elif path.stat().st_size != file.bytes:
                reason = f"it has {path.stat().st_size} bytes where the manifest says {file.bytes}"
                yield Skipped(place=str(path), reason=reason)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole manifest.

    Attributes:
        info: what the dataset is.
        provenance: one entry for each process that wrote shards, first to last.
        shards: the complete shards, in order.
        complete: whether the writer said that nothing is missing.
        format: the version of the on-disk format.
    """

    info: DatasetInfo
    provenance: tuple[Mapping[str, Any], ...] = ()
    shards: tuple[Shard, ...] = ()
    complete: bool = False
    format: int = FORMAT

    @property
    def content_hash(self) -> str:
        """The SHA-256 over the hashes of the shards' files, in order."""
        lines = [file.sha256 for shard in self.shards for file in shard.files()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of trajectories, steps and stored frames."""
        return {
            name: sum(getattr(shard, name) for shard in self.shards) for name in ("trajectories", "steps", "frames")
        }

    def as_parent(self) -> Parent:
        """Return the entry that a child dataset keeps."""
        info = self.info
        return Parent(name=info.name, stage=info.stage, content_hash=self.content_hash, parent=info.parent)

    def with_shard(self, shard: Shard) -> Manifest:
        """Return the manifest with one more shard."""
        return replace(self, shards=(*self.shards, shard))

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`, atomically."""
        value = {
            "format": self.format,
            "complete": self.complete,
            **self.info.to_json(),
            "counts": self.counts,
            "content_hash": self.content_hash,
            "provenance": [dict(entry) for entry in self.provenance],
            "shards": [asdict(shard) for shard in self.shards],
        }
        write_json(folder / FILE_NAME, value)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `manifest.json` from `folder`.

        Raises:
            DatasetError: it is missing, is not JSON, lacks a field, or was written in a newer format.
        """
        path = Path(folder) / FILE_NAME
        value = _read_json(path)
        version = value.get("format")
        if not isinstance(version, int):
            raise DatasetError(f"{path} has no format version; it is not the manifest of a dataset of this package")
        if version > FORMAT:
            raise DatasetError(
                f"{path} is in format {version} and this version reads up to {FORMAT}; upgrade rig-agent to read it"
            )
        try:
            return cls(
                info=_info_from_json(value),
                provenance=tuple(value["provenance"]),
                shards=tuple(_shard_from_json(shard) for shard in value["shards"]),
                complete=value["complete"],
                format=version,
            )
        except KeyError as error:
            raise DatasetError(f"{path} lacks the field {error}; restore it from a copy") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise DatasetError(f"{path} has a malformed field ({error}); restore it from a copy") from error


def differences(found: Any, wanted: Any, place: str = "") -> list[str]:
    """Return one line `place: found → wanted` for every leaf in which two JSON values differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [*found, *(key for key in wanted if key not in found)]
        pairs = ((found.get(key), wanted.get(key), f"{place}.{key}" if place else key) for key in keys)
        return [line for pair in pairs for line in differences(*pair)]
    return [] if found == wanted else [f"{place}: {found!r} there, {wanted!r} now"]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing; {path.parent} is not a dataset, or its writer never started")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON ({error}); restore it from a copy") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path} holds a {type(value).__name__}, not an object; restore it from a copy")
    return value


def _info_from_json(value: Mapping[str, Any]) -> DatasetInfo:
    height, width = value["frame_size"]
    return DatasetInfo(
        name=value["name"],
        stage=value["stage"],
        environment=value["environment"],
        action_space=ActionSpace.from_json(value["action_space"]),
        frame_size=(height, width),
        config=value["config"],
        parent=_parent_from_json(value["parent"]),
        tokenizer=value["tokenizer"],
    )


def _parent_from_json(value: Mapping[str, Any] | None) -> Parent | None:
    if value is None:
        return None
    return Parent(**{**value, "parent": _parent_from_json(value["parent"])})


def _shard_from_json(value: Mapping[str, Any]) -> Shard:
    files = {name: ShardFile(**value[name]) for name in ("steps_file", "frames_file")}
    return Shard(**{**value, **files})
