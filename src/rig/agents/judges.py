"""Judges of plans: what says which of several plans, thought and dreamed in forks of one conversation, is the best.

class Longest:
    looks = True

    def score(self, state, plan):
        yield from ()
        return float(len(plan.dreams))

PLAN_JUDGES.add("longest", Longest)
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rig.agents.state import DecisionState
from rig.dialogue import PromptFormat
from rig.engine import Conversation
from rig.errors import RigError
from rig.model.fit import fit_frame
from rig.records import Frame, Plan
from rig.registry import Registry

_TILES, _LEVELS, _NOTHING = 9, 6.0, -20.0
"""Tiles along each side of a frame; mean levels of 255 by which one must differ; the score of what changes none."""

_SURE = 8.0
"""Nats from which on it is unlikely enough that nothing comes of a plan."""


class PlanJudge(Protocol):
    """Says what a plan is worth, in the fork in which it was thought and dreamed, and so with all of it in view.

    Attributes:
        looks: False for one that has nothing to ask: without dreams there is then no fork either.
        votes_weight: `BestOf.votes_weight` beside it; where it has none, 1.
        weighs: True for one that weighs what might be dreamed, so that no dream is drawn; it is asked of one step.
    """

    looks: bool

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Return a score, in nats: how much likelier the plan is the best one; higher is better.

        What the agent says of the plan on the way (`DecisionState.judge`) is kept beside the score.
        """
        ...


def votes_weight(judge: PlanJudge) -> float:
    """Return how much proposals weigh beside a judge where nothing else is said: as it says, or once."""
    return float(getattr(judge, "votes_weight", 1.0))


def weighs_dreams(judge: PlanJudge) -> bool:
    """Return whether a judge weighs what might be dreamed one step ahead, so that nothing is to be drawn before."""
    return bool(getattr(judge, "weighs", False))


@runtime_checkable
class ExactingJudge(Protocol):
    """A judge of plans that cannot judge those of every agent."""

    def check(self, prompt_format: PromptFormat) -> None:
        """Raise RigError where plans of an agent that speaks `prompt_format` cannot be judged so."""
        ...


PLAN_JUDGES: Registry[Any] = Registry("judge of plans", "rig.plan_judges")
"""Judges of plans, each made without arguments."""


class Majority:
    """Finds every plan as good as any other, so that the votes decide."""

    looks = False

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Return 0."""
        yield from ()
        return 0.0


class Change:
    """Finds a plan the better, the more of the frame its last dream changes: what nothing comes of is a step lost.

    The score is the mean difference of the dream's pixels from the observed ones, in levels of 255.
    """

    looks = True

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Return how much changes; 0 of a plan without dreams."""
        yield from ()
        dreamed = _last_frame(plan)
        return 0.0 if dreamed is None else change(state.observation.frame, dreamed)


class Effect:
    """Finds every plan as good as any other but those of which nothing comes: these are steps lost.

    Nothing comes of a plan one of whose dreams shows what is observed: what was done is in vain, or undone by then.
    Proposals do not weigh beside it: of the others the first is taken, as it would be without a judge.

    A dream shows what is observed where no tile differs, nine by nine of them, by more than a few levels of 255 in the
    mean: more than drawing a frame of codes and back again does.
    """

    looks = True
    votes_weight = 0.0

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Return 0, or so little that votes cannot outweigh it; 0 of a plan without dreams."""
        yield from ()
        seen = state.observation.frame
        shown = (dream.frame for dream in plan.dreams if dream.frame is not None)
        return 0.0 if all(has_effect(seen, frame) for frame in shown) else _NOTHING


class Stillness:
    """Weighs the dream in which nothing changes, in place of drawing the likeliest one: how unlikely it is.

    The score is minus its log-probability, in nats above `_SURE`: refused below -1, where validation chose to
    (docs/log.md, "Dreams weighed in place of drawn"). Weighing takes one pass where a dream takes one for each of its
    codes, and how much is refused is a number to choose.
    """

    looks = True
    weighs = True
    votes_weight = 0.0

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Weigh it, and return how unlikely it is."""
        return -(yield from state.stillness()) - _SURE


def change(seen: Frame, dreamed: Frame) -> float:
    """Return how much a dream changes of what is seen, in mean levels of 255; frames as of `has_effect`."""
    return float(_apart(seen, dreamed).mean())


def has_effect(seen: Frame, dreamed: Frame) -> bool:
    """Return whether a dream shows anything else than what is seen; frames uint8 [H, W, 3], of any size each."""
    apart = _apart(seen, dreamed).mean(-1)
    size, tiles = len(apart), min(_TILES, len(apart))
    first = np.arange(tiles) * size // tiles
    sums = np.add.reduceat(np.add.reduceat(apart, first, axis=0), first, axis=1)
    sizes = np.diff([*first, size])
    return bool((sums > _LEVELS * np.outer(sizes, sizes)).any())


def _apart(seen: Frame, dreamed: Frame) -> NDArray[np.float64]:
    """Return by how many levels each pixel of a dream differs from what is seen, at the dream's size."""
    return np.abs(fit_frame(seen, len(dreamed)).astype(np.float64) - dreamed)


def _last_frame(plan: Plan) -> Frame | None:
    return plan.dreams[-1].frame if plan.dreams else None


class InWords:
    """Asks the agent itself, which says where the plan leads and what that is worth, having seen its own dreams of it.

    The score is the number of steps that are to be expected by the probabilities of all verdicts, below 0: steps lost,
    or steps to go, as the agent was taught. Without dreams it judges the plan alone.
    """

    looks = True

    def check(self, prompt_format: PromptFormat) -> None:
        """Refuse agents that have not learned to judge."""
        refuse_unjudging(prompt_format)

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Ask, and return minus the expected steps."""
        yield from state.ask_worth()
        said = yield from state.judge()
        return -said.steps


class Chance:
    """Finds plans good in an order that the decision's seed alone gives: what choosing is worth without judging."""

    looks = True

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Return a number from 0 to 1."""
        yield from ()
        named = crc32(state.speaker.space.format(plan.action).encode())
        return float(np.random.default_rng([state.seed, named]).random())


def refuse_unjudging(prompt_format: PromptFormat) -> None:
    """Raise RigError where an agent that speaks `prompt_format` was never taught to say what plans are worth."""
    if prompt_format.judgement is None:
        raise RigError(
            "this agent has not learned to say what its plans are worth (its form has no judgement); train one with "
            "`rig train --judge SETS`, of sets that `rig branch` makes, or choose another judge"
        )


PLAN_JUDGES.add("majority", Majority)
PLAN_JUDGES.add("change", Change)
PLAN_JUDGES.add("effect", Effect)
PLAN_JUDGES.add("stillness", Stillness)
PLAN_JUDGES.add("said", InWords)
PLAN_JUDGES.add("chance", Chance)
