"""How often what is learned: the shares of datasets among the conversations that are drawn.

What of a conversation is learned, and with which weight, is `rig.dialogue.learned`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rig.data import Manifest
from rig.dialogue import Style
from rig.errors import RigError
from rig.records import Step
from rig.train.config import AgentTraining, DataPart
from rig.train.conversations import Source


def parts_of(
    data: Sequence[str],
    describe: Sequence[str] = (),
    lookahead: Sequence[str] = (),
    *,
    describe_share: float = 0.4,
    lookahead_share: float = 0.5,
    fraction: float = 1.0,
    repeats: float = 1.0,
) -> tuple[DataPart, ...]:
    """Return the parts of a training, each style's share spread over its datasets by their steps.

    Args:
        data: folders of datasets whose steps are single turns.
        describe: folders of datasets that describe frames.
        lookahead: folders of datasets of lookaheads.
        describe_share: share of the descriptions among all; all of them where there is nothing else.
        lookahead_share: share of the lookaheads among the rest.
        fraction: how much of the trajectories to use.
        repeats: as in `DataPart`, of single turns.

    Raises:
        RigError: a share is none, or a folder holds no dataset.
    """
    for name, share in (("describe_share", describe_share), ("lookahead_share", lookahead_share)):
        if not 0 <= share <= 1:
            raise RigError(f"{name}={share}: a share, 0 to 1")
    ahead = lookahead_share if lookahead else 0.0
    described = describe_share if data or lookahead else 1.0
    return (
        *_spread("basic", data, (1 - described) * (1 - ahead), fraction, repeats),
        *_spread("describe", describe, described, fraction),
        *_spread("lookahead", lookahead, (1 - described) * ahead, fraction),
    )


def sources_of(part: DataPart, steps: Sequence[Step], config: AgentTraining) -> list[Source]:
    """Return the sources of a part with these steps: one, or one for each way to read its dreams back."""
    if part.style != "lookahead" or not config.form.dream:
        forms = [config.form]
    else:
        forms = [replace(config.form, read_back=way) for way in config.read_backs]
    steps = without_repeats(steps, part.repeats, config.training.seed)
    share, learned = part.share / len(forms), config.learned
    return [Source(steps=steps, style=part.style, form=form, share=share, learned=learned) for form in forms]


def without_repeats(steps: Sequence[Step], share: float, seed: int) -> list[Step]:
    """Return `steps` with only a share of those whose action is the one before, chosen by the seed."""
    chosen = np.random.default_rng(seed).random(len(steps)) < share
    return [step for step, kept in zip(steps, chosen, strict=True) if kept or step.action != step.previous_action]


def _spread(
    style: Style, folders: Sequence[str], share: float, fraction: float, repeats: float = 1.0
) -> list[DataPart]:
    sizes = [Manifest.load(Path(folder)).counts["steps"] for folder in folders]
    each = share / max(1, sum(sizes))
    return [
        DataPart(data=folder, style=style, share=each * size, fraction=fraction, repeats=repeats)
        for folder, size in zip(folders, sizes, strict=True)
    ]
