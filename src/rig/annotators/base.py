"""What annotators are: a Reasoner writes thoughts, a Reviewer reviews, a Labeller names patches; by rule or model.

An annotator is a class that subclasses one of these, in the registry under a name. It is made from a configuration of
its own (`Config`, a frozen dataclass), is handed batches, and states how many it takes at once; see `Annotator`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from rig.actions import Action, ActionSpace
from rig.annotators.asking import Asked, Failure, answered, handed
from rig.annotators.configured import config_from, prompt_hash, settings_of
from rig.annotators.costs import Costs
from rig.annotators.evidence import Informed, ReviewCase, seen_in, seen_of
from rig.dialogue.prompt import held_phrase
from rig.envs import kit_member
from rig.errors import AnnotationError, RigError
from rig.records import Step
from rig.registry import NoConfig, Registry
from rig.validation import is_unicode, shown

Q = TypeVar("Q")
A = TypeVar("A")
K = TypeVar("K", bound="Annotator[Any, Any]")


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What an annotator has to say, for a tokenizer to learn.

    Attributes:
        sentences: texts that hold every word it uses.
        terms: phrases that name one thing, and that a small tokenizer had better write as one token: places, say.
    """

    sentences: Sequence[str] = ()
    terms: Sequence[str] = ()


class Annotator(ABC, Generic[Q, A]):
    """Answers questions about steps.

    Args:
        config: a `Config`; its defaults where None.
        space: the actions of the world that the steps are from, for who must name or check them; None where nobody
            says.

    Attributes:
        Config: the dataclass of its configuration, made of what a user gives before any work begins.
        sees: "frames": it is handed evidence (`Evidence`, `ReviewEvidence`), from which no fact of the engine can be
            reached. "facts": it is handed `Informed` evidence, facts and all.
        name: name and version, kept in the lineage.
        prompt: hash of the instructions or rules that it follows, kept in the lineage.
        batch_size: the most questions that are handed over in one call.
        concurrency: the most calls at once; above 1 they come from several threads.
        is_billed: whether its answers cost something, so that a dataset keeps an account of them.
        account: what its costs are written down under; a stage gives it that of the dataset.
    """

    Config: ClassVar[type] = NoConfig
    sees: ClassVar[Literal["frames", "facts"]] = "frames"
    name: str
    prompt: str = ""
    batch_size: int = 1
    concurrency: int = 1
    is_billed: ClassVar[bool] = False
    account: str = ""

    def __init__(self, config: Any = None, space: ActionSpace | None = None) -> None:
        self.config = self.Config() if config is None else config
        self.space = space

    @abstractmethod
    def annotate(self, batch: Sequence[Q]) -> Sequence[A | Failure]:
        """Return an answer for each item, in order, or a `Failure` for one that has none.

        What it raises ends the whole run: for a server that is gone, say. What was answered before is kept.
        """

    def checked(self, answer: Any) -> A | Failure:
        """Return an answer as it was given, or why it is none."""
        return answer

    @classmethod
    def vocabulary(cls) -> Vocabulary:
        """Return what it has to say; nothing where that cannot be told beforehand."""
        return Vocabulary()

    def close(self) -> None:
        """Let go of what it holds open; calls that are still running had better end soon."""

    def costs(self) -> Costs:
        """Return what was answered for its account and what that cost, over all runs; kept with the dataset.

        It is asked for where `is_billed`, before `close`.
        """
        return Costs()

    @property
    def settings(self) -> dict[str, Any]:
        """What of its configuration decides its answers, as JSON; kept with the dataset."""
        return settings_of(self.config)

    @property
    def fingerprint(self) -> str:
        """The hash of its prompt and, where it has any, of its settings; kept in the lineage."""
        settings = self.settings
        return f"{self.prompt}+{prompt_hash(json.dumps(settings, sort_keys=True))}" if settings else self.prompt


class _Writer(Annotator[Q, str]):
    """Answers in texts, which are to stand in conversations."""

    def checked(self, answer: Any) -> str | Failure:
        """Return a text, or why it cannot stand in a conversation."""
        if not isinstance(answer, str):
            return Failure(f"it gave {shown(answer)}, which is no text")
        if not is_unicode(answer):
            return Failure(f"its text {shown(answer)} holds half a character, which no file can")
        held = held_phrase(answer)
        return answer if held is None else Failure(f"its text {shown(answer)} holds the fixed phrase {held!r}")


