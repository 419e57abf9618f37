"""Trajectories as the JSON that the page shows: every choice of what is shown is made here, the page only draws it."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from rig.actions import ACTION_SPACES, Action, ActionSpace
from rig.dialogue.prompt import REVIEW
from rig.errors import RigError
from rig.evaluate.images import psnr
from rig.records import Dream, Frame, Review, Step, Trajectory


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


def build_payload(
    trajectories: Sequence[Trajectory], *, title: str, meta: Mapping[str, object], max_steps: int | None = None
) -> dict[str, Any]:
    """Return the page's JSON; arguments and errors are those of `render_trace`."""
    if not trajectories:
        raise RigError("a trace of no episodes; give at least one trajectory")
    if max_steps is not None and max_steps < 1:
        raise RigError(f"max_steps is {max_steps}; show at least one step of each episode, or None for all")
    frames = FrameStore()
    progress_bar = tqdm(trajectories, desc="trace", unit="episode", disable=None)
    episodes = [_episode(trajectory, frames, max_steps) for trajectory in progress_bar]
    return {
        "title": title,
        "meta": [[str(name), str(value)] for name, value in meta.items()],
        "phrase": REVIEW.strip(),
        "episodes": episodes,
        "frames": frames.images,
    }


def clauses(thought: str | None) -> list[str]:
    """Return a thought's numbered clauses, `1. …`, `2. …`, in order; text that is not numbered stays one clause.

    A number opens its clause after the end of a sentence, if there is such a place: `2. I have 3. 3. Go on.` is two.
    """
    text = (thought or "").strip()
    starts, position = [0], 0
    for number in count(1):
        found = next(filter(None, (opening.search(text, position) for opening in _openings(number))), None)
        if found is None:
            break
        starts.append(found.start())
        position = found.end()
    parts = (text[start:end].strip() for start, end in pairwise([*starts, len(text)]))
    return [part for part in parts if part]


def _openings(number: int) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return re.compile(rf"(?:^|(?<=[.!?;:]\s)|(?<=\n)){number}\. "), re.compile(rf"(?<=\s){number}\. ")


def progress(steps: Sequence[Step]) -> tuple[str, list[float]]:
    """Return what progress is measured in and its value at each step.

    It is the task's samples so far where the engine tells them (`privileged["samples"]`, as the step began; a step that
    does not tell keeps the last value), and the sum of the rewards otherwise.
    """
    if any("samples" in step.privileged for step in steps):
        values, last = [], 0.0
        for step in steps:
            last = float(step.privileged.get("samples", last))
            values.append(last)
        return "samples", values
    return "reward", np.cumsum([step.reward for step in steps]).tolist()


def _episode(trajectory: Trajectory, frames: FrameStore, max_steps: int | None) -> dict[str, Any]:
    steps = trajectory.steps
    if not steps:
        raise RigError(f"episode {trajectory.id!r} has no steps; there is nothing to show")
    space = ACTION_SPACES.get(trajectory.action_space)
    measure, values = progress(steps)
    if not np.isfinite([*values, *(step.reward for step in steps)]).all():
        raise RigError(f"episode {trajectory.id!r}: rewards or samples are not finite at every step; mend them first")
    shown = range(len(steps)) if max_steps is None else _spread(len(steps), max_steps)
    return {
        "id": trajectory.id,
        "environment": trajectory.environment,
        "task": trajectory.task,
        "setting": trajectory.setting,
        "seed": int(trajectory.seed),
        "success": bool(trajectory.success),
        "samples": int(trajectory.samples),
        "actor": trajectory.lineage.actor,
        "stage": trajectory.lineage.stage,
        "length": len(steps),
        "measure": measure,
        "progress": [values[position] for position in shown],
        "final": float(trajectory.samples) if measure == "samples" else values[-1],
        "steps": [
            {"position": position, **_step(steps[position], space, frames, f"episode {trajectory.id!r}")}
            for position in shown
        ],
    }


def _spread(length: int, count: int) -> list[int]:
    """Return at most `count` positions of `length`, evenly spread, the first and the last among them."""
    if count == 1:
        return [0]
    return sorted({round(share) for share in np.linspace(0, length - 1, min(count, length)).tolist()})


def _step(step: Step, space: ActionSpace, frames: FrameStore, episode: str) -> dict[str, Any]:
    place = f"{episode}, step {step.index}"
    return {
        "instruction": step.instruction,
        "previous": space.format(step.previous_action),
        "action": space.format(step.action),
        "actor": step.actor,
        "reward": float(step.reward),
        "thought": clauses(step.thought),
        "claims": [_claim(claim, place) for claim in step.privileged.get("claims", ())],
        "frame": frames.add(step.frame, f"{place}: frame"),
        "next": frames.add(step.next_frame, f"{place}: next_frame"),
        "dreams": [
            _dream(dream, _real_frame(step, number), space, frames, f"{place}: dreams[{number}]")
            for number, dream in enumerate(step.dreams)
        ],
        "review": _review(step.review, step.proposal, space) if step.review else None,
    }


def _real_frame(step: Step, number: int) -> Frame | None:
    """Return what really came of a dream: known by replay, or because its action, the first, was executed."""
    real = step.dreams[number].real_frame
    return step.next_frame if real is None and number == 0 and step.action == step.proposal else real


def _dream(dream: Dream, real: Frame | None, space: ActionSpace, frames: FrameStore, place: str) -> dict[str, Any]:
    return {
        "thought": clauses(dream.thought),
        "action": space.format(dream.action),
        "frame": frames.add(dream.frame, f"{place}.frame"),
        "real": frames.add(real, f"{place}.real_frame"),
        "match": _match(dream.frame, real),
    }


def _match(dreamed: Frame | None, real: Frame | None) -> str:
    """Return how near a dream came, for example `PSNR 18.4 dB`; empty where it cannot be said."""
    if dreamed is None or real is None or dreamed.shape != real.shape:
        return ""
    decibels = float(psnr(dreamed[None], real[None])[0])
    return "identical" if math.isinf(decibels) else f"PSNR {decibels:.1f} dB"


def _review(review: Review, proposal: Action, space: ActionSpace) -> dict[str, Any]:
    return {
        "thought": clauses(review.thought),
        "proposal": space.format(proposal),
        "action": space.format(review.action),
        "changed": review.action != proposal,
    }


def _claim(claim: Mapping[str, Any], place: str) -> dict[str, Any]:
    text, verdict = claim.get("text"), claim.get("verdict")
    if not isinstance(text, str) or not (verdict is None or isinstance(verdict, bool | np.bool_)):
        raise RigError(f"{place}: claim {claim!r} is not {{'text': str, 'verdict': true, false or null}}")
    return {"text": text, "verdict": None if verdict is None else bool(verdict)}
