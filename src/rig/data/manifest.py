"""The manifest of a dataset: what it holds, where it comes from, and which shards are complete.

`manifest.json` is the commit point: a shard exists once the manifest lists it, so whatever a killed writer left beside
the listed shards does not count. A dataset's identity is the hash over its shards' hashes; a child dataset keeps its
parent's name and hash, and its parent's parent's, so the chain of stages can be read without the parents' files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from rig.actions import ActionSpace
from rig.data.decoding import MAX_SIDE, decoding
from rig.data.problems import Skipped, missing
from rig.errors import DatasetError
from rig.storage import read_json, write_json
from rig.validation import Meta, refuse_not_finite, refuse_unknown, validated

FILE_NAME = "manifest.json"
SHARD_FOLDER = "shards"
CODES_FOLDER = "codes"
PIXELS_FOLDER = "pixels"
REPORT_NAME = "imported.json"
REPORT_LINES_NAME = "imported.jsonl"
"""What an import lost, in all and episode by episode; see `rig.data.importers.report`."""
FORMAT = 1
"""The newest format that this code writes, and the newest it reads."""

_FIX = "restore it from a copy, or make the dataset again with the command that made it, and --overwrite"
_MAX = 2**63 - 1
_MAX_LIMIT = 3600
_MAX_DEPTH = 100
_MAX_ANCESTORS = 10_000
Count = Annotated[int, Meta(ge=0, le=_MAX)]
Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]
Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
FileName = Annotated[str, Meta(pattern=r"\A(steps|frames)-[0-9]{5,}\.parquet\Z")]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The dataset that another one was made from, by content.

    Attributes:
        name: its name.
        stage: its stage.
        content_hash: the hash over its shards.
        parent: what it was itself made from, or None.
        further_parents: what else it was made from, where it was merged from several.
    """

    name: str
    stage: str
    content_hash: Hash
    parent: Parent | None = None
    further_parents: tuple[Parent, ...] = ()

    def chain(self) -> list[Parent]:
        """Return this dataset and its ancestors, newest first, those of one parent after those of another."""
        return [self, *ancestors(self)]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, without `further_parents` where there are none, as before there were any."""
        return {"name": self.name, "stage": self.stage, "content_hash": self.content_hash, **_parents_json(self)}


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
        further_parents: the others, where it is made from several.
        tokenizer: hash of the tokenizer whose VQ codes the steps hold; empty where they hold none.
    """

    name: str
    stage: str
    environment: str
    action_space: ActionSpace
    frame_size: tuple[Side, Side]
    config: Mapping[str, Any] = field(default_factory=dict)
    parent: Parent | None = None
    further_parents: tuple[Parent, ...] = ()
    tokenizer: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which reads back as the same.

        Raises:
            DatasetError: the configuration holds something that JSON cannot, or a field is of another type or range.
        """
        found = {name: getattr(self, name) for name in ("name", "stage", "environment", "tokenizer")}
        found |= {"frame_size": list(self.frame_size), "action_space": asdict(self.action_space)}
        found |= {"config": dict(self.config), **_parents_json(self)}
        try:
            plain = json.loads(json.dumps(found, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise DatasetError(f"the configuration of dataset {self.name!r} is not JSON ({error})") from error
        _info_from_json(plain, f"the info of dataset {self.name!r}", "give it another value")
        return plain


def ancestors(of: Parent | DatasetInfo) -> list[Parent]:
    """Return all that a dataset is made from, newest first, those of one parent after those of another."""
    return [found for parent in _parents(of) for found in parent.chain()]


def _parents(of: Parent | DatasetInfo) -> tuple[Parent, ...]:
    return (*([of.parent] if of.parent else ()), *of.further_parents)


def _parents_json(of: Parent | DatasetInfo) -> dict[str, Any]:
    further = [parent.to_json() for parent in of.further_parents]
    parent = of.parent.to_json() if of.parent else None
    return {"parent": parent, **({"further_parents": further} if further else {})}


@dataclass(frozen=True, kw_only=True)
class ShardFile:
    """One file of a shard: its name in the shard folder, its size and its SHA-256."""

    name: FileName
    bytes: Count
    sha256: Hash


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A complete shard: two files, and how much they hold."""

    steps_file: ShardFile
    frames_file: ShardFile
    trajectories: Count
    steps: Count
    frames: Count

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
        return Parent(
            name=info.name,
            stage=info.stage,
            content_hash=self.content_hash,
            parent=info.parent,
            further_parents=info.further_parents,
        )

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
            DatasetError: it is missing, is not JSON, has a field that is lacking, unknown, of another type or out of
                range, contradicts itself, or was written in a newer format.
        """
        path = Path(folder) / FILE_NAME
        value = _read_json(path)
        version = value.pop("format", None)
        if type(version) is not int or version < 1:
            raise DatasetError(f"{path} has no format version; it is not the manifest of a dataset of this package")
        if version > FORMAT:
            raise DatasetError(
                f"{path} is in format {version} and this version reads up to {FORMAT}; upgrade rig-agent to read it"
            )
        refuse_unknown(value, (*_INFO, *_STATE), path, DatasetError)
        for name in (*_INFO, *_STATE):
            if name not in (*value, _SPARED):
                raise DatasetError(f"{path} lacks the field {name!r}; {_FIX}")
        with decoding(path, _FIX):
            info = _info_from_json({name: value[name] for name in _INFO if name in value}, path, _FIX)
            state = validated({name: value[name] for name in _STATE}, _State, path, _FIX, DatasetError)
        manifest = cls(
            info=info, provenance=state.provenance, shards=state.shards, complete=state.complete, format=version
        )
        manifest._refuse_contradictions(path, state)
        return manifest

    def _refuse_contradictions(self, path: Path, state: _State) -> None:
        """Raise where the fields do not say one thing; no file of a shard is looked at."""
        names = [file.name for shard in self.shards for file in shard.files()]
        kinds = [name.split("-")[0] for name in names]
        for good, fault in (
            (
                state.counts == self.counts,
                f"its counts are {dict(state.counts)}, and those of its shards {self.counts}",
            ),
            (state.content_hash == self.content_hash, "its content_hash is not the hash over its shards' hashes"),
            (len(set(names)) == len(names), "it lists a file twice"),
            (kinds == ["steps", "frames"] * len(self.shards), "it lists a file of steps as one of frames"),
        ):
            if not good:
                raise DatasetError(f"{path} contradicts itself: {fault}; {_FIX}")


@dataclass(frozen=True, kw_only=True)
class _State:
    """The fields of a manifest on disk that change while it is written."""

    complete: bool
    counts: dict[str, Count]
    content_hash: Hash
    provenance: tuple[dict[str, Any], ...]
    shards: tuple[Shard, ...]


_INFO = tuple(field.name for field in fields(DatasetInfo))
_STATE = tuple(field.name for field in fields(_State))
_SPARED = "further_parents"
"""The field that only merged datasets have."""


RENAMED = {"form": "prompt_format", "sure_entropy": "entropy_threshold", "lead": "diagonal_offset"}
"""What configurations called their fields in earlier versions -> what they call them now."""


ADDED = {
    "history": 1,
    "actors": [],
    "plans": 1,
    "dreams": 0,
    "judge": "majority",
    "resample": False,
    "stem": [],
    "augment": False,
}
"""Fields of configurations that earlier versions did not have -> what they did all the same."""


def differences(found: Any, wanted: Any, place: str = "") -> list[str]:
    """Return one line `place: found → wanted` for every leaf in which two JSON values differ.

    In what was `found`, as earlier versions saved it, fields may have the names they had then, or be missing.
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        found = {RENAMED[key] if RENAMED.get(key) in wanted else key: value for key, value in found.items()}
        keys = [*found, *(key for key in wanted if key not in found)]
        pairs = ((found.get(key, ADDED.get(key)), wanted.get(key), f"{place}.{key}" if place else key) for key in keys)
        return [line for pair in pairs for line in differences(*pair)]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        each = enumerate(zip(found, wanted, strict=True))
        return [line for number, pair in each for line in differences(*pair, f"{place}[{number}]")]
    return [] if found == wanted else [f"{place}: {found!r} there, {wanted!r} now"]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing; {path.parent} is not a dataset, or its writer never started")
    return read_json(path, _FIX, DatasetError)


