"""What the choice among several plans says, told by rule from what is known of them: no model wrote these words."""

from __future__ import annotations

from collections.abc import Sequence

from rig.actions import ActionSpace
from rig.dialogue.prompt import REVIEW
from rig.records import Plan


def review_of_plans(plans: Sequence[Plan], chosen: int, space: ActionSpace) -> str:
    """Return the review of several plans in the paper's manner.

    "Wait! Let's re-observe... Plan 1, move_left: 9 to go, 3 of 4 proposals. Plan 2, use: 7 to go, 1 of 4 proposals. I
    take plan 2." A plan is told by what its judge said of it, or else by its score.
    """
    proposals = sum(plan.votes for plan in plans)
    lines = [
        f"Plan {number}, {space.format(plan.action)}: {', '.join([*_worth(plan), _votes(plan, proposals)])}."
        for number, plan in enumerate(plans, 1)
    ]
    return f"{REVIEW}{' '.join(lines)} I take plan {chosen + 1}."


def _worth(plan: Plan) -> list[str]:
    if plan.judgement:
        return [plan.judgement.strip().rstrip(".")]
    return [] if plan.score is None else [f"score {plan.score:.3g}"]


def _votes(plan: Plan, proposals: int) -> str:
    count = f"all {proposals}" if plan.votes == proposals else f"{plan.votes} of {proposals}"
    return f"{count} proposal{'' if proposals == 1 else 's'}"
