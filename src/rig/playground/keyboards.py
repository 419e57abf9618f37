"""Which key of a keyboard presses which key of a world: what players know, where an action space is known."""

from __future__ import annotations

from rig.actions import ActionSpace

_DIGITS = "1234567890"

_CRAFTER = {
    "move_left": ("ArrowLeft", "KeyA"),
    "move_right": ("ArrowRight", "KeyD"),
    "move_up": ("ArrowUp", "KeyW"),
    "move_down": ("ArrowDown", "KeyS"),
    "use": ("Space",),
    "sleep": ("KeyZ",),
    "place_stone": ("KeyR",),
    "place_table": ("KeyT",),
    "place_furnace": ("KeyF",),
    "place_plant": ("KeyP",),
    "make_wood_pickaxe": ("Digit1",),
    "make_stone_pickaxe": ("Digit2",),
    "make_iron_pickaxe": ("Digit3",),
    "make_wood_sword": ("Digit4",),
    "make_stone_sword": ("Digit5",),
    "make_iron_sword": ("Digit6",),
}
_MINERL = {
    "forward": ("KeyW", "ArrowUp"),
    "back": ("KeyS", "ArrowDown"),
    "left": ("KeyA",),
    "right": ("KeyD",),
    "jump": ("Space",),
    "sneak": ("ShiftLeft",),
    "sprint": ("ControlLeft",),
    "attack": ("Mouse0", "KeyF"),
    "use": ("Mouse2", "KeyR"),
    "drop": ("KeyQ",),
    "inventory": ("KeyE",),
    "ESC": ("Backquote",),
    **{f"hotbar.{slot}": (f"Digit{slot}",) for slot in range(1, 10)},
}
_KNOWN = (_CRAFTER, _MINERL)
_OTHERS = tuple(f"Key{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ") + tuple(f"Digit{d}" for d in _DIGITS)


def keyboard_of(space: ActionSpace) -> dict[str, tuple[str, ...]]:
    """Return, for each key of a world, the codes that press it (`KeyboardEvent.code`, or "Mouse0", "Mouse2").

    Keys that no known keyboard has are given letters, and then digits, in order, as far as these go.
    """
    known = next((keyboard for keyboard in _KNOWN if set(space.keys) <= set(keyboard)), None)
    if known is not None:
        return {key: known[key] for key in space.keys}
    return {key: _OTHERS[place : place + 1] for place, key in enumerate(space.keys)}
