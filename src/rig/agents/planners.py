"""Planners: the ways to come to a decision. Each is a small thing that asks for answers, dreams and forks.

    class Twice(Planner):
        def decide(self, state):
            yield from state.observe()
            plans = yield from state.fork([DecisionState.answer] * 2)
            return state.decision(*plans)

    PLANNERS.add("twice", Twice)

A planner is its own configuration, a frozen dataclass: how it was set is saved with what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import log
from typing import Any, Protocol

from rig.agents.judges import PLAN_JUDGES, ExactingJudge, PlanJudge, votes_weight, weighs_dreams
from rig.agents.state import DecisionState, is_unsure
from rig.dialogue import PromptFormat, judgement_text
from rig.engine import Conversation
from rig.errors import RigError
from rig.records import Decision, Plan
from rig.registry import Registry
from rig.validation import validated


class Planner(Protocol):
    """A way to come to a decision."""

    @property
    def dreams(self) -> int:
        """The most dreams that one conversation or fork of it holds: what room is made for."""
        ...

    def check(self, prompt_format: PromptFormat) -> None:
        """Raise RigError where an agent that speaks `prompt_format` cannot decide so."""
        ...

    def decide(self, state: DecisionState) -> Conversation[Decision]:
        """Observe, and go on to a decision."""
        ...


PLANNERS: Registry[Any] = Registry("planner", "rig.planners")
"""Planners, each made from its own options."""


def planner_of(name: str, options: Mapping[str, Any]) -> Planner:
    """Return the planner of a name, set by `options`.

    Raises:
        UnknownNameError: there is no such planner.
        RigError: it has no such option, or not with such a value.
    """
    made: Planner = validated(dict(options), PLANNERS.get(name), f"planner {name!r}", "mend the option")
    return made


@dataclass(frozen=True, kw_only=True)
class Basic:
    """RIG-basic: think and act at once.

    Attributes:
        imagine: also dream the frame after the chosen action; for displays and scores.
    """

    imagine: bool = False

    @property
    def dreams(self) -> int:
        """One where the frame after the action is dreamed."""
        return int(self.imagine)

    def check(self, prompt_format: PromptFormat) -> None:
        """Refuse to imagine with a model that does not dream."""
        if self.imagine and not prompt_format.dream:
            raise RigError("this agent was trained without dreams; it cannot imagine what comes of its action")

    def decide(self, state: DecisionState) -> Conversation[Decision]:
        """Think, act, and perhaps dream of it."""
        yield from state.observe()
        plan = yield from state.answer()
        if self.imagine:
            yield from state.dream()
        return state.decision(replace(plan, dreams=tuple(state.dreams)))


@dataclass(frozen=True, kw_only=True)
class Lookahead:
    """RIG-lookahead, the paper's: one plan is dreamed some steps ahead, reviewed and perhaps changed.

    A model that was trained without dreams (`PromptFormat(dream=False)`) can still review its first proposal once: the
    control.

    Attributes:
        dreams: n, the steps imagined before the review.
        stop_entropy: dream no further than a dream whose entropy, in nats per code, is above this: what follows from a
            dream that the model is unsure of says little. None dreams all n steps.
    """

    dreams: int = 1
    stop_entropy: float | None = None

    def __post_init__(self) -> None:
        if self.dreams < 1:
            raise RigError(f"a lookahead of {self.dreams} dreams: at least 1; without any, the planner is 'basic'")

    def check(self, prompt_format: PromptFormat) -> None:
        """Refuse more than one review of a model that does not dream."""
        if not prompt_format.dream and self.dreams > 1:
            raise RigError("this agent was trained without dreams: it reviews its first proposal once, with dreams=1")

    def decide(self, state: DecisionState) -> Conversation[Decision]:
        """Think, act, dream, review."""
        yield from state.observe()
        plan = revised = yield from state.answer()
        for number in range(1, self.dreams + 1):
            dream = yield from state.dream()
            review = number == self.dreams or is_unsure(dream, self.stop_entropy)
            yield from state.reread(review=review)
            revised = yield from state.answer(review=review)
            if review:
                break
        return state.reviewed(plan, revised)


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """Several plans from forks of one conversation, equal ones merged, each dreamed and judged; the best is taken.

    A plan's worth is its judge's score plus `votes_weight` times the logarithm of the share of proposals that chose it.
    Of plans of the same worth the one that was proposed first is taken. Where all proposals agree there is nothing to
    judge, and nothing is dreamed. What is done is what was planned: no review writes another action.

    Attributes:
        plans: k, the proposals.
        dreams: n, the steps imagined of each plan.
        judge: the name of the judge of plans, in `PLAN_JUDGES`.
        votes_weight: how much proposals weigh; None: as much as beside this judge they should.
        stop_entropy: dream no further of a plan than a dream whose entropy, in nats per code, is above this: what
            follows from a dream that the model is unsure of says little. None dreams all n steps.
    """

    plans: int = 4
    dreams: int = 0
    judge: str = "majority"
    votes_weight: float | None = None
    stop_entropy: float | None = None

    def __post_init__(self) -> None:
        _check_counts(self.plans, self.dreams)

    def check(self, prompt_format: PromptFormat) -> None:
        """Refuse to dream with a model that does not, and judges that are not known or cannot judge its plans."""
        _checked_judge(self, prompt_format)

    def decide(self, state: DecisionState) -> Conversation[Decision]:
        """Propose, merge, dream, judge, choose."""
        yield from state.observe()
        proposals = yield from state.fork([DecisionState.answer] * self.plans)
        plans = merged(proposals)
        judge: PlanJudge = PLAN_JUDGES.get(self.judge)()
        if len(plans) > 1 and (self.dreams or judge.looks):
            plans = yield from state.fork([partial(_appraise, self, judge, plan=plan) for plan in plans])
        weight = votes_weight(judge) if self.votes_weight is None else self.votes_weight
        worth = [(plan.score or 0.0) + weight * log(plan.votes / self.plans) for plan in plans]
        return state.decision(*plans, chosen=worth.index(max(worth)))


@dataclass(frozen=True, kw_only=True)
class Resample:
    """One plan, dreamed and judged; where it is refused, others are proposed, and the first that is not is taken.

    The first plan is RIG-basic's, drawn with the same numbers, and it is dreamed at every decision: other than with
    `BestOf`, what all proposals agree upon is looked at too. Others of the same action are left out; where all are
    refused, the first is done after all.

    Attributes:
        plans: k, the proposals of a decision whose first is refused; with 1 there is nothing else to take.
        dreams: n, the steps imagined of each plan.
        judge: the name of the judge of plans, in `PLAN_JUDGES`.
        refused: a plan whose score is below this is refused.
        temperature: of the thoughts and actions of other plans. Behind a refusal the likeliest is what was refused.
        stop_entropy: as of `BestOf`.
    """

    plans: int = 7
    dreams: int = 1
    judge: str = "effect"
    refused: float = -1.0
    temperature: float = 1.0
    stop_entropy: float | None = None

    def __post_init__(self) -> None:
        _check_counts(self.plans, self.dreams)

    def check(self, prompt_format: PromptFormat) -> None:
        """Refuse to dream with a model that does not, and judges that cannot judge its plans, or refuse none."""
        if not _checked_judge(self, prompt_format).looks:
            raise RigError(f"the judge {self.judge!r} finds all plans alike, and so refuses none; take 'effect', say")

    def decide(self, state: DecisionState) -> Conversation[Decision]:
        """Propose, dream, judge; and where that is refused, propose others."""
        yield from state.observe()
        appraise = partial(_appraise, self, PLAN_JUDGES.get(self.judge)())
        plans = yield from state.fork([appraise])
        if self._refuses(plans[0]) and self.plans > 1:
            proposals = yield from state.fork([self._propose] * (self.plans - 1))
            others = [plan for plan in merged(proposals) if plan.action != plans[0].action]
            if others:
                plans += yield from state.fork([partial(appraise, plan=plan) for plan in others])
        return state.decision(*plans, chosen=next((n for n, plan in enumerate(plans) if not self._refuses(plan)), 0))

    def _propose(self, state: DecisionState) -> Conversation[Plan]:
        state.speaker = replace(state.speaker, text=replace(state.speaker.text, temperature=self.temperature))
        return (yield from state.answer())

    def _refuses(self, plan: Plan) -> bool:
        return plan.score is not None and plan.score < self.refused


def _appraise(
    planner: BestOf | Resample, judge: PlanJudge, state: DecisionState, plan: Plan | None = None
) -> Conversation[Plan]:
    """Return a plan with its dreams, its score and what was said of it; without one, the plan that comes first."""
    if plan is None:
        plan = yield from state.answer()
    else:
        yield from state.retell(plan)
    steps = 0 if weighs_dreams(judge) else planner.dreams
    plan = replace(plan, dreams=(yield from state.look_ahead(steps, planner.stop_entropy)))
    score = yield from judge.score(state, plan)
    said = judgement_text(state.said.judgement) if state.said else None
    return replace(plan, score=score, judgement=said)


def _check_counts(plans: int, dreams: int) -> None:
    if plans < 1 or dreams < 0:
        raise RigError(f"plans={plans} and dreams={dreams}: at least 1 and 0")


def _checked_judge(planner: BestOf | Resample, prompt_format: PromptFormat) -> PlanJudge:
    """Return the judge of plans; refuse one that cannot judge those of such an agent, and dreams of one without any."""
    if planner.dreams and not prompt_format.dream:
        raise RigError("this agent was trained without dreams; take dreams=0")
    judge: PlanJudge = PLAN_JUDGES.get(planner.judge)()
    if weighs_dreams(judge) and planner.dreams != 1:
        raise RigError(
            f"dreams={planner.dreams}: the judge {planner.judge!r} weighs what comes of one step; take dreams=1"
        )
    if isinstance(judge, ExactingJudge):
        judge.check(prompt_format)
    return judge


def choosing(
    plans: int, dreams: int, judge: str, *, resample: bool = False, votes_weight: float | None = None
) -> Planner:
    """Return how one of several plans is taken, or, where there is one alone, how it is done at once.

    Args:
        plans: k.
        dreams: n, the steps dreamed of each of several plans.
        judge: who says what each of several is worth.
        resample: judge one plan at first, and propose the others only where it is refused.
        votes_weight: as of `BestOf`.

    Raises:
        RigError: something is said of several plans that one alone has no use for, or of votes where none are counted.
    """
    if plans == 1:
        if dreams or resample:
            raise RigError(
                f"dreams={dreams} and resample={resample} of one plan: there is nothing to choose between; take "
                "--plans of 2 or more"
            )
        return Basic()
    if resample:
        if votes_weight is not None:
            raise RigError(
                f"votes_weight={votes_weight:g} beside resample: the first plan that is not refused is taken, whatever "
                "others propose; leave one of them out"
            )
        return Resample(plans=plans, dreams=dreams, judge=judge)
    return BestOf(plans=plans, dreams=dreams, judge=judge, votes_weight=votes_weight)


def merged(proposals: Sequence[Plan]) -> list[Plan]:
    """Return the distinct actions among proposals, with their votes, each with the thought that first led to it."""
    plans: dict[Any, Plan] = {}
    for proposal in proposals:
        known = plans.get(proposal.action)
        plans[proposal.action] = proposal if known is None else replace(known, votes=known.votes + proposal.votes)
    return list(plans.values())


PLANNERS.add("basic", Basic)
PLANNERS.add("lookahead", Lookahead)
PLANNERS.add("best-of", BestOf)
PLANNERS.add("resample", Resample)
