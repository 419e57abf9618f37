"""How much stages that play would ask of annotators, at the most: what they will meet is known only when they play."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rig.actions import NOOP
from rig.annotators import Annotator, DreamEvidence, Evidence, ReviewEvidence, build_reasoner
from rig.annotators.kit import with_kit
from rig.data import Dataset
from rig.records import Frame
from rig.stages.config import AlignConfig, LookaheadConfig, RehearseConfig
from rig.stages.lookahead import LookaheadBuilder, ReviewBuilder

_THOUGHT = "x" * 200
"""As long as thoughts are."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The most that an annotator would be asked.

    Attributes:
        annotator: who.
        count: how many questions.
        question: one of the longest of them, with an empty frame.
    """

    annotator: Annotator[Any, Any]
    count: int
    question: Any


def review_bounds(config: LookaheadConfig) -> list[Bound]:
    """Return what `review` would ask at the most: a review of as many states as it may take from every episode."""
    builder = LookaheadBuilder(config)
    return [_reviews(builder, _episodes(builder) * config.states)]


def align_bounds(config: AlignConfig) -> list[Bound]:
    """Return what `align` would ask at the most: reviews, and a thought on every dream but the first of each."""
    builder = LookaheadBuilder(config)
    config = with_kit(config, builder.checkpoint.environment)
    reasoner = build_reasoner(config.reasoner, config.reasoner_config, builder.world.actions)
    states = _episodes(builder) * config.states
    frame = _frame(builder)
    question = Evidence(frame=frame, instruction=_THOUGHT, previous_action=NOOP, action=NOOP)
    thoughts = Bound(annotator=reasoner, count=states * (len(config.horizons) - 1), question=question)
    return [_reviews(builder, states), thoughts]


def rehearse_bounds(source: Path | str, config: RehearseConfig) -> list[Bound]:
    """Return what `rehearse` would ask at the most: reviews of as many steps as it may take from every episode."""
    dataset = Dataset(source)
    builder = ReviewBuilder(config, dataset.info.environment)
    return [_reviews(builder, len(dataset.ids) * (config.states + config.slips))]


def _episodes(builder: LookaheadBuilder) -> int:
    return len(builder.world.tasks.variants(builder.config.tasks)) * builder.config.episodes


def _frame(builder: ReviewBuilder[Any]) -> Frame:
    shape = builder.world.observation_space.shape
    assert shape is not None
    return np.zeros(shape, np.uint8)


def _reviews(builder: ReviewBuilder[Any], count: int) -> Bound:
    frame, horizons = _frame(builder), builder.config.horizons
    dream = DreamEvidence(thought=_THOUGHT, action=NOOP, frame=frame, real_frame=frame)
    dreams: Sequence[DreamEvidence] = [dream] * len(horizons)
    question = ReviewEvidence(
        frame=frame, instruction=_THOUGHT, previous_action=NOOP, proposal=NOOP, dreams=tuple(dreams), better=NOOP
    )
    return Bound(annotator=builder.reviewer, count=count, question=question)
