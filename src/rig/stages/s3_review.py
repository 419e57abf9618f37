"""S3: reviews. From identical start states RIG-basic plays beside the teacher; where the teacher does better, it stays.

A kept step holds what the agent thought and did over the next n steps (X⁻, Y⁻, A⁻: real frames, as if dreamed), and the
review that ends with the teacher's action: Y⁺ = Reviewer(X⁻, Y⁻, A⁻, A⁺). Kept are states where the teacher acts
otherwise, the agent's action costs at least `margin` steps (a state-wise advantage filter), and the frames show why.
What the agent does later in its dream is seen, and not judged: a review revises the first action alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

from rig.annotators import ReviewCase, can_tell
from rig.cluster import HERE, Cluster
from rig.data import Dataset
from rig.envs.rollout import Episode
from rig.records import Frame, Step, Trajectory
from rig.stages.annotating import reviewed
from rig.stages.base import Opening, run_stage
from rig.stages.config import LookaheadConfig
from rig.stages.lookahead import LookaheadBuilder, Visited, as_dreamed, decided
from rig.stages.sharing import maker


def review(
    config: LookaheadConfig,
    out: Path | str,
    opening: Opening | None = None,
    *,
    workers: int = 1,
    cluster: Cluster = HERE,
) -> Dataset:
    """Play the agent beside the teacher, and write the reviewed steps to the dataset `out`.

    Args:
        config: see `LookaheadConfig`.
        out: the dataset's folder.
        opening: how to treat what is there.
        workers: of the cluster, each with the agent.
        cluster: where to play; without one the agent plays in this process.

    Raises:
        CheckpointError: the agent cannot be loaded.
        RigError: a teacher or a Reviewer is neither named nor in the world's kit.
        DatasetError: `out` may not be touched.
        AnnotationError: the Reviewer had no answer for some steps; all other episodes are kept.
        RigError: the Reviewer's configuration is not one of its.
    """
    prepare = partial(_at_work, config)
    with prepare() as builder:
        work, annotators = builder.episodes(), {"reviewer": builder.reviewer}
        make = maker(
            prepare,
            _made,
            builder,
            annotators.values(),
            workers=workers,
            cluster=cluster,
            together=config.together,
        )
        info = builder.info("s3", out)
        return run_stage(out, info, work, lambda episode: episode.id, make, opening or Opening(), annotators)


def _made(builder: LookaheadBuilder, pieces: Sequence[Episode]) -> Iterator[Trajectory | None]:
    return reviewed(builder.reviewer, (review_episode(builder, visited) for visited in builder.visit(pieces)))


@contextmanager
def _at_work(config: LookaheadConfig) -> Iterator[LookaheadBuilder]:
    builder = LookaheadBuilder(config)
    with closing(builder.reviewer):
        yield builder


def review_episode(builder: LookaheadBuilder, visited: Visited) -> Trajectory | None:
    """Return the steps of an episode at which the teacher does better, or None where there is none.

    The words of their reviews are still to be written.
    """
    found = _gaining(builder, visited)
    kept: list[Step] = []
    while cases := list(islice(found, builder.config.states - len(kept))):
        told = can_tell(builder.reviewer, [case for case, _ in cases])
        kept += [decided(case, after) for (case, after), shows in zip(cases, told, strict=True) if shows]
    if not kept:
        return None
    steps = tuple(sorted(kept, key=lambda step: step.index))
    return replace(visited.trajectory, steps=steps, lineage=builder.lineage("s3", visited.trajectory.id))


def _gaining(builder: LookaheadBuilder, visited: Visited) -> Iterator[tuple[ReviewCase, Frame]]:
    """Yield the steps at which the teacher does better, in random order, each with the frame that this leads to."""
    random = np.random.default_rng([builder.config.seed, crc32(visited.episode.id.encode())])
    steps, last = visited.trajectory.steps, len(visited.states) - 1
    for index in map(int, random.permutation(last)):
        horizon = min(builder.horizon(random), last - index)
        state, dreams = visited.states[index], as_dreamed(steps, index, horizon)
        if len(dreams) < horizon:
            continue
        case = ReviewCase(step=steps[index].with_dreams(dreams), better=builder.judge.action_at(state))
        if builder.gains(case, state):
            yield case, builder.frame_after(state, case.better)
