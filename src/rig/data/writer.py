"""Writing a dataset: trajectory by trajectory, shard by shard, with nothing lost but the shard in the making.

    with DatasetWriter(path, info, resume=True) as writer:
        for task in todo:
            if task.id not in writer.done:
                writer.append(make(task))

Frames go to disk as they come; a shard counts once both its files are renamed into place and the manifest lists it.
After a kill, `resume=True` goes on behind the last listed shard. Leaving the block well marks the dataset complete;
leaving it by an exception keeps what was appended and leaves the dataset unfinished.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rig.data.dataset import Dataset
from rig.data.frames import FrameWriter, refuse_other_size
from rig.data.manifest import (
    CODES_FOLDER,
    FILE_NAME,
    PIXELS_FOLDER,
    REPORT_LINES_NAME,
    REPORT_NAME,
    SHARD_FOLDER,
    DatasetInfo,
    Manifest,
    Shard,
    ShardFile,
    differences,
)
from rig.data.rows import encode_rows, table_of
from rig.errors import DatasetError
from rig.provenance import provenance
from rig.records import Frame, Step, Trajectory, next_codes_of
from rig.storage import (
    LOCK_NAME,
    TEMPORARY,
    AtomicFile,
    Lock,
    atomic_file,
    refusals_named,
    refuse_unmakeable,
    remove_unfinished,
    sha256_file,
)

SHARD_STEPS = 1024
"""Steps after which a shard is closed: the most that a kill costs."""

_REPORTS = (REPORT_NAME, REPORT_LINES_NAME)
_OURS = {LOCK_NAME, SHARD_FOLDER, CODES_FOLDER, PIXELS_FOLDER, *_REPORTS}
"""What a killed writer may leave in a folder that has no manifest yet, beside unfinished files."""


class DatasetWriter:
    """Appends trajectories to a dataset on disk; a context manager.

    Args:
        path: the dataset's folder.
        info: what the dataset is.
        resume: go on with the dataset that is there, if one is; its info must be the same.
        overwrite: remove the dataset that is there, if one is.
        shard_steps: steps after which a shard is closed.

    Attributes:
        done: ids of the trajectories that are in the dataset or appended to it.
        manifest: the manifest, complete shards only.

    Raises:
        DatasetError: a dataset is there and neither `resume` nor `overwrite` is given, or its info differs.
        RigError: another process writes there, or the disk is full.
    """

    def __init__(
        self,
        path: Path | str,
        info: DatasetInfo,
        *,
        resume: bool = False,
        overwrite: bool = False,
        shard_steps: int = SHARD_STEPS,
    ) -> None:
        self.path = Path(path)
        self.info = info
        self.shard_steps = shard_steps
        self.done: set[str] = set()
        self._rows: list[pa.StructArray] = []
        self._frames: FrameWriter | None = None
        self._frames_file: AtomicFile | None = None
        self._closed = False
        info.to_json()  # refuses what the manifest cannot hold, before anything is touched
        _refuse_foreign(self.path, resume, overwrite)
        self._lock = Lock(self.path / LOCK_NAME)
        self._lock.acquire()
        try:
            self.manifest = self._resumed() if resume and _exists(self.path) else self._begun(overwrite)
        except BaseException:
            self._lock.release()
            raise

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._closed

    def append(self, trajectory: Trajectory, steps: Iterable[Step] | None = None) -> None:
        """Add a trajectory; where its steps cannot be had or written, the dataset is as it was before.

        Each step is looked at once, and written before the next one is: steps that are made or read when asked for
        are never in memory together.

        Args:
            trajectory: what to add.
            steps: its steps as they come, in the place of `trajectory.steps`.

        Raises:
            DatasetError: the trajectory does not belong here, is there already, or cannot be given back exactly.
            RigError: the disk is full; the complete shards are intact, and `resume` goes on behind them.
        """
        self._check(trajectory)
        frames = self._open_frames()
        before, given = len(frames), trajectory.steps if steps is None else steps
        try:
            taken = self._writing(frames, _stepwise(trajectory, given, self.info))
            rows = encode_rows(trajectory, taken, self.info.action_space, frames.number)
        except BaseException:
            if not self._closed:
                with self._abandoning():
                    frames.forget_from(before)
            raise
        self._rows.append(rows)
        self.done.add(trajectory.id)
        if sum(map(len, self._rows)) >= self.shard_steps:
            self.flush()

    def note(self, name: str, value: Any) -> None:
        """Say something of the making in the manifest, at once: in what its provenance says of this process.

        Args:
            name: what is said.
            value: as JSON; what was said of it before is forgotten.
        """
        self._check_open()
        *others, ours = self.manifest.provenance
        self.manifest = replace(self.manifest, provenance=(*others, {**ours, name: value}))
        with refusals_named(self.path):
            self.manifest.save(self.path)

    def flush(self) -> None:
        """Close the shard in the making; what was appended so far then survives anything."""
        if not self._rows:
            return
        with self._abandoning():
            shard = self._write_shard()
            manifest = replace(self.manifest.with_shard(shard), complete=False)
            manifest.save(self.path)
        self.manifest, self._rows = manifest, []

    def finalize(self) -> None:
        """Close the last shard, mark the dataset complete, and close the writer."""
        self._check_open()
        self.flush()
        if not self.manifest.complete:
            self.manifest = replace(self.manifest, complete=True)
            self.manifest.save(self.path)
        self.close()

    def close(self) -> None:
        """Close the last shard and let go of the dataset, which stays unfinished unless it was finalized."""
        if not self._closed:
            self.flush()
            self._let_go()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._closed:
            return
        if kind is None:
            self.finalize()
        else:
            self.close()

    def _begun(self, overwrite: bool) -> Manifest:
        """Start an empty dataset, in place of what `overwrite` allows to remove."""
        if overwrite:
            (self.path / FILE_NAME).unlink(missing_ok=True)
        for folder in (SHARD_FOLDER, CODES_FOLDER, PIXELS_FOLDER):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for name in _REPORTS:
            (self.path / name).unlink(missing_ok=True)
        manifest = Manifest(info=self.info, provenance=(provenance(),))
        with refusals_named(self.path):
            (self.path / SHARD_FOLDER).mkdir()
        manifest.save(self.path)
        return manifest

    def _resumed(self) -> Manifest:
        """Go on with the dataset that is there: learn what it holds, and clear what a killed writer left."""
        there = Dataset(self.path, allow_incomplete=True)
        _refuse_other_info(self.path, there.info, self.info)
        self.done = set(there.ids)
        listed = {file.name for shard in there.manifest.shards for file in shard.files()}
        for path in (self.path / SHARD_FOLDER).iterdir():
            if path.name not in listed:
                path.unlink()
        remove_unfinished(self.path)
        return replace(there.manifest, provenance=(*there.manifest.provenance, provenance()))

    def _check_open(self) -> None:
        if self._closed:
            raise DatasetError(f"the writer of {self.path} is closed; open it again with resume=True")

    def _check(self, trajectory: Trajectory) -> None:
        self._check_open()
        if trajectory.id in self.done:
            raise DatasetError(
                f"trajectory {trajectory.id!r} is already in {self.path}; give it another id, or leave it out"
            )
        _refuse_stranger(trajectory, self.info)

    def _open_frames(self) -> FrameWriter:
        """Return the frames file of the shard in the making, begun where there is none."""
        if self._frames is None:
            with self._abandoning():
                self._frames_file = AtomicFile(self._shard_path("frames"))
                self._frames = FrameWriter(self._frames_file.temporary, self.info.frame_size)
        return self._frames

    def _writing(self, frames: FrameWriter, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps, and write the frames of each that fill a row group once it was looked at."""
        for step in steps:
            yield step
            with self._abandoning():
                frames.write()

    def _write_shard(self) -> Shard:
        assert self._frames is not None
        assert self._frames_file is not None
        steps_path, table = self._shard_path("steps"), table_of(self._rows)
        self._frames.close()
        with atomic_file(steps_path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        self._frames_file.commit()
        shard = Shard(
            steps_file=_described(steps_path),
            frames_file=_described(self._frames_file.path),
            trajectories=len(self._rows),
            steps=table.num_rows,
            frames=len(self._frames),
        )
        self._frames = self._frames_file = None
        return shard

    def _shard_path(self, kind: str) -> Path:
        return self.path / SHARD_FOLDER / f"{kind}-{len(self.manifest.shards):05d}.parquet"

    @contextmanager
    def _abandoning(self) -> Iterator[None]:
        """Where writing fails, give up the shard in the making and close: only `resume` can tell what is on disk."""
        try:
            with refusals_named(self.path):
                yield
        except BaseException:
            self._rows = []
            self._let_go()
            raise

    def _let_go(self) -> None:
        if self._frames is not None:
            self._frames.abandon()
        if self._frames_file is not None:
            self._frames_file.discard()
        self._closed = True
        self._lock.release()


def refuse_unwritable(path: Path, info: DatasetInfo, *, resume: bool = False, overwrite: bool = False) -> None:
    """Raise where a `DatasetWriter` of the same arguments would refuse the folder; nothing is touched.

    Raises:
        DatasetError: a dataset is there and neither `resume` nor `overwrite` is given, or its info differs; or it is no
            dataset's folder.
        RigError: nothing can be made there.
    """
    info.to_json()
    _refuse_foreign(path, resume, overwrite)
    refuse_unmakeable(path)
    if resume and _exists(path):
        _refuse_other_info(path, Manifest.load(path).info, info)


def _exists(path: Path) -> bool:
    return (path / FILE_NAME).exists()


def _refuse_other_info(path: Path, there: DatasetInfo, info: DatasetInfo) -> None:
    changed = differences(there.to_json(), info.to_json())
    if changed:
        raise DatasetError(
            f"{path} was begun with another configuration ({'; '.join(changed)}); go on with that one, or replace the "
            f"dataset (--overwrite, or overwrite=True)"
        )


def _refuse_foreign(path: Path, resume: bool, overwrite: bool) -> None:
    """Raise DatasetError before anything is touched where the folder is not ours to write to."""
    if resume and overwrite:
        raise DatasetError("resume and overwrite exclude each other; give one of them")
    if _exists(path) and not (resume or overwrite):
        raise DatasetError(
            f"{path} already holds a dataset; go on with it (--resume, or resume=True), replace it "
            f"(--overwrite, or overwrite=True), or choose another path"
        )
    if path.exists() and not path.is_dir():
        raise DatasetError(f"{path} is a file; a dataset needs a folder, choose another path")
    parts = {part.name for part in path.iterdir()} if path.exists() else set()
    if not _exists(path) and not overwrite and any((path / SHARD_FOLDER).glob("*.parquet")):
        raise DatasetError(
            f"{path} holds shards and no {FILE_NAME}; restore it from a copy, or replace the dataset "
            f"(--overwrite, or overwrite=True)"
        )
    strangers = {name for name in parts - _OURS if not name.endswith(TEMPORARY)}
    if strangers and not _exists(path):
        raise DatasetError(
            f"{path} is not a dataset, and not empty (it holds {sorted(strangers)[0]}); choose another path"
        )


def refuse_unstorable(trajectory: Trajectory, info: DatasetInfo, steps: Iterable[Step] | None = None) -> None:
    """Raise where `trajectory`, with `steps` in the place of its own, cannot be written to a dataset of this `info`.

    Nothing is written.

    Raises:
        DatasetError: it does not belong there, or cannot be given back exactly.
    """
    info.to_json()
    _refuse_stranger(trajectory, info)
    given = _stepwise(trajectory, trajectory.steps if steps is None else steps, info)
    encode_rows(trajectory, given, info.action_space, partial(_number_none, info.frame_size))


def _number_none(size: tuple[int, int], frame: Frame) -> int:
    refuse_other_size(frame, size)
    return 0


def _refuse_stranger(trajectory: Trajectory, info: DatasetInfo) -> None:
    here = f"trajectory {trajectory.id!r}"
    for name, found, wanted in (
        ("environment", trajectory.environment, info.environment),
        ("action space", trajectory.action_space, info.action_space.name),
    ):
        if found != wanted:
            raise DatasetError(f"{here} has {name} {found!r}, and the dataset {wanted!r}; write it to another dataset")


def _stepwise(trajectory: Trajectory, steps: Iterable[Step], info: DatasetInfo) -> Iterator[Step]:
    """Yield the steps, once it is certain that the codes of each have a tokenizer."""
    for step in steps:
        if not info.tokenizer and _has_codes(step):
            raise DatasetError(
                f"trajectory {trajectory.id!r} holds VQ codes and the dataset's info names no tokenizer; give "
                f"DatasetInfo(tokenizer=...) its hash, or drop the codes"
            )
        yield step


def _has_codes(step: Step) -> bool:
    held = (codes for dream in step.every_dream for codes in (dream.codes, dream.real_codes))
    return any(codes is not None for codes in (next_codes_of(step), *held))


def _described(path: Path) -> ShardFile:
    return ShardFile(name=path.name, bytes=path.stat().st_size, sha256=sha256_file(path))