class Reasoner(_Writer[Q]):
    """Y = Reasoner(x, A): explains a step's action from what its frame shows. It is handed `Evidence`."""

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return a thought for each step, in order.

        Raises:
            AnnotationError: there is none for a step.
        """
        return _asked(self, [seen_in(step) for step in steps], [f"step {step.index}" for step in steps])


class Reviewer(_Writer[Q]):
    """Y⁺ = Reviewer(X⁻, Y⁻, A⁻, A⁺): says what the dream shows, and why to keep or to change the plan.

    It is handed `ReviewEvidence`.
    """

    def can_tell(self, batch: Sequence[Q]) -> Sequence[bool]:
        """Return for each item whether what it is handed shows that `better` is better than the proposal.

        A teacher knows more than frames show. Where they do not show it, the plan is not changed. The stage waits for
        this, an episode at a time.
        """
        return [True] * len(batch)

    def outcomes(self, batch: Sequence[Q]) -> Sequence[str]:
        """Return for each item where its plan leads, in words: what a judgement of the plan begins with.

        `better` is the proposal itself. Nothing is said where this is not overridden: judgements are verdicts alone.
        """
        return [""] * len(batch)

    def review(self, cases: Sequence[ReviewCase]) -> list[str]:
        """Return a review for each case, in order.

        Raises:
            AnnotationError: there is none for a case.
        """
        return _asked(self, list(map(seen_of, cases)), [f"step {case.step.index}" for case in cases])


class Labeller(Annotator[Q, list[str]]):
    """Names what each patch of a frame shows, for the understanding encoder to learn. It is handed `Evidence`.

    Attributes:
        display: where labels hold wherever in a frame a thing is, and in its mirror image: the patches, counted row by
            row, that the screen's own display covers, which stay where they are. None where they do not hold there,
            as those that say which tree is the nearest.
    """

    display: ClassVar[tuple[int, ...] | None] = None

    def label(self, steps: Sequence[Step]) -> list[list[str]]:
        """Return for each step the labels of its frame's patches, row by row.

        Raises:
            AnnotationError: there are none for a step.
        """
        return _asked(self, [seen_in(step) for step in steps], [f"step {step.index}" for step in steps])


def _asked(annotator: Annotator[Any, A], questions: Sequence[Informed[Any]], places: Sequence[str]) -> list[A]:
    ((_, answers),) = answered(annotator, [Asked(piece=None, questions=questions, places=places)])
    return answers


def can_tell(reviewer: Reviewer[Any], cases: Sequence[ReviewCase]) -> list[bool]:
    """Return what the Reviewer's `can_tell` says of each case, having handed it what it may know.

    Raises:
        AnnotationError: it says something of more or of fewer.
    """
    if not cases:
        return []
    told = list(map(bool, reviewer.can_tell([handed(reviewer, seen_of(case)) for case in cases])))
    if len(told) != len(cases):
        raise AnnotationError(f"{reviewer.name} can tell {len(told)} things of {len(cases)} cases; mend the Reviewer")
    return told


def outcomes(reviewer: Reviewer[Any], steps: Sequence[Step]) -> list[str]:
    """Return what the Reviewer's `outcomes` says of each step's plan and what came of it, handed what it may know.

    Raises:
        AnnotationError: it says something of more or of fewer, or what can stand in no conversation.
    """
    if not steps:
        return []
    cases = [ReviewCase(step=step, better=step.proposal) for step in steps]
    said = list(reviewer.outcomes([handed(reviewer, seen_of(case)) for case in cases]))
    if len(said) != len(steps):
        raise AnnotationError(f"{reviewer.name} tells {len(said)} outcomes of {len(steps)} plans; mend the Reviewer")
    failures = (found for text in said if isinstance(found := reviewer.checked(text), Failure))
    if failure := next(failures, None):
        raise AnnotationError(f"{reviewer.name} tells an outcome that cannot be said: {failure.reason}")
    return said


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


ReviewVerdict = Literal["keep", "change"]
"""What a review says of its plan."""

Judge = Callable[[str], ReviewVerdict | None]
"""Reads a review's judgement off its words; None where they hold none."""


class ClaimChecker(ABC):
    """Checks a thought's claims against the engine's facts."""

    @abstractmethod
    def check(self, thought: str, facts: Mapping[str, Any], action: Action) -> list[Verdict]:
        """Return a verdict for every clause of `thought`, given the state's facts and the action that followed."""


class JudgingChecker(ClaimChecker):
    """Also reads what a review says of its plan, where reviews say whether it stays."""

    @abstractmethod
    def judgement(self, thought: str) -> ReviewVerdict | None:
        """Return what a review says of its plan; None where it says neither, or both."""


