"""Trajectories as the JSON that the page shows: every choice of what is shown is made here, the page only draws it."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from rig.actions import ACTION_SPACES, ActionSpace
from rig.dialogue import review_of_plans
from rig.dialogue.prompt import REVIEW
from rig.errors import RigError
from rig.evaluate.images import psnr
from rig.records import Dream, Frame, Plan, Step, Trajectory
from rig.viewer.choice import spread
from rig.viewer.results import Scores, result_table
from rig.viewer.text import claims, label, passage, text_limit


class FrameStore:
    """Frames as PNGs in base64, each stored once however often it is shown."""

    def __init__(self) -> None:
        self.images: list[str] = []
        self._known: dict[bytes, int] = {}

    def add(self, frame: Frame | None, place: str) -> int | None:
        """Return the frame's number, or None for no frame.

        Raises:
            RigError: the frame is not uint8 [height, width, 3]; `place` says which.
        """
        if frame is None:
            return None
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or not frame.size:
            raise RigError(f"{place} is {frame.dtype} {list(frame.shape)}; give uint8 [height, width, 3]")
        pixels = np.ascontiguousarray(frame)
        key = hashlib.sha256(pixels.tobytes() + repr(pixels.shape).encode()).digest()
        if key not in self._known:
            self._known[key] = len(self.images)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            self.images.append(base64.b64encode(buffer.getvalue()).decode())
        return self._known[key]


@dataclass(frozen=True)
class Sheet:
    """What all episodes of a page share: its frames, and how many characters of a text it holds."""

    frames: FrameStore
    limit: int

    def text(self, text: str | None) -> dict[str, Any]:
        """Return a text as the page takes it."""
        return passage(text, self.limit)


def build_payload(
    trajectories: Sequence[Trajectory],
    *,
    title: str,
    meta: Mapping[str, object],
    ways: Sequence[str] | None = None,
    results: Scores | None = None,
    first: tuple[int, int] | None = None,
    max_steps: int | None = None,
) -> dict[str, Any]:
    """Return the page's JSON; arguments and errors are those of `render_trace`."""
    _check(trajectories, ways, first, max_steps)
    names = list(ways) if ways is not None else [trajectory.lineage.actor for trajectory in trajectories]
    shown = [_shown_steps(trajectories, number, first, max_steps) for number in range(len(trajectories))]
    sheet = Sheet(FrameStore(), text_limit(_count_texts(trajectories, shown)))
    progress_bar = tqdm(trajectories, desc="trace", unit="episode", disable=None)
    episodes = [_episode(*row, sheet) for row in zip(progress_bar, names, shown, strict=True)]
    return {
        "title": label(title),
        "meta": [[label(name), passage(str(value), sheet.limit)] for name, value in meta.items()],
        "phrase": REVIEW.strip(),
        "results": result_table(trajectories, names, results),
        "first": _first(episodes, first),
        "episodes": episodes,
        "frames": sheet.frames.images,
    }


def _check(
    trajectories: Sequence[Trajectory],
    ways: Sequence[str] | None,
    first: tuple[int, int] | None,
    max_steps: int | None,
) -> None:
    if not trajectories:
        raise RigError("a trace of no episodes; give at least one trajectory")
    if ways is not None and len(ways) != len(trajectories):
        raise RigError(f"{len(ways)} ways of playing for {len(trajectories)} episodes; name one for each")
    if max_steps is not None and max_steps < 1:
        raise RigError(f"max_steps is {max_steps}; show at least one step of each episode, or None for all")
    if first is not None:
        episode, position = first
        if not (0 <= episode < len(trajectories) and 0 <= position < len(trajectories[episode].steps)):
            raise RigError(f"first is {first}: there is no such episode and step; both are counted from 0")


def _shown_steps(
    trajectories: Sequence[Trajectory], number: int, first: tuple[int, int] | None, max_steps: int | None
) -> Sequence[int]:
    length = len(trajectories[number].steps)
    keep = first[1] if first is not None and first[0] == number else None
    return range(length) if max_steps is None else spread(length, max_steps, keep)


