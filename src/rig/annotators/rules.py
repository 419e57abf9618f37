"""Annotators by rule: each item by itself, from the engine's facts, at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, Literal, TypeVar

from rig.annotators.base import Annotator, Labeller, Reasoner, Reviewer
from rig.annotators.evidence import Evidence, Informed, ReviewEvidence

E = TypeVar("E")
A = TypeVar("A")


class _ByRule(Annotator[Informed[E], A], Generic[E, A]):
    """Maps `answer` over what it is handed."""

    sees: ClassVar[Literal["frames", "facts"]] = "facts"

    @abstractmethod
    def answer(self, known: Informed[E]) -> A:
        """Return the answer to one item."""

    def annotate(self, batch: Sequence[Informed[E]]) -> list[A]:
        """Return the answer to each item."""
        return [self.answer(known) for known in batch]


class RuleReasoner(_ByRule[Evidence, str], Reasoner[Informed[Evidence]]):
    """A Reasoner whose `answer` is a thought."""


class RuleReviewer(_ByRule[ReviewEvidence, str], Reviewer[Informed[ReviewEvidence]]):
    """A Reviewer whose `answer` is a review."""

    def tells(self, known: Informed[ReviewEvidence]) -> bool:
        """Return whether the frames of one item show that `better` is better than the proposal."""
        return True

    def can_tell(self, batch: Sequence[Informed[ReviewEvidence]]) -> list[bool]:
        """Return it of each item."""
        return [self.tells(known) for known in batch]

    def outcome(self, known: Informed[ReviewEvidence]) -> str:
        """Return where the plan of one item leads, in words; nothing where this is not overridden."""
        return ""

    def outcomes(self, batch: Sequence[Informed[ReviewEvidence]]) -> list[str]:
        """Return it of each item."""
        return [self.outcome(known) for known in batch]


class RuleLabeller(_ByRule[Evidence, list[str]], Labeller[Informed[Evidence]]):
    """A Labeller whose `answer` is the labels of one frame."""