def build_reasoner(
    name: str | None, config: Mapping[str, Any] | None = None, space: ActionSpace | None = None
) -> Reasoner[Any]:
    """Return the Reasoner called `name`, made from what a user gave as its configuration.

    Raises:
        UnknownNameError: there is none of that name.
        RigError: a field of the configuration is unknown, lacking, or of another type; or it is no `Reasoner`.
    """
    return _built(REASONERS.get(name), Reasoner, f"the Reasoner {name!r}", config, space)


def build_reviewer(
    name: str | None, config: Mapping[str, Any] | None = None, space: ActionSpace | None = None
) -> Reviewer[Any]:
    """Return the Reviewer called `name`; see `build_reasoner`."""
    return _built(REVIEWERS.get(name), Reviewer, f"the Reviewer {name!r}", config, space)


def build_labeller(
    name: str | None, config: Mapping[str, Any] | None = None, space: ActionSpace | None = None
) -> Labeller[Any]:
    """Return the Labeller called `name`; see `build_reasoner`."""
    return _built(LABELLERS.get(name), Labeller, f"the Labeller {name!r}", config, space)


def _built(kind: type[K], wanted: type[Any], owner: str, given: Any, space: ActionSpace | None) -> K:
    if not (isinstance(kind, type) and issubclass(kind, wanted)):
        raise RigError(
            f"{owner} is {shown(kind)}; have it be a class that inherits from rig.annotators.{wanted.__name__}"
        )
    made = kind(config_from({} if given is None else given, kind.Config, owner), space)
    for name, sound in (("name", _is_text), ("prompt", _is_text), ("batch_size", _counts), ("concurrency", _counts)):
        value = getattr(made, name, None)
        if not sound(value):
            raise RigError(f"{owner} has {name} {shown(value)}: a text, or a count of 1 or more")
    return made


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _counts(value: Any) -> bool:
    return type(value) is int and value >= 1


def vocabulary_of(name: str) -> Vocabulary:
    """Return the vocabulary of the Reviewer called `name`, an empty one where there is no name."""
    return REVIEWERS.get(name).vocabulary() if name else Vocabulary()


def checker_of(environment: str) -> ClaimChecker | None:
    """Return the checker of claims about `environment`, or None where there is none.

    Raises:
        RigError: what is registered there makes none.
    """
    name = kit_member(environment, "checker", CHECKERS)
    if not name:
        return None
    checker = CHECKERS.get(name)()
    if not isinstance(checker, ClaimChecker):
        raise RigError(
            f"the claim checker of {environment!r} is {shown(checker)}; have its class inherit from "
            "rig.annotators.ClaimChecker"
        )
    return checker


def judge_of(checker: ClaimChecker | None) -> Judge | None:
    """Return how to read judgements, or None where the checker reads none."""
    return checker.judgement if isinstance(checker, JudgingChecker) else None


REASONERS: Registry[type[Reasoner[Any]]] = Registry("reasoner", "rig.reasoners")
REASONERS.add("crafter", "rig.annotators.crafter:CrafterReasoner")
REASONERS.add("crafter-frame", "rig.annotators.crafter_frame:CrafterFrameReasoner")
REASONERS.add("crafter-views", "rig.annotators.crafter_views:CrafterDescriber")
REASONERS.add("minetest", "rig.annotators.minetest:MinetestReasoner")
REASONERS.add("minetest-views", "rig.annotators.minetest_views:MinetestDescriber")
REASONERS.add("openai", "rig.annotators.vlm.annotator:OpenAIReasoner")
REVIEWERS: Registry[type[Reviewer[Any]]] = Registry("reviewer", "rig.reviewers")
REVIEWERS.add("crafter", "rig.annotators.crafter:CrafterReviewer")
REVIEWERS.add("crafter-frame", "rig.annotators.crafter_frame:CrafterFrameReviewer")
REVIEWERS.add("minetest", "rig.annotators.minetest:MinetestReviewer")
REVIEWERS.add("openai", "rig.annotators.vlm.annotator:OpenAIReviewer")
LABELLERS: Registry[type[Labeller[Any]]] = Registry("labeller", "rig.labellers")
LABELLERS.add("crafter", "rig.annotators.crafter_patches:CrafterLabeller")
LABELLERS.add("minetest", "rig.annotators.minetest_views:MinetestLabeller")
CHECKERS: Registry[Callable[[], ClaimChecker]] = Registry("claim checker", "rig.checkers")
CHECKERS.add("crafter", "rig.annotators.crafter_check:CrafterChecker")
CHECKERS.add("minetest", "rig.annotators.minetest_check:MinetestChecker")
