"""What an import lost and why, episode by episode and in all: `imported.jsonl` and `imported.json` of its dataset.

An importer counts what it drops, rounds and mends while it reads a recording: `report.add("steps", "null action")`.
A line of `imported.jsonl` is written for every episode before its shard is: however often an import is killed and
resumed, what is told at its end is told of the whole set.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rig.actions.cameras import CameraRounding
from rig.data.manifest import REPORT_LINES_NAME, REPORT_NAME
from rig.data.problems import Skipped
from rig.errors import DatasetError
from rig.storage import append_json_line, read_json, read_json_lines, write_json
from rig.validation import validated

KINDS = {
    "steps": "steps left out",
    "frames": "frames left out",
    "segments": "segments left out",
    "ticks": "ticks of the game",
    "keys": "keys that the action space has not",
    "turns": "turns of the camera",
    "degrees": "degrees of turns lost",
    "mended": "mended",
    "contradictions": "what the metadata says otherwise",
}
"""What is counted, and in which words it is told; an importer may add kinds of its own."""

_DIGITS = 3
_LONGEST = 4


class ImportReport:
    """What was lost of one recording, or of many: kind -> what -> how many.

    Attributes:
        counts: the numbers; a kind or a thing that never came is not there.
    """

    def __init__(self, counts: Mapping[str, Mapping[str, float]] | None = None) -> None:
        self.counts: dict[str, dict[str, float]] = {kind: dict(some) for kind, some in (counts or {}).items()}

    def add(self, kind: str, what: str, number: float = 1) -> None:
        """Count `number` more of `what`; nothing where it is 0."""
        if number:
            some = self.counts.setdefault(kind, {})
            some[what] = some.get(what, 0) + number

    def merge(self, other: ImportReport) -> None:
        """Count what another one has counted."""
        for kind, some in other.counts.items():
            for what, number in some.items():
                self.add(kind, what, number)

    def add_cameras(self, cameras: CameraRounding) -> None:
        """Count what became of an episode's turns, at its end."""
        self.add("turns", "in all", cameras.turns)
        self.add("turns", "rounded", cameras.rounded)
        for axis, degrees in zip(("pitch", "yaw"), cameras.left, strict=True):
            self.add("degrees", axis, abs(degrees))


@dataclass(frozen=True, kw_only=True)
class ImportedEpisode:
    """What became of a recording.

    Attributes:
        id: the trajectory's.
        steps: how many steps the dataset has of it.
        counts: as of `ImportReport`.
        left_out: what was left out of it on request, and why.
    """

    id: str
    steps: int
    counts: dict[str, dict[str, float]] = field(default_factory=dict)
    left_out: tuple[Skipped, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImportSummary:
    """What became of all recordings.

    Attributes:
        importer: who read them.
        episodes: how many the dataset has.
        episodes_left_out: how many it has not, because something was wrong with them.
        episodes_unknown: how many it has of which nobody noted what was lost: an earlier version imported them.
        steps: how many steps the episodes have of which is known what was lost.
        counts: as of `ImportReport`, in all.
        most_degrees: the most that is lost of one episode's sum of turns on one axis, in degrees.
        left_out: what was left out, and why: episodes, and parts of those that were imported.
    """

    importer: str
    episodes: int
    episodes_left_out: int
    episodes_unknown: int
    steps: int
    counts: dict[str, dict[str, float]]
    most_degrees: float
    left_out: tuple[Skipped, ...]

    def text(self) -> str:
        """Return all of it in a line."""
        parts = [f"imported {self.episodes} of {self.episodes + self.episodes_left_out} episodes, {self.steps} steps"]
        parts += [_told(kind, some) for kind, some in self.counts.items()]
        if self.most_degrees:
            parts.append(f"of one episode's turns {self.most_degrees:g} degrees at the most")
        if self.episodes_unknown:
            parts.append(f"nothing is known of {self.episodes_unknown} episodes, which an earlier version imported")
        return "; ".join(parts)


class ImportLog:
    """What becomes of the recordings, noted in a dataset's folder as it does.

    Args:
        folder: the dataset's, whose lock the caller holds.
        importer: who reads the recordings.
    """

    def __init__(self, folder: Path, importer: str) -> None:
        self._folder, self._importer = folder, importer
        (folder / REPORT_NAME).unlink(missing_ok=True)  # it is there where it covers all of the dataset

    def note(self, episode: ImportedEpisode) -> None:
        """Note an episode that is about to be written; one that is noted again has changed."""
        append_json_line(self._folder / REPORT_LINES_NAME, asdict(episode))

    def finish(
        self, ids: Collection[str], report: ImportReport, left_out: Iterable[Skipped], episodes_left_out: int
    ) -> ImportSummary:
        """Write the summary of the dataset, and return it.

        Args:
            ids: of the trajectories that the dataset has.
            report: what was lost that belongs to none of them.
            left_out: what was left out that belongs to none of them, and why.
            episodes_left_out: how many recordings the dataset has nothing of.
        """
        noted = {one.id: one for one in read_json_lines(self._folder / REPORT_LINES_NAME, ImportedEpisode)}
        found = [one for name, one in noted.items() if name in ids]
        summary = ImportSummary(
            importer=self._importer,
            episodes=len(ids),
            episodes_left_out=episodes_left_out,
            episodes_unknown=len(ids) - len(found),
            steps=sum(one.steps for one in found),
            counts=_summed([*(one.counts for one in found), report.counts]),
            most_degrees=round(max(map(_most_degrees, found), default=0.0), _DIGITS),
            left_out=(*(fault for one in found for fault in one.left_out), *left_out),
        )
        write_json(self._folder / REPORT_NAME, asdict(summary))
        return summary


def load_report(folder: Path | str) -> ImportSummary:
    """Return what the import of the dataset in `folder` lost.

    Raises:
        DatasetError: it says nothing of that: it is no import, is unfinished, or an earlier version wrote it.
    """
    path = Path(folder) / REPORT_NAME
    if not path.is_file():
        raise DatasetError(f"{path} is missing: no finished import, or one by an earlier version; import it again")
    fix = "import it again"
    return validated(read_json(path, fix, DatasetError), ImportSummary, path, fix, DatasetError)


def _summed(counted: Iterable[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the sums of counts, the same in any order of them."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for counts in counted:
        for kind, some in counts.items():
            for what, number in some.items():
                found[kind][what].append(number)
    order = [*KINDS, *sorted(set(found) - set(KINDS))]
    return {
        kind: {what: _plain(math.fsum(numbers)) for what, numbers in sorted(found[kind].items())}
        for kind in order
        if kind in found
    }


def _plain(number: float) -> float:
    """Return a sum as a whole number where it is one."""
    rounded = round(number, _DIGITS)
    return int(rounded) if rounded == int(rounded) else rounded


def _most_degrees(episode: ImportedEpisode) -> float:
    return max(episode.counts.get("degrees", {}).values(), default=0.0)


def _told(kind: str, some: Mapping[str, float]) -> str:
    """Return one kind in words, what came most first."""
    parts = sorted(some.items(), key=lambda item: (-item[1], item[0]))
    told = [f"{number:g} {what}" for what, number in parts[:_LONGEST]]
    more = [f"{len(parts) - _LONGEST} more"] if len(parts) > _LONGEST else []
    return f"{KINDS.get(kind, kind)}: {', '.join(told + more)}"
