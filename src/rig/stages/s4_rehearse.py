"""S4 without an agent: what a teacher and its noise did, reviewed as if it had been dreamed.

A recorded step is a dream that came true: its frames are the engine's, its thoughts are S2's. Reviews keep what the
teacher did; they correct a step of its noise where it loses time and the frames show it. An agent's S3 and S4 show what
*it* gets wrong; there are few of them, and the steps that decide a task are few among those. Rehearsal gives reviews as
wide an experience as thoughts have, at the price of a replay and before there is any agent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from zlib import crc32

import numpy as np

from rig.actions import Action
from rig.annotators import ReviewCase, can_tell
from rig.data import Dataset
from rig.dialogue import is_speakable
from rig.envs.rollout import Episode
from rig.errors import DatasetError
from rig.records import NOISE, TEACHER, Frame, Trajectory
from rig.stages.annotating import reviewed, saved_config
from rig.stages.base import Opening, annotated_lineage, derived_info, run_stage
from rig.stages.config import RehearseConfig
from rig.stages.lookahead import ReviewBuilder, as_dreamed, decided


def rehearse(source: Path | str, config: RehearseConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Review steps of the taught dataset `source`, and write them to the dataset `out`.

    Raises:
        DatasetError: `source` cannot be read, has no thoughts, or does not replay; or `out` may not be touched.
        AnnotationError: the Reviewer had no answer for some steps; all other episodes are kept.
        RigError: the Reviewer's configuration is not one of its.
    """
    dataset = Dataset(source)
    thoughts = dataset.table(["thought"]).column("thought")
    if thoughts.null_count == len(thoughts):
        raise DatasetError(f"{dataset.info.name} has no thoughts, which reviews follow; run `rig reason` on it first")
    builder = ReviewBuilder(config, dataset.info.environment)

    def make(pieces: Sequence[str]) -> Iterator[Trajectory | None]:
        return reviewed(builder.reviewer, (rehearse_episode(builder, dataset[piece]) for piece in pieces))

    info = derived_info(dataset, "s4", saved_config(builder.config, reviewer=builder.reviewer), out)
    with closing(builder.reviewer):
        workers = {"reviewer": builder.reviewer}
        return run_stage(out, info, dataset.ids, lambda name: name, make, opening or Opening(), workers)


def rehearse_episode(builder: ReviewBuilder[RehearseConfig], trajectory: Trajectory) -> Trajectory | None:
    """Return steps of an episode with reviews, their words still to be written, or None where there is none.

    Raises:
        DatasetError: it lacks steps, so that what followed a step is not what came of it.
    """
    made = [decided(case, after) for case, after in _worth(builder, _cases(builder, trajectory))]
    if not made:
        return None
    return replace(trajectory, steps=tuple(made), lineage=annotated_lineage(trajectory, "s4", builder.reviewer))


def _worth(
    builder: ReviewBuilder[RehearseConfig], cases: Sequence[tuple[ReviewCase, Frame | None]]
) -> list[tuple[ReviewCase, Frame | None]]:
    """Return the cases that keep a plan, and of those that change one where the frames show why."""
    changing = [case for case, _ in cases if case.better != case.step.proposal]
    told = iter(can_tell(builder.reviewer, changing))
    return [(case, after) for case, after in cases if case.better == case.step.proposal or next(told)]


def _cases(builder: ReviewBuilder[RehearseConfig], trajectory: Trajectory) -> list[tuple[ReviewCase, Frame | None]]:
    """Return what the teacher did, and how to correct its noise where that gains, with the frames this leads to."""
    config = builder.config
    random = np.random.default_rng([config.seed, crc32(trajectory.id.encode())])
    usable = _usable(trajectory)
    taught = _rare_first([step for step in usable if step.actor == TEACHER], config.states, random)
    slips = _rare_first([step for step in usable if step.actor == NOISE], config.slips, random)
    states = _states(builder, trajectory, [step.index for step in slips])
    cases: list[tuple[ReviewCase, Frame | None]] = []
    for chosen in sorted([*taught, *slips], key=lambda chosen: chosen.index):
        step = trajectory.steps[chosen.position]
        ahead = as_dreamed(trajectory.steps, step.index, builder.horizon(random))
        dreamed = step.with_dreams(tuple(takewhile(lambda dream: dream.thought is not None, ahead)))
        if step.actor == TEACHER:
            cases.append((ReviewCase(step=dreamed, better=step.action), step.next_frame))
            continue
        state = states[step.index]
        case = ReviewCase(step=dreamed, better=builder.judge.action_at(state))
        if builder.gains(case, state):
            cases.append((case, builder.frame_after(state, case.better)))
    return cases


@dataclass(frozen=True, kw_only=True)
class _Usable:
    """A step that a review can be about, without its frames: those of a long episode are never held together."""

    position: int
    index: int
    actor: str
    action: Action


def _usable(trajectory: Trajectory) -> list[_Usable]:
    """Return the steps whose thought can be said, but for the last, of which it is not known what came.

    Raises:
        DatasetError: a step is missing.
    """
    found = []
    for position, step in enumerate(trajectory.steps):
        if step.index != position:
            raise DatasetError(
                f"episode {trajectory.id} has step {step.index} where step {position} belongs, and what is rehearsed "
                "is what followed a step; give the dataset as it was before steps were taken out of it, as `rig data "
                "filter --keep steps` does"
            )
        if step.thought is not None and is_speakable(step.thought):
            found.append(_Usable(position=position, index=step.index, actor=step.actor, action=step.action))
    return [each for each in found if each.position < len(trajectory.steps) - 1]


def _rare_first(steps: Sequence[_Usable], count: int, random: np.random.Generator) -> list[_Usable]:
    """Return at most `count` of `steps`, drawn so that every action among them is as likely to be met as any other.

    An episode walks thirty times and makes a pickaxe once, and on that once it depends.
    """
    if not steps or not count:
        return []
    often: Counter[Action] = Counter(step.action for step in steps)
    weights = np.array([1 / often[step.action] for step in steps])
    chosen = random.choice(len(steps), min(count, len(steps)), replace=False, p=weights / weights.sum())
    return [steps[int(index)] for index in chosen]


def _states(builder: ReviewBuilder[RehearseConfig], trajectory: Trajectory, wanted: Sequence[int]) -> dict[int, bytes]:
    """Return the world's state before each wanted step, by playing the episode again.

    Raises:
        DatasetError: it comes out otherwise than it was recorded.
    """
    if not wanted:
        return {}
    states = {}
    episode = Episode(task=trajectory.task, setting=trajectory.setting, seed=trajectory.seed)
    frame, _ = episode.begin(builder.world)
    for step in trajectory.steps[: max(wanted) + 1]:
        if step.index in wanted:
            if not np.array_equal(frame, step.frame):
                raise DatasetError(
                    f"episode {trajectory.id} does not replay: step {step.index} shows another frame than was "
                    "recorded. The environment has changed since; collect it anew, or leave noise out with --slips 0"
                )
            states[step.index] = builder.world.save()
        frame = builder.world.act(step.action)[0]
    return states
