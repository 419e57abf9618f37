"""S0: other people's play, through an importer, into our own format: cameras on the grid, actions as text.

Steps are read, looked at and written one by one, so that a recording may be of any length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rig.actions import ACTION_SPACES
from rig.data import Dataset, DatasetInfo, DatasetWriter, Skipped, build_importer, refuse_unstorable
from rig.data.decoding import MAX_SIDE, decoding
from rig.dialogue import refuse_unspeakable
from rig.errors import DatasetError, DialogueError, RigError, UnknownNameError
from rig.model.fit import fit_within
from rig.records import Dream, Step, Trajectory
from rig.stages.base import Opening


def import_dataset(
    source: Path | str,
    importer: str,
    out: Path | str,
    *,
    importer_config: Mapping[str, Any] | None = None,
    frame_size: tuple[int, int] | None = None,
    opening: Opening | None = None,
    skipped: list[Skipped] | None = None,
) -> Dataset:
    """Read `source` with the named importer, and write the dataset `out`.

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

    Raises:
        UnknownNameError: no such importer.
        DatasetError: something malformed, with its place and the fix; or no conversation can hold a text.
        RigError: the source holds no trajectory, or the importer's configuration or `frame_size` is none.
    """
    opening, given = opening or Opening(), dict(importer_config or {})
    reader = build_importer(importer, given)
    config: dict[str, Any] = {"importer": importer, "source": Path(source).name}
    config |= {"importer_config": given} if given else {}
    config |= {"frame_size": _checked_size(frame_size)} if frame_size else {}
    taking = _Taking(name=Path(out).name, config=config, frame_size=frame_size, skipped=skipped)
    trajectories = iter(reader.trajectories(Path(source), skipped=skipped))
    first, info = next(taking.beginnings(trajectories), (None, None))
    if first is None or info is None:
        raise RigError(
            f"{source} holds no trajectory that the importer {importer!r} can read"
            + (f"; {len(skipped)} were left out, the first for: {skipped[0].reason}" if skipped else "")
        )
    with DatasetWriter(out, info, resume=opening.resume, overwrite=opening.overwrite) as writer:
        there = set(writer.done)
        for trajectory in chain([first], trajectories):
            if trajectory.id not in there:
                with _skipping(trajectory, skipped):
                    writer.append(trajectory, taking.steps(trajectory))
        writer.finalize()
    return Dataset(out)


def _checked_size(size: tuple[int, int]) -> list[int]:
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise RigError(f"frames of {size[0]} x {size[1]}: give a height and a width of 1 to {MAX_SIDE} pixels")
    return list(size)


@dataclass(frozen=True, kw_only=True)
class _Taking:
    """How trajectories are taken into the dataset; see `import_dataset`."""

    name: str
    config: Mapping[str, Any]
    frame_size: tuple[int, int] | None
    skipped: list[Skipped] | None

    def beginnings(self, trajectories: Iterator[Trajectory]) -> Iterator[tuple[Trajectory, DatasetInfo]]:
        """Yield the trajectories that can begin a dataset, each with what the dataset then is."""
        for trajectory in trajectories:
            trial = replace(self, skipped=None if self.skipped is None else [])
            try:
                info = trial._info(trajectory)
                refuse_unstorable(trajectory, info, trial.steps(trajectory))
            except (DatasetError, DialogueError, UnknownNameError) as error:
                if self.skipped is not None:
                    self.skipped.extend(trial.skipped or ())
                _skip(error, trajectory, self.skipped)
            else:
                yield trajectory, info

    def steps(self, trajectory: Trajectory) -> Iterator[Step]:
        """Yield those steps of a trajectory that a conversation can hold, with their frames in the dataset's size.

        Raises:
            DatasetError: one cannot be held, and nothing may be skipped.
        """
        for step in _read(trajectory):
            try:
                refuse_unspeakable(step)
            except DialogueError as error:
                _skip(error, trajectory, self.skipped, f", step {step.index}")
            else:
                yield step if self.frame_size is None else _resized(step, self.frame_size)

    def _info(self, trajectory: Trajectory) -> DatasetInfo:
        if not trajectory.steps:
            raise DatasetError("it has no step")
        return DatasetInfo(
            name=self.name,
            stage="s0",
            environment=trajectory.environment,
            action_space=ACTION_SPACES.get(trajectory.action_space),
            frame_size=self.frame_size or trajectory.steps[0].frame.shape[:2],
            config=self.config,
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


def _resized(step: Step, size: tuple[int, int]) -> Step:
    """Return a step with every frame brought to `size`; what is no frame stays as it is, and is refused later."""

    def fit(frame: Any) -> Any:
        is_frame = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        return fit_within(frame, *size) if is_frame and frame.size else frame

    def fitted(dreams: Sequence[Dream]) -> tuple[Dream, ...]:
        return tuple(replace(dream, frame=fit(dream.frame), real_frame=fit(dream.real_frame)) for dream in dreams)

    return replace(
        step,
        frame=fit(step.frame),
        next_frame=fit(step.next_frame),
        dreams=fitted(step.dreams),
        candidates=tuple(replace(plan, dreams=fitted(plan.dreams)) for plan in step.candidates),
    )


@contextmanager
def _skipping(trajectory: Trajectory, skipped: list[Skipped] | None) -> Iterator[None]:
    """List what the block refuses of `trajectory`, where something may be skipped; a closed writer is no such thing."""
    try:
        yield
    except (DatasetError, DialogueError, UnknownNameError) as error:
        _skip(error, trajectory, skipped)


def _skip(error: RigError, trajectory: Trajectory, skipped: list[Skipped] | None, part: str = "") -> None:
    """List what is wrong with `trajectory`.

    Raises:
        DatasetError: nothing may be skipped.
    """
    place = f"trajectory {trajectory.id!r}{part}"
    if skipped is None:
        raise DatasetError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error
    skipped.append(Skipped(place=place, reason=str(error)))
