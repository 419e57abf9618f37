"""Verbs that make datasets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from rig.cli.flags import Flags, Settings
from rig.errors import RigError
from rig.stages.config import (
    AlignConfig,
    BranchConfig,
    CollectConfig,
    LookaheadConfig,
    Opening,
    PlayerConfig,
    ReasonConfig,
    RehearseConfig,
    RereviewConfig,
)


def described(out: str) -> dict[str, Any]:
    """Return the summary of the dataset in `out`, with a text for people."""
    from rig.cli.tables import dataset_text
    from rig.data import Dataset, summary

    found = summary(Dataset(out))
    return {"text": dataset_text(found), "out": out, **found}


def _refuse_idle(player: PlayerConfig) -> None:
    """Refuse settings of a player where none plays."""
    usual = PlayerConfig()
    idle = [field.name for field in fields(player) if getattr(player, field.name) != getattr(usual, field.name)]
    if idle:
        raise RigError(f"--{idle[0].replace('_', '-')} is of a player, and nobody plays but the teacher: add --player")


@dataclass(frozen=True, kw_only=True)
class Collect(Flags, CollectConfig, PlayerConfig, Opening):
    """S1: let a teacher, or an agent that it corrects, play in training worlds; keep frames, actions, facts.

    Example: rig collect --out runs/s1 --episodes 100 --tasks collect_wood place_table/tool

    Attributes:
        out: folder of the new dataset.
        workers: processes that play, each in a world of its own; the dataset is the same for any number. Beside a
            `player` they only look for worlds.
    """

    out: str
    workers: int = 1

    def run(self) -> dict[str, Any]:
        """Collect."""
        from rig.stages import collect, collect_on_policy

        config, player, opening = self.part(CollectConfig), self.part(PlayerConfig), self.part(Opening)
        if player.player:
            collect_on_policy(config, player, self.out, opening, workers=self.workers)
        else:
            _refuse_idle(player)
            collect(config, self.out, opening, workers=self.workers)
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Import(Flags, Opening):
    """S0: read other people's play into a dataset of ours.

    Example: rig import --source recordings/ --importer open-folder --out runs/s0

    Attributes:
        source: what the importer reads.
        out: folder of the new dataset.
        importer: name of the importer.
        importer_config: the importer's own configuration: a JSON file, or its fields as name=value, or both.
        frame_size: height and width that every frame is brought to, its proportions kept and the rest filled; without
            it all must have the size of the first.
        skip_bad: leave out the steps and episodes that something is wrong with, and say which and what, instead of
            stopping at the first.
        workers: processes that read recordings beside each other; the dataset is the same for any number. With more
            than one, a recording that kills its process is left out by `skip_bad` like any other bad one.
    """

    source: str
    out: str
    importer: str = "open-folder"
    importer_config: Settings = field(default_factory=dict)
    frame_size: tuple[int, int] | None = None
    skip_bad: bool = False
    workers: int = 1

    def run(self) -> dict[str, Any]:
        """Import."""
        from rig.data import Skipped, load_report
        from rig.stages import import_dataset

        skipped: list[Skipped] | None = [] if self.skip_bad else None
        import_dataset(
            self.source,
            self.importer,
            self.out,
            importer_config=self.importer_config,
            frame_size=self.frame_size,
            opening=self.part(Opening),
            skipped=skipped,
            workers=self.workers,
        )
        lines = [
            row.reason if row.reason.startswith(row.place) else f"{row.place}: {row.reason}" for row in skipped or ()
        ]
        found, report = described(self.out), load_report(self.out)
        told = "".join(f"\nleft out: {line}" for line in lines)
        text = f"{found['text']}{told}\n{report.text()}"
        return found | {"text": text, "skipped": lines, "report": asdict(report)}


@dataclass(frozen=True, kw_only=True)
class Reason(Flags, ReasonConfig, Opening):
    """S2: add a thought to every step of the successful, diverse episodes of a dataset, and validate it.

    Example: rig reason --source runs/s1 --out runs/s2

    Attributes:
        source: folder of the dataset to annotate.
        out: folder of the new dataset.
        reasoner_config: the Reasoner's own configuration: a JSON file, or its fields as name=value, or both.
    """

    source: str
    out: str
    reasoner_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Annotate."""
        from rig.stages import reason

        reason(self.source, self.part(ReasonConfig), self.out, self.part(Opening))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class ReviewVerb(Flags, LookaheadConfig, Opening):
    """S3: from identical start states play an agent beside the teacher; keep and review where the teacher does better.

    Example: rig review --agent runs/basic/agent --skip 100 --episodes 12 --out runs/s3

    Attributes:
        out: folder of the new dataset.
        reviewer_config: the Reviewer's own configuration: a JSON file, or its fields as name=value, or both.
    """

    out: str
    reviewer_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Review."""
        from rig.stages import review

        review(self.part(LookaheadConfig), self.out, self.part(Opening))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Align(Flags, AlignConfig, Opening):
    """S4: let an agent dream in states it visits, replay the dreams in the engine, and align the two.

    Example: rig align --agent runs/basic/agent --skip 100 --episodes 12 --out runs/s4

    Attributes:
        out: folder of the new dataset.
        reasoner_config: the Reasoner's own configuration: a JSON file, or its fields as name=value, or both.
        reviewer_config: the Reviewer's, alike.
    """

    out: str
    reasoner_config: Settings = field(default_factory=dict)
    reviewer_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Align."""
        from rig.stages import align

        align(self.part(AlignConfig), self.out, self.part(Opening))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class BranchVerb(Flags, BranchConfig, Opening):
    """Counterfactual sets: from one state several plans, each dreamed by the agent, tried in the engine, and valued.

    Example: rig branch --agent runs/basic/agent --skip 100 --episodes 12 --out runs/branches

    Attributes:
        out: folder of the new dataset.
    """

    out: str

    def run(self) -> dict[str, Any]:
        """Branch, and say how well the simplest judges find the best of the agent's own proposals."""
        from rig.cli.tables import sets_text
        from rig.evaluate.branches import score_sets, sets_of
        from rig.stages import branch

        made = branch(self.part(BranchConfig), self.out, self.part(Opening))
        found, scores = described(self.out), score_sets(sets_of(made))
        return {**found, "text": f"{found['text']}\n\n{sets_text(scores)}", "sets": scores}


@dataclass(frozen=True, kw_only=True)
class Rehearse(Flags, RehearseConfig, Opening):
    """S4 without an agent: review what a teacher and its noise did, as if it had been dreamed.

    Example: rig rehearse --source runs/s2 --out runs/s4-taught

    Attributes:
        source: folder of the dataset with the teacher's steps and their thoughts.
        out: folder of the new dataset.
        reviewer_config: the Reviewer's own configuration: a JSON file, or its fields as name=value, or both.
    """

    source: str
    out: str
    reviewer_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Rehearse."""
        from rig.stages import rehearse

        rehearse(self.source, self.part(RehearseConfig), self.out, self.part(Opening))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Rereview(Flags, RereviewConfig, Opening):
    """Write the reviews of a dataset of S3 or S4 anew, with another Reviewer: no agent, no teacher, no engine.

    Example: rig rereview --source runs/s4 --out runs/s4-reworded

    Attributes:
        source: folder of the dataset with the reviews.
        out: folder of the new dataset.
        reviewer_config: the Reviewer's own configuration: a JSON file, or its fields as name=value, or both.
    """

    source: str
    out: str
    reviewer_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Rereview."""
        from rig.stages import rereview

        rereview(self.source, self.part(RereviewConfig), self.out, self.part(Opening))
        return described(self.out)
