"""S4: dreams aligned with the engine. The actions of a dream are replayed for real from the state it began in.

Each dreamed frame is kept as the model saw it, beside the real frame, which is what training shows and what it should
have been; each thought about a dreamed frame is written anew for the real state; and the review, knowing what really
came, corrects a proposal that was not good where the frames show it, and keeps any other. The first thought, about the
observed frame, stays the agent's own with whatever is wrong in it: a review that has only seen true ones would trust
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from rig.annotators import Asked, Reasoner, ReviewCase, answered, build_reasoner, can_tell, seen_in
from rig.annotators.kit import with_kit
from rig.cluster import HERE, Cluster
from rig.data import Dataset
from rig.dialogue import is_speakable
from rig.envs.rollout import MOST_WORLDS, Episode
from rig.records import Dream, Frame, Step, Trajectory
from rig.stages.annotating import episode_name, reviewed
from rig.stages.base import Opening, run_stage
from rig.stages.config import AlignConfig
from rig.stages.lookahead import LookaheadBuilder, decided
from rig.stages.sharing import maker
from rig.stages.visiting import Visited, as_came


def align(
    config: AlignConfig,
    out: Path | str,
    opening: Opening | None = None,
    *,
    workers: int = 1,
    cluster: Cluster = HERE,
) -> Dataset:
    """Let the agent dream in states it visits, replay the dreams, and write the aligned steps to the dataset `out`.

    Args:
        config: see `AlignConfig`.
        out: the dataset's folder.
        opening: how to treat what is there.
        workers: of the cluster, each with the agent.
        cluster: where to play and dream; without one the agent does so in this process.

    Raises:
        CheckpointError: the agent cannot be loaded.
        RigError: a teacher or an annotator is neither named nor in the world's kit.
        DatasetError: `out` may not be touched.
        AnnotationError: an annotator had no answer for some steps; all other episodes are kept.
        RigError: an annotator's configuration is not one of its.
    """
    prepare = partial(_at_work, config)
    with prepare() as room:
        builder, reasoner = room
        work, annotators = builder.episodes(), {"reviewer": builder.reviewer, "reasoner": reasoner}
        make = maker(
            prepare,
            _made,
            room,
            annotators.values(),
            workers=workers,
            cluster=cluster,
            together=config.together,
        )
        info = builder.info("s4", out, reasoner=reasoner)
        return run_stage(out, info, work, lambda episode: episode.id, make, opening or Opening(), annotators)


_Room = tuple[LookaheadBuilder, Reasoner[Any]]


@contextmanager
def _at_work(config: AlignConfig) -> Iterator[_Room]:
    builder = LookaheadBuilder(config)
    named = with_kit(config, builder.checkpoint.environment)
    reasoner = build_reasoner(named.reasoner, named.reasoner_config, builder.world.actions)
    with closing(builder.reviewer), closing(reasoner):
        yield builder, reasoner


def _made(room: _Room, pieces: Sequence[Episode]) -> Iterator[Trajectory | None]:
    builder, reasoner = room
    assert isinstance(builder.config, AlignConfig)
    return aligned(builder, reasoner, _dreamed(builder, builder.visit(pieces, builder.config.dreams)))


def _dreamed(builder: LookaheadBuilder, visits: Iterator[Visited]) -> Iterator[tuple[Visited, dict[int, list[Dream]]]]:
    """Yield each episode with its dreams; those of as many episodes as a batch holds are dreamed side by side."""
    most = max(1, (builder.config.batch_size or MOST_WORLDS) // builder.config.states)
    while together := list(islice(visits, most)):
        yield from zip(together, dream_beside(builder, together), strict=True)


def dream_beside(builder: LookaheadBuilder, visits: Sequence[Visited]) -> list[dict[int, list[Dream]]]:
    """Return what the agent dreams in some states of each episode, by the index of the step; all side by side."""
    chosen = [_choices(builder, visited) for visited in visits]
    begun = [(visited, index) for visited, choices in zip(visits, chosen, strict=True) for index in choices]
    steps = [visited.trajectory.steps[index] for visited, index in begun]
    observations = [step.observation for step in steps]
    seeds = [visited.episode.decision_seed(index) for visited, index in begun]
    horizons = [horizon for choices in chosen for horizon in choices.values()]
    dreamed = iter(builder.policy.dream_ahead(observations, seeds, horizons))
    return [{index: next(dreamed) for index in choices} for choices in chosen]


def _choices(builder: LookaheadBuilder, visited: Visited) -> dict[int, int]:
    """Return how many dreams begin at which steps of an episode."""
    random = np.random.default_rng([builder.config.seed, crc32(visited.episode.id.encode())])
    return {index: builder.horizon(random) for index in visited.some(builder.config.states, random)}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Replayed:
    """A step whose dreams were replayed.

    Attributes:
        case: the step with its dreams, and what is better there.
        after: the frame that this leads to.
        gains: whether it gains enough to take it, and not what was proposed.
        seen: for each dream but the first that holds a thought, its number and what was really seen before it.
    """

    case: ReviewCase
    after: Frame
    gains: bool
    seen: Mapping[int, Step]


def aligned(
    builder: LookaheadBuilder, reasoner: Reasoner[Any], dreamed: Iterable[tuple[Visited, Mapping[int, Sequence[Dream]]]]
) -> Iterator[Trajectory | None]:
    """Yield each episode's dreams beside what really came, or None where every one of them ended at once.

    Raises:
        AnnotationError: an annotator had no answer for some steps; raised when all other episodes have been yielded.
    """
    asked = (_asked(visited, _replayed_steps(builder, visited, dreams)) for visited, dreams in dreamed)
    thought = answered(reasoner, asked)
    return reviewed(builder.reviewer, (align_episode(builder, *piece, thoughts) for piece, thoughts in thought))


def _asked(visited: Visited, steps: Sequence[_Replayed]) -> Asked[tuple[Visited, Sequence[_Replayed]]]:
    """Return an episode's replayed steps, of each dreamed frame of which a thought is wanted."""
    wanted = [(step.case.step.index, number, seen) for step in steps for number, seen in step.seen.items()]
    return Asked(
        piece=(visited, steps),
        name=episode_name(visited.trajectory),
        questions=[seen_in(seen) for _, _, seen in wanted],
        places=[f"step {index}, dream {number + 1}" for index, number, _ in wanted],
    )


