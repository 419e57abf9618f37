"""Trajectories to rows of a table and back, exactly: one row per step, frames as numbers in the shard's frame file.

The columns are the fields of `Step` under their own names; actions are text in the action space's codec, `privileged`
is JSON text, dreams and the review are nested. The trajectory's fields repeat in each of its rows, where compression
makes them free, so that any tool that reads Parquet can select and count without knowing this package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from rig.actions import Action, ActionSpace
from rig.data.problems import RESTORE
from rig.data.types import typed
from rig.errors import DatasetError
from rig.records import Codes, Dream, Frame, Lineage, Review, Step, Trajectory
from rig.validation import parse_json

_CODES = pa.list_(pa.uint16())
_DREAM = pa.struct(
    {
        "thought": pa.string(),
        "action": pa.string(),
        "frame": pa.int32(),
        "codes": _CODES,
        "real_frame": pa.int32(),
        "real_codes": _CODES,
        "privileged": pa.string(),
    }
)
_REVIEW = pa.struct({"thought": pa.string(), "action": pa.string(), "helped": pa.bool_()})

_TRAJECTORY = {
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
_STEP = {
    "index": pa.int32(),
    "frame": pa.int32(),
    "instruction": pa.string(),
    "previous_action": pa.string(),
    "action": pa.string(),
    "thought": pa.string(),
    "next_frame": pa.int32(),
    "next_codes": _CODES,
    "dreams": pa.list_(_DREAM),
    "review": _REVIEW,
    "actor": pa.string(),
    "reward": pa.float64(),
    "privileged": pa.string(),
}
_DREAM_FIELDS = {field.name: field.type for field in _DREAM}
_REVIEW_FIELDS = {field.name: field.type for field in _REVIEW}
_NULLABLE = {"thought", "next_frame", "next_codes", "review"}

SCHEMA = pa.schema([pa.field(name, kind, name in _NULLABLE) for name, kind in {**_TRAJECTORY, **_STEP}.items()])
"""The columns of a steps file; frame columns hold row numbers of the frames file of the same shard."""

Row = Mapping[str, Any]
"""One step as the values of its columns."""

_ROW = pa.struct(list(SCHEMA))
_REQUIRED = [field.name for field in SCHEMA if not field.nullable]
_UNSTORABLE = (pa.ArrowException, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where the images of some rows come from.

    Attributes:
        frames: the pixels of each frame number that the rows mention.
        codes: VQ codes by frame number from a tokenizer's cache, or None to keep the codes stored in the rows.
        keep_dreamed: with `codes`, whether a dream's stored codes stand, because the same tokenizer wrote them.
    """

    frames: Mapping[int, Frame]
    codes: Mapping[int, Codes] | None = None
    keep_dreamed: bool = False


def encode_rows(trajectory: Trajectory, space: ActionSpace, number: Callable[[Frame], int]) -> pa.StructArray:
    """Return the rows of a trajectory, one struct per step; `table_of` makes them a table.

    Args:
        trajectory: what to write.
        space: the action space whose codec writes its actions.
        number: the number of a frame in the shard's frame file.

    Raises:
        DatasetError: a field holds what the format cannot give back exactly; trajectory, step and field are named.
    """
    with _naming(f"trajectory {trajectory.id!r}"):
        shared = typed(_trajectory_fields(trajectory), _TRAJECTORY)
    written = _ActionTexts(space)
    rows: list[Row] = []
    for step in trajectory.steps:
        with _naming(f"trajectory {trajectory.id!r}, step {step.index}"):
            rows.append({**shared, **typed(_step_fields(step, written, number), _STEP)})
    try:
        array = pa.array(rows, _ROW)
    except _UNSTORABLE as error:
        raise DatasetError(f"trajectory {trajectory.id!r}: {_culprit(rows)} cannot be stored: {error}") from error
    for name in _REQUIRED:
        if any(row[name] is None for row in rows):
            raise DatasetError(f"trajectory {trajectory.id!r}: field {name!r} cannot be stored: it is None")
    return array


