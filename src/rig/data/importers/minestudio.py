"""An importer for MineStudio's LMDB datasets, such as those that it made of the VPT contractors' recordings.

    source/
      image/part-*/data.mdb       (or video/) chunks of 32 frames, each an encoded video of its own
      action/part-*/data.mdb      chunks of 32 actions: an array per key, and "camera", pitch and yaw in degrees
      meta_info/part-*/data.mdb   (or contractor_info/) optional: what the engine knew, a dict per frame

A part says in `__chunk_infos__` which episodes it has, by name, number and length, and has their chunks under
`(number, first frame)`. Everything but videos is pickled: only plain values are read (`rig.data.plain_pickle`), and
LMDB's file is read without LMDB (`rig.data.lmdb_reading`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from rig.actions import MINERL, NOOP, Action
from rig.actions.cameras import MAX_TURN, CameraRounding
from rig.data.importers.base import Recording, RecordingImporter
from rig.data.importers.report import ImportReport
from rig.data.lmdb_reading import FILE_NAME, LmdbFile
from rig.data.plain_pickle import load_plain
from rig.data.problems import Skipped
from rig.data.video import Video
from rig.errors import DatasetError
from rig.lazy import HeldFrames, Lazy
from rig.records import TEACHER, Frame, Lineage, Step, Trajectory
from rig.validation import Meta, fitting, is_unicode, refuse_deep, shown, validated

IMAGE, ACTION, FACTS = "image", "action", "meta_info"
MODALITIES = {IMAGE: ("image", "video"), ACTION: ("action",), FACTS: ("meta_info", "contractor_info")}
"""What is read -> what its folder may be called."""
CAMERA = "camera"

_FIX = "fetch it once more, or take it away"
_MOST_FRAMES = 10_000_000
_MOST_BYTES = 2**31


@dataclass(frozen=True, kw_only=True)
class MineStudioConfig:
    """What can be chosen.

    Attributes:
        task: the name of every episode's task: the recordings have none.
        instruction: the task as text, alike.
        facts: keep what `meta_info` says of each frame as the step's privileged facts, where it is there.
        success: whether the episodes count as successful, which `rig reason` asks for.
    """

    task: Annotated[str, Meta(min_length=1)] = "play"
    instruction: str = "play freely"
    facts: bool = True
    success: bool = True


@dataclass(frozen=True, kw_only=True)
class _ChunkInfo:
    """What a part says of one of its episodes."""

    episode: Annotated[str, Meta(min_length=1, max_length=500)]
    episode_idx: Annotated[int, Meta(ge=0, le=2**48)]
    num_frames: Annotated[int, Meta(ge=1, le=_MOST_FRAMES)]


@dataclass(frozen=True, kw_only=True)
class _Chunks:
    """Where an episode's chunks of one modality are.

    Attributes:
        part: the LMDB folder.
        number: the episode's within it.
        frames: how many frames its chunks have.
        size: frames in a chunk.
    """

    part: Path
    number: int
    frames: int
    size: int

    def place(self, first: int) -> str:
        """Return what a message calls the chunk of a frame."""
        return f"{self.part / FILE_NAME}, {self.key(first)}"

    def key(self, first: int) -> str:
        """Return the key of a chunk."""
        return str((self.number, first))

    def each(self) -> Iterator[tuple[str, bytes, int]]:
        """Yield the chunks in order: place, bytes, and how many frames it has to have.

        Raises:
            DatasetError: one is missing.
        """
        with LmdbFile(self.part) as file:
            for first in range(0, self.frames, self.size):
                yield self.place(first), self._bytes(file, first), min(self.size, self.frames - first)

    def chunk(self, first: int) -> bytes:
        """Return one chunk.

        Raises:
            DatasetError: it is missing.
        """
        with LmdbFile(self.part) as file:
            return self._bytes(file, first)

    def _bytes(self, file: LmdbFile, first: int) -> bytes:
        data = file.get(self.key(first).encode())
        if data is None:
            raise DatasetError(f"{self.place(first)} is missing; {_FIX}")
        return data


class MineStudioImporter(RecordingImporter):
    """Imports MineStudio's datasets; the importer named "minestudio"."""

    name = "minestudio"
    Config = MineStudioConfig

    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield the episodes by name, and each part that cannot be read, in the order of their names."""
        found: dict[str, dict[str, list[_Chunks]]] = {}
        for modality in self._read_modalities(source):
            for part in _parts(source, modality):
                try:
                    infos = _episodes_of(part)
                except DatasetError as error:
                    yield Recording(id=str(part.relative_to(source)), place=str(part), data=str(error))
                    continue
                for name, chunks in infos:
                    found.setdefault(name, {}).setdefault(modality, []).append(chunks)
        for name in sorted(found):
            yield Recording(id=name, place=f"{source}, episode {name!r}", data=found[name])

    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return the trajectory of an episode."""
        if isinstance(recording.data, str):
            raise DatasetError(recording.data)
        held = {name: _only(chunks, name, recording.place) for name, chunks in recording.data.items()}
        _refuse_unequal(held, recording.place)
        actions = _actions(held[ACTION], report)
        facts = _facts(held[FACTS]) if FACTS in held else None
        frames = _frames(held[IMAGE])
        config = self.config
        return Trajectory(
            id=recording.id,
            environment="minerl",
            task=config.task,
            setting="manual",
            seed=0,
            action_space=MINERL.name,
            steps=Lazy(partial(_step, frames, actions, facts, config.instruction), range(len(frames))),
            success=config.success,
            samples=int(config.success),
            lineage=Lineage(stage="s0", actor=self.name),
        )

    def _read_modalities(self, source: Path) -> list[str]:
        """Return what is read of `source`.

        Raises:
            DatasetError: frames or actions are missing.
        """
        there = {name: _folder(source, name) for name in MODALITIES if name != FACTS or self.config.facts}
        for name in (IMAGE, ACTION):
            if there[name] is None:
                names = sorted(path.name for path in source.iterdir()) if source.is_dir() else []
                raise DatasetError(
                    f"{source} has no folder {' or '.join(MODALITIES[name])}, as MineStudio's datasets have; it holds "
                    f"{', '.join(names) or 'nothing'}"
                )
        return [name for name, folder in there.items() if folder is not None]


