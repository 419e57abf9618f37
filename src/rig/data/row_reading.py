"""Rows of a table to trajectories, the inverse of `rig.data.rows`: what is in a row at once, pixels when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from rig.actions import Action, ActionSpace
from rig.data.problems import RESTORE
from rig.data.rows import CODES, EARLIER, TRAJECTORY_COLUMNS, Row, facts_of
from rig.data.trail import ActionTrail
from rig.errors import DatasetError
from rig.records import Codes, Dream, Frame, Lineage, Plan, Review, Step, Trajectory

FRAME_COLUMNS = ("frame", "next_frame", "dreams", "candidates")
"""The columns in which rows mention frames."""


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


def rows_of(table: pa.Table) -> list[Row]:
    """Return the rows of a table with some or all columns of `SCHEMA`; codes become uint16 arrays."""
    columns: dict[str, list[Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        columns[name] = _values(column.combine_chunks()) if pa.types.is_list(column.type) else column.to_pylist()
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
    steps, trail = [], ActionTrail(rows[0]["lineage_stage"])
    parse = lru_cache(maxsize=None)(space.parse)  # of the many that steps remember, equal ones are one object
    for number, row in enumerate(rows, first_row):
        try:
            stored = row[EARLIER]
            earlier = trail.before(row["index"]) if stored is None else tuple(map(parse, stored))
            step = _step_of(row, space, images, earlier)
            trail.go_on(step.index, step.previous_action, step.earlier_actions)
            steps.append(step)
        except Exception as error:  # whatever was written there: the decoders of JSON and of actions raise many things
            raise DatasetError(
                f"{file}, row {number} (trajectory {row['trajectory']!r}, step {row['index']}): {error} "
                f"{RESTORE[0].upper()}{RESTORE[1:]}."
            ) from error
    return _trajectory_of(rows[0], tuple(steps))


def pixel_numbers(row: Row) -> tuple[int | None, ...]:
    """Return the numbers of a row's images, as `with_pixels` takes them; None where it has none."""
    dreamed = (dream[name] for dream in _every_dream(row) for name in ("frame", "real_frame"))
    return row["frame"], row["next_frame"], *dreamed


def _every_dream(row: Row) -> list[Row]:
    """Return the dreams of a row, and behind them those of its candidates: `Step.every_dream`."""
    return [*row["dreams"], *(dream for plan in row["candidates"] for dream in plan["dreams"])]


def with_pixels(pixels: Callable[[int], Frame], step: Step, numbers: Sequence[int | None]) -> Step:
    """Return a step with the frames that `pixels` gives for the numbers of its row's images."""
    frame, next_frame, *dreamed = (None if number is None else pixels(number) for number in numbers)
    assert frame is not None
    pairs = zip(step.every_dream, dreamed[::2], dreamed[1::2], strict=True)
    seen = iter([replace(dream, frame=shown, real_frame=real) for dream, shown, real in pairs])
    dreams = tuple(islice(seen, len(step.dreams)))
    candidates = tuple(replace(plan, dreams=tuple(islice(seen, len(plan.dreams)))) for plan in step.candidates)
    return replace(step, frame=frame, next_frame=next_frame, dreams=dreams, candidates=candidates)


def frame_numbers(rows: Iterable[Row]) -> list[int]:
    """Return the numbers of all frames that rows mention in the columns `FRAME_COLUMNS`, ascending, once."""
    return sorted({number for row in rows for number in pixel_numbers(row) if number is not None})


def coded_numbers(rows: Iterable[Row], *, keep_dreamed: bool) -> list[int]:
    """Return the numbers of the frames whose VQ codes the rows need, ascending: next, dreamed and real frames.

    With `keep_dreamed`, dreams that hold codes of their own need none.
    """
    found = {row["next_frame"] for row in rows}
    dreams = [dream for row in rows for dream in _every_dream(row)]
    found.update(dream["real_frame"] for dream in dreams)
    found.update(dream["frame"] for dream in dreams if not (keep_dreamed and dream["codes"] is not None))
    return sorted(found - {None})


