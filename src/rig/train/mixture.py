"""How often what is learned: the shares of datasets among the conversations that are drawn.

What of a conversation is learned, and with which weight, is `rig.dialogue.learned`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rig.annotators import build_reviewer
from rig.annotators.kit import kit_name
from rig.data import Manifest
from rig.dialogue import Style
from rig.errors import DatasetError
from rig.records import NOISE, POLICY, PRACTICE, Step
from rig.stages.judging import shown, with_judgements
from rig.train.config import AgentTraining, DataPart, Mixture
from rig.train.conversations import ConversationSource


def parts_of(mixture: Mixture) -> tuple[DataPart, ...]:
    """Return the parts of a training, each style's share spread over its datasets by their steps.

    Descriptions have all of it where there is nothing else, and only single turns leave repeats out. Judgements take
    their share off all others.

    Raises:
        RigError: a folder holds no dataset.
    """
    taught = mixture.data or mixture.practice
    ahead = (mixture.lookahead_share if taught or mixture.better else 1.0) if mixture.lookahead else 0.0
    described = mixture.describe_share if taught or mixture.better or mixture.lookahead else 1.0
    practised = (mixture.practice_share if mixture.data else 1.0) if mixture.practice else 0.0
    better = (mixture.better_share if taught else 1.0) if mixture.better else 0.0
    single, fraction = (1 - described) * (1 - ahead), mixture.fraction
    others = (
        *_spread("basic", mixture.data, single * (1 - better) * (1 - practised), fraction, mixture.repeats),
        *_spread(
            "basic",
            mixture.practice,
            single * (1 - better) * practised,
            fraction,
            mixture.repeats,
            actors=(NOISE, PRACTICE),
        ),
        *_spread("basic", mixture.better, single * better, fraction, actors=(POLICY,)),
        *_spread("describe", mixture.describe, described, fraction),
        *_spread("lookahead", mixture.lookahead, (1 - described) * ahead, fraction),
    )
    if not mixture.judge:
        return others
    judged, whole = mixture.judge_share if others else 1.0, sum(part.share for part in others) or 1.0
    return (
        *(replace(part, share=part.share * (1 - judged)) for part in others),
        *_spread("judge", mixture.judge, whole * judged, fraction),
    )


def sources_of(
    part: DataPart, steps: Sequence[Step], config: AgentTraining, environment: str
) -> list[ConversationSource]:
    """Return the sources of a part with these steps: one, or one for each way to read its dreams back, or to judge.

    Raises:
        DatasetError: plans are to be judged, and a step is no branch; or none of it is practice, which it is to be. Of
            play by dreams there may be nothing that was found better.
    """
    if part.actors:
        steps = [step for step in steps if step.actor in part.actors]
        if not steps and PRACTICE in part.actors:
            raise DatasetError(f"{part.data} holds no practice: `rig collect --player AGENT --record done` makes some")
    if part.style == "judge":
        return _judging(part, steps, config, environment)
    if part.style != "lookahead" or not config.prompt_format.dream:
        prompt_formats = [config.prompt_format]
    else:
        prompt_formats = [replace(config.prompt_format, read_back=way) for way in config.read_backs]
    steps = without_repeats(steps, part.repeats, config.training.seed)
    share, learned = part.share / len(prompt_formats), config.learned
    return [
        ConversationSource(steps=steps, style=part.style, prompt_format=prompt_format, share=share, learned=learned)
        for prompt_format in prompt_formats
    ]


def _judging(
    part: DataPart, steps: Sequence[Step], config: AgentTraining, environment: str
) -> list[ConversationSource]:
    judging, prompt_format = config.judging, replace(config.prompt_format, read_back="pixels")
    assert judging is not None
    given = judging.judge_given if prompt_format.dream else ("nothing",)
    words = judging.judge_words
    if words is None:
        words = kit_name(environment, "reviewer", spared=True)
    reviewer = build_reviewer(words) if words else None
    judged = with_judgements(steps, judging.judge_scale, reviewer, closed=judging.judge_closed)
    share, learned = part.share / len(given), config.learned
    seen = [[shown(step, what) for step in judged] for what in given]
    return [
        ConversationSource(steps=some, style="judge", prompt_format=prompt_format, share=share, learned=learned)
        for some in seen
    ]


def without_repeats(steps: Sequence[Step], share: float, seed: int) -> list[Step]:
    """Return `steps` with only a share of those whose action is the one before, chosen by the seed."""
    chosen = np.random.default_rng(seed).random(len(steps)) < share
    return [step for step, kept in zip(steps, chosen, strict=True) if kept or step.action != step.previous_action]


def _spread(
    style: Style,
    folders: Sequence[str],
    share: float,
    fraction: float,
    repeats: float = 1.0,
    actors: tuple[str, ...] = (),
) -> list[DataPart]:
    sizes = [Manifest.load(Path(folder)).counts["steps"] for folder in folders]
    each = share / max(1, sum(sizes))
    return [
        DataPart(data=folder, style=style, share=each * size, fraction=fraction, repeats=repeats, actors=actors)
        for folder, size in zip(folders, sizes, strict=True)
    ]
