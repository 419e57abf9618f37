"""Texts for the page, which may come from anywhere: bounded, split into clauses, matched with claims; linear time."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np

from rig.actions import ACTION_SPACES, Action
from rig.errors import RigError

LABEL_LIMIT = 160
"""The most characters of a name: of a task, an actor, an action."""

CLAIM_LIMIT = 200
"""The most claims of a step that are shown, and the most clauses that they are looked for in."""

MARKED_LENGTH = 1_200
"""The most characters of a clause in which claims are marked: as many as the page shows of one unasked."""

_LEAST, _MOST, _PAGE = 2_000, 100_000, 20_000_000
_OPENING = re.compile(r"(?<!\S)([1-9][0-9]{0,8})\. ")
_SENTENCE_END = re.compile(r"(?:[.!?;:]\s|\n)\Z")


def text_limit(count: int) -> int:
    """Return how many characters of each text a page of `count` texts holds: 100,000 of a few, 2,000 of very many."""
    return max(_LEAST, min(_MOST, _PAGE // max(1, count)))


def label(text: object) -> str:
    """Return a name as text of at most `LABEL_LIMIT` characters."""
    name = str(text)
    return name if len(name) <= LABEL_LIMIT else name[: LABEL_LIMIT - 1] + "…"


def action_words(action: Action, space: str) -> str:
    """Return an action of the named space as it is read out: "move left", and not "move_left"."""
    return ACTION_SPACES.get(space).format(action).replace("_", " ")


def passage(text: str | None, limit: int) -> dict[str, Any]:
    """Return the clauses of a text's first `limit` characters, and how many characters are left out."""
    whole = (text or "").strip()
    return {"clauses": clauses(whole[:limit]), "left": max(0, len(whole) - limit)}


def clauses(thought: str | None) -> list[str]:
    """Return a thought's numbered clauses, `1. …`, `2. …`, in order; text that is not numbered stays one clause.

    A number opens its clause after the end of a sentence, if there is such a place: `2. I have 3. 3. Go on.` is two.
    """
    text = (thought or "").strip()
    firm, loose = _openings(text)
    starts, position = [0], 0
    for number in count(1):
        start = _next(firm.get(number), position)
        start = _next(loose.get(number), position) if start is None else start
        if start is None:
            break
        starts.append(start)
        position = start + len(f"{number}. ")
    parts = (text[start:end].strip() for start, end in pairwise([*starts, len(text)]))
    return [part for part in parts if part]


def _openings(text: str) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Return where each number could open a clause: behind the end of a sentence or at the start, and anywhere."""
    firm: dict[int, list[int]] = {}
    loose: dict[int, list[int]] = {}
    for found in _OPENING.finditer(text):
        start = found.start()
        loose.setdefault(int(found[1]), []).append(start)
        if start == 0 or _SENTENCE_END.search(text[max(0, start - 2) : start]):
            firm.setdefault(int(found[1]), []).append(start)
    return firm, loose


def _next(starts: Sequence[int] | None, position: int) -> int | None:
    """Return the first of the ascending `starts` that is not before `position`."""
    index = bisect_left(starts or (), position)
    return starts[index] if starts and index < len(starts) else None


def claims(found: object, parts: Sequence[str], place: str) -> dict[str, Any]:
    """Return a thought's claims with their verdicts and the number of the clause that makes each, None for no clause.

    Args:
        found: the step's fact "claims": `{"text": str, "verdict": true, false or null}` each; `"of": "dream"` where it
            is about the dream, with the verdict on what came and, in "dreamed", that on the dream's own frame.
        parts: the thought's clauses.
        place: where they stand, for the message.

    Raises:
        RigError: they are not such a list.
    """
    if not isinstance(found, list | tuple):
        raise RigError(f"{place}: claims are {label(repr(found))}, not a list; mend or remove them")
    shown = [_claim(claim, place) for claim in found[:CLAIM_LIMIT]]
    for number, part in enumerate(parts[:CLAIM_LIMIT]):
        _place_claims(shown, number, part)
    short = [{**claim, "text": claim["text"][:MARKED_LENGTH]} for claim in shown]
    return {"list": short, "left": len(found) - len(short)}


def _place_claims(shown: Sequence[dict[str, Any]], number: int, part: str) -> None:
    """Give each claim that `part` makes, and that has no clause yet, the number of this clause."""
    position = 0
    for claim in shown if len(part) <= MARKED_LENGTH else ():
        start = part.find(claim["text"], position) if claim["text"] and claim["clause"] is None else -1
        if start >= 0:
            claim["clause"], position = number, start + len(claim["text"])


def _claim(claim: object, place: str) -> dict[str, Any]:
    fields = claim if isinstance(claim, Mapping) else {}
    text, verdicts = fields.get("text"), [fields.get("verdict"), fields.get("dreamed")]
    if not isinstance(text, str) or not all(one is None or isinstance(one, bool | np.bool_) for one in verdicts):
        wanted = "{'text': str, 'verdict': true, false or null} (with 'of' and 'dreamed', of a dream)"
        raise RigError(f"{place}: claim {label(repr(claim))} is not {wanted}; mend or remove it")
    verdict, dreamed = (None if one is None else bool(one) for one in verdicts)
    of_dream = {"dreamed": dreamed} if fields.get("of") == "dream" else {}
    return {"text": text, "verdict": verdict, "clause": None, **of_dream}
