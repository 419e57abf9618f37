"""Languages of thoughts: a closed set of claims each, with several wordings, readable both ways.

A thought is a few numbered clauses, "1. I look up at grass. 2. I hold 1 wood. 3. I see tree 2 left. 4. So go left.",
and each clause is one claim in one of its wordings. Because any wording can be parsed back, what a model thinks can be
checked against the engine, clause by clause. Every world has a language of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable
from zlib import crc32

from rig.annotators.base import ClaimChecker, ReviewVerdict, Verdict, prompt_hash
from rig.records import Frame, Step

PLAN, DREAM = "plan", "dream_"
"""The kind of a claim that names the plan, and how kinds begin that say what its dream shows."""

_JUDGEMENTS = ("keep", "change")

_CLAUSE = re.compile(r"(?:^|(?<=\. ))\d+\. ")


@dataclass(frozen=True)
class Claim:
    """One claim: its kind, and the values of its slots as text."""

    kind: str
    values: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(kind: str, **values: object) -> Claim:
        """Return the claim of `kind` with the given slot values; underscores are read as spaces."""
        texts = {slot: str(value).replace("_", " ") for slot, value in values.items()}
        return Claim(kind, tuple(sorted(texts.items())))

    def get(self, slot: str) -> str:
        """Return the value of `slot`, with spaces as underscores, as engines name things."""
        return dict(self.values)[slot].replace(" ", "_")


@runtime_checkable
class ReviewChecker(Protocol):
    """A claim checker that also knows what only a review says: of its plan, of its dream, and what becomes of both."""

    def check_review(self, step: Step) -> list[Verdict]:
        """Return a verdict for every clause of the thought of a step that was reviewed.

        The plan is the step's proposal. A claim about the dream, of a kind that begins with `DREAM`, holds where it is
        true of what really came, or would have come, of what was dreamed; None where no facts tell that.
        """
        ...


def verdicts_on(step: Step, checker: ClaimChecker) -> list[Verdict]:
    """Return a verdict for every clause of a step's thought: of a review, also on what only reviews say."""
    if not step.thought:
        return []
    if step.review is not None and step.review.thought == step.thought and isinstance(checker, ReviewChecker):
        return checker.check_review(step)
    return checker.check(step.thought, step.privileged, step.action)


@dataclass(frozen=True, kw_only=True, eq=False)
class Language:
    """What can be claimed, and how.

    Attributes:
        wordings: kind of claim -> its wordings, with slots in braces.
        slots: slot -> the pattern of its values, without groups.
        conclusions: kinds that say what to do.
    """

    wordings: Mapping[str, tuple[str, ...]]
    slots: Mapping[str, str]
    conclusions: frozenset[str]

    @property
    def reviewed(self) -> frozenset[str]:
        """Kinds that only a review says: about the proposal and its dreams, not about the frame."""
        return frozenset(kind for kind in self.wordings if kind in (PLAN, *_JUDGEMENTS) or kind.startswith(DREAM))

    def rules(self, version: str, *, without: Collection[str] = ()) -> str:
        """Return the hash of an annotator's rules that go by this language.

        Args:
            version: of what it says when.
            without: kinds of claims that it never makes.
        """
        return prompt_hash(version + repr(sorted(item for item in self.wordings.items() if item[0] not in without)))

    def say(self, claims: Sequence[Claim], choices: Sequence[int]) -> str:
        """Return the thought that states `claims`, the wording of each picked by the number in `choices`."""
        clauses = []
        for number, (claim, choice) in enumerate(zip(claims, choices, strict=True), 1):
            wordings = self.wordings[claim.kind]
            sentence = wordings[choice % len(wordings)].format(**dict(claim.values))
            clauses.append(f"{number}. {sentence[0].upper()}{sentence[1:]}")
        return " ".join(clauses)

    def say_of(self, frame: Frame, claims: Sequence[Claim]) -> str:
        """Return the thought that states `claims` about `frame`: words vary with the frame, and with nothing else."""
        seed = crc32(frame.tobytes())
        return self.say(claims, [crc32(b"%d/%d" % (seed, number)) for number in range(len(claims))])

    def read(self, clause: str) -> Claim | None:
        """Return the claim that `clause` states, or None where it is no sentence of this language."""
        for kind, pattern in self._patterns:
            match = pattern.fullmatch(clause)
            if match:
                values = {slot: value.lower() for slot, value in match.groupdict().items()}
                return Claim(kind, tuple(sorted(values.items())))
        return None

    def verdicts(self, thought: str, holds: Callable[[Claim], bool | None]) -> list[Verdict]:
        """Return a verdict for every clause of `thought`; `holds` says of a claim whether it is true."""
        return [self._verdict(clause, holds) for clause in split_clauses(thought)]

    def review_verdicts(
        self, step: Step, checked: Sequence[Verdict], *, plan: Claim, came: Callable[[Claim], bool]
    ) -> list[Verdict]:
        """Return `checked`, the verdicts on the thought of a step that was reviewed, with those that a review adds.

        Args:
            step: with its dreams and its review.
            checked: what `verdicts` says of its thought.
            plan: the claim that names what was planned.
            came: whether a claim about the dream is true of what came of the last one, whose facts are known.
        """
        known = bool(step.dreams and step.dreams[-1].privileged)

        def holds(verdict: Verdict) -> bool | None:
            claim = self.read(verdict.text)
            if claim is None or claim.kind not in self.reviewed:
                return verdict.holds
            if claim.kind == PLAN:
                return claim == plan
            if claim.kind in _JUDGEMENTS:
                return (claim.kind == "keep") == (step.action == step.proposal)
            return came(claim) if known else None

        return [replace(verdict, holds=holds(verdict)) for verdict in checked]

    def judgement(self, thought: str) -> ReviewVerdict | None:
        """Return what a review says of its plan, that it stays or not; None where it says neither, or both."""
        claims = (self.read(clause) for clause in split_clauses(thought))
        said = {claim.kind for claim in claims if claim is not None}
        if ("keep" in said) == ("change" in said):
            return None
        return "keep" if "keep" in said else "change"

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """Return every wording with `values` in its slots."""
        return [wording.format(**values) for wordings in self.wordings.values() for wording in wordings]

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        """(kind, pattern) of every wording, the most specific first: fewer and narrower slots, more letters."""
        patterns = []
        for kind, wordings in self.wordings.items():
            for wording in wordings:
                parts = re.split(r"\{(\w+)\}", wording)
                text = "".join(self._slot(part) if index % 2 else re.escape(part) for index, part in enumerate(parts))
                letters = sum(len(part) for part in parts[::2])
                patterns.append((letters, kind, re.compile(text, re.IGNORECASE)))
        return [(kind, pattern) for _, kind, pattern in sorted(patterns, key=lambda entry: -entry[0])]

    def _verdict(self, clause: str, holds: Callable[[Claim], bool | None]) -> Verdict:
        claim = self.read(clause)
        if claim is None:
            return Verdict(text=clause, kind="", holds=None)
        return Verdict(text=clause, kind=claim.kind, holds=holds(claim), concludes=claim.kind in self.conclusions)

    def _slot(self, name: str) -> str:
        return f"(?P<{name}>{self.slots[name]})"


def split_clauses(thought: str) -> list[str]:
    """Return the numbered clauses of a thought, without their numbers."""
    return [clause.strip() for clause in _CLAUSE.split(thought) if clause.strip()]
