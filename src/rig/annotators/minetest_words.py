"""The language of thoughts about Minetest, and its words for directions and deeds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rig.actions import Action
from rig.annotators.claims import Language

WORDINGS: Mapping[str, tuple[str, ...]] = {
    # What the frame shows.
    "on": ("The crosshair is on {thing}.", "I aim at {thing}.", "{thing} is under the crosshair."),
    "off": ("Nothing is in reach.", "The crosshair is on nothing in reach."),
    "see": ("I see {thing} {where}, {n} away.", "There is {thing} {where}, {n} away."),
    "none": ("No {thing} is in view.", "I see no {thing}.", "There is no {thing} in sight."),
    "open": ("The way ahead is open.", "Nothing blocks the way."),
    "rises": ("The way goes up.", "There is a step up ahead."),
    "tilt": ("I look {tilt}.", "My head is turned {tilt}."),
    "hold": ("I hold {item}.", "{item} is in my hand."),
    "hold_nothing": ("I hold nothing.", "My hand is empty."),
    "menu": ("The menu is open.",),
    # What was proposed, and what the dream of it shows.
    "plan": ("The plan: {deed}.", "I plan to {deed}."),
    "dream_still": ("In the dream nothing changes.", "The dream stands still."),
    "dream_gain": ("The dream gains {thing}.", "In the dream I get {thing}."),
    "dream_hurt": ("In the dream I am hurt.", "The dream costs health."),
    "dream_on": ("The dream comes to aim at {thing}.", "In the dream the crosshair comes onto {thing}."),
    "dream_off": ("The dream loses its aim at {thing}.", "In the dream the crosshair leaves {thing}."),
    "dream_found": ("The dream finds {thing}.", "In the dream {thing} comes into view."),
    "dream_lost": ("The dream loses {thing}.", "In the dream {thing} goes out of view."),
    "dream_closer": ("The dream gets closer to {thing}.", "In the dream {thing} comes closer."),
    "dream_no_closer": ("The dream gets no closer to {thing}.", "In the dream {thing} comes no closer."),
    "dream_walks": ("The dream only walks.", "In the dream I just walk."),
    "dream_turns": ("The dream only turns.", "In the dream I just turn."),
    "dream_digs": ("The dream digs on.", "In the dream I keep digging."),
    # What follows.
    "keep": ("So keep the plan.", "The plan holds."),
    "change": ("So change the plan.", "Another way is better."),
    "do": ("So {deed}.", "Now {deed}."),
    "search": ("So look for it: {deed}.", "I look for it: {deed}."),
}
"""Kind of claim -> its wordings."""

_DEGREES = r"(?:left|right|up|down) \d+"

MINETEST = Language(
    wordings=WORDINGS,
    slots={
        "thing": r"[a-z][a-z ]*",
        "item": r"[a-z][a-z ]*",
        "where": rf"ahead|{_DEGREES}(?: and {_DEGREES})?",
        "tilt": r"level|up \d+|down \d+",
        "deed": r"[a-z][a-z0-9 ]*",
        "n": r"\d+",
    },
    conclusions=frozenset({"do", "search"}),
)

_DEEDS = {
    "attack": "dig",
    "use": "place",
    "drop": "drop it",
    "inventory": "use the menu",
    "ESC": "close the menu",
    "back": "step back",
    "left": "step left",
    "right": "step right",
    "jump": "jump",
    "sneak": "sneak",
}
_MENU_DEEDS = {"attack": "click", "use": "click right"}
_SIDES = (("left", "right"), ("up", "down"))


def where_of(right: int, down: int) -> str:
    """Return a direction in words: "left 10 and up 5", or "ahead" for that of the crosshair."""
    return " and ".join(_turns(right, down)) or "ahead"


def turn_in(where: str) -> tuple[int, int]:
    """Return the direction (right, down) that `where_of` put in words; underscores may stand for spaces."""
    degrees = {way: int(number) for way, number in re.findall(r"(left|right|up|down)[ _](\d+)", where)}
    right, down = (degrees.get(more, 0) - degrees.get(less, 0) for less, more in _SIDES)
    return right, down


def tilt_of(down: int) -> str:
    """Return how the head is held, in words: "level", "up 15", "down 85"."""
    return _side(down, "up", "down") or "level"


def deed_of(action: Action, *, in_menu: bool = False) -> str:
    """Return an action in words, all of it: "walk ahead and turn right 10"; `in_menu` has a cursor move and click."""
    return " and ".join([*_hands(action, in_menu), *_legs(action), *_head(action, in_menu)]) or "wait"


def terms() -> list[str]:
    """Return the words for turns, each of which a small tokenizer had better write as one token."""
    spans = (("left", 50), ("right", 50), ("up", 90), ("down", 90))
    return [f" {way} {degrees}" for way, most in spans for degrees in range(5, most + 5, 5)]


def _hands(action: Action, in_menu: bool) -> Iterator[str]:
    for key in sorted(action.keys):  # a set's own order is another in every process
        if key.startswith("hotbar."):
            yield f"take item {key.removeprefix('hotbar.')}"
        elif key not in ("forward", "sprint") and key not in _LEGS:
            yield _MENU_DEEDS[key] if in_menu and key in _MENU_DEEDS else _DEEDS[key]


_LEGS = ("back", "left", "right", "jump", "sneak")


def _legs(action: Action) -> Iterator[str]:
    if "forward" in action.keys:
        yield "run ahead" if "sprint" in action.keys else "walk ahead"
    elif "sprint" in action.keys:
        yield "run"
    yield from (_DEEDS[key] for key in _LEGS if key in action.keys)


def _head(action: Action, in_menu: bool) -> Iterator[str]:
    down, right = action.camera
    if in_menu:
        yield from (f"move {part}" for part in _turns(right, down))
        return
    across, along = _side(right, "left", "right"), _side(down, "up", "down")
    yield from [f"turn {across}"] if across else []
    yield from [f"look {along}"] if along else []


def _turns(right: int, down: int) -> list[str]:
    parts = (_side(value, *names) for value, names in zip((right, down), _SIDES, strict=True))
    return [part for part in parts if part]


def _side(value: int, less: str, more: str) -> str:
    return f"{less if value < 0 else more} {abs(value)}" if value else ""
