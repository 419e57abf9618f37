"""The scores in a ladder's folder, and how two of its rows compare."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from rig.evaluate.embodied import EPISODES
from rig.evaluate.stats import Difference, paired_difference
from rig.recipes.ladder import OWN, Ladder
from rig.storage import read_json, read_json_lines


class Results:
    """The scores in a ladder's folder, read once."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self.embodied = self._read("eval", "summary.json")
        imagined = self._read("imagine", "imagination.json")
        self.imagined = {name: scores for name, scores in imagined.items() if not name.endswith(OWN)}
        self.own_dreams = {name.removesuffix(OWN): scores for name, scores in imagined.items() if name.endswith(OWN)}
        self.agents = {
            path.parent.parent.name: read_json(path)["origin"]
            for path in sorted((ladder.root / "train").glob("*/agent/agent.json"))
        }

    def rows(self, name: str, tasks: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the episodes of the row `name`, of these "task/setting" alone where any are given."""
        if name not in self._rows:
            self._rows[name] = read_json_lines(self.ladder.root / "eval" / name / EPISODES)
        return [row for row in self._rows[name] if not tasks or f"{row['task']}/{row['setting']}" in tasks]

    def episodes(self, name: str, tasks: Sequence[str] = ()) -> dict[Hashable, float]:
        """Return success by episode of these rows."""
        return {(row["task"], row["setting"], row["seed"]): float(row["success"]) for row in self.rows(name, tasks)}

    def difference(self, ours: str, theirs: str, tasks: Sequence[str] = ()) -> Difference | None:
        """Return the paired difference in success over the episodes that both rows played, or None."""
        if not {ours, theirs} <= set(self.embodied):
            return None
        mine, others = self.episodes(ours, tasks), self.episodes(theirs, tasks)
        shared = mine.keys() & others.keys()
        return paired_difference({key: mine[key] for key in shared}, {key: others[key] for key in shared})

    def _read(self, folder: str, file: str) -> dict[str, dict[str, Any]]:
        found = sorted((self.ladder.root / folder).glob(f"*/{file}"))
        return {path.parent.name: read_json(path) for path in found}