def table_of(rows: Sequence[pa.StructArray]) -> pa.Table:
    """Return a table in `SCHEMA` of the rows of several trajectories."""
    return pa.Table.from_struct_array(pa.concat_arrays(rows)).cast(SCHEMA)


def rows_of(table: pa.Table) -> list[Row]:
    """Return the rows of a table with some or all columns of `SCHEMA`; codes become uint16 arrays."""
    plain = [name for name in table.column_names if name not in ("dreams", "next_codes")]
    columns: dict[str, list[Any]] = {name: table.column(name).to_pylist() for name in plain}
    if "next_codes" in table.column_names:
        columns["next_codes"] = _code_arrays(table.column("next_codes").combine_chunks())
    if "dreams" in table.column_names:
        columns["dreams"] = _dream_rows(table.column("dreams").combine_chunks())
    return _transposed(columns, table.num_rows)


def decode_rows(rows: Sequence[Row], space: ActionSpace, images: Images, *, file: str, first_row: int) -> Trajectory:
    """Return the trajectory that `rows` holds; the inverse of `encode_rows`.

    Args:
        rows: all rows of one trajectory, with all columns.
        space: the action space whose codec reads its actions.
        images: where frames and codes come from.
        file: the steps file, for error messages.
        first_row: the number of the first row in that file, for error messages.

    Raises:
        DatasetError: a row is malformed; file, row, trajectory and step are named.
    """
    steps = []
    for number, row in enumerate(rows, first_row):
        try:
            steps.append(_step_of(row, space, images))
        except Exception as error:  # whatever was written there: the decoders of JSON and of actions raise many things
            raise DatasetError(
                f"{file}, row {number} (trajectory {row['trajectory']!r}, step {row['index']}): {error} "
                f"{RESTORE[0].upper()}{RESTORE[1:]}."
            ) from error
    return _trajectory_of(rows[0], tuple(steps))


def frame_numbers(rows: Iterable[Row]) -> list[int]:
    """Return the numbers of all frames that rows mention in "frame", "next_frame" and "dreams", ascending, once."""
    found = {row[name] for row in rows for name in ("frame", "next_frame")}
    found.update(dream[name] for row in rows for dream in row["dreams"] for name in ("frame", "real_frame"))
    return sorted(found - {None})


def coded_numbers(rows: Iterable[Row], *, keep_dreamed: bool) -> list[int]:
    """Return the numbers of the frames whose VQ codes the rows need, ascending: next, dreamed and real frames.

    With `keep_dreamed`, dreams that hold codes of their own need none.
    """
    found = {row["next_frame"] for row in rows}
    dreams = [dream for row in rows for dream in row["dreams"]]
    found.update(dream["real_frame"] for dream in dreams)
    found.update(dream["frame"] for dream in dreams if not (keep_dreamed and dream["codes"] is not None))
    return sorted(found - {None})


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


def _step_fields(step: Step, space: _ActionTexts, number: Callable[[Frame], int]) -> dict[str, Any]:
    return {
        "index": step.index,
        "frame": number(step.frame),
        "instruction": step.instruction,
        "previous_action": space(step.previous_action),
        "action": space(step.action),
        "thought": step.thought,
        "next_frame": None if step.next_frame is None else number(step.next_frame),
        "next_codes": _checked_codes(step.next_codes),
        "dreams": [_fields_of_dream(dream, space, number) for dream in step.dreams],
        "review": _fields_of_review(step.review, space),
        "actor": step.actor,
        "reward": step.reward,
        "privileged": _json_text(step.privileged),
    }


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
        same = _facts(text) == dict(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"privileged facts are not JSON ({error}); use plain numbers, texts, lists and dicts"
        ) from error
    if not same:
        raise DatasetError("privileged facts change on the way through JSON; use lists, not tuples, and text keys")
    return text


