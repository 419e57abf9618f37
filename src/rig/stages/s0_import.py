"""S0: other people's play, through an importer, into our own format: cameras on the grid, actions as text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from rig.actions import ACTION_SPACES
from rig.data import IMPORTERS, Dataset, DatasetInfo, DatasetWriter, Skipped, refuse_unstorable
from rig.dialogue import refuse_unspeakable
from rig.errors import DatasetError, DialogueError, RigError, UnknownNameError
from rig.records import Trajectory
from rig.stages.base import Opening


def import_dataset(
    source: Path | str,
    importer: str,
    out: Path | str,
    *,
    opening: Opening | None = None,
    skipped: list[Skipped] | None = None,
) -> Dataset:
    """Read `source` with the named importer, and write the dataset `out`.

    Args:
        source: what the importer reads.
        importer: its name.
        out: the dataset's folder.
        opening: see `Opening`.
        skipped: what is wrong is added here, and the step or the trajectory that it is wrong with is left out,
            wherever on the way it is found; None stops at the first.

    Raises:
        UnknownNameError: no such importer.
        DatasetError: something malformed, with its place and the fix; or no conversation can hold a text.
        RigError: the source holds no trajectory.
    """
    opening = opening or Opening()
    usable = _usable(iter(IMPORTERS.get(importer).trajectories(Path(source), skipped=skipped)), skipped)
    first, info = next(_with_info(usable, importer, source, out, skipped), (None, None))
    if first is None or info is None:
        raise RigError(
            f"{source} holds no trajectory that the importer {importer!r} can read"
            + (f"; {len(skipped)} were left out, the first for: {skipped[0].reason}" if skipped else "")
        )
    with DatasetWriter(out, info, resume=opening.resume, overwrite=opening.overwrite) as writer:
        there = set(writer.done)
        for trajectory in chain([first], usable):
            if trajectory.id not in there:
                with _skipping(trajectory, skipped):
                    writer.append(trajectory)
        writer.finalize()
    return Dataset(out)


def _with_info(
    trajectories: Iterator[Trajectory],
    importer: str,
    source: Path | str,
    out: Path | str,
    skipped: list[Skipped] | None,
) -> Iterator[tuple[Trajectory, DatasetInfo]]:
    """Yield the trajectories that can begin a dataset, each with what the dataset then is."""
    for trajectory in trajectories:
        with _skipping(trajectory, skipped):
            info = DatasetInfo(
                name=Path(out).name,
                stage="s0",
                environment=trajectory.environment,
                action_space=ACTION_SPACES.get(trajectory.action_space),
                frame_size=(trajectory.steps[0].frame.shape[0], trajectory.steps[0].frame.shape[1]),
                config={"importer": importer, "source": Path(source).name},
            )
            refuse_unstorable(trajectory, info)
            yield trajectory, info


def _usable(trajectories: Iterator[Trajectory], skipped: list[Skipped] | None) -> Iterator[Trajectory]:
    """Yield the trajectories with those of their steps that a conversation can hold.

    Raises:
        DatasetError: one cannot be held, and nothing may be skipped.
    """
    for trajectory in trajectories:
        steps = []
        for step in trajectory.steps:
            with _skipping(trajectory, skipped, f", step {step.index}"):
                refuse_unspeakable(step)
                steps.append(step)
        with _skipping(trajectory, skipped):
            if not steps:
                raise DatasetError("no step is left")
            yield trajectory.with_steps(tuple(steps)) if len(steps) < len(trajectory.steps) else trajectory


@contextmanager
def _skipping(trajectory: Trajectory, skipped: list[Skipped] | None, part: str = "") -> Iterator[None]:
    """List what the block refuses of `trajectory`, where something may be skipped; a closed writer is no such thing."""
    place = f"trajectory {trajectory.id!r}{part}"
    try:
        yield
    except (DatasetError, DialogueError, UnknownNameError) as error:
        if skipped is None:
            raise DatasetError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error
        skipped.append(Skipped(place=place, reason=str(error)))
