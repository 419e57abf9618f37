"""Reviews written anew: another Reviewer over the steps of an S3 or S4 dataset, without agent, teacher or engine.

Which states were kept, what was dreamed in them and what is better there stays as it is: it took an engine to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rig.annotators import REVIEWERS, ReviewCase, Reviewer
from rig.annotators.kit import with_kit
from rig.data import Dataset
from rig.errors import DatasetError
from rig.records import Step, Trajectory
from rig.stages.base import Opening, annotated_lineage, derived_info, run_stage
from rig.stages.config import RewriteConfig


def rewrite(source: Path | str, config: RewriteConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Write the reviews of the dataset `source` anew, and write it to the dataset `out`.

    Raises:
        UnknownNameError: no such Reviewer.
        RigError: no Reviewer is named, and the world's kit has none.
        DatasetError: `source` cannot be read or holds a step without a review; or `out` may not be touched.
    """
    dataset = Dataset(source)
    config = with_kit(config, dataset.info.environment)
    reviewer = REVIEWERS.get(config.reviewer)()
    info = derived_info(dataset, dataset.info.stage, config, out)

    def make(pieces: Sequence[str]) -> Iterator[Trajectory]:
        for piece in pieces:
            yield rewrite_episode(reviewer, dataset[piece], info.stage)

    return run_stage(out, info, dataset.ids, lambda name: name, make, opening or Opening())


def rewrite_episode(reviewer: Reviewer, trajectory: Trajectory, stage: str) -> Trajectory:
    """Return an episode with new reviews of the same decisions.

    Raises:
        DatasetError: a step has no review.
    """
    for step in trajectory.steps:
        if step.review is None:
            raise DatasetError(
                f"episode {trajectory.id} has no review at step {step.index}; give a dataset of `rig review`, `rig "
                "align` or `rig rehearse`"
            )
    reviews = reviewer.review([ReviewCase(step=step, better=step.action) for step in trajectory.steps])
    steps = tuple(_with_review(step, thought) for step, thought in zip(trajectory.steps, reviews, strict=True))
    return replace(trajectory, steps=steps, lineage=annotated_lineage(trajectory, stage, reviewer))


def _with_review(step: Step, thought: str) -> Step:
    assert step.review is not None
    return replace(step, thought=thought, review=replace(step.review, thought=thought))
