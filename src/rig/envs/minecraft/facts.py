"""What an engine tells beside the frame, as the privileged facts of `info`: JSON-like, whichever engine it is.

MineRL tells most of it with the observation, MineStudio with the info, and under other names; any of it may be missing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

_NOTHING = ("air", "none")
_PREFIX = "minecraft:"

COUNTERS = {"mined": "mine_block", "crafted": "craft_item", "used": "use_item", "picked_up": "pickup"}
"""Our name -> the engines', of what Minecraft counts by kind from a player's first moment in a world."""


def read_facts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a moment; what was not told is left out.

    Keys: `position` [x, y, z] in blocks with y up, `yaw` and `pitch` in degrees, growing to the right and downwards,
    `health` and `food` (20 are whole), `menu_open`, `inventory` (item -> count), and those of `COUNTERS`, each kind ->
    count.
    """
    life = _mapping(told.get("life_stats"))
    found = {
        **_pose(told),
        "health": _number(told.get("health", life.get("life"))),
        "food": _number(told.get("food_level", life.get("food"))),
        "menu_open": _truth(told.get("is_gui_open", told.get("isGuiOpen"))),
        "inventory": _inventory(told.get("inventory")),
        **{ours: _counts(told.get(theirs)) for ours, theirs in COUNTERS.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def _pose(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return position and direction, as MineStudio's `player_pos` or MineRL's `location_stats` has them."""
    place = _mapping(told.get("player_pos"))
    if not place:
        there = _mapping(told.get("location_stats"))
        place = {name.removesuffix("pos"): value for name, value in there.items()}
    at = [_number(place.get(axis)) for axis in "xyz"]
    return {
        "position": None if None in at else at,
        "yaw": _number(place.get("yaw")),
        "pitch": _number(place.get("pitch")),
    }


def _inventory(found: Any) -> dict[str, int] | None:
    """Return item -> count: of slots {type, quantity}, as MineStudio tells them, or of MineRL's flat counts."""
    if not isinstance(found, Mapping):
        return None
    held: Counter[str] = Counter()
    for name, value in found.items():
        stack = _mapping(value)
        item, count = (stack.get("type", _NOTHING[0]), stack.get("quantity")) if stack else (name, value)
        held[_plain(item)] += int(_number(count) or 0)
    return {item: count for item, count in held.items() if count > 0 and item not in _NOTHING}


def _counts(found: Any) -> dict[str, int] | None:
    if not isinstance(found, Mapping):
        return None
    return {_plain(kind): int(number) for kind, value in found.items() if (number := _number(value))}


def _plain(name: Any) -> str:
    return str(name).removeprefix(_PREFIX)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    """Return a finite number, or the one of an array of one, as Python has it; None for anything else."""
    plain = value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value
    return float(plain) if isinstance(plain, int | float) and math.isfinite(plain) else None


def _truth(value: Any) -> bool | None:
    number = _number(value)
    return None if number is None else bool(number)