def _info_from_json(value: dict[str, Any], place: object, fix: str) -> DatasetInfo:
    """Return the info of its JSON form, every field looked at.

    Raises:
        DatasetError: a field is of another type or range, or the action space is none.
    """
    refuse_not_finite(value, place, fix, DatasetError)
    _refuse_many_ancestors(value, place, fix)
    info = validated(value, DatasetInfo, place, fix, DatasetError)
    camera = info.action_space.camera
    if camera is not None and not 1 <= camera.step <= camera.limit <= _MAX_LIMIT:
        raise DatasetError(
            f"{place}: a camera of steps of {camera.step} degrees up to {camera.limit}; steps of 1 or more, up to no "
            f"more than {_MAX_LIMIT}; {fix}"
        )
    return info


def _refuse_many_ancestors(value: dict[str, Any], place: object, fix: str) -> None:
    """Raise where a lineage is longer or wider than any is, before something recurses into it."""
    generation, depth, count = [value], 0, 0
    while count <= _MAX_ANCESTORS and (generation := [parent for one in generation for parent in _named_parents(one)]):
        depth, count = depth + 1, count + len(generation)
    if depth > _MAX_DEPTH:
        raise DatasetError(f"{place} names {depth} ancestors, and {_MAX_DEPTH} are the most; {fix}")
    if count > _MAX_ANCESTORS:
        raise DatasetError(f"{place} names over {_MAX_ANCESTORS} ancestors, which are the most; {fix}")


def _named_parents(value: dict[str, Any]) -> list[dict[str, Any]]:
    further = value.get("further_parents")
    named = [value.get("parent"), *(further if isinstance(further, list) else ())]
    return [parent for parent in named if isinstance(parent, dict)]
