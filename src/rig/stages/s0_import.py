"""S0: other people's play, through an importer, into our own format: cameras on the grid, actions as text."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from rig.actions import ACTION_SPACES
from rig.data import IMPORTERS, Dataset, DatasetInfo, DatasetWriter, Skipped
from rig.errors import RigError
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
        skipped: malformed rows are added here and left out; None stops at the first.

    Raises:
        UnknownNameError: no such importer.
        DatasetError: a malformed row, with its place and the fix.
        RigError: the source holds no trajectory.
    """
    opening = opening or Opening()
    trajectories = iter(IMPORTERS.get(importer).trajectories(Path(source), skipped=skipped))
    first = next(trajectories, None)
    if first is None:
        raise RigError(f"{source} holds no trajectory that the importer {importer!r} can read")
    info = DatasetInfo(
        name=Path(out).name,
        stage="s0",
        environment=first.environment,
        action_space=ACTION_SPACES.get(first.action_space),
        frame_size=(first.steps[0].frame.shape[0], first.steps[0].frame.shape[1]),
        config={"importer": importer, "source": Path(source).name},
    )
    with DatasetWriter(out, info, resume=opening.resume, overwrite=opening.overwrite) as writer:
        for trajectory in chain([first], trajectories):
            if trajectory.id not in writer.done:
                writer.append(trajectory)
        writer.finalize()
    return Dataset(out)