def _count_texts(trajectories: Sequence[Trajectory], shown: Sequence[Sequence[int]]) -> int:
    steps = (t.steps[position] for t, positions in zip(trajectories, shown, strict=True) for position in positions)
    return sum(3 + len(step.every_dream) + 2 * len(step.candidates) for step in steps)


def _first(episodes: Sequence[Mapping[str, Any]], first: tuple[int, int] | None) -> list[int]:
    """Return the numbers of the episode and of its shown step on which the page opens."""
    if first is not None:
        positions = [step["position"] for step in episodes[first[0]]["steps"]]
        return [first[0], positions.index(first[1])]
    dreamed = (
        [number, index]
        for number, episode in enumerate(episodes)
        for index, step in enumerate(episode["steps"])
        if step["dreams"]
    )
    return next(dreamed, [0, 0])


def progress(steps: Sequence[Step]) -> tuple[str, list[float]]:
    """Return what progress is measured in and its value at each step.

    It is the task's samples so far where the engine tells them (`privileged["samples"]`, as the step began; a step that
    does not tell keeps the last value), and the sum of the rewards otherwise.

    Raises:
        RigError: samples are told that are no number.
    """
    if any("samples" in step.privileged for step in steps):
        values, last = [], 0.0
        for step in steps:
            last = _samples(step, last)
            values.append(last)
        return "samples", values
    return "reward", np.cumsum([step.reward for step in steps]).tolist()


def _samples(step: Step, last: float) -> float:
    told = step.privileged.get("samples", last)
    if isinstance(told, bool) or not isinstance(told, int | float | np.number):
        raise RigError(f'step {step.index}: the fact "samples" is {label(repr(told))}, no number; mend or remove it')
    return float(told)


def _episode(trajectory: Trajectory, way: str, shown: Sequence[int], sheet: Sheet) -> dict[str, Any]:
    steps, name = trajectory.steps, f"episode {label(trajectory.id)!r}"
    if not steps:
        raise RigError(f"{name} has no steps; there is nothing to show")
    space = ACTION_SPACES.get(trajectory.action_space)
    try:
        measure, values = progress(steps)
    except RigError as error:
        raise RigError(f"{name}, {error}") from error
    if not np.isfinite([*values, *(step.reward for step in steps)]).all():
        raise RigError(f"{name}: rewards or samples are not finite at every step; mend them first")
    return {
        "id": label(trajectory.id),
        "environment": label(trajectory.environment),
        "task": label(trajectory.task),
        "setting": label(trajectory.setting),
        "seed": str(int(trajectory.seed)),  # JavaScript's numbers hold no more than 53 bits
        "success": bool(trajectory.success),
        "samples": int(trajectory.samples),
        "way": label(way),
        "actor": label(trajectory.lineage.actor),
        "stage": label(trajectory.lineage.stage),
        "length": len(steps),
        "measure": measure,
        "progress": [values[position] for position in shown],
        "final": float(trajectory.samples) if measure == "samples" else values[-1],
        "steps": [{"position": position, **_step(steps, position, space, sheet, name)} for position in shown],
    }


def _step(steps: Sequence[Step], position: int, space: ActionSpace, sheet: Sheet, episode: str) -> dict[str, Any]:
    step = steps[position]
    place = f"{episode}, step {step.index}"
    thought = sheet.text(step.thought)
    return {
        "instruction": sheet.text(step.instruction),
        "previous": label(space.format(step.previous_action)),
        "action": label(space.format(step.action)),
        "actor": label(step.actor),
        "reward": float(step.reward),
        "thought": thought,
        "claims": claims(step.privileged.get("claims", ()), thought["clauses"], place),
        "frame": sheet.frames.add(step.frame, f"{place}: frame"),
        "next": sheet.frames.add(step.next_frame, f"{place}: next_frame"),
        "dreams": _dreams(steps, position, space, sheet, place),
        "review": _review(step, space, sheet),
        "plans": [
            _plan(plan, number == step.chosen, space, sheet, f"{place}: plans[{number}]")
            for number, plan in enumerate(step.candidates)
        ],
        "weighing": _weighing(step, space, sheet),
    }


