"""S0: other people's play, through an importer, into our own format: cameras on the grid, actions as text.

Steps are read, looked at and written one by one, so that a recording may be of any length. What was lost on the way
stands beside the dataset, in `imported.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rig.data import (
    Dataset,
    DatasetInfo,
    DatasetWriter,
    ImportReport,
    Recording,
    RecordingImporter,
    Skipped,
    build_importer,
)
from rig.data.decoding import MAX_SIDE
from rig.data.importers.base import NothingHereError
from rig.data.importers.report import ImportedEpisode, ImportLog
from rig.errors import DatasetError, RigError, at_least_one
from rig.records import Step, Trajectory
from rig.stages.base import Opening
from rig.stages.s0_reading import FAULTS, Intake, Taken, WholeImporter, can_begin, info_for, taking


def import_dataset(
    source: Path | str,
    importer: str,
    out: Path | str,
    *,
    importer_config: Mapping[str, Any] | None = None,
    frame_size: tuple[int, int] | None = None,
    opening: Opening | None = None,
    skipped: list[Skipped] | None = None,
    workers: int = 1,
) -> Dataset:
    """Read `source` with the named importer, and write the dataset `out`, and beside it what was lost on the way.

    Args:
        source: what the importer reads.
        importer: its name.
        out: the dataset's folder.
        importer_config: what its own `Config` is made of.
        frame_size: the (height, width) that every frame is brought to, its proportions kept and the rest filled; None:
            all have the size of the first, and an episode with another is refused.
        opening: see `Opening`.
        skipped: what is wrong is added here, and the step or the trajectory that it is wrong with is left out,
            wherever on the way it is found; None stops at the first.
        workers: processes that read recordings; the dataset and what is told of it are the same for any number. With
            more than one, a recording that kills its process is like any other that cannot be read.

    Raises:
        UnknownNameError: no such importer.
        DatasetError: something malformed, with its place and the fix; or no conversation can hold a text.
        RigError: the source holds no trajectory, or the importer's configuration or `frame_size` is none; or several
            processes are to share out what an importer reads in one go.
    """
    at_least_one(workers=workers)
    opening, given = opening or Opening(), dict(importer_config or {})
    built = build_importer(importer, given)
    config: dict[str, Any] = {"importer": importer, "source": Path(source).name}
    config |= {"importer_config": given} if given else {}
    config |= {"frame_size": _checked_size(frame_size)} if frame_size else {}
    loose: list[Skipped] = []
    if workers > 1 and not isinstance(built, RecordingImporter):
        raise RigError(
            f"the importer {importer!r} reads its source in one go, which {workers} processes cannot share out; leave "
            f"out --workers, or have it inherit from rig.data.RecordingImporter"
        )
    reader = built if isinstance(built, RecordingImporter) else WholeImporter(built, None if skipped is None else loose)
    run = _Run(intake=Intake(importer=reader, frame_size=frame_size, tolerant=skipped is not None), skipped=skipped)
    recordings = iter(reader.recordings(Path(source)))
    first, info = run.first(recordings, partial(info_for, name=Path(out).name, config=config, frame_size=frame_size))
    if first is None or info is None:
        told = [*(skipped or ()), *loose]
        raise RigError(
            f"{source} holds no trajectory that the importer {importer!r} can read"
            + (f"; {len(told)} were left out, the first for: {told[0].reason}" if told else "")
        )
    with DatasetWriter(out, info, resume=opening.resume, overwrite=opening.overwrite) as writer:
        log, there = ImportLog(Path(out), importer), set(writer.done)
        left = (recording for recording in chain([first], recordings) if recording.id not in there)
        with (
            taking(run.intake, info, Path(out), workers) as take,
            tqdm(desc=info.stage, unit="episode", initial=len(there)) as bar,
        ):
            for taken in take(left):
                run.write(taken, writer, log)
                bar.update()
        if skipped is not None:
            skipped += loose
        writer.flush()
        run.report.merge(reader.report)
        log.finish(writer.done, run.report, [*chain(*run.left_out), *loose], len(run.left_out))
        writer.finalize()
    return Dataset(out)


def _checked_size(size: tuple[int, int]) -> list[int]:
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise RigError(f"frames of {size[0]} x {size[1]}: give a height and a width of 1 to {MAX_SIDE} pixels")
    return list(size)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """An import that is being made.

    Attributes:
        intake: how recordings are taken in.
        skipped: where what is left out is listed for the caller; None where nothing may be.
        left_out: the faults of recordings of which the dataset has nothing, a list for each.
        report: what was lost that belongs to no episode.
    """

    intake: Intake
    skipped: list[Skipped] | None
    left_out: list[list[Skipped]] = field(default_factory=list)
    report: ImportReport = field(default_factory=ImportReport)

    def first(
        self, recordings: Iterator[Recording], describe: Callable[[Trajectory], DatasetInfo]
    ) -> tuple[Recording | None, DatasetInfo | None]:
        """Return the first recording that can begin a dataset, and what the dataset then is."""
        for recording in recordings:
            taken = self.intake.take(recording)
            try:
                return recording, can_begin(taken, describe)
            except FAULTS as error:
                self._leave_out(taken, error)
        return None, None

    def write(self, taken: Taken, writer: DatasetWriter, log: ImportLog) -> None:
        """Write what was taken in, or list what is wrong with it."""
        error = taken.error
        if taken.trajectory is not None and error is None:
            try:
                writer.append(taken.trajectory, _noted(taken, log))
            except FAULTS as fault:
                error = fault
        if error is not None:
            self._leave_out(taken, error)
        elif self.skipped is not None:
            self.skipped.extend(taken.skipped or ())

    def _leave_out(self, taken: Taken, error: RigError) -> None:
        """List what is wrong with a recording.

        Raises:
            RigError: nothing may be left out, or it is nothing of the recording's.
        """
        if not isinstance(error, FAULTS):
            raise error
        if isinstance(error, NothingHereError):
            self.report.add("segments", str(error))
            return
        fault = taken.fault(error)
        if self.skipped is None:
            is_named = taken.trajectory is None or str(error).startswith(fault.place)
            raise DatasetError(str(error) if is_named else f"{fault.place}: {error}") from error
        faults = [*(taken.skipped or ()), fault]
        self.skipped.extend(faults)
        self.left_out.append(faults)


def _noted(taken: Taken, log: ImportLog) -> Iterator[Step]:
    """Yield the steps that were taken in; what was lost of them is noted behind the last one, before it is written."""
    count = 0
    for step in taken.steps:
        count += 1
        yield step
    left_out = tuple(taken.skipped or ())
    log.note(ImportedEpisode(id=taken.recording.id, steps=count, counts=taken.report.counts, left_out=left_out))
