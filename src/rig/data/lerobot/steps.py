"""A `Step` as the columns of a LeRobotDataset, and back, exactly.

What others' policies read has their names: the frame as a camera, the action as a vector with a name for each part, the
reward, whether the episode ends. The rest, texts and plans, stands in columns of text under `rig.`, so that no policy
takes it for an observation or an action; lists of dreams and of candidates are JSON. A text that is not there is empty.

A camera has one frame a step, so pictures beside it (dreams, what the engine really showed, a next frame that is not
the next step's) are steps of a dataset of their own, `pictures/`, and are named here by their numbers in the episode.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rig.actions import Action, ActionSpace
from rig.data.lerobot.layout import Feature
from rig.data.rows import facts_of
from rig.errors import DatasetError
from rig.records import Dream, Frame, Plan, Review, Step
from rig.validation import parse_json

CAMERA = "observation.images.main"
PICTURE = "observation.images.picture"
PITCH, YAW = "camera.pitch", "camera.yaw"
FOLLOWING, NONE = -1, -2
"""In the place of a picture's number: it is the frame of the episode's next step; there is none."""

_NUMBER = Feature(dtype="int64", shape=(1,))
_TEXT = Feature(dtype="string", shape=(1,))
_TRUTH = Feature(dtype="bool", shape=(1,))
_JSON_FIX = "restore it, or export the dataset again"

OUR_COLUMNS: Mapping[str, Feature] = {
    "rig.index": _NUMBER,
    "rig.action": _TEXT,
    "rig.previous_action": _TEXT,
    "rig.earlier_actions": _TEXT,
    "rig.thought": _TEXT,
    "rig.review": _TEXT,
    "rig.review_action": _TEXT,
    "rig.review_helped": _TRUTH,
    "rig.judgement": _TEXT,
    "rig.actor": _TEXT,
    "rig.facts": _TEXT,
    "rig.dreams": _TEXT,
    "rig.candidates": _TEXT,
    "rig.chosen": _NUMBER,
    "rig.next_frame": _NUMBER,
}
"""The columns that our own reading needs; `rig.judgement` is that of the chosen candidate, for whoever looks."""

STEP_COLUMNS = (*OUR_COLUMNS, "next.reward", "task_index")
"""The columns that `step_of` and whoever calls it need."""

PICTURE_COLUMNS: Mapping[str, Feature] = {"rig.step": _NUMBER, "rig.role": _TEXT}
"""The columns of `pictures/`: whose picture it is, by its number in the episode, and which."""


def camera_feature(size: tuple[int, int]) -> Feature:
    """Return the feature of a video of frames of this (height, width)."""
    return Feature(dtype="video", shape=(*size, 3), names=["height", "width", "channels"])


def features_of(space: ActionSpace, size: tuple[int, int]) -> dict[str, Feature]:
    """Return the features of a dataset of ours."""
    names = [*space.keys, *((PITCH, YAW) if space.camera else ())]
    return {
        CAMERA: camera_feature(size),
        "action": Feature(dtype="float32", shape=(len(names),), names=names),
        "next.reward": Feature(dtype="float64", shape=(1,)),
        "next.done": _TRUTH,
        "next.success": _TRUTH,
        **OUR_COLUMNS,
    }


def vector_of(action: Action, space: ActionSpace) -> np.ndarray:
    """Return an action as numbers: 1 for each key that is pressed, then the camera's pitch and yaw in degrees."""
    keys = [float(key in action.keys) for key in space.keys]
    return np.array([*keys, *(action.camera if space.camera else ())], np.float32)


def same(one: Frame, other: Frame | None) -> bool:
    """Return whether two frames show the same."""
    return one is other or (other is not None and np.array_equal(one, other))


@dataclass(kw_only=True)
class StepPictures:
    """The pictures of one step that no camera shows, each once; `number` gives a frame's.

    Attributes:
        following: the frame of the episode's next step, if there is one.
        first: the number of its first picture within the episode.
        found: the pictures with what they are.
    """

    following: Frame | None
    first: int
    found: list[tuple[str, Frame]] = field(default_factory=list)

    def number(self, frame: Frame | None, role: str) -> int:
        """Return the number of a picture, or `FOLLOWING` or `NONE`."""
        if frame is None:
            return NONE
        if same(frame, self.following):
            return FOLLOWING
        for number, (_, known) in enumerate(self.found, self.first):
            if same(frame, known):
                return number
        self.found.append((role, frame))
        return self.first + len(self.found) - 1


