"""Trajectories to rows of a table and back, exactly: one row per step, frames as numbers in the shard's frame file.

The columns are the fields of `Step` under their own names; actions are text in the action space's codec, `privileged`
is JSON text, dreams, the review and the candidates are nested. The trajectory's fields repeat in each of its rows,
where compression makes them free, so that any tool that reads Parquet can select and count without knowing this
package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rig.actions import Action, ActionSpace
from rig.data.trail import ActionTrail
from rig.data.types import typed
from rig.errors import DatasetError
from rig.records import Codes, Dream, Frame, Plan, Review, Step, Trajectory, next_codes_of
from rig.validation import parse_json

CODES = pa.list_(pa.uint16())
"""The type of VQ codes."""

_DREAM = pa.struct(
    {
        "thought": pa.string(),
        "action": pa.string(),
        "frame": pa.int32(),
        "codes": CODES,
        "real_frame": pa.int32(),
        "real_codes": CODES,
        "privileged": pa.string(),
    }
)
_REVIEW = pa.struct({"thought": pa.string(), "action": pa.string(), "helped": pa.bool_()})
_PLAN = pa.struct(
    {
        "thought": pa.string(),
        "action": pa.string(),
        "votes": pa.int32(),
        "score": pa.float64(),
        "judgement": pa.string(),
        "dreams": pa.list_(_DREAM),
    }
)

TRAJECTORY_COLUMNS = {
    "trajectory": pa.string(),
    "environment": pa.string(),
    "task": pa.string(),
    "setting": pa.string(),
    "seed": pa.int64(),
    "action_space": pa.string(),
    "success": pa.bool_(),
    "samples": pa.int64(),
    "lineage_stage": pa.string(),
    "lineage_actor": pa.string(),
    "lineage_annotator": pa.string(),
    "lineage_prompt": pa.string(),
    "lineage_parent": pa.string(),
}
"""What of a row is the trajectory's: it repeats in all of its rows."""

_STEP = {
    "index": pa.int32(),
    "frame": pa.int32(),
    "instruction": pa.string(),
    "previous_action": pa.string(),
    "action": pa.string(),
    "thought": pa.string(),
    "next_frame": pa.int32(),
    "next_codes": CODES,
    "dreams": pa.list_(_DREAM),
    "review": _REVIEW,
    "actor": pa.string(),
    "reward": pa.float64(),
    "privileged": pa.string(),
    "candidates": pa.list_(_PLAN),
    "chosen": pa.int32(),
    "earlier_actions": pa.list_(pa.string()),
}
CANDIDATES = ("candidates", "chosen")
"""The columns that a steps file has only where one of its steps has candidates: others are as they were without."""
EARLIER = "earlier_actions"
"""The column that it has only where the steps before one do not tell (`ActionTrail`), and that is null elsewhere."""

_DREAM_FIELDS = {field.name: field.type for field in _DREAM}
_REVIEW_FIELDS = {field.name: field.type for field in _REVIEW}
_PLAN_FIELDS = {field.name: field.type for field in _PLAN}
_NULLABLE = {"thought", "next_frame", "next_codes", "review", EARLIER}

SCHEMA = pa.schema([pa.field(name, kind, name in _NULLABLE) for name, kind in {**TRAJECTORY_COLUMNS, **_STEP}.items()])
"""The columns of a steps file; frame columns hold row numbers of the frames file of the same shard."""

Row = Mapping[str, Any]
"""One step as the values of its columns."""

_ROW = pa.struct(list(SCHEMA))
_REQUIRED = [field.name for field in SCHEMA if not field.nullable]
_UNSTORABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)


def encode_rows(
    trajectory: Trajectory, steps: Iterable[Step], space: ActionSpace, number: Callable[[Frame], int]
) -> pa.StructArray:
    """Return the rows of a trajectory, one struct per step; `table_of` makes them a table.

    Args:
        trajectory: what to write, but for its steps.
        steps: its steps, looked at once and one by one; what comes of each is kept without its pixels.
        space: the action space whose codec writes its actions.
        number: the number of a frame in the shard's frame file.

    Raises:
        DatasetError: a field holds what the format cannot give back exactly, or there is no step; trajectory, step and
            field are named.
    """
    with _naming(f"trajectory {trajectory.id!r}"):
        shared = typed(_trajectory_fields(trajectory), TRAJECTORY_COLUMNS)
    written, trail = _ActionTexts(space), ActionTrail(trajectory.lineage.stage)
    rows: list[Row] = []
    for step in steps:
        with _naming(f"trajectory {trajectory.id!r}, step {step.index}"):
            known = trail.before(step.index)
            rows.append({**shared, **typed(_step_fields(step, written, number, known), _STEP)})
            trail.go_on(step.index, step.previous_action, step.earlier_actions or known)
    if not rows:
        raise DatasetError(f"trajectory {trajectory.id!r} has no steps; leave it out")
    try:
        array = pa.array(rows, _ROW)
    except _UNSTORABLE as error:
        raise DatasetError(f"trajectory {trajectory.id!r}: {_culprit(rows)} cannot be stored: {error}") from error
    for name in _REQUIRED:
        if any(row[name] is None for row in rows):
            raise DatasetError(f"trajectory {trajectory.id!r}: field {name!r} cannot be stored: it is None")
    return array


