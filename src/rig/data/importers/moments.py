"""The moments of a recorded episode whose frames lie in a video: what was done at each, and which frames show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rig.actions import NOOP, Action
from rig.lazy import HeldFrames, Lazy
from rig.records import TEACHER, Frame, Step


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A step without its frames.

    Attributes:
        index: position in the episode.
        frame: number of the frame that was seen.
        action: what was done, on the grid.
        next_frame: number of the frame behind it, or None where it is not known.
        previous_action: what was done before.
        reward: of this step.
        privileged: the engine's facts.
    """

    index: int
    frame: int
    action: Action
    next_frame: int | None
    previous_action: Action = NOOP
    reward: float = 0.0
    privileged: Mapping[str, Any] = field(default_factory=dict)


def steps_of(moments: Sequence[Moment], read: Callable[[int], Frame], instruction: str) -> Lazy[Step]:
    """Return an episode's steps; `read` gives a frame by its number when it is asked for, once while it is held."""
    held = HeldFrames()

    def step(number: int) -> Step:
        moment = moments[number]
        frame = held.get(moment.frame, read)
        return Step(
            index=moment.index,
            frame=frame,
            instruction=instruction,
            action=moment.action,
            previous_action=moment.previous_action,
            next_frame=None if moment.next_frame is None else held.get(moment.next_frame, read),
            actor=TEACHER,
            reward=moment.reward,
            privileged=moment.privileged,
        )

    return Lazy(step, range(len(moments)))
