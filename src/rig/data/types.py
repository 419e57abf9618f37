"""The types of what is stored, checked before Arrow sees it: Arrow writes 1.5 as the number 1, and True as 1.0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from rig.errors import DatasetError


def typed(fields: Mapping[str, Any], kinds: Mapping[str, pa.DataType]) -> dict[str, Any]:
    """Return `fields` with numpy's scalars as Python's; lists and structs, and None, stay as they are.

    Args:
        fields: a record's values by their names.
        kinds: the Arrow type of each.

    Raises:
        DatasetError: a value is of another type, or a number that is not finite; the field is named.
    """
    return {name: _typed(name, value, kinds[name]) for name, value in fields.items()}


def _typed(name: str, value: Any, kind: pa.DataType) -> Any:
    if value is None or pa.types.is_nested(kind):
        return value
    plain = value.item() if isinstance(value, np.generic) else value
    if pa.types.is_floating(kind):
        if type(plain) not in (int, float) or not math.isfinite(plain):
            raise _refused(name, value, "a finite number")
        return float(plain)
    wanted = str if pa.types.is_string(kind) else bool if pa.types.is_boolean(kind) else int
    if wanted is str and isinstance(plain, str):
        return str(plain)
    if type(plain) is not wanted:
        raise _refused(name, value, {str: "text", bool: "true or false", int: "a whole number"}[wanted])
    return plain


def _refused(name: str, value: Any, wanted: str) -> DatasetError:
    return DatasetError(
        f"field {name!r} cannot be stored: it is {value!r}, of type {type(value).__name__}, and must be {wanted}"
    )
