"""Branches to what is to be said of them: where each plan leads, in the annotator's words, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from rig.annotators import Reviewer, outcomes
from rig.dialogue import SCALES
from rig.records import Judgement, Step
from rig.stages.branching import Branch, branch_of

Given = Literal["real", "dreams", "nothing"]
"""What a judge is shown of a plan: the frames that really came, the agent's own dreams, or the plan alone."""


def with_judgements(
    steps: Sequence[Step], scale: str, reviewer: Reviewer[Any] | None = None, *, closed: bool = False
) -> list[Step]:
    """Return those branches of which the worth is known on a scale, each with its judgement.

    Args:
        steps: of a dataset of `rig branch`.
        scale: its name, in `SCALES`.
        reviewer: who has words for where plans lead; none are said without one.
        closed: whether sets are among them in which all branches are worth the same.

    Raises:
        DatasetError: a step is no branch.
    """
    chosen = []
    for step in steps:
        branch = branch_of(step)
        term = term_of(branch, scale)
        if term is not None and (closed or not branch.same):
            chosen.append((step, term))
    words = [""] * len(chosen) if reviewer is None else outcomes(reviewer, [step for step, _ in chosen])
    return [
        replace(step, judgement=Judgement(outcome=outcome, term=term))
        for (step, term), outcome in zip(chosen, words, strict=True)
    ]


def term_of(branch: Branch, scale: str) -> str | None:
    """Return the right term for a branch: by what it loses, or by the teacher's steps behind it.

    It is None where the scale counts steps, and only samples are known.
    """
    if not branch.totals:
        return None
    steps = branch.lost if scale == "lost" else branch.totals[-1] - len(branch.totals)
    return SCALES[scale].term_of(steps)


def shown(step: Step, given: Given) -> Step:
    """Return a branch as a judge is to see it."""
    if given == "nothing":
        return replace(step, dreams=())
    if given == "real":
        return step
    dreams = tuple(replace(dream, real_frame=None, real_codes=None) for dream in step.dreams)
    return replace(step, dreams=dreams)
