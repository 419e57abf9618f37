"""How good reviews are, apart from what dreams and plans come before them.

Recorded lookaheads (S3, S4) tell what was proposed and what would have been better; the agent is given all of it up to
"Wait! Let's re-observe..." and goes on. A plan is bad where its data change it, good where they keep it. What is shown
in the place of the dream can be exchanged: reviews that turn out alike whatever it is do not look at it.

Decisions among several plans, which no review ended, are in such data as well: how they were made is read off what was
recorded of them (`rig.evaluate.plans`), and the agent is not asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rig.agents import PolicyConfig, build_policy, planners
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators import ClaimChecker, checker_of, judge_of
from rig.data import Dataset
from rig.engine import Engine, Sampler
from rig.errors import RigError
from rig.evaluate.config import ReviewsConfig
from rig.evaluate.plans import Choice, choice_of, score_plans
from rig.evaluate.saved import REVIEWS
from rig.evaluate.stats import mean_if_any
from rig.evaluate.verdicts import count_claims, verdict_of
from rig.provenance import provenance
from rig.records import Decision, Dream, Frame, Review, Step, Trajectory
from rig.storage import refuse_existing, write_json

NOTHING = "nothing"
"""What a control is shown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedLookahead:
    """A recorded lookahead.

    Attributes:
        step: with its dreams and its review.
        trajectory: where it is from, without its steps.
    """

    step: Step
    trajectory: Trajectory

    @property
    def is_bad(self) -> bool:
        """Return whether the data change the plan."""
        return self.step.action != self.step.proposal


def evaluate_reviews(config: ReviewsConfig, out: Path | str) -> dict[str, Any]:
    """Review, compare, and return (and write to `out`/reviews.json) the scores.

    Where the data hold decisions among plans, "plans" says how they were made (`score_plans`).

    Raises:
        RigError: there is nothing to review and no decision among plans, or `out` holds scores already.
        CheckpointError: the agent cannot be loaded.
    """
    out = Path(out)
    refuse_existing(out / REVIEWS, "choose another folder with --out")
    checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype)
    lookaheads, choices = recorded(checkpoint, config)
    kinds = (config.shown if checkpoint.prompt_format.dream else (NOTHING,)) if lookaheads else ()
    decisions = {kind: review_all(checkpoint, lookaheads, kind, config) for kind in kinds}
    scores = score_reviews(lookaheads, decisions, checker_of(checkpoint.environment)) | {
        **({"plans": score_plans(choices)} if choices else {}),
        "config": asdict(config),
        "provenance": provenance(),
        "runs_in": checkpoint.model.runs_in,
    }
    write_json(out / REVIEWS, scores)
    return scores


def recorded(checkpoint: AgentCheckpoint, config: ReviewsConfig) -> tuple[list[RecordedLookahead], list[Choice]]:
    """Return the lookaheads of the data, cut to the configured depth, and its decisions among plans.

    Raises:
        RigError: there is neither, or they are of another world.
    """
    lookaheads, choices = list[RecordedLookahead](), list[Choice]()
    for trajectory in _trajectories(checkpoint, config):
        for step in trajectory.steps:
            if step.dreams and step.review is not None:
                cut = replace(step, dreams=step.dreams[: config.depth])
                lookaheads.append(RecordedLookahead(step=cut, trajectory=trajectory.with_steps(())))
            if step.candidates:
                choices.append(choice_of(step, trajectory.id))
    if not (lookaheads or choices):
        raise RigError(
            f"{', '.join(config.data)}: no lookaheads of these tasks there; give datasets of `rig review`, `rig align` "
            "or `rig rehearse`, or of decisions among several plans"
        )
    return lookaheads, choices


def _trajectories(checkpoint: AgentCheckpoint, config: ReviewsConfig) -> Iterator[Trajectory]:
    """Yield the episodes of the data that are of the configured tasks."""
    for folder in config.data:
        dataset = Dataset(folder)
        if dataset.info.environment != checkpoint.environment:
            raise RigError(
                f"{folder} is of {dataset.info.environment}, and {config.agent} plays {checkpoint.environment}"
            )
        if not checkpoint.space.is_like(dataset.info.action_space):
            raise RigError(
                f"{folder} holds actions of other keys ({dataset.info.action_space.described}) than those of "
                f"{config.agent} ({checkpoint.space.described}); give data of the agent's own world as it was trained"
            )
        for entry in dataset.entries:
            if not config.tasks or {entry.task, f"{entry.task}/{entry.setting}"} & set(config.tasks):
                yield dataset[entry.id]


