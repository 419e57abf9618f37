"""What an annotator is: a Reasoner writes thoughts, a Reviewer writes reviews; by rule here, by any model elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rig.actions import Action
from rig.records import Step
from rig.registry import Registry


class Reasoner(Protocol):
    """Y = Reasoner(x, A): explains a step's action from what its frame shows.

    Attributes:
        name: name and version, kept in the lineage.
        prompt: hash of the instructions or rules that it follows, kept in the lineage.
    """

    name: str
    prompt: str

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return a thought for each step, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReviewCase:
    """One lookahead to review: where it began, what was proposed and dreamed, and what is better.

    Attributes:
        step: the step as observed, with its dreams; a dream's `privileged` facts tell what really came of it.
        better: A⁺, the action to end with; it may be the proposal itself.
    """

    step: Step
    better: Action


class Reviewer(Protocol):
    """Y⁺ = Reviewer(X⁻, Y⁻, A⁻, A⁺): says what the dream shows, and why to keep or to change the plan.

    Attributes:
        name: name and version, kept in the lineage.
        prompt: hash of the instructions or rules that it follows, kept in the lineage.
    """

    name: str
    prompt: str

    def review(self, cases: Sequence[ReviewCase]) -> list[str]:
        """Return a review for each case, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One clause of a thought, checked.

    Attributes:
        text: the clause.
        kind: the kind of claim, or "" where it is not a sentence of the claims' language.
        holds: True or False for a claim about the world, None for one that cannot be checked.
        concludes: True where the clause says what to do; `holds` then says whether that was done.
    """

    text: str
    kind: str
    holds: bool | None
    concludes: bool = False


class ClaimChecker(Protocol):
    """Checks a thought's claims against the engine's facts."""

    def check(self, thought: str, facts: Mapping[str, Any], action: Action) -> list[Verdict]:
        """Return a verdict for every clause of `thought`, given the state's facts and the action that followed."""
        ...


def wordings_of(name: str) -> list[str]:
    """Return what the Reviewer called `name` has to say, for a tokenizer to learn; nothing where it does not tell."""
    reviewer = REVIEWERS.get(name)() if name else None
    tell = getattr(reviewer, "wordings", None)
    return list(tell()) if tell else []


def checker_of(environment: str) -> ClaimChecker | None:
    """Return the checker of claims about `environment`, or None where there is none."""
    make = CHECKERS.find(environment)
    return make() if make else None


def prompt_hash(text: str) -> str:
    """Return a short hash of an annotator's instructions."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


REASONERS: Registry[Callable[[], Reasoner]] = Registry("reasoner", "rig.reasoners")
REASONERS.add("crafter", "rig.annotators.crafter:CrafterReasoner")
REASONERS.add("crafter-views", "rig.annotators.crafter_views:CrafterDescriber")
REASONERS.add("crafter-cells", "rig.annotators.crafter_views:CrafterCellNamer")
REVIEWERS: Registry[Callable[[], Reviewer]] = Registry("reviewer", "rig.reviewers")
REVIEWERS.add("crafter", "rig.annotators.crafter:CrafterReviewer")
CHECKERS: Registry[Callable[[], ClaimChecker]] = Registry("claim checker", "rig.checkers")
CHECKERS.add("crafter", "rig.annotators.crafter_check:CrafterChecker")
