"""`rig data merge`: several datasets of one world as one.

What they have to have in common: the world, the action space, the size of frames and, where steps hold VQ codes, the
tokenizer. Their stages may differ where they are learned alike: play and thoughts as single turns, the reviews of S3
and S4 as lookaheads. The new dataset then has the earliest of their stages, for a stage says what every step has at
least; each trajectory keeps its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.data import Dataset, DatasetInfo
from rig.errors import DatasetError, RigError
from rig.stages.base import refuse_inside
from rig.stages.config import Opening
from rig.stages.reshaping import Piece, Tally, copied_info, opened, refuse_out, steps_of, write
from rig.stages.reshaping_config import MergeConfig

_LEARNED_ALIKE = (("s0", "s1", "s2", "live"), ("s3", "s4"))
"""Stages whose steps are learned in the same way, earliest first: an earlier may lack what a later has."""

_HASH_LENGTH = 8
_MARK = re.compile(rf"@[0-9a-f]{{{_HASH_LENGTH}}}@*\Z")


def merge(
    sources: Sequence[Path | str], config: MergeConfig, out: Path | str, opening: Opening | None = None
) -> dict[str, Any]:
    """Write all trajectories of `sources` to the dataset `out`.

    Returns:
        `kept`, `dropped`, `dropped_by` in trajectories and steps; `sources`, the same figures of each; `renamed`,
        new id -> old one.

    Raises:
        DatasetError: a source is damaged or unfinished; they do not go together; or `out` may not be touched.
        RigError: fewer than two sources are given.
    """
    if len(sources) < 2:
        raise RigError(f"{len(sources)} dataset(s) to merge: give two or more as --sources")
    datasets = [opened(source) for source in sources]
    info = _merged_info(datasets, config, Path(out))
    refuse_out(Path(out), info, opening)
    tally = Tally()
    pieces = list(_pieces(datasets, config, tally))
    write(Path(out), info, pieces, opening)
    renamed = {piece.name: piece.entry.id for piece in pieces if piece.name != piece.entry.id}
    return {**tally.to_json(), "sources": [_described(dataset) for dataset in datasets], "renamed": renamed}


def _described(dataset: Dataset) -> dict[str, Any]:
    return {
        "path": str(dataset.path),
        "stage": dataset.info.stage,
        "content_hash": dataset.content_hash,
        "trajectories": len(dataset),
        "steps": dataset.num_steps,
    }


def _merged_info(datasets: Sequence[Dataset], config: MergeConfig, out: Path) -> DatasetInfo:
    """Return what the merged dataset says of itself.

    Raises:
        DatasetError: the datasets do not go together, or `out` is in one of them.
    """
    first = datasets[0]
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        refuse_inside(dataset, out)
        _refuse_difference(first, dataset)
        if dataset.content_hash in seen:
            raise DatasetError(
                f"{seen[dataset.content_hash].path} and {dataset.path} hold the very same "
                f"({dataset.content_hash[:12]}); leave one of them out"
            )
        seen[dataset.content_hash] = dataset
    return replace(
        copied_info(first, config, "merge", out),
        stage=_common_stage(datasets),
        tokenizer=_common_tokenizer(datasets),
        further_parents=tuple(dataset.as_parent() for dataset in datasets[1:]),
    )


def _refuse_difference(first: Dataset, other: Dataset) -> None:
    for name, one, two, fix in (
        ("environment", first.info.environment, other.info.environment, "merge the datasets of each world apart"),
        (
            "action space",
            first.info.action_space,
            other.info.action_space,
            "merge those of one action space, or import the recordings again with the same",
        ),
        (
            "frame size",
            first.info.frame_size,
            other.info.frame_size,
            "make one of them again with the other's size, as by `rig import --frame-size`",
        ),
    ):
        if one != two:
            told = [_told(value) for value in (one, two)]
            told = told if told[0] != told[1] else [f"{value}" for value in (one, two)]  # of one name, and different
            raise DatasetError(f"{first.path} has the {name} {told[0]} and {other.path} {told[1]}; {fix}")


def _told(value: Any) -> str:
    return "{} x {}".format(*value) if isinstance(value, tuple) else repr(getattr(value, "name", value))


def _common_stage(datasets: Sequence[Dataset]) -> str:
    """Return the stage of the merged dataset: the earliest, where all are learned alike."""
    stages = {dataset.info.stage: dataset for dataset in datasets}
    if len(stages) == 1:
        return datasets[0].info.stage
    for alike in _LEARNED_ALIKE:
        if stages.keys() <= set(alike):
            return min(stages, key=alike.index)
    told = " and ".join(f"{dataset.path} is of stage {stage}" for stage, dataset in stages.items())
    raise DatasetError(
        f"{told}, which are not learned alike: single turns (s0, s1, s2), lookaheads (s3, s4) and branches are given "
        "to `rig train` by flags of their own; merge those of each kind apart"
    )


def _common_tokenizer(datasets: Sequence[Dataset]) -> str:
    found = {dataset.info.tokenizer: dataset for dataset in datasets if dataset.info.tokenizer}
    if len(found) > 1:
        told = " and ".join(f"{dataset.path} those of {name[:12]}" for name, dataset in found.items())
        raise DatasetError(f"steps hold VQ codes of different tokenizers, {told}; merge those of each apart")
    return next(iter(found), "")


def _pieces(datasets: Sequence[Dataset], config: MergeConfig, tally: Tally) -> Iterator[Piece]:
    """Yield what is kept of each dataset, in order, every trajectory under an id of its own."""
    counts = Counter(name for dataset in datasets for name in dataset.ids)
    taken, clashing = set(counts), {name for name, count in counts.items() if count > 1}
    if clashing and config.clashes == "refuse":
        raise DatasetError(
            f"{len(clashing)} trajectory id(s) are in more than one dataset, as {min(clashing)!r}; leave --clashes "
            "refuse out to have them renamed, or keep those of the first dataset by --clashes first"
        )
    there: set[str] = set()
    for dataset in datasets:
        for entry in dataset.entries:
            name, clash = entry.id, entry.id in clashing
            if clash and config.clashes == "first" and name in there:
                tally.drop("an id that an earlier dataset has", steps_of(entry), trajectories=1)
                continue
            if clash and config.clashes == "rename":
                name = _free(f"{name}@{dataset.content_hash[:_HASH_LENGTH]}", taken)
            there.add(entry.id)
            taken.add(name)
            tally.keep(steps_of(entry))
            yield Piece(dataset=dataset, entry=entry, name=name)


def original_id(name: str) -> str:
    """Return the id that a trajectory had before it was renamed, if it was."""
    return _MARK.sub("", name)


def _free(name: str, taken: set[str]) -> str:
    """Return `name`, with as many more marks as it takes to be nobody else's."""
    while name in taken:
        name += "@"
    return name