def review_all(
    checkpoint: AgentCheckpoint, lookaheads: Sequence[RecordedLookahead], kind: str, config: ReviewsConfig
) -> list[Decision]:
    """Return the agent's reviews of the lookaheads, shown `kind` in the place of their dreams."""
    prompt_format = replace(checkpoint.prompt_format, read_back=config.read_back)
    sampler = Sampler(temperature=config.temperature)
    settings = PolicyConfig(
        prompt_format=prompt_format, planner=planners.Lookahead(), thought_tokens=config.thought_tokens, text=sampler
    )
    policy = build_policy(checkpoint, settings, dreams_ahead=config.depth)
    for task, instruction in sorted({(one.trajectory.task, one.step.instruction) for one in lookaheads}):
        policy.check_instruction(task, instruction)
    made: list[Decision] = []
    for start in tqdm(range(0, len(lookaheads), config.batch_size), desc=kind, unit="batch", disable=None):
        steps = [one.step for one in lookaheads[start : start + config.batch_size]]
        asked = [replace(step, dreams=_as_shown(step, kind, policy.engine)) for step in steps]
        seeds = range(config.seed + start, config.seed + start + len(steps))
        made += policy.review(asked, seeds)
    return made


def score_reviews(
    lookaheads: Sequence[RecordedLookahead], decisions: dict[str, list[Decision]], checker: ClaimChecker | None
) -> dict[str, Any]:
    """Return the scores of reviews, by what was shown.

    Returns:
        "lookaheads", "episodes" and "bad" count what was reviewed; "shown" has for each kind, with intervals over whole
        episodes, the share of good plans and of bad ones that were changed ("changed_good", "changed_bad"), of bad ones
        that became what the data have ("mended"), of reviews that act as those of the first kind do ("same"), of
        those that say whether the plan stays, which do so ("consistent"), and of claims that hold ("true"); None where
        there are none.
    """
    first = next(iter(decisions.values()), [])
    return {
        "lookaheads": len(lookaheads),
        "episodes": len({one.trajectory.id for one in lookaheads}),
        "bad": sum(one.is_bad for one in lookaheads),
        "shown": {kind: _scores(lookaheads, made, first, checker) for kind, made in decisions.items()},
    }


def _scores(
    lookaheads: Sequence[RecordedLookahead],
    decisions: Sequence[Decision],
    first: Sequence[Decision],
    checker: ClaimChecker | None,
) -> dict[str, Any]:
    rows = list(zip(lookaheads, decisions, first, strict=True))
    good = [(one, made) for one, made, _ in rows if not one.is_bad]
    bad = [(one, made) for one, made, _ in rows if one.is_bad]
    claims = [(one, _true_share(one, made, checker)) for one, made, _ in rows]
    words = [(one, _is_consistent(one, made, checker)) for one, made, _ in rows]
    return {
        "changed_good": _share([(one, made.action != one.step.proposal) for one, made in good]),
        "changed_bad": _share([(one, made.action != one.step.proposal) for one, made in bad]),
        "mended": _share([(one, made.action == one.step.action) for one, made in bad]),
        "same": _share([(one, made.action == other.action) for one, made, other in rows]),
        "consistent": _share([(one, are_kept) for one, are_kept in words if are_kept is not None]),
        "true": _share([(one, share) for one, share in claims if share is not None]),
    }


def _share(values: Sequence[tuple[RecordedLookahead, float]]) -> dict[str, Any] | None:
    """Return the mean with its interval over whole episodes; None of nothing."""
    return mean_if_any([float(value) for _, value in values], [one.trajectory.id for one, _ in values])


def _true_share(one: RecordedLookahead, made: Decision, checker: ClaimChecker | None) -> float | None:
    """Return the share of a review's checked claims that hold; None where none was checked."""
    said = replace(one.step, thought=made.thought, action=made.action)
    counts = count_claims(one.trajectory.with_steps((said,)), checker)
    return counts["true"] / counts["checked"] if counts["checked"] else None


def _is_consistent(one: RecordedLookahead, made: Decision, checker: ClaimChecker | None) -> bool | None:
    """Return whether a review does with its plan what it says; None where it says nothing, or nobody can tell."""
    review = Review(thought=made.thought, action=made.action)
    verdict = verdict_of(replace(one.step, review=review), judge_of(checker))
    return verdict["consistent"] if verdict else None


def _as_shown(step: Step, kind: str, engine: Engine) -> tuple[Dream, ...]:
    """Return a step's dreams with other frames in their places."""
    if kind == NOTHING:
        return step.dreams
    frames = [_frame(step, dream, kind) for dream in step.dreams]
    codes = engine.encode_images(np.stack(frames))
    return tuple(
        replace(dream, frame=frame, codes=code, real_frame=None, real_codes=None)
        for dream, frame, code in zip(step.dreams, frames, codes, strict=True)
    )


def _frame(step: Step, dream: Dream, kind: str) -> Frame:
    frame = {"real": dream.real_frame, "dreamed": dream.frame, "still": step.frame}[kind]
    if frame is None:
        raise RigError(f"step {step.index} has no {kind} frame; leave {kind!r} out of --shown")
    return frame
