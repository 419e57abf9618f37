"""S3: reviews. From identical start states RIG-basic plays beside the teacher; where the teacher does better, it stays.

A kept step holds what the agent thought and did over the next n steps (X⁻, Y⁻, A⁻: real frames, as if dreamed), and the
review that ends with the teacher's action: Y⁺ = Reviewer(X⁻, Y⁻, A⁻, A⁺). Kept are states where the teacher acts
otherwise, the agent's action costs at least `margin` steps (a state-wise advantage filter), and the frames show why.
What the agent does later in its dream is seen, and not judged: a review revises the first action alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np

from rig.annotators import ReviewCase
from rig.data import Dataset
from rig.envs.rollout import Episode
from rig.records import Step, Trajectory
from rig.stages.base import Opening, run_stage
from rig.stages.config import LookaheadConfig
from rig.stages.lookahead import Visited, Workshop, as_dreamed


def review(config: LookaheadConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Play the agent beside the teacher, and write the reviewed steps to the dataset `out`.

    Raises:
        CheckpointError: the agent cannot be loaded.
        RigError: a teacher or a Reviewer is neither named nor in the world's kit.
        DatasetError: `out` may not be touched.
    """
    shop = Workshop(config)

    def make(pieces: Sequence[Episode]) -> Iterator[Trajectory | None]:
        for visited in shop.visit(pieces):
            yield review_episode(shop, visited)

    info = shop.info("s3", out)
    return run_stage(out, info, shop.episodes(), lambda episode: episode.id, make, opening or Opening())


def review_episode(shop: Workshop, visited: Visited) -> Trajectory | None:
    """Return the steps of an episode at which the teacher does better, or None where there is none."""
    random = np.random.default_rng([shop.config.seed, crc32(visited.episode.id.encode())])
    last = len(visited.states) - 1
    kept: list[Step] = []
    for index in random.permutation(last):
        if len(kept) == shop.config.states:
            break
        step = _reviewed_step(shop, visited, int(index), min(shop.horizon(random), last - int(index)))
        if step is not None:
            kept.append(step)
    if not kept:
        return None
    steps = tuple(sorted(kept, key=lambda step: step.index))
    return replace(visited.trajectory, steps=steps, lineage=shop.lineage("s3", visited.trajectory.id))


def _reviewed_step(shop: Workshop, visited: Visited, index: int, horizon: int) -> Step | None:
    """Return the review of step `index` after `horizon` more steps, or None where the teacher does no better."""
    steps, state = visited.trajectory.steps, visited.states[index]
    dreams = as_dreamed(steps, index, horizon)
    if len(dreams) < horizon:
        return None
    case = ReviewCase(step=replace(steps[index], dreams=dreams), better=shop.judge.action_at(state))
    return shop.reviewed(case, shop.frame_after(state, case.better)) if shop.should_change(case, state) else None
