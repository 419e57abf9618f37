"""Recordings taken in one by one: read by an importer, looked at, brought to one frame size, and counted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from rig.actions import ACTION_SPACES
from rig.data import DatasetInfo, Importer, ImportReport, Recording, RecordingImporter, Skipped, refuse_unstorable
from rig.data.decoding import decoding
from rig.data.importers.base import NothingHereError, read_recording
from rig.dialogue import refuse_unspeakable
from rig.envs.spool import StepSpool
from rig.errors import DatasetError, DialogueError, RigError, UnknownNameError
from rig.machine import refusals_named
from rig.model.fit import fit_within
from rig.records import Dream, Frame, Step, Trajectory
from rig.storage import TEMPORARY
from rig.workers import WorkerDiedError, Workers

FAULTS = (DatasetError, DialogueError, UnknownNameError, NothingHereError)
"""What may be wrong with a recording, or be nothing in it; any other error is of the import itself."""

SPOOL_NAME = f"spool{TEMPORARY}"
_AHEAD = 2
"""Recordings for each process that may be taken in before the first of them is written: what lies on the disk."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What was taken in of a recording.

    Attributes:
        recording: which.
        report: what was lost of it; whole once the steps are used up.
        skipped: what was left out of it, alike; None where nothing may be.
        trajectory: what it becomes, or None where it cannot be read.
        steps: its steps as they are to be written, to be used once.
        error: why it cannot be read.
    """

    recording: Recording
    report: ImportReport = field(default_factory=ImportReport)
    skipped: list[Skipped] | None = None
    trajectory: Trajectory | None = None
    steps: Iterable[Step] = ()
    error: RigError | None = None

    def fault(self, error: RigError, part: str = "") -> Skipped:
        """Return what is wrong with it, or with a part of it."""
        if self.trajectory is None:
            return Skipped(place=self.recording.place, reason=str(error))
        return Skipped(place=f"trajectory {self.trajectory.id!r}{part}", reason=str(error))


@dataclass(frozen=True, kw_only=True)
class Intake:
    """How recordings are taken in.

    Attributes:
        importer: who reads them.
        frame_size: the (height, width) that frames are brought to, or None.
        tolerant: whether what is wrong is left out.
    """

    importer: RecordingImporter
    frame_size: tuple[int, int] | None
    tolerant: bool

    def take(self, recording: Recording) -> Taken:
        """Return what is taken in of a recording, its steps read when they are asked for."""
        report = ImportReport()
        skipped: list[Skipped] | None = [] if self.tolerant else None
        try:
            trajectory = read_recording(self.importer, recording, report, skipped)
        except (DatasetError, NothingHereError) as error:
            return Taken(recording=recording, skipped=skipped, error=error)
        taken = Taken(recording=recording, report=report, skipped=skipped, trajectory=trajectory)
        return replace(taken, steps=self._steps(taken, trajectory))

    def _steps(self, taken: Taken, trajectory: Trajectory) -> Iterator[Step]:
        """Yield those steps that a conversation can hold, with their frames in the dataset's size.

        Raises:
            DatasetError: one cannot be held, and nothing may be skipped.
        """
        fitted = Fitted(self.frame_size) if self.frame_size else None
        for step in _read(trajectory):
            try:
                refuse_unspeakable(step)
            except DialogueError as error:
                told = taken.fault(error, f", step {step.index}")
                if taken.skipped is None:
                    raise DatasetError(f"{told.place}: {error}") from error
                taken.skipped.append(told)
                taken.report.add("steps", "no conversation can hold it")
            else:
                yield step if fitted is None else fitted.step(step)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a process has that takes in recordings for another one.

    Attributes:
        intake: how.
        info: what the dataset is that they are for.
        folder: where the steps are kept until they are written.
    """

    intake: Intake
    info: DatasetInfo
    folder: Path


@contextmanager
def taking(
    intake: Intake, info: DatasetInfo, folder: Path, workers: int
) -> Iterator[Callable[[Iterable[Recording]], Iterator[Taken]]]:
    """Give what takes in recordings, in their order: this process, as their steps are asked for, or several, ahead.

    Args:
        intake: how.
        info: what the dataset is that they are for.
        folder: the dataset's. What is taken in ahead lies in a folder there, compressed, until it is written.
        workers: how many processes.
    """
    if workers == 1:
        yield partial(map, intake.take)
        return
    spools = folder / SPOOL_NAME
    shutil.rmtree(spools, ignore_errors=True)  # of an import that was killed
    with refusals_named(spools):
        spools.mkdir()
    try:
        with Workers(partial(_at, Bench(intake=intake, info=info, folder=spools)), workers) as crew:
            yield partial(crew.map, take_ahead, name_of=_place_of, ahead=_AHEAD, lost=_lost)
    finally:
        shutil.rmtree(spools, ignore_errors=True)


