"""Annotators for Crafter that also say where a search goes on, and where the next stone of a wall is to go.

They explain what `crafter-frame` does, a teacher that knows the frame and its last actions; whoever learns of them has
to be told as many (`rig train --history 8`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rig.actions import Action
from rig.annotators.claims import Claim
from rig.annotators.crafter import CrafterReasoner, CrafterReviewer, explain, foe_at_hand, need_of
from rig.annotators.crafter_words import CRAFTER, place_of
from rig.annotators.evidence import Informed, ReviewEvidence
from rig.envs.crafter.facts import OWN, WAYS, View, direction_of, distance
from rig.envs.crafter.ground import minus, plus
from rig.teachers.crafter_gaps import run_up
from rig.teachers.crafter_search import first_step, heading, search_goal
from rig.teachers.crafter_view import gap_in

_LOOKED = 2
"""What is faced and held, which every thought begins with."""


class _Remembering:
    """Says also which way one went and what one makes for, behind what is missing."""

    def explain(self, facts: Mapping[str, Any], executed: Sequence[Action], action: Action) -> list[Claim]:
        """Return the claims of a thought; `executed`: what was done before, newest first."""
        claims = explain(facts, action)
        place, more = _told(View(facts), executed, action)
        return [*claims[:place], *more, *claims[place:]]


class CrafterFrameReasoner(_Remembering, CrafterReasoner):
    """Writes what `CrafterReasoner` writes, and what the last actions say."""

    name = "crafter-frame-rules-4"
    prompt = CRAFTER.rules("4")


class CrafterFrameReviewer(_Remembering, CrafterReviewer):
    """Writes what `CrafterReviewer` writes, and what the last actions say.

    The teacher knows no more than they and the frame tell, so they show of every plan whether another is better.
    """

    name = "crafter-frame-reviews-4"
    prompt = CRAFTER.rules("4")

    def tells(self, known: Informed[ReviewEvidence]) -> bool:
        """Return True."""
        return True


def _told(view: View, executed: Sequence[Action], action: Action) -> tuple[int, list[Claim]]:
    """Return the claims that only these annotators make, and before which of the others they stand."""
    key, need = next(iter(action.keys), ""), need_of(view.facts)
    if foe_at_hand(view, key) is not None:
        return 0, []
    if need.verb == "wall":
        return _LOOKED + 1, _wall(view)
    if need.verb == "explore":
        return _LOOKED, _search(view, executed, key, "")
    missing = need.is_out_there and not view.find(need.thing)
    return -1, _search(view, executed, key, need.thing) if missing else []


def _search(view: View, executed: Sequence[Action], key: str, wanted: str) -> list[Claim]:
    """Return which way one went and what one makes for; nothing where the key does not lead there."""
    goal = search_goal(view, executed, wanted)
    towards = direction_of(key) or (view.facing if key in ("use", "place_stone") else None)
    if goal is None or towards is None or towards != first_step(view, goal):
        return []
    went = heading(executed)
    said = [Claim.of("went", way=WAYS[went])] if went else []
    return [*said, Claim.of("goal", place=place_of(goal))]


def _wall(view: View) -> list[Claim]:
    """Return where the next stone is to go, from where one walks up to that cell, and where the stone beside it is.

    Of a stone that is faced all has been said; of a cell where the player stands there is nothing to say. Whether the
    cell is faced is said with it, for then alone a stone can be laid.
    """
    found = gap_in(view)
    if found is None:
        return []
    gap, start = found[0], run_up(found)
    beside = min(view.placed, key=lambda stone: (distance(minus(stone, gap)), stone), default=view.facing)
    said = [] if beside == view.facing else [Claim.of("near", thing="stone", place=place_of(beside))]
    if gap != OWN:
        said.append(Claim.of("gap_ahead" if gap == view.facing else "gap", place=place_of(gap)))
    if start != OWN and plus(gap, found[1]) != OWN:
        said.append(Claim.of("run_up", place=place_of(start)))
    return said
