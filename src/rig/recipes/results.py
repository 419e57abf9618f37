"""The scores in a ladder's folder, and how two of its rows compare."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.agents.checkpoint import Origin, origin_of
from rig.errors import CheckpointError
from rig.evaluate.embodied import by_cell
from rig.evaluate.saved import IMAGINATION, SUMMARY, read_rows, read_scores
from rig.evaluate.stats import Difference, paired_difference
from rig.recipes.ladder import OWN, Ladder


class Results:
    """The scores in a ladder's folder, read once.

    Args:
        ladder: whose.

    Attributes:
        embodied: row -> the scores of its play.
        imagined: row -> the scores of its dreams of the teacher's actions.
        own_dreams: row -> those of its dreams of its own.
        agents: run -> how its agent was made.
        unexplained: run -> why it cannot be told how its agent was made.

    Raises:
        RigError: scores are not whole.
    """

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self.embodied = self._read("eval", SUMMARY)
        imagined = self._read("imagine", IMAGINATION)
        self.imagined = {name: scores for name, scores in imagined.items() if not name.endswith(OWN)}
        self.own_dreams = {name.removesuffix(OWN): scores for name, scores in imagined.items() if name.endswith(OWN)}
        self.agents: dict[str, Origin] = {}
        self.unexplained: dict[str, str] = {}
        for path in sorted((ladder.root / "train").glob("*/agent/agent.json")):
            self._add_agent(path.parent.parent.name, path.parent)

    def rows(self, name: str, tasks: Sequence[str] = (), each: int = 0) -> list[Mapping[str, Any]]:
        """Return the episodes of the row `name`.

        Args:
            name: of the row.
            tasks: "task/setting" whose episodes are returned; all where none is given.
            each: how many of each of them, by seed; 0 for all.
        """
        if name not in self._rows:
            self._rows[name] = read_rows(self.ladder.root / "eval" / name)
        cells = by_cell(self._rows[name])
        return [row for cell, rows in cells.items() if not tasks or cell in tasks for row in rows[: each or None]]

    def episodes(self, name: str, tasks: Sequence[str] = (), each: int = 0) -> dict[Hashable, float]:
        """Return success by episode of these rows."""
        rows = self.rows(name, tasks, each)
        return {(row["task"], row["setting"], row["seed"]): float(row["success"]) for row in rows}

    def difference(self, ours: str, theirs: str, tasks: Sequence[str] = (), each: int = 0) -> Difference | None:
        """Return the paired difference in success over the episodes that both rows played; None of fewer than two."""
        if not {ours, theirs} <= set(self.embodied):
            return None
        mine, others = self.episodes(ours, tasks, each), self.episodes(theirs, tasks, each)
        shared = mine.keys() & others.keys()
        if len(shared) < 2:
            return None
        return paired_difference({key: mine[key] for key in shared}, {key: others[key] for key in shared})

    def _read(self, folder: str, file: str) -> dict[str, dict[str, Any]]:
        found = sorted((self.ladder.root / folder).glob(f"*/{file}"))
        return {path.parent.name: read_scores(path) for path in found}

    def _add_agent(self, name: str, folder: Path) -> None:
        try:
            self.agents[name] = origin_of(folder)
        except CheckpointError as error:
            self.unexplained[name] = str(error)