def take_ahead(bench: Bench, recording: Recording) -> Taken:
    """Return what is taken in of a recording, all its steps looked at as they will be when they are written."""
    taken = bench.intake.take(recording)
    if taken.trajectory is None:
        return taken
    bare, spool = taken.trajectory.with_steps(()), StepSpool(path=bench.folder / f"{uuid4().hex}.steps")
    try:
        refuse_unstorable(bare, bench.info, _spooled(taken.steps, spool))
    except RigError as error:
        return replace(taken, trajectory=bare, steps=(), error=error)
    return replace(taken, trajectory=bare, steps=spool)


@contextmanager
def _at(bench: Bench) -> Iterator[Bench]:
    yield bench


def _spooled(steps: Iterable[Step], spool: StepSpool) -> Iterator[Step]:
    for step in steps:
        spool.append(step)
        yield step


def _place_of(recording: Recording) -> str:
    return recording.place


def _lost(recording: Recording, error: WorkerDiedError) -> Taken:
    return Taken(recording=recording, skipped=[], error=DatasetError(str(error)))


class WholeImporter(RecordingImporter):
    """An importer that reads its source in one go, as one whose recordings have all been read.

    Args:
        importer: who reads.
        skipped: what it leaves out, of whichever trajectory; None where nothing may be.
    """

    def __init__(self, importer: Importer, skipped: list[Skipped] | None) -> None:
        super().__init__(importer.config)
        self.name, self._importer, self._skipped = importer.name, importer, skipped  # type: ignore[misc]

    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield what the importer reads."""
        for trajectory in self._importer.trajectories(source, skipped=self._skipped):
            yield Recording(id=trajectory.id, place=f"trajectory {trajectory.id!r}", data=trajectory)

    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return what was read."""
        return recording.data


def can_begin(taken: Taken, describe: Callable[[Trajectory], DatasetInfo]) -> DatasetInfo:
    """Return what a dataset is that begins with what was taken in, whose steps are then used up.

    Raises:
        RigError: one of `FAULTS`: it cannot be stored.
    """
    if taken.error is not None:
        raise taken.error
    assert taken.trajectory is not None
    info = describe(taken.trajectory)
    refuse_unstorable(taken.trajectory, info, taken.steps)
    return info


def info_for(
    trajectory: Trajectory, name: str, config: Mapping[str, Any], frame_size: tuple[int, int] | None
) -> DatasetInfo:
    """Return what a dataset is that begins with `trajectory`.

    Raises:
        DatasetError: it has no step.
        UnknownNameError: there is no such action space.
    """
    if not trajectory.steps:
        raise DatasetError("it has no step")
    return DatasetInfo(
        name=name,
        stage="s0",
        environment=trajectory.environment,
        action_space=ACTION_SPACES.get(trajectory.action_space),
        frame_size=frame_size or trajectory.steps[0].frame.shape[:2],
        config=config,
    )


def _read(trajectory: Trajectory) -> Iterator[Step]:
    """Yield a trajectory's steps; whatever an importer's reading of them raises is a DatasetError."""
    steps = iter(trajectory.steps)
    while True:
        with decoding(f"trajectory {trajectory.id!r}", "mend the recording, or take it away"):
            step = next(steps, None)
        if step is None:
            return
        yield step


class Fitted:
    """Brings frames to one size: once for the frame that follows a step and begins the next one, if it is read-only."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._last: tuple[Frame, Frame] | None = None

    def step(self, step: Step) -> Step:
        """Return a step with every frame in the size; what is no frame stays as it is, and is refused later."""
        frame = self._held(step.frame)
        return replace(
            step,
            frame=frame,
            next_frame=self._held(step.next_frame),
            dreams=self._dreams(step.dreams),
            candidates=tuple(replace(plan, dreams=self._dreams(plan.dreams)) for plan in step.candidates),
        )

    def _held(self, frame: Any) -> Any:
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        fitted = self._fit(frame)
        is_certain = isinstance(frame, np.ndarray) and not frame.flags.writeable
        self._last = (frame, fitted) if is_certain else None
        return fitted

    def _fit(self, frame: Any) -> Any:
        is_frame = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        return fit_within(frame, *self._size) if is_frame and frame.size else frame

    def _dreams(self, dreams: Sequence[Dream]) -> tuple[Dream, ...]:
        return tuple(
            replace(dream, frame=self._fit(dream.frame), real_frame=self._fit(dream.real_frame)) for dream in dreams
        )
