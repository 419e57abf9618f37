"""What thoughts claim and reviews say, against what was so and what was done: for each step, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rig.annotators import ClaimChecker, Judge, Verdict, judge_of
from rig.annotators.claims import DREAM, PLAN, ReviewChecker, verdicts_on
from rig.evaluate.stats import bootstrap_mean
from rig.evaluate.stillness import stands_still
from rig.records import Step, Trajectory

JUDGEMENTS = ("keep", "change")
NOTHING = "nothing"
STILL = DREAM + "still"
"""The kind of a claim that the dream stands still, which its own frame can show."""


def with_verdicts(trajectory: Trajectory, checker: ClaimChecker | None) -> Trajectory:
    """Return `trajectory` with each thought's verdicts in its steps' facts, as the viewer shows them.

    Those on clauses are in "claims", and that on a review is in "verdict"; see `verdict_of`. What a review says of its
    dream is marked as "of" the dream: its "verdict" is on what came, and "dreamed" is whether the dream's own frame
    shows it, None where that cannot be told.
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


def count_review_claims(trajectory: Trajectory, checker: ClaimChecker | None) -> dict[str, dict[str, int]]:
    """Count what an episode's reviews say of their plans and dreams; nothing where nobody can check it.

    Returns:
        "plan": how often it was named ("checked"), and rightly ("true"); "dream": claims about dreams of which it is
        known what came ("checked"), and those that came ("came"); "still": of the claims that the dream stands still,
        which are among them, those of which the dream's frame tells ("told") and that it bears out ("dreamed"), and
        those of which it is known what came ("checked"), and where nothing did ("came").
    """
    if not isinstance(checker, ReviewChecker):
        return {}
    counts = {"plan": Counter(checked=0, true=0), "dream": Counter(checked=0, came=0)}
    counts["still"] = Counter(told=0, dreamed=0, checked=0, came=0)
    for step in trajectory.steps:
        for verdict in checker.check_review(step) if step.review is not None else ():
            _count_claim(counts, verdict, step)
    return {name: dict(found) for name, found in counts.items()}


def _count_claim(counts: Mapping[str, Counter[str]], verdict: Verdict, step: Step) -> None:
    kind, holds = verdict.kind, verdict.holds
    if kind == PLAN:
        counts["plan"].update(checked=1, true=bool(holds))
    if kind.startswith(DREAM) and holds is not None:
        counts["dream"].update(checked=1, came=holds)
    if kind == STILL:
        dreamed = _dreamed(verdict, step)
        counts["still"].update(told=dreamed is not None, dreamed=bool(dreamed))
        counts["still"].update(checked=holds is not None, came=bool(holds))


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


def summarise_claims(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the share of checked claims that hold, of conclusions acted upon, and of clauses that could be read.

    Args:
        rows: of episodes, with what `count_claims` counts as "claims".
    """
    seen = [row["claims"] for row in rows if row["claims"]["clauses"]]
    if not seen:
        return {}
    totals = {name: sum(claims[name] for claims in seen) for name in seen[0]}
    shares = [claims["true"] / claims["checked"] for claims in seen if claims["checked"]]
    return {
        **totals,
        "true": asdict(bootstrap_mean(shares)) if shares else None,
        "followed": totals["followed"] / max(1, totals["conclusions"]),
        "readable": totals["readable"] / max(1, totals["clauses"]),
    }


def summarise_reviews(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many reviews there were in all, and what they did with their plans and said of them.

    Args:
        rows: of episodes, as `rig.evaluate.scores.summary_row` makes them.

    Returns:
        "reviews", their number; "changed", the share that changed the action; and, where somebody could judge them,
        "says", how many say "keep", "change" or "nothing" of their plans, and "against", how many of those that say
        "keep" and "change" did otherwise; and, where somebody could check it, "claims", what they say of their plans
        and dreams, as `count_review_claims` counts it. Nothing where there were no reviews.
    """
    reviews = sum(row["reviews"] for row in rows)
    if not reviews:
        return {}
    counts = _totals([row["verdicts"] for row in rows if row.get("verdicts")])
    claims = _totals([row["review_claims"] for row in rows if row.get("review_claims")])
    changed = sum(row["changed"] for row in rows) / reviews
    return {"reviews": reviews, "changed": changed, **counts, **({"claims": claims} if claims else {})}


def _totals(rows: Sequence[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    return {name: _total(row[name] for row in rows) for name in (rows[0] if rows else ())}


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for found in counts:
        for name, count in found.items():
            total[name] = total.get(name, 0) + count
    return total


def _with_verdicts(step: Step, checker: ClaimChecker) -> Step:
    facts = dict(step.privileged)
    facts["claims"] = [_shown(verdict, step) for verdict in verdicts_on(step, checker)]
    verdict = verdict_of(step, judge_of(checker))
    if verdict is not None:
        facts["verdict"] = verdict
    return replace(step, privileged=facts)


def _shown(verdict: Verdict, step: Step) -> dict[str, Any]:
    shown = {"text": verdict.text, "verdict": verdict.holds}
    if not verdict.kind.startswith(DREAM):
        return shown
    return {**shown, "of": "dream", "dreamed": _dreamed(verdict, step)}


def _dreamed(verdict: Verdict, step: Step) -> bool | None:
    """Return whether the dream's own frame shows what is said of it, None where that cannot be told."""
    return stands_still(step.frame, step.dreams[-1]) if verdict.kind == STILL and step.dreams else None
