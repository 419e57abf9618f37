"""Verbs that make datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rig.stages.config import CollectConfig, LookaheadConfig, Opening, ReasonConfig


def described(out: str) -> dict[str, Any]:
    """Return the summary of the dataset in `out`, with a text for people."""
    from rig.cli.tables import dataset_text
    from rig.data import Dataset, summary

    found = summary(Dataset(out))
    return {"text": dataset_text(found), "out": out, **found}


@dataclass(frozen=True, kw_only=True)
class Collect:
    """S1: let a teacher play in training worlds, and keep frames, actions and the engine's facts.

    Example: rig collect --out runs/s1 --episodes 100 --tasks collect_wood place_table/tool

    Attributes:
        out: folder of the new dataset.
        environment: the world.
        teacher: who plays.
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first, because another dataset has them.
        noise: chance that a burst of random keys begins at a step.
        burst: the longest burst.
        seed: of the noise.
        resume: go on with an unfinished dataset.
        overwrite: replace what is in the folder.
    """

    out: str
    environment: str = "crafter"
    teacher: str = "crafter"
    tasks: tuple[str, ...] = ()
    episodes: int = 100
    skip: int = 0
    noise: float = 0.08
    burst: int = 3
    seed: int = 0
    resume: bool = False
    overwrite: bool = False

    def run(self) -> dict[str, Any]:
        """Collect."""
        from rig.stages import collect

        config = CollectConfig(
            environment=self.environment,
            teacher=self.teacher,
            tasks=self.tasks,
            episodes=self.episodes,
            skip=self.skip,
            noise=self.noise,
            burst=self.burst,
            seed=self.seed,
        )
        collect(config, self.out, Opening(resume=self.resume, overwrite=self.overwrite))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Import:
    """S0: read other people's play into a dataset of ours.

    Example: rig import --source recordings/ --importer open-folder --out runs/s0

    Attributes:
        source: what the importer reads.
        out: folder of the new dataset.
        importer: name of the importer.
        skip_bad: leave malformed rows out, and say which, instead of stopping at the first.
        resume: go on with an unfinished dataset.
        overwrite: replace what is in the folder.
    """

    source: str
    out: str
    importer: str = "open-folder"
    skip_bad: bool = False
    resume: bool = False
    overwrite: bool = False

    def run(self) -> dict[str, Any]:
        """Import."""
        from rig.data import Skipped
        from rig.stages import import_dataset

        skipped: list[Skipped] | None = [] if self.skip_bad else None
        opening = Opening(resume=self.resume, overwrite=self.overwrite)
        import_dataset(self.source, self.importer, self.out, opening=opening, skipped=skipped)
        return described(self.out) | {"skipped": [f"{row.place}: {row.reason}" for row in skipped or ()]}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """S2: add a thought to every step of the successful, diverse episodes of a dataset, and validate it.

    Example: rig reason --source runs/s1 --out runs/s2

    Attributes:
        source: folder of the dataset to annotate.
        out: folder of the new dataset.
        reasoner: who writes the thoughts.
        same_actions: how many episodes with the very same actions are kept per task and setting.
        validate: check every claim against the engine's facts.
        resume: go on with an unfinished dataset.
        overwrite: replace what is in the folder.
    """

    source: str
    out: str
    reasoner: str = "crafter"
    same_actions: int = 20
    validate: bool = True
    resume: bool = False
    overwrite: bool = False

    def run(self) -> dict[str, Any]:
        """Annotate."""
        from rig.stages import reason

        config = ReasonConfig(reasoner=self.reasoner, same_actions=self.same_actions, validate=self.validate)
        reason(self.source, config, self.out, Opening(resume=self.resume, overwrite=self.overwrite))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class _Lookahead:
    """What S3 and S4 have in common: see `rig.stages.LookaheadConfig`."""

    agent: str
    out: str
    teacher: str = "crafter"
    reviewer: str = "crafter"
    reasoner: str = "crafter"
    tasks: tuple[str, ...] = ()
    episodes: int = 12
    skip: int = 0
    states: int = 8
    horizons: tuple[float, ...] = (4, 3, 2, 1, 1)
    margin: int = 1
    batch_size: int = 64
    seed: int = 0
    resume: bool = False
    overwrite: bool = False

    def _config(self) -> LookaheadConfig:
        return LookaheadConfig(
            agent=self.agent,
            teacher=self.teacher,
            reviewer=self.reviewer,
            reasoner=self.reasoner,
            tasks=self.tasks,
            episodes=self.episodes,
            skip=self.skip,
            states=self.states,
            horizons=self.horizons,
            margin=self.margin,
            batch_size=self.batch_size,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class ReviewVerb(_Lookahead):
    """S3: from identical start states play an agent beside the teacher; keep and review where the teacher does better.

    Example: rig review --agent runs/basic/agent --skip 100 --episodes 12 --out runs/s3

    Attributes:
        agent: folder of the trained agent.
        out: folder of the new dataset.
        teacher: who does better.
        reviewer: who writes the reviews.
        reasoner: who writes thoughts.
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first: the agent learned from them.
        states: the most states taken from one episode.
        horizons: how often 1, 2, 3 … dreams are made, relative to each other.
        margin: the least advantage, in steps, that makes the teacher's action the better one.
        batch_size: worlds side by side.
        seed: of the choice of states and horizons.
        resume: go on with an unfinished dataset.
        overwrite: replace what is in the folder.
    """

    def run(self) -> dict[str, Any]:
        """Review."""
        from rig.stages import review

        review(self._config(), self.out, Opening(resume=self.resume, overwrite=self.overwrite))
        return described(self.out)


@dataclass(frozen=True, kw_only=True)
class Align(_Lookahead):
    """S4: let an agent dream in states it visits, replay the dreams in the engine, and align the two.

    Example: rig align --agent runs/basic/agent --skip 100 --episodes 12 --out runs/s4

    Attributes:
        agent: folder of the trained agent.
        out: folder of the new dataset.
        teacher: who judges the proposals.
        reviewer: who writes the reviews.
        reasoner: who writes the thoughts anew.
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first: the agent learned from them.
        states: the most states taken from one episode.
        horizons: how often 1, 2, 3 … dreams are made, relative to each other.
        margin: the least advantage, in steps, that makes the teacher's action the better one.
        batch_size: worlds side by side.
        seed: of the choice of states and horizons.
        resume: go on with an unfinished dataset.
        overwrite: replace what is in the folder.
    """

    def run(self) -> dict[str, Any]:
        """Align."""
        from rig.stages import align

        align(self._config(), self.out, Opening(resume=self.resume, overwrite=self.overwrite))
        return described(self.out)
