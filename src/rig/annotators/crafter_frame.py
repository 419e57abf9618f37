"""Annotators for Crafter that also say where a search goes on, and how a wall goes on.

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
from rig.envs.crafter.facts import OWN, WAYS, View, direction_of
from rig.envs.crafter.tasks import WALL
from rig.teachers.crafter_search import first_step, heading, search_goal
from rig.teachers.crafter_wall import site_in, wall_in

_LOOKED = 2
"""What is faced and held, which every thought begins with."""


class _Remembering:
    """Says also which way one went and what one makes for, behind what is missing."""

    def explain(self, facts: Mapping[str, Any], executed: Sequence[Action], action: Action) -> list[Claim]:
        """Return the claims of a thought; `executed`: what was done before, newest first."""
        known = _as_known(facts, executed)
        claims = explain(known, action)
        place, more = _told(View(known), executed, action)
        return [*claims[:place], *more, *claims[place:]]


class CrafterFrameReasoner(_Remembering, CrafterReasoner):
    """Writes what `CrafterReasoner` writes, and what the last actions say."""

    name = "crafter-frame-rules-5"
    prompt = CRAFTER.rules("5")


class CrafterFrameReviewer(_Remembering, CrafterReviewer):
    """Writes what `CrafterReviewer` writes, and what the last actions say.

    The teacher knows no more than they and the frame tell, so they show of every plan whether another is better.
    """

    name = "crafter-frame-reviews-5"
    prompt = CRAFTER.rules("5")

    def tells(self, known: Informed[ReviewEvidence]) -> bool:
        """Return True."""
        return True


def _as_known(facts: Mapping[str, Any], executed: Sequence[Action]) -> Mapping[str, Any]:
    """Return the facts as far as frame and last actions tell them: of a wall, how much of it stands."""
    if facts["task"] != WALL:
        return facts
    wall = wall_in(View(facts), executed)
    return {**facts, "samples": wall.stones if wall else 0}


def _told(view: View, executed: Sequence[Action], action: Action) -> tuple[int, list[Claim]]:
    """Return the claims that only these annotators make, and before which of the others they stand."""
    key, need = next(iter(action.keys), ""), need_of(view.facts)
    if foe_at_hand(view, key) is not None:
        return 0, []
    if need.verb == "wall":
        return _LOOKED + 1, _wall(view, executed, key)
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


def _wall(view: View, executed: Sequence[Action], key: str) -> list[Claim]:
    """Return how much of a wall stands and where, or where there is room for one, or where room is looked for."""
    wall = wall_in(view, executed)
    if wall is not None:
        return [Claim.of("laid", n=wall.stones, place=place_of(wall.cells[0]))]
    site = site_in(view)
    if site is None:
        return _search(view, executed, key, "")
    if site.start == OWN or site.is_faced(view):
        return [Claim.of("room", way=WAYS[site.way])]
    return [Claim.of("site", place=place_of(site.start))]
