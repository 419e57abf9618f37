"""The language of thoughts about Crafter, and its words for places and items."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rig.annotators.claims import Language

WORDINGS: Mapping[str, tuple[str, ...]] = {
    # What the frame shows.
    "near": ("I see {thing} {place}.", "I notice {thing} {place}.", "There is {thing} {place}."),
    "none": ("No {thing} is in view.", "I see no {thing}.", "There is no {thing} in sight."),
    "front": ("I look {way} at {thing}.", "I face {way}, to {thing}.", "Turned {way}, I see {thing}."),
    "beside": ("{thing} is beside me.", "I stand beside {thing}."),
    "blocked": ("{thing} blocks the way {way}.", "The way {way} is blocked by {thing}."),
    "open": ("The way {way} is open.", "Nothing blocks the way {way}."),
    # What the inventory shows.
    "hold": ("I hold {items}.", "I carry {items}."),
    "hold_nothing": ("I hold nothing.", "My hands are empty."),
    "count": ("{item} {n} of {m}.", "I hold {n} of {m} {item}.", "I have {n} {item} and want {m}."),
    "enough": ("{n} {item} is enough.", "{n} {item} will do."),
    # What was proposed, and what the dream of it shows.
    "plan": ("The plan: {deed}.", "I plan to {deed}."),
    "dream_still": ("In the dream nothing changes.", "The dream stands still."),
    "dream_gain": ("The dream gains {item}.", "In the dream I get {item}."),
    "dream_hurt": ("In the dream I am hurt.", "The dream costs health."),
    "dream_closer": ("The dream gets closer to {thing}.", "In the dream {thing} comes closer."),
    "dream_no_closer": ("The dream gets no closer to {thing}.", "In the dream {thing} comes no closer."),
    "dream_walks": ("The dream only walks.", "In the dream I just walk."),
    # What follows.
    "keep": ("So keep the plan.", "The plan holds."),
    "change": ("So change the plan.", "Another way is better."),
    "go": ("So go {way}.", "I move {way}.", "Walk {way}."),
    "turn": ("So turn {way}.", "I turn {way} to face it."),
    "search": ("So look for it {way}.", "I search {way}."),
    "collect": ("So collect {thing}.", "I take {thing} now."),
    "dig": ("So dig through {thing}.", "I dig {thing} away."),
    "attack": ("So attack {thing}.", "I hit {thing}."),
    "place": ("So place {thing}.", "I put down {thing} now."),
    "make": ("So make {thing}.", "I craft {thing} now."),
    "wait": ("So wait.", "I wait here."),
}
"""Kind of claim -> its wordings."""

REMEMBERED: Mapping[str, tuple[str, ...]] = {
    "went": ("I have been going {way}.", "So far I went {way}."),
    "goal": ("I make for {place}.", "The way on is {place}."),
    "laid": ("{n} of the wall stands {place}.", "The wall of {n} is {place}."),
    "room": ("There is room for a wall {way}.", "A wall fits {way} of me."),
    "site": ("Room for a wall begins {place}.", "I begin a wall from {place}."),
}
"""The same of what those say who know their last actions."""

CRAFTER = Language(
    wordings={**WORDINGS, **REMEMBERED},
    slots={
        "thing": r"[a-z][a-z ]*",
        "item": r"[a-z][a-z ]*",
        "items": r"\d+ [a-z][a-z ]*(?:, \d+ [a-z][a-z ]*)*",
        "deed": r"[a-z][a-z ]*",
        "place": r"\d+ (?:left|right|up|down)(?: and \d+ (?:up|down))?",
        "way": r"left|right|up|down",
        "n": r"\d+",
        "m": r"\d+",
    },
    conclusions=frozenset({"go", "turn", "search", "collect", "dig", "attack", "place", "make", "wait"}),
)


def place_of(offset: tuple[int, int]) -> str:
    """Return an offset (right, down) in words, for example "2 left and 1 up"."""
    dx, dy = offset
    across = f"{abs(dx)} {'left' if dx < 0 else 'right'}" if dx else ""
    along = f"{abs(dy)} {'up' if dy < 0 else 'down'}" if dy else ""
    return " and ".join(part for part in (across, along) if part)


def offset_of(place: str) -> tuple[int, int]:
    """Return the offset that `place_of` put in words; underscores may stand for spaces."""
    dx = dy = 0
    for number, way in re.findall(r"(\d+)[ _](left|right|up|down)", place):
        if way in ("left", "right"):
            dx = int(number) * (-1 if way == "left" else 1)
        else:
            dy = int(number) * (-1 if way == "up" else 1)
    return dx, dy


def items_of(counts: Mapping[str, int]) -> str:
    """Return counts of items in words, for example "3 stone, 1 wood pickaxe"."""
    return ", ".join(f"{count} {item}" for item, count in counts.items()).replace("_", " ")


def counts_of(items: str) -> dict[str, int]:
    """Return the counts that `items_of` put in words; underscores may stand for spaces."""
    pairs = (part.split(" ", 1) for part in items.replace("_", " ").split(", "))
    return {item.replace(" ", "_"): int(count) for count, item in pairs}
