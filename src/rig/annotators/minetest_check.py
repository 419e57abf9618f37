"""Checks Minetest thoughts clause by clause against what the frame shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.actions import Action
from rig.annotators.base import Judgement, JudgingChecker, Verdict
from rig.annotators.claims import Claim
from rig.annotators.minetest import aim_of, hand_of, tilt_claim, way_of
from rig.annotators.minetest_words import MINETEST, deed_of, turn_in
from rig.envs.minetest.seen import Seen

ANGLE, SHARE = 5, 0.25
"""Degrees, and share of the distance or one node, by which a sighting may be off and still be right."""


class MinetestChecker(JudgingChecker):
    """Verdicts on claims: about what is seen, aimed at and held, and whether the conclusion is what was then done."""

    def check(self, thought: str, facts: Mapping[str, Any], action: Action) -> list[Verdict]:
        """Return a verdict for every clause, None where only a review says it: of the plan, its dream, its fate."""
        seen = Seen(facts)
        return MINETEST.verdicts(thought, lambda claim: _holds(claim, seen, action))

    def judgement(self, thought: str) -> Judgement | None:
        """Return what a review says of its plan; None where it says neither, or both."""
        return MINETEST.judgement(thought)


def _holds(claim: Claim, seen: Seen, action: Action) -> bool | None:
    kind = claim.kind
    if kind in MINETEST.conclusions:
        return claim == Claim.of(kind, deed=deed_of(action, in_menu=seen.facts["menu_open"]))
    if kind in ("on", "off"):
        return claim == aim_of(seen)
    if kind in ("hold", "hold_nothing"):
        return claim == hand_of(seen)
    if kind == "tilt":
        return claim == tilt_claim(seen)
    if kind in ("open", "rises"):
        return claim == way_of(seen.facts)
    if kind == "none":
        return not seen.find(claim.get("thing"))
    if kind == "see":
        return _is_seen(claim, seen)
    if kind == "menu":
        return bool(seen.facts["menu_open"])
    assert kind in MINETEST.reviewed, kind
    return None


def _is_seen(claim: Claim, seen: Seen) -> bool:
    """Return whether the thing is in view about where, and about as far off, as claimed."""
    right, down = turn_in(claim.get("where"))
    far = int(claim.get("n"))
    return any(
        max(abs(one.right - right), abs(one.down - down)) <= ANGLE
        and abs(one.distance - far) <= max(1, SHARE * one.distance)
        for one in seen.find(claim.get("thing"))
    )