def row_of(step: Step, space: ActionSpace, pictures: StepPictures, known: tuple[Action, ...] = ()) -> dict[str, Any]:
    """Return a step's values by column, but for the camera and for what is known of the episode alone.

    Args:
        step: the step.
        space: whose codec writes its actions.
        pictures: those beside its observed frame; what it has is added.
        known: its earlier actions as the steps before it tell them, which need not be written.
    """
    earlier = () if step.earlier_actions == known else step.earlier_actions
    review = step.review
    judgement = step.candidates[step.chosen].judgement if step.candidates else None
    return {
        "action": vector_of(step.action, space),
        "next.reward": step.reward,
        "rig.index": step.index,
        "rig.action": space.format(step.action),
        "rig.previous_action": space.format(step.previous_action),
        "rig.earlier_actions": _json(list(map(space.format, earlier))) if earlier else "",
        "rig.thought": step.thought or "",
        "rig.review": (review.thought if review else "") or "",
        "rig.review_action": space.format(review.action) if review else "",
        "rig.review_helped": bool(review and review.helped),
        "rig.judgement": judgement or "",
        "rig.actor": step.actor,
        "rig.facts": _json(dict(step.privileged)),
        "rig.next_frame": pictures.number(step.next_frame, "next_frame"),
        "rig.dreams": _json(_dreams(step.dreams, space, pictures, "")),
        "rig.candidates": _json([_plan(plan, space, pictures, number) for number, plan in enumerate(step.candidates)]),
        "rig.chosen": step.chosen,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _plan(plan: Plan, space: ActionSpace, pictures: StepPictures, number: int) -> dict[str, Any]:
    return {
        "thought": plan.thought,
        "action": space.format(plan.action),
        "votes": plan.votes,
        "score": plan.score,
        "judgement": plan.judgement,
        "dreams": _dreams(plan.dreams, space, pictures, f"candidates/{number}/"),
    }


def _dreams(dreams: Sequence[Dream], space: ActionSpace, pictures: StepPictures, owner: str) -> list[dict[str, Any]]:
    return [
        {
            "thought": dream.thought,
            "action": space.format(dream.action),
            "frame": pictures.number(dream.frame, f"{owner}dreams/{number}/frame"),
            "real_frame": pictures.number(dream.real_frame, f"{owner}dreams/{number}/real_frame"),
            "facts": dict(dream.privileged),
        }
        for number, dream in enumerate(dreams)
    ]


def step_of(
    row: Mapping[str, Any], space: ActionSpace, instruction: str, frame: Frame, picture: Callable[[int], Frame | None]
) -> Step:
    """Return the step that a row holds; the inverse of `row_of`.

    Args:
        row: its values by column.
        space: whose codec reads its actions.
        instruction: the episode's at this step.
        frame: what the camera shows.
        picture: gives the picture of a number that is none of `NONE`.

    Raises:
        RigError: a value is none; whoever calls names the place.
    """
    return Step(
        index=row["rig.index"],
        frame=frame,
        instruction=instruction,
        action=space.parse(row["rig.action"]),
        previous_action=space.parse(row["rig.previous_action"]),
        earlier_actions=_actions_of(row["rig.earlier_actions"], space),
        thought=row["rig.thought"] or None,
        next_frame=_pictured(row["rig.next_frame"], picture),
        dreams=_dreams_of(_list(row, "rig.dreams"), space, picture),
        review=_review_of(row, space),
        candidates=tuple(_plan_of(value, space, picture) for value in _list(row, "rig.candidates")),
        chosen=row["rig.chosen"],
        actor=row["rig.actor"],
        reward=row["next.reward"],
        privileged=facts_of(row["rig.facts"]),
    )


def _actions_of(text: str, space: ActionSpace) -> tuple[Action, ...]:
    """Return the actions in a column; none where the steps before tell them."""
    found = parse_json(text, "rig.earlier_actions", _JSON_FIX, DatasetError) if text else []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise DatasetError(f"rig.earlier_actions is no list of texts; {_JSON_FIX}")
    return tuple(map(space.parse, found))


def _list(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = parse_json(row[name], name, _JSON_FIX, DatasetError)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DatasetError(f"{name} is no list of objects; {_JSON_FIX}")
    return value


def _pictured(number: Any, picture: Callable[[int], Frame | None]) -> Frame | None:
    if type(number) is not int or number < NONE:
        raise DatasetError(f"a picture's number is {number!r}; {_JSON_FIX}")
    return None if number == NONE else picture(number)


def _review_of(row: Mapping[str, Any], space: ActionSpace) -> Review | None:
    if not row["rig.review_action"]:
        return None
    action = space.parse(row["rig.review_action"])
    return Review(thought=row["rig.review"] or None, action=action, helped=row["rig.review_helped"])


def _plan_of(value: Mapping[str, Any], space: ActionSpace, picture: Callable[[int], Frame | None]) -> Plan:
    named = {name: value[name] for name in ("thought", "votes", "score", "judgement")}
    dreams = value["dreams"]
    return Plan(**named, action=space.parse(value["action"]), dreams=_dreams_of(dreams, space, picture))


def _dreams_of(
    values: Sequence[Mapping[str, Any]], space: ActionSpace, picture: Callable[[int], Frame | None]
) -> tuple[Dream, ...]:
    return tuple(
        Dream(
            thought=value["thought"],
            action=space.parse(value["action"]),
            frame=_pictured(value["frame"], picture),
            real_frame=_pictured(value["real_frame"], picture),
            privileged=value["facts"],
        )
        for value in values
    )
