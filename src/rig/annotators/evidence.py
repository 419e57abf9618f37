"""What annotators are handed: the evidence that frames give, and apart from it the facts of the engine.

An `Evidence` is made field by field and keeps no hold of the step that it is from, so whoever is handed one cannot come
by what only the engine knows. Facts travel in an `Informed`, which goes to those annotators alone that say they use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rig.actions import Action
from rig.records import Dream, Frame, Step

E = TypeVar("E")


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """A step as the agent met it, and what was then done.

    Attributes:
        frame: the observed frame, uint8 [H, W, 3], read-only.
        instruction: the task as text.
        previous_action: the last action that the world executed.
        action: the action to explain.
        earlier_actions: what was executed before the last, newest first; see `Observation`.
    """

    frame: Frame
    instruction: str
    previous_action: Action
    action: Action
    earlier_actions: tuple[Action, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class DreamEvidence:
    """A dreamed step as the agent wrote it, and what the engine then showed.

    Attributes:
        thought: what was thought before `action`, or None.
        action: what was chosen.
        frame: the dreamed frame, read-only, or None where nothing was drawn.
        real_frame: the engine's frame after `action`, read-only, or None where nobody replayed it.
    """

    thought: str | None
    action: Action
    frame: Frame | None
    real_frame: Frame | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ReviewEvidence:
    """A lookahead to review, as the agent made it.

    Attributes:
        frame: the observed frame, uint8 [H, W, 3], read-only.
        instruction: the task as text.
        previous_action: the last action that the world executed.
        proposal: A⁻, the action that was proposed.
        dreams: what was dreamed of it, first to last.
        better: A⁺, the action to end with; it may be the proposal itself.
        earlier_actions: what was executed before the last, newest first; see `Observation`.
    """

    frame: Frame
    instruction: str
    previous_action: Action
    proposal: Action
    dreams: tuple[DreamEvidence, ...]
    better: Action
    earlier_actions: tuple[Action, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Informed(Generic[E]):
    """Evidence, and what the engine knows besides.

    Attributes:
        evidence: what can be seen.
        facts: the engine's facts at the observed frame.
        dream_facts: those after each dream's action; empty ones where nobody replayed it.
    """

    evidence: E
    facts: Mapping[str, Any]
    dream_facts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReviewCase:
    """One lookahead to review: where it began, what was proposed and dreamed, and what is better.

    Attributes:
        step: the step as observed, with its dreams; a dream's `privileged` facts tell what really came of it.
        better: A⁺, the action to end with; it may be the proposal itself.
    """

    step: Step
    better: Action


def seen_in(step: Step) -> Informed[Evidence]:
    """Return what can be asked about a step."""
    evidence = Evidence(
        frame=_unwritable(step.frame),
        instruction=step.instruction,
        previous_action=step.previous_action,
        action=step.action,
        earlier_actions=step.earlier_actions,
    )
    return Informed(evidence=evidence, facts=step.privileged)


def seen_of(case: ReviewCase) -> Informed[ReviewEvidence]:
    """Return what can be asked about a lookahead."""
    step = case.step
    evidence = ReviewEvidence(
        frame=_unwritable(step.frame),
        instruction=step.instruction,
        previous_action=step.previous_action,
        proposal=step.proposal,
        dreams=tuple(map(_dreamed, step.dreams)),
        better=case.better,
        earlier_actions=step.earlier_actions,
    )
    facts = tuple(dream.privileged for dream in step.dreams)
    return Informed(evidence=evidence, facts=step.privileged, dream_facts=facts)


def _dreamed(dream: Dream) -> DreamEvidence:
    frame, real = (None if shown is None else _unwritable(shown) for shown in (dream.frame, dream.real_frame))
    return DreamEvidence(thought=dream.thought, action=dream.action, frame=frame, real_frame=real)


def _unwritable(frame: Frame) -> Frame:
    """Return a view of `frame` through which nobody can change it."""
    view = frame.view()
    view.flags.writeable = False
    return view