def _step_of(values: Mapping[str, Any], space: ActionSpace, images: Images, earlier: tuple[Action, ...]) -> Step:
    next_frame = values["next_frame"]
    step = Step(
        index=values["index"],
        frame=_pixels(values["frame"], images),
        instruction=values["instruction"],
        previous_action=space.parse(values["previous_action"]),
        earlier_actions=earlier,
        action=space.parse(values["action"]),
        thought=values["thought"],
        next_frame=None if next_frame is None else _pixels(next_frame, images),
        dreams=tuple(_dream_of(fields, space, images) for fields in values["dreams"]),
        review=_review_of(values["review"], space),
        actor=values["actor"],
        reward=_finite(values["reward"]),
        privileged=facts_of(values["privileged"]),
        candidates=tuple(_plan_of(fields, space, images) for fields in values["candidates"]),
        chosen=values["chosen"],
    )
    codes = _codes_of(next_frame, values["next_codes"], images)
    return step if codes is None else step.with_next_codes(codes)


def _finite(number: float, name: str = "reward") -> float:
    if not math.isfinite(number):
        raise DatasetError(f"its {name} {number} is no number.")
    return number


def _plan_of(values: Mapping[str, Any], space: ActionSpace, images: Images) -> Plan:
    score = values["score"]
    return Plan(
        thought=values["thought"],
        action=space.parse(values["action"]),
        dreams=tuple(_dream_of(fields, space, images) for fields in values["dreams"]),
        votes=_whole(values["votes"]),
        score=None if score is None else _finite(score, "score"),
        judgement=values["judgement"],
    )


def _whole(votes: int | None) -> int:
    if votes is None:
        raise DatasetError("a candidate has no votes.")
    return votes


def _dream_of(values: Mapping[str, Any], space: ActionSpace, images: Images) -> Dream:
    frame, real_frame = values["frame"], values["real_frame"]
    return Dream(
        thought=values["thought"],
        action=space.parse(values["action"]),
        frame=None if frame is None else _pixels(frame, images),
        codes=_dreamed_codes(frame, values["codes"], images),
        real_frame=None if real_frame is None else _pixels(real_frame, images),
        real_codes=_codes_of(real_frame, values["real_codes"], images),
        privileged=facts_of(values["privileged"]),
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
    lineage = {
        name.removeprefix("lineage_"): values[name] for name in TRAJECTORY_COLUMNS if name.startswith("lineage_")
    }
    names = ("environment", "task", "setting", "seed", "action_space", "success", "samples")
    fields = {name: values[name] for name in names}
    return Trajectory(id=values["trajectory"], steps=steps, lineage=Lineage(**lineage), **fields)


def _code_arrays(column: pa.Array) -> list[Codes | None]:
    """Return one uint16 array per row of a `list<uint16>` column, None where it is null."""
    values = column.values.to_numpy()
    starts = column.offsets.to_numpy()
    present = column.is_valid().to_numpy(zero_copy_only=False)
    return [values[starts[row] : starts[row + 1]] if present[row] else None for row in range(len(column))]


def _values(column: pa.Array) -> list[Any]:
    """Return what each row has in a column: codes as an array, dreams and candidates as rows."""
    if column.type == CODES:
        return _code_arrays(column)
    has_items = pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type)
    return _item_rows(column) if has_items else column.to_pylist()


def _item_rows(column: pa.Array) -> list[list[Row]]:
    """Return each step's dreams or candidates as rows."""
    structs = column.flatten()
    columns = {field.name: _values(array) for field, array in zip(structs.type, structs.flatten(), strict=True)}
    items = iter(_transposed(columns, len(structs)))
    return [[next(items) for _ in range(count)] for count in np.diff(column.offsets.to_numpy()).tolist()]


def _transposed(columns: Mapping[str, Sequence[Any]], count: int) -> list[Row]:
    return [{name: column[number] for name, column in columns.items()} for number in range(count)]
