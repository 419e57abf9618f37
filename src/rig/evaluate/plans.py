"""How well decisions among several plans were made: against their votes, their scores, and what really came of each.

What comes of a plan that was not taken is known where the engine has tried it (`follow_dreams`, `rig branch`); a plan
is worth the task's samples that it brings, as far as it was dreamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rig.evaluate.stats import mean_if_any
from rig.records import Plan, Step, Trajectory

SAMPLES = "samples"
"""The engine's fact of how many of its task's samples there are."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A decision among plans, without its frames.

    Attributes:
        episode: the id of its trajectory.
        chosen: which plan was taken.
        votes: how many proposals chose each plan.
        scores: what a judge made of each; None where it did not judge them all.
        gains: the samples that each really brings; None where that is not known of all.
    """

    episode: str
    chosen: int
    votes: tuple[int, ...]
    scores: tuple[float, ...] | None = None
    gains: tuple[int, ...] | None = None

    @property
    def is_weighed(self) -> bool:
        """Whether there was more than one plan."""
        return len(self.votes) > 1

    @property
    def is_against_votes(self) -> bool:
        """Whether another plan had more votes than the one that was taken."""
        return self.votes[self.chosen] < max(self.votes)


def choices_of(trajectory: Trajectory) -> list[Choice]:
    """Return the decisions of an episode that were made among plans, those that all proposals agreed on too."""
    return [choice_of(step, trajectory.id) for step in trajectory.steps if step.candidates]


def choice_of(step: Step, episode: str) -> Choice:
    """Return a decision among plans."""
    scores = [plan.score for plan in step.candidates if plan.score is not None]
    gains = [gain for plan in step.plans if (gain := _gain(plan, step)) is not None]
    return Choice(
        episode=episode,
        chosen=step.chosen,
        votes=tuple(plan.votes for plan in step.candidates),
        scores=tuple(scores) if len(scores) == len(step.candidates) else None,
        gains=tuple(gains) if len(gains) == len(step.candidates) else None,
    )


def count_plans(choices: Iterable[Choice]) -> dict[str, int]:
    """Count decisions among plans.

    Returns:
        "decisions" in all; "agreed", on which all proposals agreed; of the others "against", those in which another
        plan had more votes than the one that was taken, "told", those in which plans are known to bring different
        gains, and of these "best", in which none brings more than the one that was taken; all zero without any.
    """
    counts = dict.fromkeys(("decisions", "agreed", "against", "told", "best"), 0)
    for choice in choices:
        differs = _differs(choice)
        counts["decisions"] += 1
        counts["agreed"] += not choice.is_weighed
        counts["against"] += choice.is_against_votes
        counts["told"] += differs
        counts["best"] += differs and _is_best(choice, choice.chosen)
    return counts


def score_plans(choices: Sequence[Choice]) -> dict[str, Any]:
    """Return how decisions among several plans were made, with 95 % intervals over whole episodes, as a JSON-able dict.

    Returns:
        The counts of `count_plans` and "episodes"; of decisions among several plans "plans", their mean number,
        "most_votes" and "best_score", the shares that took a plan with the most votes and with the highest score; and,
        of those of which it is told what different gains the plans bring, "best_taken", "best_by_votes" and
        "best_at_random": how often the taken plan is a best one, the first with the most votes, and any of them. None
        where there is nothing to count.
    """
    weighed = [choice for choice in choices if choice.is_weighed]
    scored = [choice for choice in weighed if choice.scores is not None]
    told = [choice for choice in weighed if _differs(choice)]
    return {
        **count_plans(choices),
        "episodes": len({choice.episode for choice in choices}),
        "plans": _mean(weighed, lambda choice: len(choice.votes)),
        "most_votes": _mean(weighed, lambda choice: not choice.is_against_votes),
        "best_score": _mean(scored, _has_best_score),
        "best_taken": _mean(told, lambda choice: _is_best(choice, choice.chosen)),
        "best_by_votes": _mean(told, lambda choice: _is_best(choice, choice.votes.index(max(choice.votes)))),
        "best_at_random": _mean(
            told, lambda choice: np.mean([_is_best(choice, at) for at in range(len(choice.votes))])
        ),
    }


def _gain(plan: Plan, step: Step) -> int | None:
    """Return the samples that a plan really brings; None where that is not known."""
    before = step.privileged.get(SAMPLES)
    last = plan.dreams[-1].privileged.get(SAMPLES) if plan.dreams else None
    return last - before if type(before) is int and type(last) is int else None


def _has_best_score(choice: Choice) -> bool:
    return choice.scores is not None and choice.scores[choice.chosen] == max(choice.scores)


def _differs(choice: Choice) -> bool:
    return choice.gains is not None and len(set(choice.gains)) > 1


def _is_best(choice: Choice, number: int) -> bool:
    return choice.gains is not None and choice.gains[number] == max(choice.gains)


def _mean(choices: Sequence[Choice], value: Callable[[Choice], Any]) -> dict[str, Any] | None:
    return mean_if_any([float(value(choice)) for choice in choices], [choice.episode for choice in choices])
