"""How good the thoughts of a dataset are, whoever wrote them: by the same checkers that score what agents think."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rig.annotators import checker_of, judge_of
from rig.data import Dataset
from rig.errors import RigError
from rig.evaluate.verdicts import (
    count_claims,
    count_review_claims,
    count_verdicts,
    summarise_claims,
    summarise_reviews,
)
from rig.records import Trajectory
from rig.stages.accounts import costs_of


def annotation_report(dataset: Dataset) -> dict[str, Any]:
    """Return the scores of a dataset's thoughts and reviews, and what those cost, as JSON.

    Returns:
        "thoughts", as `rig.evaluate.verdicts.summarise_claims` has them; "reviews", as `summarise_reviews` does;
        "steps", "with_thought", "annotators" (steps by who wrote their texts); "validated": whether false thoughts were
        left out already, so that what is left is true; and "costs", by role, as annotators tell them.

    Raises:
        RigError: the world has no claim checker, or there is no thought in the dataset.
    """
    checker = checker_of(dataset.info.environment)
    if checker is None:
        raise RigError(
            f"{dataset.info.name}: the world {dataset.info.environment!r} has no claim checker; register it with one "
            "(docs/extending.md)"
        )
    columns = dataset.table(["thought", "lineage_annotator"]).to_pydict()
    thoughts = [thought for thought in columns["thought"] if thought and thought.strip()]
    if not thoughts:
        raise RigError(f"{dataset.info.name} has no thoughts; give one of `rig reason`, or of a stage behind it")
    rows = [_row(trajectory, checker) for trajectory in dataset]
    return {
        "data": dataset.info.name,
        "content_hash": dataset.content_hash,
        "environment": dataset.info.environment,
        "steps": len(columns["thought"]),
        "with_thought": len(thoughts),
        "annotators": dict(Counter(filter(None, columns["lineage_annotator"]))),
        "validated": bool(dataset.info.config.get("validate", False)),
        "thoughts": summarise_claims(rows),
        "reviews": summarise_reviews(rows),
        "costs": costs_of(dataset),
    }


def _row(trajectory: Trajectory, checker: Any) -> Mapping[str, Any]:
    reviews: Sequence[bool] = [step.review.helped for step in trajectory.steps if step.review is not None]
    return {
        "claims": count_claims(trajectory, checker),
        "reviews": len(reviews),
        "changed": sum(reviews),
        "verdicts": count_verdicts(trajectory, judge_of(checker)),
        "review_claims": count_review_claims(trajectory, checker),
    }
