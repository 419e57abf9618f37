"""The training items: conversations drawn from datasets in fixed shares, in an order that follows from the seed.

The draw of a step depends on the seed and the step alone, so a run that is resumed sees what it would have seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rig.actions import ActionSpace
from rig.dialogue import (
    USUAL,
    Learned,
    PromptFormat,
    Segment,
    SegmentEncoder,
    Style,
    TokenSequence,
    conversation_of,
    flaw,
)
from rig.errors import RigError
from rig.records import Step
from rig.train.order import shuffled

_PATTERN = 100


@dataclass(frozen=True, kw_only=True)
class ConversationSource:
    """Steps that are rendered one way.

    Attributes:
        steps: the steps, with codes where the format dreams.
        style: "basic" conversations, "lookahead" ones with dreams and a review, or "describe" ones of a frame alone.
        prompt_format: the fields to render.
        share: this source's share of the drawn conversations, relative to the other sources'.
        learned: what of the steps is learned.
    """

    steps: Sequence[Step]
    style: Style = "basic"
    prompt_format: PromptFormat
    share: float = 1.0
    learned: Learned = USUAL


class Conversations:
    """Draws encoded conversations from sources.

    What cannot become a conversation is left out at once, before anything is learned from the rest.

    Args:
        sources: at least one with steps in it.
        encoder: the model's.
        space: the action space of the steps.
        seed: of the order.

    Attributes:
        left_out: how many conversations are left out for which reason, as in "without a thought".

    Raises:
        RigError: no source has a step to learn from; what the steps lack is told.
    """

    def __init__(
        self, sources: Sequence[ConversationSource], encoder: SegmentEncoder, space: ActionSpace, seed: int
    ) -> None:
        self.encoder, self.space, self.seed = encoder, space, seed
        self.left_out: Counter[str] = Counter()
        self._longest: int | None = None
        self._keep([source for source in sources if source.share > 0], self._flaw)

    def __len__(self) -> int:
        """Return the number of different conversations."""
        return sum(len(source.steps) for source in self.sources)

    def encode(self, source: ConversationSource, step: Step) -> TokenSequence:
        """Return one step as `source` renders it."""
        return self.encoder.encode(self._segments(source, step))

    def leave_out_longer(self, tokens: int) -> None:
        """Leave out the conversations of more than `tokens` tokens.

        Raises:
            RigError: nothing is left.
        """
        if self._longest is None or self._longest > tokens:
            self._longest = 0
            self._keep(self.sources, partial(self._flaw_of_length, tokens))

    def _keep(
        self, sources: Sequence[ConversationSource], flaw_of: Callable[[ConversationSource, Step], str | None]
    ) -> None:
        """Keep the steps of `sources` that have no flaw, and the sources that have steps left."""
        kept = []
        for source in sources:
            flaws = [flaw_of(source, step) for step in source.steps]
            self.left_out.update(found for found in flaws if found)
            steps = [step for step, found in zip(source.steps, flaws, strict=True) if not found]
            kept += [replace(source, steps=steps)] if steps else []
        if not kept:
            raise RigError(
                "there is nothing to train on: no source has a step with the fields that the format needs"
                f"{told_left_out(self.left_out, ' (', ')')}"
            )
        self.sources = kept
        self._pattern = _pattern([source.share for source in kept])

    def _flaw(self, source: ConversationSource, step: Step) -> str | None:
        return flaw(step, source.style, source.prompt_format, source.learned)

    def _flaw_of_length(self, tokens: int, source: ConversationSource, step: Step) -> str | None:
        length = self.encoder.length(self._segments(source, step))
        if length > tokens:
            return f"longer than a pack of {tokens} tokens"
        self._longest = max(length, self._longest or 0)
        return None

    def _segments(self, source: ConversationSource, step: Step) -> list[Segment]:
        return conversation_of(step, source.style, self.space, source.prompt_format, source.learned)

    def draw(self, number: int) -> TokenSequence:
        """Return the conversation number `number` of this seed's endless sequence."""
        source, index = self._place(number)
        return self.encode(source, source.steps[index])

    def _place(self, number: int) -> tuple[ConversationSource, int]:
        """Return the source of conversation `number`, and which of its steps, reshuffled every epoch."""
        block, slot = divmod(number, _PATTERN)
        which = int(self._pattern[slot])
        earlier = self._pattern[:slot] == which
        nth = block * int((self._pattern == which).sum()) + int(earlier.sum())
        source = self.sources[which]
        epoch, position = divmod(nth, len(source.steps))
        return source, int(shuffled(len(source.steps), (self.seed, which, epoch))[position])


def _pattern(shares: Sequence[float]) -> NDArray[np.int64]:
    """Return which source each of `_PATTERN` consecutive conversations comes from: each as evenly as its share allows.

    A share too small for one place in the pattern gets one all the same.
    """
    wanted = np.array(shares) / np.sum(shares)
    counts, pattern = np.zeros(len(wanted)), np.zeros(_PATTERN, np.int64)
    for slot in range(_PATTERN):
        pattern[slot] = np.argmax(wanted * (slot + 1) - counts)
        counts[pattern[slot]] += 1
    for which in np.flatnonzero(counts == 0):
        pattern[which] = which
    return pattern


def told_left_out(counts: Mapping[str, int], before: str = "", behind: str = "") -> str:
    """Return the counts as "3 without a thought, 1 …", most first, between two texts; nothing where there are none."""
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))
    return f"{before}{told}{behind}" if told else ""
