"""Reviews written anew: another Reviewer over the steps of an S3 or S4 dataset, without agent, teacher or engine.

Which states were kept, what was dreamed in them and what is better there stays as it is: it took an engine to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.annotators import Informed, Reviewer, ReviewEvidence, build_reviewer
from rig.annotators.kit import with_kit
from rig.data import Dataset
from rig.errors import DatasetError
from rig.records import Trajectory
from rig.stages.annotating import review_question, reviewed, saved_config
from rig.stages.base import Opening, annotated_lineage, derived_info, finished, run_stage
from rig.stages.config import RereviewConfig


def rereview(source: Path | str, config: RereviewConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Write the reviews of the dataset `source` anew, and write it to the dataset `out`.

    Raises:
        UnknownNameError: no such Reviewer.
        RigError: no Reviewer is named, and the world's kit has none.
        DatasetError: `source` cannot be read or holds a step without a review; or `out` may not be touched.
        AnnotationError: the Reviewer had no answer for some steps; all other episodes are kept.
        RigError: the Reviewer's configuration is not one of its.
    """
    dataset = Dataset(source)
    config = with_kit(config, dataset.info.environment)
    reviewer = build_reviewer(config.reviewer, config.reviewer_config, dataset.info.action_space)
    info = derived_info(dataset, dataset.info.stage, saved_config(config, reviewer=reviewer), out)

    def make(pieces: Sequence[str]) -> Iterator[Trajectory | None]:
        return reviewed(reviewer, (rereview_episode(reviewer, dataset[piece], info.stage) for piece in pieces))

    with closing(reviewer):
        return run_stage(out, info, dataset.ids, lambda name: name, make, opening or Opening(), {"reviewer": reviewer})


def questions_ahead(
    source: Path | str, config: RereviewConfig, out: Path | str, opening: Opening
) -> tuple[Reviewer[Any], Iterator[Informed[ReviewEvidence]]]:
    """Return the Reviewer, and what `rereview` with the same arguments would have it asked, in order.

    Raises:
        RigError: as `rereview` does, before anything is asked.
    """
    dataset = Dataset(source)
    config = with_kit(config, dataset.info.environment)
    reviewer = build_reviewer(config.reviewer, config.reviewer_config, dataset.info.action_space)
    done = finished(out, opening)
    episodes = (rereview_episode(reviewer, dataset[name], "") for name in dataset.ids if name not in done)
    return reviewer, (review_question(step) for episode in episodes for step in episode.steps)


def rereview_episode(reviewer: Reviewer[Any], trajectory: Trajectory, stage: str) -> Trajectory:
    """Return an episode as the one whose reviews are to be by `reviewer`.

    Raises:
        DatasetError: a step has no review.
    """
    for step in trajectory.steps:
        if step.review is None:
            raise DatasetError(
                f"episode {trajectory.id} has no review at step {step.index}; give a dataset of `rig review`, `rig "
                "align` or `rig rehearse`"
            )
    return replace(trajectory, lineage=annotated_lineage(trajectory, stage, reviewer))
