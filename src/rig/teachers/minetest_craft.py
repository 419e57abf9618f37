"""Crafting in Minetest's menu with the mouse: drag with `attack` held, and put one item down with `use`.

The engine's server does not know what the cursor carries: the items stay where they were taken from until they are put
down. What is carried follows from the key that is held, for as long as the expert itself plays. Where it does not, the
item is not put down, the key is let go, and all begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.actions import NOOP, Action
from rig.envs.minetest.keys import on_grid

PIXELS_PER_DEGREE = 2
FASTEST = 30
"""Degrees of the camera in a step, at the most."""

_FIRST, _STEP = (229, 206), 26
_ROWS = (206, 232, 256, 280)
_CELLS = {1 + column + 3 * row: (273 + 26 * column, 91 + 24 * row) for row in range(3) for column in range(3)}
_RESULT = (378, 115)
_PLACES = 32

RECIPES: Mapping[str, Mapping[int, str]] = {
    "craft_planks": {1: "default:tree"},
    "craft_a_wooden_pickaxe": dict.fromkeys((1, 2, 3), "default:wood") | dict.fromkeys((5, 8), "default:stick"),
}
"""Task -> place in the crafting grid, row by row -> item."""

Pixel = tuple[int, int]


def craft(facts: dict[str, Any], recipe: Mapping[int, str]) -> Action:
    """Open the menu, lay the recipe out, and take what it gives."""
    if not facts["menu_open"]:
        return NOOP if "inventory" in facts["keys"] else Action.press("inventory")
    laid = {one["slot"]: one for one in facts["craft"]}
    wrong = [cell for cell, one in laid.items() if one["item"] != recipe.get(cell) or one["count"] > 1]
    missing = [cell for cell in sorted(recipe) if cell not in laid]
    if wrong:
        return _put_back(facts, _CELLS[wrong[0]])
    if missing:
        return _lay(facts, recipe, missing[0])
    return _click(facts, _RESULT)


def _lay(facts: dict[str, Any], recipe: Mapping[int, str], cell: int) -> Action:
    """Take the item for a cell, or put one of what is carried there."""
    keys, there = facts["keys"], _CELLS[cell]
    if "attack" not in keys:
        places = [one["slot"] for one in facts["slots"] if one["item"] == recipe[cell]]
        return _click(facts, _place(places[0])) if places else NOOP
    if _shift(facts, there) == (0, 0):
        return NOOP if "use" in keys else Action.press("attack", "use")
    others = [_CELLS[other] for other, item in recipe.items() if item != recipe[cell]]
    if any(_shift(facts, other) == (0, 0) for other in others):
        return NOOP
    return _move(facts, there, "attack")


def _put_back(facts: dict[str, Any], cell: Pixel) -> Action:
    """Drag what lies in a cell to a free place."""
    if "attack" not in facts["keys"]:
        return _click(facts, cell)
    taken = {one["slot"] for one in facts["slots"]}
    free = _place(min(set(range(1, _PLACES + 1)) - taken))
    return NOOP if _shift(facts, free) == (0, 0) else _move(facts, free, "attack")


def _click(facts: dict[str, Any], place: Pixel) -> Action:
    """Move the cursor there with no key held, and press `attack`."""
    if _shift(facts, place) != (0, 0):
        return _move(facts, place)
    return NOOP if "attack" in facts["keys"] else Action.press("attack")


def _move(facts: dict[str, Any], place: Pixel, *keys: str) -> Action:
    down, right = (max(-FASTEST, min(FASTEST, angle)) for angle in _shift(facts, place))
    return Action.press(*keys, camera=(down, right))


def _shift(facts: dict[str, Any], place: Pixel) -> tuple[int, int]:
    """Return the camera's turn [down, right] that brings the cursor to `place`, as near as its grid comes."""
    right, down = (
        on_grid((there - here) / PIXELS_PER_DEGREE) for there, here in zip(place, facts["cursor"], strict=True)
    )
    return down, right


def _place(slot: int) -> Pixel:
    row, column = divmod(slot - 1, 8)
    return _FIRST[0] + _STEP * column, _ROWS[row]
