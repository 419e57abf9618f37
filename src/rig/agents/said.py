"""What agents say of their plans: what it may be, and what was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rig.dialogue import SCALES, PromptFormat, Scale, SegmentEncoder, TextTokenizer, prompt
from rig.engine import ChoiceConstraint, GeneratedText, ThoughtConstraint
from rig.records import Judgement


@dataclass(frozen=True, kw_only=True, eq=False)
class Said:
    """What an agent said of a plan.

    Attributes:
        judgement: words and verdict as they were written.
        shares: how likely each term was as the verdict.
        steps: the steps to expect by that, lost or to go.
    """

    judgement: Judgement
    shares: Mapping[str, float]
    steps: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Judging:
    """What an agent's judgements may be.

    Attributes:
        scale: the terms that they end with, and what these stand for.
        words: where a plan leads: ordinary text up to the phrase before the verdict.
        verdict: one of the terms.
    """

    scale: Scale
    words: ThoughtConstraint
    verdict: ChoiceConstraint

    @classmethod
    def of(cls, encoder: SegmentEncoder, prompt_format: PromptFormat, tokens: int) -> Judging | None:
        """Return it for an agent that speaks so, with so many tokens of words; None where it never judges."""
        if prompt_format.judgement is None:
            return None
        tokenizer, scale = encoder.tokenizer, SCALES[prompt_format.judgement]
        words = ThoughtConstraint(tokenizer, tokenizer.encode(prompt.VERDICT, literal=True), tokens)
        return cls(scale=scale, words=words, verdict=ChoiceConstraint(tokenizer, scale.terms))

    def read(self, words: GeneratedText, verdict: GeneratedText, tokenizer: TextTokenizer) -> Said:
        """Return what was said, of the words up to the verdict and of the verdict with its choices."""
        assert verdict.choices is not None
        outcome = tokenizer.decode(words.ids[: len(words.ids) - len(self.words.stop_ids)])
        judgement = Judgement(outcome=outcome, term=tokenizer.decode(verdict.ids))
        shares = self.verdict.shares(verdict.choices[0])
        return Said(judgement=judgement, shares=shares, steps=self.scale.expected(shares))
