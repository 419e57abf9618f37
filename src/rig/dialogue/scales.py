"""Scales: the terms in which a model says what a plan is worth, and what each of them stands for.

Terms are log-spaced: whether a plan loses one step or none matters, whether it loses 20 or 21 does not. Each begins
with a character of its own, so that any byte-level tokenizer tells them apart by their first token, and the
distribution over terms is there at one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from rig.dialogue import prompt

_TOPS = (0, 1, 2, 4, 8, 16, 32)
_MEANT = (0.0, 1.0, 2.0, 3.5, 6.5, 12.5, 24.0)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Terms for numbers of steps, from few, which is good, to many.

    Attributes:
        terms: as they are said, each with a first character of its own.
        tops: the most steps that each stands for; without end the last one's.
        steps: how many steps each is taken for, where terms are averaged.
    """

    terms: tuple[str, ...]
    tops: tuple[float, ...]
    steps: tuple[float, ...]

    def __post_init__(self) -> None:
        assert len(self.terms) == len(self.tops) == len(self.steps)
        assert self.tops[-1] == inf
        assert len({term[0] for term in self.terms}) == len(self.terms), f"{self.terms} share a first character"

    def term_of(self, steps: float) -> str:
        """Return the term for so many steps."""
        return next(term for term, top in zip(self.terms, self.tops, strict=True) if steps <= top)

    def expected(self, shares: Mapping[str, float]) -> float:
        """Return the expected steps where each term has a share; shares need not sum to 1."""
        total = sum(shares[term] for term in self.terms)
        return sum(shares[term] * steps for term, steps in zip(self.terms, self.steps, strict=True)) / total


SCALES: Mapping[str, Scale] = {
    "lost": Scale(terms=prompt.LOST, tops=(*_TOPS[:6], inf), steps=_MEANT),
    "to-go": Scale(terms=prompt.TO_GO, tops=(*_TOPS, inf), steps=(*_MEANT, 48.0)),
}
"""Name -> scale: steps lost against the best plan of the same state, or steps to success behind the plan."""
