"""What annotators are: a Reasoner writes thoughts, a Reviewer reviews, a Labeller names patches; by rule or model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rig.actions import Action
from rig.envs import kit_member
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

    A teacher knows more than frames show. A Reviewer may say, with a method `can_tell(case)`, whether they show that
    `better` is better than the proposal; where they do not, the plan is not to be changed.

    Attributes:
        name: name and version, kept in the lineage.
        prompt: hash of the instructions or rules that it follows, kept in the lineage.
    """

    name: str
    prompt: str

    def review(self, cases: Sequence[ReviewCase]) -> list[str]:
        """Return a review for each case, in order."""
        ...


class Labeller(Protocol):
    """Names what each patch of a frame shows, for the understanding encoder to learn.

    Attributes:
        name: name and version, kept with what was learned.
    """

    name: str

    def label(self, steps: Sequence[Step]) -> list[list[str]]:
        """Return for each step the labels of its frame's patches, row by row."""
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


Judgement = Literal["keep", "change"]
"""What a review says of its plan."""

Judge = Callable[[str], Judgement | None]
"""Reads a review's judgement off its words; None where they hold none."""


class ClaimChecker(Protocol):
    """Checks a thought's claims against the engine's facts.

    Where reviews say whether their plan stays, a checker may tell what one says, with a method `judgement(thought)`:
    "keep", "change", or None where it says neither, or both.
    """

    def check(self, thought: str, facts: Mapping[str, Any], action: Action) -> list[Verdict]:
        """Return a verdict for every clause of `thought`, given the state's facts and the action that followed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What an annotator has to say, for a tokenizer to learn.

    Attributes:
        sentences: texts that hold every word it uses.
        terms: phrases that name one thing, and that a small tokenizer had better write as one token: places, say.
    """

    sentences: Sequence[str] = ()
    terms: Sequence[str] = ()


def vocabulary_of(name: str) -> Vocabulary:
    """Return the `vocabulary()` of the Reviewer called `name`, an empty one where it has none or there is no name."""
    reviewer = REVIEWERS.get(name)() if name else None
    tell = getattr(reviewer, "vocabulary", None)
    return tell() if tell else Vocabulary()


def can_tell(reviewer: Reviewer, case: ReviewCase) -> bool:
    """Return the Reviewer's `can_tell(case)`, True where it has no such method."""
    tell = getattr(reviewer, "can_tell", None)
    return tell is None or tell(case)


def checker_of(environment: str) -> ClaimChecker | None:
    """Return the checker of claims about `environment`, or None where there is none."""
    name = kit_member(environment, "checker", CHECKERS)
    return CHECKERS.get(name)() if name else None


def judge_of(checker: ClaimChecker | None) -> Judge | None:
    """Return the checker's method `judgement`, or None where it has no such method."""
    return getattr(checker, "judgement", None)


def prompt_hash(text: str) -> str:
    """Return a short hash of an annotator's instructions."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


REASONERS: Registry[Callable[[], Reasoner]] = Registry("reasoner", "rig.reasoners")
REASONERS.add("crafter", "rig.annotators.crafter:CrafterReasoner")
REASONERS.add("crafter-views", "rig.annotators.crafter_views:CrafterDescriber")
REASONERS.add("minetest", "rig.annotators.minetest:MinetestReasoner")
REASONERS.add("minetest-views", "rig.annotators.minetest_views:MinetestDescriber")
REVIEWERS: Registry[Callable[[], Reviewer]] = Registry("reviewer", "rig.reviewers")
REVIEWERS.add("crafter", "rig.annotators.crafter:CrafterReviewer")
REVIEWERS.add("minetest", "rig.annotators.minetest:MinetestReviewer")
LABELLERS: Registry[Callable[[], Labeller]] = Registry("labeller", "rig.labellers")
LABELLERS.add("crafter", "rig.annotators.crafter_patches:CrafterLabeller")
LABELLERS.add("minetest", "rig.annotators.minetest_views:MinetestLabeller")
CHECKERS: Registry[Callable[[], ClaimChecker]] = Registry("claim checker", "rig.checkers")
CHECKERS.add("crafter", "rig.annotators.crafter_check:CrafterChecker")
CHECKERS.add("minetest", "rig.annotators.minetest_check:MinetestChecker")