def _folder(source: Path, modality: str) -> Path | None:
    return next((source / name for name in MODALITIES[modality] if (source / name).is_dir()), None)


def _parts(source: Path, modality: str) -> list[Path]:
    """Return the LMDB folders of a modality.

    Raises:
        DatasetError: there is none.
    """
    folder = _folder(source, modality)
    assert folder is not None
    parts = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not parts:
        raise DatasetError(f"{folder} is empty: folders such as part-1, each with a {FILE_NAME}, belong there")
    return parts


def _episodes_of(part: Path) -> list[tuple[str, _Chunks]]:
    """Return the episodes of a part, by name.

    Raises:
        DatasetError: it cannot be read, or does not say which.
    """
    with LmdbFile(part) as file:
        size = _said(file, "__chunk_size__")
        infos = _said(file, "__chunk_infos__")
    place = str(part / FILE_NAME)
    size = fitting(size, Annotated[int, Meta(ge=1, le=100_000)], f"{place}, __chunk_size__", DatasetError)
    known = [
        {name: info[name] for name in _ChunkInfo.__dataclass_fields__ if name in info}
        if isinstance(info, dict)
        else info
        for info in (infos if isinstance(infos, list | tuple) else [infos])
    ]
    found = validated(known, list[_ChunkInfo], f"{place}, __chunk_infos__", _FIX, DatasetError)
    return [
        (info.episode, _Chunks(part=part, number=info.episode_idx, frames=info.num_frames, size=size)) for info in found
    ]


def _said(file: LmdbFile, key: str) -> Any:
    data = file.get(key.encode())
    if data is None:
        raise DatasetError(f"{file.path} has no {key}, so it is no part of a dataset of MineStudio's; {_FIX}")
    return load_plain(data, f"{file.path}, {key}")


def _only(chunks: Sequence[_Chunks], modality: str, place: str) -> _Chunks:
    if len(chunks) > 1:
        parts = " and ".join(str(one.part) for one in chunks[:2])
        raise DatasetError(f"{place}: {parts} both have its {modality}; take one of them away")
    return chunks[0]