def _dreams(steps: Sequence[Step], position: int, space: ActionSpace, sheet: Sheet, place: str) -> list[dict[str, Any]]:
    dreams = steps[position].dreams
    played = _played(steps, position)
    shown = []
    for number, dream in enumerate(dreams):
        real = dream.real_frame
        if real is None and number < played:
            real = steps[position + number].next_frame
        where = f"{place}: dreams[{number}]"
        shown.append({**_dream(dream, real, space, sheet, where), "played": number < played})
    return shown


def _plan(plan: Plan, chosen: bool, space: ActionSpace, sheet: Sheet, place: str) -> dict[str, Any]:
    """Return a plan that was weighed; the dreams of the chosen one are those of its step."""
    if plan.score is not None and not math.isfinite(plan.score):
        raise RigError(f"{place}: its score is {plan.score}, no finite number; mend its judge")
    dreams = [
        {**_dream(dream, dream.real_frame, space, sheet, f"{place}.dreams[{number}]"), "played": False}
        for number, dream in enumerate(plan.dreams)
    ]
    return {
        "action": label(space.format(plan.action)),
        "thought": sheet.text(plan.thought),
        "votes": int(plan.votes),
        "score": None if plan.score is None else float(f"{plan.score:.3g}"),
        "judgement": sheet.text(plan.judgement),
        "chosen": chosen,
        "dreams": dreams,
    }


def _weighing(step: Step, space: ActionSpace, sheet: Sheet) -> dict[str, Any] | None:
    """Return what was said of the plans, and whether one was taken that another had more votes than."""
    if not step.candidates:
        return None
    told = review_of_plans(step.candidates, step.chosen, space).removeprefix(REVIEW)
    votes = [plan.votes for plan in step.candidates]
    return {"text": sheet.text(told), "proposals": int(sum(votes)), "against": votes[step.chosen] < max(votes)}


def _played(steps: Sequence[Step], position: int) -> int:
    """Return how many of a lookahead's actions, first to last, the episode then really played."""
    pairs = zip(steps[position].dreams, steps[position : position + len(steps[position].dreams)], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0].action == pair[1].action, pairs))


def _dream(dream: Dream, real: Frame | None, space: ActionSpace, sheet: Sheet, place: str) -> dict[str, Any]:
    return {
        "thought": sheet.text(dream.thought),
        "action": label(space.format(dream.action)),
        "frame": sheet.frames.add(dream.frame, f"{place}.frame"),
        "real": sheet.frames.add(real, f"{place}.real_frame"),
        "match": _match(dream.frame, real),
    }


def _match(dreamed: Frame | None, real: Frame | None) -> str:
    """Return how near a dream came, for example `PSNR 18.4 dB`; empty where it cannot be said."""
    if dreamed is None or real is None or dreamed.shape != real.shape:
        return ""
    decibels = float(psnr(dreamed[None], real[None])[0])
    return "identical" if math.isinf(decibels) else f"PSNR {decibels:.1f} dB"


def _review(step: Step, space: ActionSpace, sheet: Sheet) -> dict[str, Any] | None:
    """Return the review; its thought is None where it is the step's, and so is a verdict that nobody gave."""
    if step.review is None:
        return None
    return {
        "thought": None if step.review.thought == step.thought else sheet.text(step.review.thought),
        "proposal": label(space.format(step.proposal)),
        "action": label(space.format(step.review.action)),
        "changed": step.review.action != step.proposal,
        "verdict": _verdict(step.privileged.get("verdict")),
    }


def _verdict(found: object) -> dict[str, Any] | None:
    """Return what a review says that it does to its plan, if this is known to be, or not to be, what it did."""
    if not isinstance(found, Mapping) or not isinstance(found.get("consistent"), bool | np.bool_):
        return None
    return {"says": label(found.get("says", "")), "consistent": bool(found["consistent"])}
