"""What verbs share that make another dataset of datasets: records are copied as they are, and counted.

Everything is looked at before anything is written: every file's hash and every row, what is to be kept, and whether the
new folder may be made. So what can be refused leaves nothing behind; and what is killed goes on by `--resume`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from rig.data import Dataset, DatasetInfo, Entry, refuse_unwritable
from rig.errors import DatasetError
from rig.lazy import Lazy
from rig.records import Trajectory
from rig.stages.base import derived_info, run_stage
from rig.stages.config import Opening
from rig.stages.reshaping_config import Unit

BRANCHES = "branch"
"""The stage of counterfactual sets, whose steps are worth something beside each other alone."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A trajectory that is kept.

    Attributes:
        dataset: where it is.
        entry: which.
        name: its id in the new dataset.
        positions: which of its steps are kept; None: all.
    """

    dataset: Dataset
    entry: Entry
    name: str
    positions: Sequence[int] | None = None

    @property
    def steps(self) -> int:
        """How many steps it has in the new dataset."""
        return steps_of(self.entry) if self.positions is None else len(self.positions)

    def read(self) -> Trajectory:
        """Return the trajectory under its new name; its steps are read when they are asked for."""
        found = self.dataset[self.entry.id]
        steps = found.steps if self.positions is None else Lazy(found.steps.__getitem__, self.positions)
        return replace(found, id=self.name, steps=steps)


@dataclass(kw_only=True)
class Tally:
    """How much was kept, and how much dropped for which reason, in trajectories and steps."""

    kept: list[int] = field(default_factory=lambda: [0, 0])
    dropped: dict[str, list[int]] = field(default_factory=dict)

    def keep(self, steps: int) -> None:
        """Count a trajectory of which so many steps are kept."""
        self.kept[0] += 1
        self.kept[1] += steps

    def drop(self, reason: str, steps: int, *, trajectories: int = 0) -> None:
        """Count steps that are dropped for a reason, and the trajectories that go with them."""
        found = self.dropped.setdefault(reason, [0, 0])
        found[0] += trajectories
        found[1] += steps

    def to_json(self) -> dict[str, Any]:
        """Return `kept`, `dropped` and `dropped_by` (reason -> the same), each with `trajectories` and `steps`."""
        total = [sum(found[column] for found in self.dropped.values()) for column in range(2)]
        return {
            "kept": _counts(self.kept),
            "dropped": _counts(total),
            "dropped_by": {reason: _counts(found) for reason, found in self.dropped.items()},
        }


def _counts(pair: Sequence[int]) -> dict[str, int]:
    return {"trajectories": pair[0], "steps": pair[1]}


def steps_of(entry: Entry) -> int:
    """Return how many steps a trajectory has."""
    return entry.stop - entry.start


def opened(source: Path | str) -> Dataset:
    """Return a dataset, once every file of it has its hash, and every row of it can be read.

    Raises:
        DatasetError: it is missing, unfinished, damaged, or holds nothing.
    """
    dataset = Dataset(source)
    dataset.verify()
    if not dataset.entries:
        raise DatasetError(f"{source} holds no trajectory; give a dataset with some")
    return dataset


def copied_info(source: Dataset, config: Any, verb: str, out: Path) -> DatasetInfo:
    """Return what the dataset `out` says of itself, whose records `verb` copies from `source`."""
    info = derived_info(source, source.info.stage, {"verb": f"data {verb}", **asdict(config)}, out)
    return replace(info, tokenizer=source.info.tokenizer)


def refuse_parts_of_sets(dataset: Dataset, keep: Unit) -> None:
    """Raise where single steps would be taken out of counterfactual sets.

    Raises:
        DatasetError: they would.
    """
    if keep == "steps" and dataset.info.stage == BRANCHES:
        raise DatasetError(
            f"{dataset.path} holds counterfactual sets, which are compared as a whole, and keep='steps' would take "
            "branches out of them; use --keep trajectories"
        )


def refuse_nothing(pieces: Sequence[Piece], tally: Tally, source: Path) -> None:
    """Raise where nothing is kept, before anything is written.

    Raises:
        DatasetError: nothing is; what it was dropped for is told.
    """
    if not pieces:
        told = ", ".join(f"{steps} steps for {reason}" for reason, (_, steps) in tally.dropped.items())
        raise DatasetError(f"nothing of {source} is left ({told}); ask for less")


def refuse_out(out: Path, info: DatasetInfo, opening: Opening | None) -> None:
    """Raise where the dataset `out` may not be written, before one looks for what goes into it.

    Raises:
        DatasetError: it may not be touched.
        RigError: nothing can be made there.
    """
    opening = opening or Opening()
    refuse_unwritable(out, info, resume=opening.resume, overwrite=opening.overwrite)


def write(out: Path, info: DatasetInfo, pieces: Sequence[Piece], opening: Opening | None) -> Dataset:
    """Write what is kept to the dataset `out`, and return it."""
    return run_stage(out, info, pieces, lambda piece: piece.name, _read_each, opening or Opening())


def _read_each(pieces: Iterable[Piece]) -> Iterator[Trajectory]:
    """Yield each trajectory; of many datasets only the one that is being read has shards open."""
    for _, group in groupby(pieces, key=lambda piece: id(piece.dataset)):
        for piece in group:
            yield piece.read()
        piece.dataset.let_go()