def _refuse_unequal(held: Mapping[str, _Chunks], place: str) -> None:
    """Raise DatasetError where an episode lacks frames or actions, or has not as many of one as of the other."""
    for name in (IMAGE, ACTION):
        if name not in held:
            raise DatasetError(f"{place} has {', '.join(held)}, and no {name}; --skip-bad leaves it out")
    counts = {name: chunks.frames for name, chunks in held.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise DatasetError(f"{place} is not of one length: {told} frames; --skip-bad leaves it out")


def _actions(chunks: _Chunks, report: ImportReport) -> list[Action]:
    """Return the actions of an episode, turns on the grid."""
    cameras, actions = CameraRounding(MINERL), []
    for place, data, length in chunks.each():
        columns = _columns(load_plain(data, place), place, length)
        turns = columns.pop(CAMERA)
        if turns.shape != (length, 2) or not np.isfinite(turns).all() or np.abs(turns).max() > MAX_TURN:
            raise DatasetError(f"{place}: camera is no pitch and yaw within {MAX_TURN} degrees for each frame; {_FIX}")
        pressed = {key: _pressed(values, key, place, length) for key, values in columns.items()}
        for key in sorted(pressed.keys() - set(MINERL.keys)):
            report.add("keys", key, int(pressed.pop(key).sum()))
        for number, turn in enumerate(turns.astype(float).tolist()):
            keys = frozenset(key for key, values in pressed.items() if values[number])
            actions.append(cameras.quantise(keys, (turn[0], turn[1])))
    report.add_cameras(cameras)
    return actions


def _columns(value: Any, place: str, length: int) -> dict[str, Any]:
    if not isinstance(value, dict) or CAMERA not in value:
        raise DatasetError(f"{place} holds {shown(value)}, and no dict of arrays with a {CAMERA!r}; {_FIX}")
    for key, values in value.items():
        if not isinstance(key, str) or not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
            raise DatasetError(f"{place}: {shown(key)} is no array of numbers; {_FIX}")
        if values.shape[:1] != (length,):
            raise DatasetError(
                f"{place}: {shown(key)} has the shape {values.shape}, and there are {length} frames; {_FIX}"
            )
    return dict(value)


def _pressed(values: Any, key: str, place: str, length: int) -> Any:
    """Return whether a key is pressed, by frame."""
    flat = values.reshape(length, -1)
    if flat.shape[1] != 1 or not np.isin(flat, (0, 1)).all():
        raise DatasetError(f"{place}: {shown(key)} is not 0 or 1 for each frame; {_FIX}")
    return flat[:, 0] != 0


def _facts(chunks: _Chunks) -> list[dict[str, Any]]:
    """Return what the engine knew, by frame, as JSON can say it."""
    facts: list[dict[str, Any]] = []
    for place, data, length in chunks.each():
        values = load_plain(data, place)
        if not isinstance(values, list) or len(values) != length or not all(isinstance(one, dict) for one in values):
            raise DatasetError(f"{place} holds no list of {length} dicts; {_FIX}")
        refuse_deep(values, place, _FIX, DatasetError)
        facts += [_plain(value, place) for value in values]
    return facts


def _plain(value: Any, place: str) -> Any:
    """Return a value as JSON has it: arrays and tuples as lists, names as texts."""
    if isinstance(value, dict):
        return {_name(key, place): _plain(item, place) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), place)
    if value is None or isinstance(value, bool | int) or (isinstance(value, str) and is_unicode(value)):
        return value
    if isinstance(value, float) and np.isfinite(value):
        return value
    raise DatasetError(f"{place}: {shown(value)} is no fact that JSON can hold; leave facts out: facts=false")


def _name(key: Any, place: str) -> str:
    if not isinstance(key, str | int) or (isinstance(key, str) and not is_unicode(key)):
        raise DatasetError(f"{place}: a fact is called {shown(key)}; leave facts out: facts=false")
    return str(key)


def _frames(chunks: _Chunks) -> Lazy[Frame]:
    """Return the frames of an episode, a chunk decoded when one of its frames is asked for."""
    videos, held = _ChunkVideos(chunks), HeldFrames()
    return Lazy(lambda number: held.get(number, videos.frame), range(chunks.frames))


class _ChunkVideos:
    """The frames of an episode's chunks, quickest in their order; the last chunk that was decoded is held."""

    def __init__(self, chunks: _Chunks) -> None:
        self._chunks = chunks
        self._first, self._frames = -1, list[Frame]()

    def frame(self, number: int) -> Frame:
        """Return a frame.

        Raises:
            DatasetError: its chunk is missing or damaged, or has another number of frames.
        """
        first = number - number % self._chunks.size
        if first != self._first:
            self._frames, self._first = self._decoded(first), first
        return self._frames[number - first]

    def _decoded(self, first: int) -> list[Frame]:
        place, length = self._chunks.place(first), min(self._chunks.size, self._chunks.frames - first)
        with Video(self._chunks.chunk(first), place) as video:
            if length * video.info.height * video.info.width * 3 > _MOST_BYTES:
                raise DatasetError(
                    f"{place} claims {length} frames of {video.info.height} x {video.info.width}; {_FIX}"
                )
            frames = list(video.frames(stop=length + 1))
        if len(frames) != length:
            told = "more" if len(frames) > length else len(frames)
            raise DatasetError(f"{place} is a video of {told} frames, and must have {length}; {_FIX}")
        return frames


def _step(
    frames: Sequence[Frame],
    actions: Sequence[Action],
    facts: Sequence[dict[str, Any]] | None,
    instruction: str,
    number: int,
) -> Step:
    return Step(
        index=number,
        frame=frames[number],
        instruction=instruction,
        previous_action=actions[number - 1] if number else NOOP,
        action=actions[number],
        next_frame=frames[number + 1] if number + 1 < len(frames) else None,
        actor=TEACHER,
        privileged=facts[number] if facts else {},
    )
