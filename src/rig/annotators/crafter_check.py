"""Checks Crafter thoughts clause by clause against the engine's facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.actions import Action
from rig.annotators.base import JudgingChecker, ReviewVerdict, Verdict
from rig.annotators.claims import Claim
from rig.annotators.crafter import is_still
from rig.annotators.crafter_words import CRAFTER, counts_of, offset_of
from rig.envs.crafter.facts import DIRECTIONS, OWN, View, distance
from rig.envs.crafter.ground import plus
from rig.records import Step
from rig.teachers.crafter_view import can_enter

WENT = "went"
"""What is said of one's last actions, of which facts tell nothing."""

_KEYS = {
    "go": "move_{way}",
    "turn": "move_{way}",
    "search": "move_{way}",
    "collect": "use",
    "dig": "use",
    "attack": "use",
    "place": "place_{thing}",
    "make": "make_{thing}",
    "wait": "noop",
}


class CrafterChecker(JudgingChecker):
    """Verdicts on claims: about the view and the inventory, and whether the conclusion is what was then done."""

    def check(self, thought: str, facts: Mapping[str, Any], action: Action) -> list[Verdict]:
        """Return a verdict for every clause; None of what only a review says, and of what was done before."""
        view = View(facts)
        return CRAFTER.verdicts(thought, lambda claim: _holds(claim, view, action))

    def check_review(self, step: Step) -> list[Verdict]:
        """Return a verdict for every clause of a review: of its dream by what came of it, where facts tell that."""
        checked = self.check(step.thought or "", step.privileged, step.action)
        plan = Claim.of("plan", deed=next(iter(step.proposal.keys), "wait"))
        return CRAFTER.review_verdicts(
            step, checked, plan=plan, came=lambda claim: _came(claim, step.privileged, step.dreams[-1].privileged)
        )

    def judgement(self, thought: str) -> ReviewVerdict | None:
        """Return what a review says of its plan; None where it says neither, or both."""
        return CRAFTER.judgement(thought)


def _holds(claim: Claim, view: View, action: Action) -> bool | None:
    kind = claim.kind
    if kind in _KEYS:
        return _concludes(claim, view, action)
    if kind == "near":
        return view.thing(offset_of(claim.get("place"))) == claim.get("thing")
    if kind == "none":
        return not view.find(claim.get("thing"))
    if kind == "front":
        return view.facing == DIRECTIONS[claim.get("way")] and view.thing(view.facing) == claim.get("thing")
    if kind == "beside":
        return view.is_beside(claim.get("thing"))
    if kind == "blocked":
        direction = DIRECTIONS[claim.get("way")]
        return not view.is_free(direction) and view.thing(direction) == claim.get("thing")
    if kind == "open":
        return view.is_free(DIRECTIONS[claim.get("way")])
    if kind == "hold":
        stated = counts_of(claim.get("items"))
        return all(stated.get(item, 0) == view.count(item) for item in {*stated, *view.belongings})
    if kind == "hold_nothing":
        return not view.belongings
    if kind in ("count", "enough"):
        return view.count(claim.get("item")) == int(claim.get("n"))
    if kind == "goal":
        return can_enter(view, offset_of(claim.get("place")))
    if kind == "laid":
        return view.material(offset_of(claim.get("place"))) == "stone"
    if kind == "room":
        way = DIRECTIONS[claim.get("way")]
        return view.is_free(way) and all(view.is_free(plus(OWN, way, -far)) for far in (1, 2))
    if kind == "site":
        return view.is_free(offset_of(claim.get("place")))
    assert kind in (WENT, *CRAFTER.reviewed), kind
    return None


def _concludes(claim: Claim, view: View, action: Action) -> bool:
    """Return whether the conclusion names the key that was pressed, and what it was pressed on."""
    key = _KEYS[claim.kind].format(**{slot: claim.get(slot) for slot, _ in claim.values})
    pressed = next(iter(action.keys), "noop")
    ahead = claim.kind not in ("collect", "dig", "attack") or view.thing(view.facing) == claim.get("thing")
    return pressed == key and ahead


def _came(claim: Claim, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether what a claim says of a dream is true of what came of it, the facts of which are `after`."""
    then, now, kind = View(before), View(after), claim.kind
    if kind == "dream_still":
        return is_still(before, after)
    if kind == "dream_hurt":
        return now.count("health") < then.count("health")
    if kind == "dream_gain":
        return now.count(claim.get("item")) > then.count(claim.get("item"))
    if kind == "dream_walks":
        gains = any(count > then.count(item) for item, count in now.belongings.items())
        return not (gains or now.count("health") < then.count("health") or is_still(before, after))
    assert kind in ("dream_closer", "dream_no_closer"), kind
    return _is_closer(claim.get("thing"), then, now) == (kind == "dream_closer")


def _is_closer(thing: str, then: View, now: View) -> bool:
    old, new = then.find(thing), now.find(thing)
    return bool(new) and (not old or distance(new[0]) < distance(old[0]))
