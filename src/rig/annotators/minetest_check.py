"""Checks Minetest thoughts clause by clause against what the frame shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.actions import Action
from rig.annotators.base import JudgingChecker, ReviewVerdict, Verdict
from rig.annotators.claims import Claim
from rig.annotators.minetest import aim_of, gain_of, hand_of, has_moved, is_still, tilt_claim, way_of
from rig.annotators.minetest_words import MINETEST, deed_of, turn_in
from rig.envs.minetest.seen import Seen
from rig.records import Dream, Step

ANGLE, SHARE = 5, 0.25
"""Degrees, and share of the distance or one node, by which a sighting may be off and still be right."""


class MinetestChecker(JudgingChecker):
    """Verdicts on claims: about what is seen, aimed at and held, and whether the conclusion is what was then done."""

    def check(self, thought: str, facts: Mapping[str, Any], action: Action) -> list[Verdict]:
        """Return a verdict for every clause, None where only a review says it: of the plan, its dream, its fate."""
        seen = Seen(facts)
        return MINETEST.verdicts(thought, lambda claim: _holds(claim, seen, action))

    def check_review(self, step: Step) -> list[Verdict]:
        """Return a verdict for every clause of a review: of its dream by what came of it, where facts tell that."""
        checked = self.check(step.thought or "", step.privileged, step.action)
        plan = Claim.of("plan", deed=deed_of(step.proposal, in_menu=step.privileged["menu_open"]))
        return MINETEST.review_verdicts(
            step, checked, plan=plan, came=lambda claim: _came(claim, step.privileged, step.dreams[-1])
        )

    def judgement(self, thought: str) -> ReviewVerdict | None:
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


def _came(claim: Claim, before: Mapping[str, Any], dream: Dream) -> bool:
    """Return whether what a claim says of a dream is true of what came of it."""
    after, kind = dream.privileged, claim.kind
    is_hurt, gains = after["health"] < before["health"], after["samples"] > before["samples"]
    if kind == "dream_still":
        return is_still(before, after)
    if kind == "dream_hurt":
        return is_hurt
    if kind == "dream_gain":
        return gains and claim.get("thing") == gain_of(before["task"])
    if kind == "dream_digs":
        return "attack" in dream.action.keys and bool(after["pointed"])
    if kind == "dream_walks":
        return has_moved(before, after) and not is_hurt and not gains
    if kind == "dream_turns":
        return not (has_moved(before, after) or is_still(before, after) or is_hurt or gains)
    return _came_of(claim.get("thing"), kind, Seen(before), Seen(after))


def _came_of(thing: str, kind: str, then: Seen, now: Seen) -> bool:
    """Return whether a thing came to be aimed at, came into view or came closer, as a claim of `kind` says."""
    if kind in ("dream_on", "dream_off"):
        aims = (then.crosshair == thing, now.crosshair == thing)
        return aims == (kind == "dream_off", kind == "dream_on")
    old, new = then.find(thing), now.find(thing)
    if kind in ("dream_found", "dream_lost"):
        return (bool(old), bool(new)) == (kind == "dream_lost", kind == "dream_found")
    assert kind in ("dream_closer", "dream_no_closer"), kind
    is_closer = bool(new) and (not old or new[0].distance < old[0].distance)
    return is_closer == (kind == "dream_closer")
