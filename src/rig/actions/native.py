"""Native actions as they come from outside: what may stand for a pressed key, a number of an action, a turn.

Gymnasium's spaces, their samples and vectors of environments give Python's and numpy's own numbers, and arrays of one.
Anything else is refused by name: a half-pressed key would be pressed for one reader and not for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rig.errors import ActionError
from rig.validation import shown


def read_mapping(action: Any) -> Mapping[str, Any]:
    """Return `action`, which must be a mapping from names.

    Raises:
        ActionError: it is none.
    """
    if not isinstance(action, Mapping):
        raise ActionError(f"the action {shown(action)} is no mapping of keys and camera, such as {{'forward': 1}}")
    for name in action:
        if not isinstance(name, str):
            raise ActionError(f"the action names {shown(name)}, which is no key's name; names are texts")
    return action


def read_pressed(value: Any, key: str) -> bool:
    """Return whether `value` presses `key`: a truth, 0 or 1, or an array of one such.

    Raises:
        ActionError: it is something else.
    """
    plain = _plain(value)
    if isinstance(plain, int) and plain in (0, 1):
        return bool(plain)
    raise ActionError(f"the key {key!r} is {shown(value)}; 1 presses it, and 0 does not")


def read_number(value: Any, count: int) -> int:
    """Return the number of one of `count` actions: a whole number, or an array of one.

    Raises:
        ActionError: it is something else, or out of range.
    """
    plain = _plain(value)
    if isinstance(plain, bool) or not isinstance(plain, int) or not 0 <= plain < count:
        raise ActionError(f"the action {shown(value)} is no whole number from 0 to {count - 1}")
    return int(plain)


def read_camera(value: Any, limit: float) -> tuple[float, float]:
    """Return [pitch, yaw] of a camera: two finite numbers within ±`limit` degrees.

    Raises:
        ActionError: it is something else.
    """
    angles = _numbers(value)
    if angles is None or angles.shape != (2,) or not np.all(np.abs(angles) <= limit):
        raise ActionError(f"camera {shown(value)} is not [pitch, yaw] in degrees within ±{limit:.0f}")
    return float(angles[0]), float(angles[1])


def _plain(value: Any) -> Any:
    """Return the one value of an array of one, as Python has it; what is no array as it is."""
    if isinstance(value, np.ndarray | np.generic) and value.size == 1:
        return value.item()
    return value


def _numbers(value: Any) -> np.ndarray | None:
    """Return an array of numbers as float64; None where it holds anything else, truths and texts included."""
    if isinstance(value, list | tuple) and not all(_is_number(item) for item in value):
        return None
    try:
        array = np.asarray(value)
        return array.astype(np.float64) if array.dtype.kind in "iuf" else None
    except (ValueError, TypeError, OverflowError, RuntimeError):
        return None


def _is_number(item: Any) -> bool:
    plain = _plain(item)
    return isinstance(plain, int | float) and not isinstance(plain, bool)
