"""The verbs of `rig data`: datasets merged, split, filtered and cleared of duplicates, and shown on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rig.cli.flags import Flags, Settings
from rig.stages.config import Opening
from rig.stages.reshaping_config import DedupeConfig, FilterConfig, MergeConfig, SplitConfig

_EXAMPLES = 10


@dataclass(frozen=True, kw_only=True)
class DataMerge(Flags, MergeConfig, Opening):
    """Make one dataset of several of the same world, action space and frame size.

    Example: rig data merge --sources runs/s2 runs/s2-own --out runs/s2-all

    Attributes:
        sources: folders of the datasets, in the order in which they are to stand.
        out: folder of the new dataset.
    """

    sources: tuple[str, ...]
    out: str

    def run(self) -> dict[str, Any]:
        """Merge."""
        from rig.cli.tables import table
        from rig.stages.merging import merge

        found = merge(self.sources, self.part(MergeConfig), self.out, self.part(Opening))
        rows = [
            [source["path"], source["stage"], source["trajectories"], source["steps"]] for source in found["sources"]
        ]
        lines = [table(["source", "stage", "trajectories", "steps"], rows), "", _counted(found)]
        if found["renamed"]:
            new, old = next(iter(found["renamed"].items()))
            lines.append(f"{len(found['renamed'])} trajectories of the same id were renamed, as {old} to {new}")
        return _told(self.out, lines, found)


@dataclass(frozen=True, kw_only=True)
class DataSplit(Flags, SplitConfig, Opening):
    """Make several datasets of one, none of which has a world (a seed) of another.

    Example: rig data split --source runs/s2 --share train=0.9 validation=0.1 --out runs/parts

    Attributes:
        source: folder of the dataset.
        out: folder in which each part is a dataset of its name.
    """

    source: str
    out: str
    share: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Split."""
        from rig.cli.tables import table
        from rig.stages.splitting import split

        found = split(self.source, self.part(SplitConfig), self.out, self.part(Opening))
        rows = [
            [name, part["path"], f"{part['share']:g}", part["seeds"], part["trajectories"], part["steps"]]
            for name, part in found["parts"].items()
        ]
        return _told(self.out, [table(["part", "folder", "share", "seeds", "trajectories", "steps"], rows)], found)


@dataclass(frozen=True, kw_only=True)
class DataFilter(Flags, FilterConfig, Opening):
    """Keep what of a dataset meets all conditions that are given, as whole trajectories or step by step.

    Example: rig data filter --source runs/s2 --success won --true-claims 0.95 --out runs/s2-true

    Attributes:
        source: folder of the dataset.
        out: folder of the new dataset.
    """

    source: str
    out: str

    def run(self) -> dict[str, Any]:
        """Filter."""
        from rig.stages.filtering import filter_dataset

        found = filter_dataset(self.source, self.part(FilterConfig), self.out, self.part(Opening))
        return _told(self.out, [_counted(found)], found)


@dataclass(frozen=True, kw_only=True)
class DataDedupe(Flags, DedupeConfig, Opening):
    """Drop what a dataset holds more than once: trajectories whose steps are in others, or single steps.

    Example: rig data dedupe --source runs/s2-all --near 8 --out runs/s2-once

    Attributes:
        source: folder of the dataset.
        out: folder of the new dataset.
    """

    source: str
    out: str

    def run(self) -> dict[str, Any]:
        """Look for duplicates, and write the rest."""
        from rig.cli.tables import table
        from rig.stages.deduping import dedupe

        found = dedupe(self.source, self.part(DedupeConfig), self.out, self.part(Opening))
        rows = [[row["trajectory"], row["steps"], row["near"], row["like"]] for row in found["same"][:_EXAMPLES]]
        lines = [_counted(found), ""]
        lines += [table(["trajectory", "steps that went", "nearly the same", "as in"], rows)] if rows else []
        if len(found["same"]) > _EXAMPLES:
            lines.append(f"... and {len(found['same']) - _EXAMPLES} more; --json lists all")
        lines.append(f"{found['frames_again']} kept steps show a frame that was there before, and differ otherwise")
        return _told(self.out, lines, found)


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """Show what a dataset holds on one HTML page: steps as pictures, tasks, actions, texts, lengths, where it is from.

    `rig card` writes README.md into a dataset that is given away; this is a page to look at.

    Example: rig data card --dataset runs/s2 --out card.html

    Attributes:
        dataset: folder of the dataset.
        out: the page.
        title: its heading; the dataset's name where empty.
        samples: how many steps are shown, each of another episode.
        steps_per_second: how many steps a second of play has, for the hours of it; None: as the world says.
        licence: under which licence the dataset may be used; where empty, nothing is said of it.
    """

    dataset: str
    out: str
    title: str = ""
    samples: int = 8
    steps_per_second: float | None = None
    licence: str = ""

    def run(self) -> dict[str, Any]:
        """Look, and write the page."""
        from rig.viewer.card import render_card

        found = render_card(
            self.dataset,
            self.out,
            title=self.title,
            samples=self.samples,
            steps_per_second=self.steps_per_second,
            licence=self.licence,
        )
        size = Path(self.out).stat().st_size
        text = f"{self.out}: {found['trajectories']} trajectories, {found['steps']} steps, {size / 1e6:.1f} MB"
        return {"text": text, "out": self.out, "bytes": size, **found}


def _counted(found: Mapping[str, Any]) -> str:
    """Return the table of what was kept and dropped."""
    from rig.cli.tables import table

    counts = {"kept": found["kept"]}
    counts |= {f"dropped for {reason}": dropped for reason, dropped in found["dropped_by"].items()}
    rows = [[what, count["trajectories"], count["steps"]] for what, count in counts.items()]
    return table(["", "trajectories", "steps"], rows)


def _told(out: str, lines: Sequence[str], found: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": "\n".join([f"{Path(out)}:", *lines]), "out": out, **found}
