"""The language of thoughts: a closed set of claims, each with several wordings, readable both ways.

A thought is a few numbered clauses, "1. I look up at grass. 2. I hold 1 wood. 3. I see tree 2 left. 4. So go left.",
and each clause is one claim in one of its wordings. Because any wording can be parsed back, what a model thinks can be
checked against the engine, clause by clause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

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

CONCLUSIONS = frozenset({"go", "turn", "search", "collect", "dig", "attack", "place", "make", "wait"})
REVIEWED = frozenset({"plan", "keep", "change", *(kind for kind in WORDINGS if kind.startswith("dream_"))})
"""What only a review says: about the proposal and its dreams, not about the frame."""
_SLOTS = {
    "thing": r"(?P<thing>[a-z][a-z ]*)",
    "item": r"(?P<item>[a-z][a-z ]*)",
    "items": r"(?P<items>\d+ [a-z][a-z ]*(?:, \d+ [a-z][a-z ]*)*)",
    "deed": r"(?P<deed>[a-z][a-z ]*)",
    "place": r"(?P<place>\d+ (?:left|right|up|down)(?: and \d+ (?:up|down))?)",
    "way": r"(?P<way>left|right|up|down)",
    "n": r"(?P<n>\d+)",
    "m": r"(?P<m>\d+)",
}
_CLAUSE = re.compile(r"(?:^|(?<=\. ))\d+\. ")


@dataclass(frozen=True)
class Claim:
    """One claim: its kind, and the values of its slots as text."""

    kind: str
    values: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(kind: str, **values: object) -> Claim:
        """Return the claim of `kind` with the given slot values; underscores are read as spaces."""
        texts = {slot: str(value).replace("_", " ") for slot, value in values.items()}
        return Claim(kind, tuple(sorted(texts.items())))

    def get(self, slot: str) -> str:
        """Return the value of `slot`, with spaces as underscores, as engines name things."""
        return dict(self.values)[slot].replace(" ", "_")


def say(claims: Sequence[Claim], choices: Sequence[int]) -> str:
    """Return the thought that states `claims`, the wording of each picked by the number in `choices`."""
    clauses = []
    for number, (claim, choice) in enumerate(zip(claims, choices, strict=True), 1):
        wordings = WORDINGS[claim.kind]
        sentence = wordings[choice % len(wordings)].format(**dict(claim.values))
        clauses.append(f"{number}. {sentence[0].upper()}{sentence[1:]}")
    return " ".join(clauses)


def split_clauses(thought: str) -> list[str]:
    """Return the numbered clauses of a thought, without their numbers."""
    return [clause.strip() for clause in _CLAUSE.split(thought) if clause.strip()]


def read_clause(clause: str) -> Claim | None:
    """Return the claim that `clause` states, or None where it is no sentence of this language."""
    for kind, pattern in _patterns():
        match = pattern.fullmatch(clause)
        if match:
            values = {slot: value.lower() for slot, value in match.groupdict().items()}
            return Claim(kind, tuple(sorted(values.items())))
    return None


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


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return (kind, pattern) of every wording, the most specific first: fewer and narrower slots, more letters."""
    patterns = []
    for kind, wordings in WORDINGS.items():
        for wording in wordings:
            parts = re.split(r"\{(\w+)\}", wording)
            text = "".join(_SLOTS[part] if index % 2 else re.escape(part) for index, part in enumerate(parts))
            letters = sum(len(part) for part in parts[::2])
            patterns.append((letters, kind, re.compile(text, re.IGNORECASE)))
    return [(kind, pattern) for _, kind, pattern in sorted(patterns, key=lambda entry: -entry[0])]
