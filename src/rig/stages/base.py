"""What every stage shares: it walks through pieces of work, writes what comes of each, and goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from rig.annotators import Annotator
from rig.data import Dataset, DatasetInfo, DatasetWriter
from rig.data.manifest import FILE_NAME
from rig.envs import Look, Task, World
from rig.envs.rollout import Episode
from rig.envs.seeds import Split
from rig.errors import DatasetError, RigError
from rig.records import Lineage, Trajectory
from rig.stages.accounts import kept_account
from rig.stages.config import Opening

T = TypeVar("T")


def run_stage(
    out: Path | str,
    info: DatasetInfo,
    work: Sequence[T],
    name_of: Callable[[T], str],
    make: Callable[[Sequence[T]], Iterable[Trajectory | None]],
    opening: Opening,
    annotators: Mapping[str, Annotator[Any, Any]] | None = None,
) -> Dataset:
    """Write what `make` makes of each piece of `work` to a dataset, and return it.

    A piece that is already written is not made again. A piece that comes to nothing (a filtered trajectory) is looked
    at again on resume, which costs time and changes nothing.

    Args:
        out: the dataset's folder.
        info: what the dataset says of itself; on resume it must be the same.
        work: the pieces, in order.
        name_of: the id of the trajectory that a piece becomes.
        make: yields what becomes of each piece, in any order: a trajectory, or None where it comes to nothing.
        opening: see `Opening`.
        annotators: who works for it, by role: what that costs is kept with the dataset.
    """
    with DatasetWriter(out, info, resume=opening.resume, overwrite=opening.overwrite) as writer:
        left = [piece for piece in work if name_of(piece) not in writer.done]
        bar = tqdm(total=len(work), initial=len(work) - len(left), desc=info.stage, unit="episode")
        with kept_account(writer, annotators or {} if left else {}), bar:
            for trajectory in make(left):
                if trajectory is not None:
                    writer.append(trajectory)
                bar.update()
        writer.finalize()
    return Dataset(out)


def finished(out: Path | str, opening: Opening) -> set[str]:
    """Return the ids of the trajectories that a stage would not make again: those that are there, on resume."""
    is_there = opening.resume and (Path(out) / FILE_NAME).exists()
    return set(Dataset(out, allow_incomplete=True).ids) if is_there else set()


def derived_info(source: Dataset, stage: str, config: Mapping[str, Any], out: Path | str) -> DatasetInfo:
    """Return what the dataset `out` says of itself, which `stage` makes of `source` by `config`.

    Raises:
        DatasetError: `out` is `source`, or within it: to write there would take away what is read.
    """
    refuse_inside(source, out)
    return DatasetInfo(
        name=Path(out).name,
        stage=stage,
        environment=source.info.environment,
        action_space=source.info.action_space,
        frame_size=source.info.frame_size,
        config=config,
        parent=source.as_parent(),
    )


def refuse_inside(source: Dataset, out: Path | str) -> None:
    """Raise where `out` is a dataset that is read, or within its folder.

    Raises:
        DatasetError: it is.
    """
    if Path(out).resolve().is_relative_to(source.path.resolve()):
        raise DatasetError(f"{out} is in {source.path}, which is read; choose another folder as --out")


def annotated_lineage(trajectory: Trajectory, stage: str, annotator: Annotator[Any, Any]) -> Lineage:
    """Return the lineage of what `stage` makes of `trajectory`, whoever acted, with texts by `annotator`."""
    return replace(
        trajectory.lineage,
        stage=stage,
        annotator=annotator.name,
        prompt=annotator.fingerprint,
        parent=trajectory.id,
    )


def episodes_in_turn(
    world: World,
    cells: Sequence[tuple[Task, str]],
    split: Split,
    *,
    episodes: int,
    skip: int = 0,
    look: Look | None = None,
) -> list[Episode]:
    """Return `episodes` episodes per cell in worlds of `split`, cell after cell in turn, after `skip` of each.

    `look` looks for those worlds, as in `World.episode_seeds`.

    Raises:
        RigError: no episode is asked for.
    """
    if episodes < 1 or not cells or skip < 0:
        raise RigError(f"{episodes} episodes of {len(cells)} tasks after {skip}: at least 1 of each, after 0 or more")
    seeds = [world.episode_seeds(task, setting, split, episodes, skip=skip, look=look) for task, setting in cells]
    return [
        Episode(task=task.name, setting=setting, seed=seeds[cell][number])
        for number in range(episodes)
        for cell, (task, setting) in enumerate(cells)
    ]