def table_of(rows: Sequence[pa.StructArray]) -> pa.Table:
    """Return a table in `SCHEMA` of the rows of several trajectories, without `CANDIDATES` and `EARLIER` if empty."""
    table = pa.Table.from_struct_array(pa.concat_arrays(rows)).cast(SCHEMA)
    has_some = pc.max(pc.list_value_length(table.column("candidates"))).as_py()
    empty = [] if has_some else list(CANDIDATES)
    empty += [EARLIER] if table.column(EARLIER).null_count == table.num_rows else []
    return table.drop_columns(empty)


def _culprit(rows: Sequence[Row]) -> str:
    """Return the name of the field that Arrow refused."""
    for field in SCHEMA:
        try:
            pa.array([row[field.name] for row in rows], field.type)
        except _UNSTORABLE:
            return f"field {field.name!r}"
    return "a field"


def _trajectory_fields(trajectory: Trajectory) -> dict[str, Any]:
    lineage = {f"lineage_{name}": value for name, value in vars(trajectory.lineage).items()}
    names = ("environment", "task", "setting", "seed", "action_space", "success", "samples")
    return {"trajectory": trajectory.id, **{name: getattr(trajectory, name) for name in names}, **lineage}


class _ActionTexts:
    """Writes actions as text, once it is certain that reading the text gives the same action."""

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._read: dict[str, Action] = {}

    def __call__(self, action: Action) -> str:
        """Return the text of `action`.

        Raises:
            ActionError: it is not in the space.
            DatasetError: its camera is not of whole numbers, or its text reads back as another action.
        """
        for angle in action.camera:
            if isinstance(angle, bool | np.bool_) or not isinstance(angle, int | np.integer):
                raise DatasetError(
                    f"camera {action.camera!r} is not of whole numbers; round it with ActionSpace.quantise first"
                )
        text = self._space.format(action)
        if text not in self._read:
            self._read[text] = self._space.parse(text)
        if self._read[text] != action:
            raise DatasetError(f"action {action!r} reads back from {text!r} as {self._read[text]!r}; mend its maker")
        return text


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Put `place` before what the block says of a record; a maker's wrong types raise anything."""
    try:
        yield
    except Exception as error:
        raise DatasetError(f"{place}: {error}") from error


def _step_fields(
    step: Step, space: _ActionTexts, number: Callable[[Frame], int], known: tuple[Action, ...]
) -> dict[str, Any]:
    """Return the values of a step's columns; `known`: its earlier actions as the steps before it tell them."""
    return {
        "index": step.index,
        "frame": number(step.frame),
        "instruction": step.instruction,
        "previous_action": space(step.previous_action),
        "action": space(step.action),
        "thought": step.thought,
        "next_frame": None if step.next_frame is None else number(step.next_frame),
        "next_codes": _checked_codes(next_codes_of(step)),
        "dreams": [_fields_of_dream(dream, space, number) for dream in step.dreams],
        "review": _fields_of_review(step.review, space),
        "actor": step.actor,
        "reward": step.reward,
        "privileged": _json_text(step.privileged),
        "candidates": [_fields_of_plan(plan, space, number) for plan in step.candidates],
        "chosen": step.chosen,
        EARLIER: None if step.earlier_actions in ((), known) else list(map(space, step.earlier_actions)),
    }


def _fields_of_plan(plan: Plan, space: _ActionTexts, number: Callable[[Frame], int]) -> dict[str, Any]:
    fields = {
        "thought": plan.thought,
        "action": space(plan.action),
        "votes": plan.votes,
        "score": plan.score,
        "judgement": plan.judgement,
        "dreams": [_fields_of_dream(dream, space, number) for dream in plan.dreams],
    }
    return typed(fields, _PLAN_FIELDS)


def _fields_of_dream(dream: Dream, space: _ActionTexts, number: Callable[[Frame], int]) -> dict[str, Any]:
    fields = {
        "thought": dream.thought,
        "action": space(dream.action),
        "frame": None if dream.frame is None else number(dream.frame),
        "codes": _checked_codes(dream.codes),
        "real_frame": None if dream.real_frame is None else number(dream.real_frame),
        "real_codes": _checked_codes(dream.real_codes),
        "privileged": _json_text(dream.privileged),
    }
    return typed(fields, _DREAM_FIELDS)


def _fields_of_review(review: Review | None, space: _ActionTexts) -> dict[str, Any] | None:
    if review is None:
        return None
    fields = {"thought": review.thought, "action": space(review.action), "helped": review.helped}
    return typed(fields, _REVIEW_FIELDS)


def _checked_codes(codes: Codes | None) -> Codes | None:
    if codes is not None and (codes.dtype != np.uint16 or codes.ndim != 1):
        raise DatasetError(f"VQ codes are {codes.dtype} {list(codes.shape)}; the record says uint16 [rows * columns]")
    return codes


def _json_text(value: Mapping[str, Any]) -> str:
    """Return the JSON of `value`, once it is certain that reading it back gives the same value."""
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
        same = facts_of(text) == dict(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"privileged facts are not JSON ({error}); use plain numbers, texts, lists and dicts"
        ) from error
    if not same:
        raise DatasetError("privileged facts change on the way through JSON; use lists, not tuples, and text keys")
    return text


def facts_of(text: str) -> dict[str, Any]:
    """Return the privileged facts that their JSON text holds.

    Raises:
        DatasetError: it is no JSON, or no object.
    """
    facts = parse_json(text, "its privileged", "facts are one object.", DatasetError)
    if not isinstance(facts, dict):
        raise DatasetError(f"its privileged facts are a {type(facts).__name__}, not an object.")
    return facts
