"""Verbs that make datasets."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from rig.cli.flags import Flags, Settings
from rig.cli.paying import Batching, Paying, dry_run_of
from rig.cluster import Cluster
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
    from rig.cli.tables import costs_text, dataset_text
    from rig.data import Dataset, summary
    from rig.stages.accounts import costs_of

    dataset = Dataset(out)
    found, costs = summary(dataset), costs_of(dataset)
    text = "\n\n".join([dataset_text(found), *([costs_text(costs)] if costs else [])])
    return {"text": text, "out": out, **found, **({"costs": costs} if costs else {})}


def _refuse_idle(player: PlayerConfig) -> None:
    """Refuse settings of a player where none plays."""
    usual = PlayerConfig()
    idle = [field.name for field in fields(player) if getattr(player, field.name) != getattr(usual, field.name)]
    if idle:
        raise RigError(f"--{idle[0].replace('_', '-')} is of a player, and nobody plays but the teacher: add --player")


@dataclass(frozen=True, kw_only=True)
class Collect(Flags, CollectConfig, PlayerConfig, Opening, Cluster):
    """S1: let a teacher, or an agent that it corrects, play in training worlds; keep frames, actions, facts.

    Example: rig collect --out runs/s1 --episodes 100 --tasks collect_wood place_table/tool

    Attributes:
        out: folder of the new dataset.
        workers: processes that play, each in a world of its own; the dataset is the same for any number. Beside a
            `player` they only look for worlds.
        teacher_config: the teacher's own configuration: a JSON file, or its fields as name=value, or both.
    """

    out: str
    workers: int = 1
    teacher_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Collect."""
        from rig.stages import collect, collect_on_policy

        config, player, opening = self.part(CollectConfig), self.part(PlayerConfig), self.part(Opening)
        if player.player:
            cluster = self.part(Cluster)
            collect_on_policy(config, player, self.out, opening, workers=self.workers, cluster=cluster)
        else:
            _refuse_idle(player)
            collect(config, self.out, opening, workers=self.workers, cluster=self.part(Cluster))
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
class Reason(Flags, ReasonConfig, Opening, Batching, Cluster):
    """S2: add a thought to every step of the successful, diverse episodes of a dataset, and validate it.

    Example: rig reason --source runs/s1 --out runs/s2

    Attributes:
        source: folder of the dataset to annotate.
        out: folder of the new dataset.
        workers: how many work on the cluster that --ray names.
        reasoner_config: the Reasoner's own configuration: a JSON file, or its fields as name=value, or both.
    """

    source: str
    out: str
    workers: int = 1
    reasoner_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Annotate."""
        from rig.stages.s2_reason import questions_ahead, reason

        config = self.part(ReasonConfig, reasoner_config=self.bounded(self.reasoner_config))
        if self.is_ahead:
            return self.look_ahead(*questions_ahead(self.source, config, self.out, self.part(Opening)))
        cluster = self.part(Cluster)
        reason(self.source, config, self.out, self.part(Opening), workers=self.workers, cluster=cluster)
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class ReviewVerb(Flags, LookaheadConfig, Opening, Paying, Cluster):
    """S3: from identical start states play an agent beside the teacher; keep and review where the teacher does better.

    Example: rig review --agent runs/basic/agent --skip 100 --episodes 12 --out runs/s3

    Attributes:
        out: folder of the new dataset.
        workers: how many play on the cluster that --ray names, each with the agent.
        reviewer_config: the Reviewer's own configuration: a JSON file, or its fields as name=value, or both.
    """

    out: str
    workers: int = 1
    reviewer_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Review."""
        from rig.stages import review
        from rig.stages.ahead import review_bounds

        config = self.part(LookaheadConfig, reviewer_config=self.bounded(self.reviewer_config))
        if self.dry_run:
            return dry_run_of(review_bounds(config))
        cluster = self.part(Cluster)
        review(config, self.out, self.part(Opening), workers=self.workers, cluster=cluster)
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Align(Flags, AlignConfig, Opening, Paying, Cluster):
    """S4: let an agent dream in states it visits, replay the dreams in the engine, and align the two.

    Example: rig align --agent runs/basic/agent --skip 100 --episodes 12 --out runs/s4

    Attributes:
        out: folder of the new dataset.
        workers: how many play on the cluster that --ray names, each with the agent.
        reasoner_config: the Reasoner's own configuration: a JSON file, or its fields as name=value, or both.
        reviewer_config: the Reviewer's, alike.
    """

    out: str
    workers: int = 1
    reasoner_config: Settings = field(default_factory=dict)
    reviewer_config: Settings = field(default_factory=dict)

    def run(self) -> dict[str, Any]:
        """Align."""
        from rig.stages import align
        from rig.stages.ahead import align_bounds

        given = {"reasoner_config": self.reasoner_config, "reviewer_config": self.reviewer_config}
        has_some = any(given.values())  # the bounds are for whoever is configured, and refused where nobody is
        bounded = {name: self.bounded(one) for name, one in given.items() if one or not has_some}
        config = self.part(AlignConfig, **bounded)
        if self.dry_run:
            return dry_run_of(align_bounds(config))
        cluster = self.part(Cluster)
        align(config, self.out, self.part(Opening), workers=self.workers, cluster=cluster)
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
class Rehearse(Flags, RehearseConfig, Opening, Paying):
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
        from rig.stages.ahead import rehearse_bounds

        config = self.part(RehearseConfig, reviewer_config=self.bounded(self.reviewer_config))
        if self.dry_run:
            return dry_run_of(rehearse_bounds(self.source, config))
        rehearse(self.source, config, self.out, self.part(Opening))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Rereview(Flags, RereviewConfig, Opening, Batching):
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
        from rig.stages.rereviewing import questions_ahead, rereview

        config = self.part(RereviewConfig, reviewer_config=self.bounded(self.reviewer_config))
        if self.is_ahead:
            return self.look_ahead(*questions_ahead(self.source, config, self.out, self.part(Opening)))
        rereview(self.source, config, self.out, self.part(Opening))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class AnnotateReport:
    """Score a dataset's thoughts and reviews by the world's claim checker, exactly as `rig eval` scores an agent's.

    Example: rig annotate-report --data runs/s2

    Attributes:
        data: folder of a dataset with thoughts.
    """

    data: str

    def run(self) -> dict[str, Any]:
        """Score."""
        from rig.cli.tables import annotations_text
        from rig.data import Dataset
        from rig.evaluate.annotations import annotation_report

        report = annotation_report(Dataset(self.data))
        return {"text": annotations_text(report), **report}
