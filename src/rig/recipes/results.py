"""The scores in a ladder's folder, and how two of its rows compare.

A ladder that is climbed again, anywhere, is a replicate: the same plan, other agents. What pages need of one is small
(`keep`), and a page can be written of several (`Results`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.agents.checkpoint import Origin, origin_of
from rig.errors import CheckpointError, RigError
from rig.evaluate.saved import EPISODES, IMAGINATION, SUMMARY, read_rows, read_scores
from rig.evaluate.scores import by_cell, scores_of
from rig.evaluate.stats import Difference, paired_difference
from rig.recipes.jobs import TIMES, Job, core_hours
from rig.recipes.ladder import OWN, Ladder
from rig.storage import write_bytes

LOGS = "logs"
"""In a ladder's folder: what its commands printed, and how long they took."""


class Results:
    """The scores in a ladder's folder, and in those of its replicates, read once.

    Rows that several of them have are pooled. Two rows are compared within each that has both, for agents of different
    trainings differ by more than what is compared. Of dreams, judgements and agents the first that there are count.

    Args:
        ladder: whose.
        replicates: folders of the same ladder climbed elsewhere, whole or as `keep` left them.

    Attributes:
        embodied: row -> the scores of its play.
        trainings: row -> how many ladders have it.
        imagined: row -> the scores of its dreams of the teacher's actions.
        own_dreams: row -> those of its dreams of its own.
        agents: run -> how its agent was made.
        unexplained: run -> why it cannot be told how its agent was made.

    Raises:
        RigError: scores are not whole; or a replicate holds none, or is another one again.
    """

    def __init__(self, ladder: Ladder, replicates: Sequence[Path] = ()) -> None:
        self.ladder = ladder
        self._roots = [ladder.root, *replicates]
        self._rows: dict[tuple[Path, str], list[dict[str, Any]]] = {}
        self._summaries = {root: _read(root, "eval", SUMMARY) for root in self._roots}
        for number, root in enumerate(replicates, start=1):
            if root.resolve() in [other.resolve() for other in self._roots[:number]]:
                raise RigError(f"{root} is named twice; every ladder counts once")
            if not self._summaries[root]:
                raise RigError(f"{root} holds no scores; name the root of a ladder, or a folder that `--keep` made")
        names = sorted({name for summaries in self._summaries.values() for name in summaries})
        self.embodied = {name: self._pooled(name) for name in names}
        self.trainings = {name: len(self._roots_of(name)) for name in names}
        imagined: dict[str, dict[str, Any]] = {}
        for root in reversed(self._roots):
            imagined |= _read(root, "imagine", IMAGINATION)
        self.imagined = {name: scores for name, scores in imagined.items() if not name.endswith(OWN)}
        self.own_dreams = {name.removesuffix(OWN): scores for name, scores in imagined.items() if name.endswith(OWN)}
        self.agents: dict[str, Origin] = {}
        self.unexplained: dict[str, str] = {}
        for root in reversed(self._roots):
            for path in sorted((root / "train").glob("*/agent/agent.json")):
                self._add_agent(path.parent.parent.name, path.parent)
        self.unexplained = {run: why for run, why in self.unexplained.items() if run not in self.agents}

    @property
    def replicates(self) -> int:
        """How many ladders there are beside this one."""
        return len(self._roots) - 1

    @property
    def scored(self) -> Iterator[Mapping[str, Any]]:
        """All scores of play and of dreams, each as it was saved."""
        for summaries in self._summaries.values():
            yield from summaries.values()
        yield from (*self.imagined.values(), *self.own_dreams.values())

    def summaries(self, name: str) -> list[dict[str, Any]]:
        """Return the scores of the row `name`, of each ladder that has it."""
        return [self._summaries[root][name] for root in self._roots_of(name)]

    def rows(self, name: str, tasks: Sequence[str] = (), each: int = 0) -> list[Mapping[str, Any]]:
        """Return the episodes of the row `name`.

        Args:
            name: of the row.
            tasks: "task/setting" whose episodes are returned; all where none is given.
            each: how many of each of them, by seed, and of each ladder; 0 for all.
        """
        return [row for root in self._roots_of(name) for row in self._rows_in(root, name, tasks, each)]

    def episodes(self, name: str, tasks: Sequence[str] = (), each: int = 0) -> dict[Hashable, float]:
        """Return success by ladder and episode of these rows."""
        return {
            (root, row["task"], row["setting"], row["seed"]): float(row["success"])
            for root in self._roots_of(name)
            for row in self._rows_in(root, name, tasks, each)
        }

    def difference(self, ours: str, theirs: str, tasks: Sequence[str] = (), each: int = 0) -> Difference | None:
        """Return the paired difference in success over the episodes that both rows played; None of fewer than two."""
        if not {ours, theirs} <= set(self.embodied):
            return None
        mine, others = self.episodes(ours, tasks, each), self.episodes(theirs, tasks, each)
        shared = mine.keys() & others.keys()
        if len(shared) < 2:
            return None
        return paired_difference({key: mine[key] for key in shared}, {key: others[key] for key in shared})

    def found(self, path: Path) -> Path:
        """Return `path`, or what stands there in the first replicate that has it, where this ladder has nothing."""
        relative = path.relative_to(self.ladder.root)
        return next((root / relative for root in self._roots if (root / relative).is_file()), path)

    def core_hours(self) -> dict[str, float]:
        """Return what every job took, by name, in core hours; of several ladders that ran it, in the mean."""
        spent: dict[str, list[float]] = {}
        for root in self._roots:
            for name, hours in core_hours(root / LOGS).items():
                spent.setdefault(name, []).append(hours)
        return {name: sum(hours) / len(hours) for name, hours in spent.items()}

    def left(self, jobs: Sequence[Job]) -> list[str]:
        """Return the names of the jobs whose results no ladder has."""
        return [job.name for job in jobs if not any(self._in(root, job).is_done for root in self._roots)]

    def _in(self, root: Path, job: Job) -> Job:
        """Return a job of this ladder as the ladder in `root` has it."""
        return replace(job, result=root / job.result.relative_to(self.ladder.root))

    def _roots_of(self, name: str) -> list[Path]:
        return [root for root in self._roots if name in self._summaries[root]]

    def _rows_in(self, root: Path, name: str, tasks: Sequence[str], each: int) -> Iterator[Mapping[str, Any]]:
        if (root, name) not in self._rows:
            self._rows[root, name] = read_rows(root / "eval" / name)
        for cell, rows in by_cell(self._rows[root, name]).items():
            if not tasks or cell in tasks:
                yield from rows[: each or None]

    def _pooled(self, name: str) -> dict[str, Any]:
        """Return the scores of a row, over all of its episodes."""
        first, *others = self.summaries(name)
        return {**first, **scores_of(self.rows(name))} if others else first

    def _add_agent(self, name: str, folder: Path) -> None:
        try:
            self.agents[name] = origin_of(folder)
        except CheckpointError as error:
            self.unexplained[name] = str(error)


def keep(ladder: Ladder, folder: Path) -> list[str]:
    """Copy what pages need of a ladder, and neither data nor networks; return the names of the jobs that are done.

    Args:
        ladder: whose results.
        folder: takes them as the ladder's own folder has them, in the place of what it had of these.
    """
    done = [job for job in ladder.jobs() if job.is_done]
    files = [job.result for job in done]
    files += [path.with_name(EPISODES) for path in files if path.name == SUMMARY]
    files += [path for path in (ladder.root / LOGS / TIMES,) if path.is_file()]
    for path in files:
        write_bytes(folder / path.relative_to(ladder.root), path.read_bytes())
    return [job.name for job in done]


def _read(root: Path, folder: str, file: str) -> dict[str, dict[str, Any]]:
    return {path.parent.name: read_scores(path) for path in sorted((root / folder).glob(f"*/{file}"))}
