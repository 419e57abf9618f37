"""What thoughts claim and reviews say, against what was so and what was done: for each step, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rig.annotators import ClaimChecker, Judge, judge_of
from rig.records import Step, Trajectory

JUDGEMENTS = ("keep", "change")
NOTHING = "nothing"


def with_verdicts(trajectory: Trajectory, checker: ClaimChecker | None) -> Trajectory:
    """Return `trajectory` with each thought's verdicts in its steps' facts, as the viewer shows them.

    Those on clauses are in "claims", and that on a review is in "verdict"; see `verdict_of`.
    """
    if checker is None:
        return trajectory
    return trajectory.with_steps(tuple(_with_verdicts(step, checker) for step in trajectory.steps))


def verdict_of(step: Step, judge: Judge | None) -> dict[str, Any] | None:
    """Return whether a step's review does with its plan what it says, None where there is no review to judge.

    Returns:
        "says" and "did", each "keep" or "change", and "consistent", whether they are the same; "says" and "consistent"
        are None where the review says neither, or both.
    """
    if judge is None or step.review is None:
        return None
    says = judge(step.review.thought or "")
    did = "keep" if step.review.action == step.proposal else "change"
    return {"says": says, "did": did, "consistent": None if says is None else says == did}


def count_verdicts(trajectory: Trajectory, judge: Judge | None) -> dict[str, dict[str, int]]:
    """Count what an episode's reviews say of their plans, and how many do otherwise; nothing where nobody can judge."""
    if judge is None:
        return {}
    verdicts = [verdict for step in trajectory.steps if (verdict := verdict_of(step, judge)) is not None]
    says = Counter(verdict["says"] or NOTHING for verdict in verdicts)
    against = Counter(verdict["says"] for verdict in verdicts if verdict["consistent"] is False)
    return {
        "says": {name: says[name] for name in (*JUDGEMENTS, NOTHING)},
        "against": {name: against[name] for name in JUDGEMENTS},
    }


def count_claims(trajectory: Trajectory, checker: ClaimChecker | None) -> dict[str, int]:
    """Count the clauses of an episode's thoughts: readable, checked and true ones, conclusions and those followed."""
    counts = dict.fromkeys(("clauses", "readable", "checked", "true", "conclusions", "followed"), 0)
    for step in trajectory.steps if checker else ():
        if step.thought is None or checker is None:
            continue
        for verdict in checker.check(step.thought, step.privileged, step.action):
            counts["clauses"] += 1
            counts["readable"] += bool(verdict.kind)
            if verdict.holds is None:
                continue
            first, second = ("conclusions", "followed") if verdict.concludes else ("checked", "true")
            counts[first] += 1
            counts[second] += verdict.holds
    return counts


def summarise_reviews(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many reviews there were in all, and what they did with their plans and said of them.

    Args:
        rows: of episodes, as `rig.evaluate.embodied.summary_row` makes them.

    Returns:
        "reviews", their number; "changed", the share that changed the action; and, where somebody could judge them,
        "says", how many say "keep", "change" or "nothing" of their plans, and "against", how many of those that say
        "keep" and "change" did otherwise. Nothing where there were no reviews.
    """
    reviews = sum(row["reviews"] for row in rows)
    if not reviews:
        return {}
    judged = [row["verdicts"] for row in rows if row.get("verdicts")]
    counts = {name: _total(found[name] for found in judged) for name in (judged[0] if judged else ())}
    return {"reviews": reviews, "changed": sum(row["changed"] for row in rows) / reviews, **counts}


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for found in counts:
        for name, count in found.items():
            total[name] = total.get(name, 0) + count
    return total


def _with_verdicts(step: Step, checker: ClaimChecker) -> Step:
    facts = dict(step.privileged)
    verdicts = checker.check(step.thought, step.privileged, step.action) if step.thought else []
    facts["claims"] = [{"text": verdict.text, "verdict": verdict.holds} for verdict in verdicts]
    verdict = verdict_of(step, judge_of(checker))
    if verdict is not None:
        facts["verdict"] = verdict
    return replace(step, privileged=facts)
