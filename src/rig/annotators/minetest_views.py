"""What a Minetest frame shows, whatever is done next: in words, and patch by patch.

A small model's decoder learns to see from the words, and its eyes from the labels of the patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rig.annotators.base import prompt_hash
from rig.annotators.claims import Claim
from rig.annotators.evidence import Evidence, Informed
from rig.annotators.minetest import aim_of, hand_of, tilt_claim, way_of
from rig.annotators.minetest_words import MINETEST, WORDINGS, where_of
from rig.annotators.rules import RuleLabeller, RuleReasoner
from rig.envs.minetest.seen import (
    BLOCK,
    DIRT,
    GRAVEL,
    LEAVES,
    PLANT,
    SAND,
    SKY,
    SNOW,
    STONE,
    TRUNK,
    TUFT,
    WATER,
    Seen,
    Sighting,
    item_of,
)

RARE_FIRST = (TRUNK, TUFT, PLANT, BLOCK, WATER, SNOW, GRAVEL, STONE, SAND, DIRT, LEAVES, SKY)
"""Which of the things in a patch it is named after."""

NEAREST = 3
"""The most places that are told of one thing."""

_APART = 15
"""Degrees between places that are told of one thing."""

_RANGES = ((2, "at hand"), (4, "in reach"), (8, "near"), (16, "far"))
_PATCHES = 8
_HUD_ROW, _SLOT_COLUMNS = 7, range(2, 6)
_HAND = ((6, 6), (7, 6))
"""Patches that the hotbar and the hand cover, in a frame of 8 by 8."""


class MinetestDescriber(RuleReasoner):
    """A Reasoner that ignores the action: what is aimed at and held, how the head is, where things are."""

    name = "minetest-views-1"
    prompt = prompt_hash(repr((RARE_FIRST, sorted(WORDINGS.items()))))

    def answer(self, known: Informed[Evidence]) -> str:
        """Return a description of a frame, always in the same words; its facts are read."""
        return self._describe(Seen(known.facts))

    def _describe(self, seen: Seen) -> str:
        if seen.facts["menu_open"]:
            return MINETEST.say([Claim.of("menu")], [0])
        way = way_of(seen.facts)
        claims = [aim_of(seen), hand_of(seen), tilt_claim(seen), *([way] if way else [])]
        return " ".join([MINETEST.say(claims, [0] * len(claims)), *places_in(seen)])


class MinetestLabeller(RuleLabeller):
    """Labels of 8 × 8 patches: what the rarest thing in each is and how far, or what of the display covers it."""

    name = "minetest-patches-1"
    display = tuple(_PATCHES * row + column for row, column in (*_HAND, *((_HUD_ROW, at) for at in _SLOT_COLUMNS)))

    def answer(self, known: Informed[Evidence]) -> list[str]:
        """Return the labels of a frame, row by row; its facts are read."""
        return list(_labels(Seen(known.facts)))


def places_in(seen: Seen) -> Iterator[str]:
    """Yield for each kind of thing where the nearest are: "I see trunk left 10 and up 5, 4 away; ahead, 9 away."."""
    for thing in RARE_FIRST[:-1]:
        found = "; ".join(f"{where_of(one.right, one.down)}, {one.distance} away" for one in _apart(seen.find(thing)))
        if found:
            yield f"I see {thing} {found}."


def _apart(found: Sequence[Sighting]) -> list[Sighting]:
    kept: list[Sighting] = []
    for one in found:
        if len(kept) < NEAREST and all(one.off(other.right, other.down) >= _APART for other in kept):
            kept.append(one)
    return kept


def _labels(seen: Seen) -> Iterator[str]:
    if seen.facts["menu_open"]:
        yield from ["menu"] * _PATCHES**2
        return
    slots = {slot["slot"]: item_of(slot["item"]) for slot in seen.facts["slots"]}
    for row in range(_PATCHES):
        for column in range(_PATCHES):
            if row == _HUD_ROW and column in _SLOT_COLUMNS:
                first = 2 * (column - _SLOT_COLUMNS.start) + 1
                chosen = seen.facts["hotbar"] - first
                in_hand = {0: "first", 1: "second"}.get(chosen, "neither")
                yield f"{slots.get(first, 'empty')}, {slots.get(first + 1, 'empty')}, {in_hand} in hand"
            elif (row, column) in _HAND:
                yield f"hand: {seen.hand or 'empty'}"
            else:
                yield _label(seen, row, column)


def _label(seen: Seen, row: int, column: int) -> str:
    """Return what a patch shows: of the cells in it, the rarest thing, and of those that show it the nearest."""
    side = seen.cells // _PATCHES
    cells = [(side * row + down, side * column + right) for down in range(side) for right in range(side)]
    thing = min((seen.thing(*cell) for cell in cells), key=RARE_FIRST.index)
    if thing == SKY:
        return SKY
    distance = min(seen.distance(*cell) for cell in cells if seen.thing(*cell) == thing)
    return f"{thing} {next((name for most, name in _RANGES if distance <= most), 'very far')}"