def align_episode(
    builder: LookaheadBuilder, visited: Visited, steps: Sequence[_Replayed], thoughts: Sequence[str]
) -> Trajectory | None:
    """Return an episode's replayed steps with `thoughts` in their dreams, or None where there are no steps.

    The words of their reviews are still to be written.
    """
    if not steps:
        return None
    left = iter(thoughts)
    cases = [_with_thoughts(step.case, {number: next(left) for number in step.seen}) for step in steps]
    changing = [case for case, step in zip(cases, steps, strict=True) if step.gains]
    told = iter(can_tell(builder.reviewer, changing))
    made = [
        _decided(case, step.after, change=step.gains and next(told)) for case, step in zip(cases, steps, strict=True)
    ]
    return replace(visited.trajectory, steps=tuple(made), lineage=builder.lineage("s4", visited.trajectory.id))


def _with_thoughts(case: ReviewCase, thoughts: Mapping[int, str]) -> ReviewCase:
    """Return the case with `thoughts`, by the number of the dream, in the place of the agent's own."""
    dreams = tuple(
        replace(dream, thought=thoughts.get(number, dream.thought)) for number, dream in enumerate(case.step.dreams)
    )
    return replace(case, step=replace(case.step, dreams=dreams))


def _decided(case: ReviewCase, after: Frame, *, change: bool) -> Step:
    """Return the step with a review that changes what was proposed, or keeps it."""
    if change or case.better == case.step.proposal:
        return decided(case, after)
    return decided(replace(case, better=case.step.proposal), case.step.dreams[0].real_frame)


def _replayed_steps(
    builder: LookaheadBuilder, visited: Visited, dreamed: Mapping[int, Sequence[Dream]]
) -> list[_Replayed]:
    """Return the steps that dreams began at, replayed; not those whose first thought no conversation can hold."""
    return [
        _replayed(builder, visited.trajectory.steps[index], visited.states[index], dreams)
        for index, dreams in dreamed.items()
        if is_speakable(dreams[0].thought)
    ]


def _replayed(builder: LookaheadBuilder, step: Step, state: bytes, dreams: Sequence[Dream]) -> _Replayed:
    """Return a step with what really came of its dreams, up to the end of the episode."""
    world = builder.world
    frame = world.load(state)
    facts = step.privileged
    made: list[Dream] = []
    seen: dict[int, Step] = {}
    for number, dream in enumerate(dreams):
        if number and dream.thought is not None:
            seen[number] = replace(step, frame=frame, action=dream.action, privileged=facts)
        frame, _, terminated, _, info = world.act(dream.action)
        facts = info["privileged"]
        made.append(as_came(dream, frame, facts))
        if terminated:
            break
    case = ReviewCase(step=step.with_dreams(tuple(made)), better=builder.judge.action_at(state))
    return _Replayed(
        case=case, after=builder.frame_after(state, case.better), gains=builder.gains(case, state), seen=seen
    )