def _step_of(values: Mapping[str, Any], space: ActionSpace, images: Images) -> Step:
    next_frame = values["next_frame"]
    return Step(
        index=values["index"],
        frame=_pixels(values["frame"], images),
        instruction=values["instruction"],
        previous_action=space.parse(values["previous_action"]),
        action=space.parse(values["action"]),
        thought=values["thought"],
        next_frame=None if next_frame is None else _pixels(next_frame, images),
        next_codes=_codes_of(next_frame, values["next_codes"], images),
        dreams=tuple(_dream_of(fields, space, images) for fields in values["dreams"]),
        review=_review_of(values["review"], space),
        actor=values["actor"],
        reward=_finite(values["reward"]),
        privileged=_facts(values["privileged"]),
    )


def _facts(text: str) -> dict[str, Any]:
    facts = parse_json(text, "its privileged", "facts are one object.", DatasetError)
    if not isinstance(facts, dict):
        raise DatasetError(f"its privileged facts are a {type(facts).__name__}, not an object.")
    return facts


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise DatasetError(f"its reward {number} is no number.")
    return number


def _dream_of(values: Mapping[str, Any], space: ActionSpace, images: Images) -> Dream:
    frame, real_frame = values["frame"], values["real_frame"]
    return Dream(
        thought=values["thought"],
        action=space.parse(values["action"]),
        frame=None if frame is None else _pixels(frame, images),
        codes=_dreamed_codes(frame, values["codes"], images),
        real_frame=None if real_frame is None else _pixels(real_frame, images),
        real_codes=_codes_of(real_frame, values["real_codes"], images),
        privileged=_facts(values["privileged"]),
    )


def _review_of(values: Mapping[str, Any] | None, space: ActionSpace) -> Review | None:
    if values is None:
        return None
    return Review(thought=values["thought"], action=space.parse(values["action"]), helped=values["helped"])


def _pixels(number: int, images: Images) -> Frame:
    if number not in images.frames:
        raise DatasetError(f"there is no frame {number} in the shard's frames file.")
    return images.frames[number]


def _codes_of(frame: int | None, stored: Codes | None, images: Images) -> Codes | None:
    if images.codes is None:
        return stored
    return None if frame is None else images.codes[frame]


def _dreamed_codes(frame: int | None, stored: Codes | None, images: Images) -> Codes | None:
    if images.codes is None or (images.keep_dreamed and stored is not None):
        return stored
    if frame is None and stored is not None:
        raise DatasetError(
            "a dream has codes of another tokenizer and no pixels to encode again; dream again with this tokenizer."
        )
    return None if frame is None else images.codes[frame]


def _trajectory_of(values: Mapping[str, Any], steps: tuple[Step, ...]) -> Trajectory:
    lineage = {name.removeprefix("lineage_"): values[name] for name in _TRAJECTORY if name.startswith("lineage_")}
    names = ("environment", "task", "setting", "seed", "action_space", "success", "samples")
    fields = {name: values[name] for name in names}
    return Trajectory(id=values["trajectory"], steps=steps, lineage=Lineage(**lineage), **fields)


def _code_arrays(column: pa.Array) -> list[Codes | None]:
    """Return one uint16 array per row of a `list<uint16>` column, None where it is null."""
    values = column.values.to_numpy()
    starts = column.offsets.to_numpy()
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return [values[starts[row] : starts[row + 1]] if present[row] else None for row in range(len(column))]


def _dream_rows(column: pa.Array) -> list[list[Row]]:
    """Return each step's dreams as rows."""
    dreams = column.flatten()
    columns: dict[str, list[Any]] = {
        field.name: _code_arrays(array) if field.type == _CODES else array.to_pylist()
        for field, array in zip(dreams.type, dreams.flatten(), strict=True)
    }
    items = iter(_transposed(columns, len(dreams)))
    return [[next(items) for _ in range(count)] for count in np.diff(column.offsets.to_numpy()).tolist()]


def _transposed(columns: Mapping[str, Sequence[Any]], count: int) -> list[Row]:
    return [{name: column[number] for name, column in columns.items()} for number in range(count)]
