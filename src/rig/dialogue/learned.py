"""What of a step is learned, and with which weight: the one place that says so.

`Learned` is the table of docs/architecture.md, "Masks", in numbers: what the tokens of each turn weigh. `RoleWeights`
weigh what tokens stand for against each other, in the mean of the loss (`rig.train.loss` has the formula). How often a
step is learned from is the affair of `rig.train.mixture`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from rig.errors import RigError, within
from rig.records import NOISE, PRACTICE, Dream, Step
from rig.validation import refuse_not_finite

Style = Literal["basic", "lookahead", "describe", "judge"]
"""As what a step is learned: a single turn, a lookahead with dreams and a review, a description of its frame, or a plan
with what it is worth."""

DREAMED_ABOUT = frozenset({NOISE, PRACTICE})
"""Whose steps teach what comes of an action, and nothing of what to do."""


@dataclass(frozen=True, kw_only=True)
class TurnWeights:
    """What the tokens of one of the model's turns weigh; 0 makes context of them.

    Attributes:
        text: of the thought, the action and what ends them.
        image: of the next frame.
    """

    text: float = 1.0
    image: float = 1.0


IMITATED = TurnWeights()


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What of a step is learned, with which weight: 1 plainly, 0 not at all, below 0 it is led away from.

    As it stands it is what `rig train` learns; the paper learns no proposal (`kept=0`).

    Attributes:
        answer: thought and action of a turn that is imitated: a single one, a review, a description.
        dreamed_about: thought and action of a single turn that is none to imitate: noise, and practice.
        kept: thought and action of a lookahead's first proposal, where its review keeps it.
        proposal: thought and action of any other proposal.
        frame: a next frame, where it is known what really came; a dream is never learned against itself.
        judgement: the words of a judgement; the plan that it is of is context.
        verdict: the term that a judgement ends with: one token among dozens, on which all of it turns.
    """

    answer: float = 1.0
    dreamed_about: float = 0.0
    kept: float = 1.0
    proposal: float = 0.0
    frame: float = 1.0
    judgement: float = 1.0
    verdict: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            refuse_not_finite(getattr(self, field.name), f"{field.name} of what is learned", "give a number")

    def turns(self, step: Step, style: Style) -> list[TurnWeights]:
        """Return what each of the model's turns weighs, the review's last."""
        if style == "describe":
            return [TurnWeights(text=self.answer, image=0.0)]
        if style == "basic":
            return [
                TurnWeights(text=self.dreamed_about if step.actor in DREAMED_ABOUT else self.answer, image=self.frame)
            ]
        if style == "judge":
            dreams = [TurnWeights(text=0.0, image=self._image(dream)) for dream in step.dreams]
            return [*dreams, TurnWeights(text=self.judgement, image=0.0)]
        return [*self._proposals(step), TurnWeights(text=self.answer, image=self.frame)]

    def anything(self, step: Step, style: Style, *, dreams: bool) -> bool:
        """Return whether anything of `step` is learned; `dreams`: whether turns have a next frame."""
        said = style == "judge" and bool(self.verdict)
        return said or any(turn.text or (dreams and turn.image) for turn in self.turns(step, style))

    def _proposals(self, step: Step) -> list[TurnWeights]:
        keeps = step.review is not None and not step.review.helped
        return [
            TurnWeights(
                text=self.kept if keeps and number == 0 else self.proposal,
                image=self._image(dream),
            )
            for number, dream in enumerate(step.dreams)
        ]

    def _image(self, dream: Dream) -> float:
        return self.frame if dream.real_codes is not None else 0.0


USUAL = Learned()


@dataclass(frozen=True, kw_only=True)
class RoleWeights:
    """Weight of each predicted token by what it stands for."""

    thought: float = 1.0
    action: float = 1.0
    image: float = 1.0

    def __post_init__(self) -> None:
        within(0, thought_weight=self.thought, action_weight=self.action, image_weight=self.image)
        if not self.thought + self.action + self.image:
            raise RigError("thought_weight=0, action_weight=0, image_weight=0: nothing learns; raise one of them")
