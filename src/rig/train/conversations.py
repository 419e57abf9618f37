"""The training items: conversations drawn from datasets in fixed shares, in an order that follows from the seed.

The draw of a step depends on the seed and the step alone, so a run that is resumed sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rig.actions import ActionSpace
from rig.dialogue import (
    Format,
    SegmentEncoder,
    TokenSequence,
    basic_conversation,
    description_conversation,
    lookahead_conversation,
)
from rig.errors import RigError
from rig.records import NOISE, Step
from rig.train.config import Style
from rig.train.order import shuffled

_PATTERN = 100


@dataclass(frozen=True, kw_only=True)
class Source:
    """Steps that are rendered one way.

    Attributes:
        steps: the steps, with codes where the form dreams.
        style: "basic" conversations, "lookahead" ones with dreams and a review, or "describe" ones of a frame alone.
        form: the fields to render.
        share: this source's share of the drawn conversations, relative to the other sources'.
        learn_kept: whether lookaheads learn proposals that their review keeps.
    """

    steps: Sequence[Step]
    style: Style = "basic"
    form: Format
    share: float = 1.0
    learn_kept: bool = False


class Conversations:
    """Draws encoded conversations from sources.

    Args:
        sources: at least one with steps in it.
        encoder: the model's.
        space: the action space of the steps.
        seed: of the order.

    Raises:
        RigError: no source has a step to learn from.
    """

    def __init__(self, sources: Sequence[Source], encoder: SegmentEncoder, space: ActionSpace, seed: int) -> None:
        kept = [_learnable(source) for source in sources if source.share > 0]
        self.sources = [source for source in kept if source.steps]
        if not self.sources:
            raise RigError("there is nothing to train on: no source has a step with the fields that the form needs")
        self.encoder, self.space, self.seed = encoder, space, seed
        self._pattern = _pattern([source.share for source in self.sources])

    def __len__(self) -> int:
        """Return the number of different conversations."""
        return sum(len(source.steps) for source in self.sources)

    def encode(self, source: Source, step: Step) -> TokenSequence:
        """Return one step as `source` renders it."""
        if source.style == "lookahead":
            segments = lookahead_conversation(step, self.space, source.form, learn_kept=source.learn_kept)
            return self.encoder.encode(segments)
        if source.style == "describe":
            return self.encoder.encode(description_conversation(step))
        segments = basic_conversation(step, self.space, source.form, imitate=step.actor != NOISE)
        return self.encoder.encode(segments)

    def draw(self, number: int) -> TokenSequence:
        """Return the conversation number `number` of this seed's endless sequence."""
        source, index = self._place(number)
        return self.encode(source, source.steps[index])

    def _place(self, number: int) -> tuple[Source, int]:
        """Return the source of conversation `number`, and which of its steps, reshuffled every epoch."""
        block, slot = divmod(number, _PATTERN)
        which = int(self._pattern[slot])
        earlier = self._pattern[:slot] == which
        nth = block * int((self._pattern == which).sum()) + int(earlier.sum())
        source = self.sources[which]
        epoch, position = divmod(nth, len(source.steps))
        return source, int(shuffled(len(source.steps), (self.seed, which, epoch))[position])


def without_repeats(steps: Sequence[Step], share: float, seed: int) -> list[Step]:
    """Return `steps` with only a share of those whose action is the one before, chosen by the seed."""
    chosen = np.random.default_rng(seed).random(len(steps)) < share
    return [step for step, kept in zip(steps, chosen, strict=True) if kept or step.action != step.previous_action]


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


def _learnable(source: Source) -> Source:
    """Leave out what the form cannot learn from: noise where nothing is dreamed, steps without thought or review."""

    def keep(step: Step) -> bool:
        if source.style == "lookahead":
            return bool(step.dreams) and step.review is not None
        if source.style == "describe":
            return step.thought is not None
        if step.actor == NOISE and not source.form.dream:
            return False
        return step.thought is not None or not source.form.thought

    return replace(source, steps=[step for step in source.steps if keep(step)])
