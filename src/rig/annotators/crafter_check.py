"""Checks Crafter thoughts clause by clause against the engine's facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rig.actions import Action
from rig.annotators.base import Judgement, JudgingChecker, Verdict
from rig.annotators.claims import Claim
from rig.annotators.crafter_words import CRAFTER, counts_of, offset_of
from rig.envs.crafter.facts import DIRECTIONS, View

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
        """Return a verdict for every clause, None where only a review says it: of the plan, its dream, its fate."""
        view = View(facts)
        return CRAFTER.verdicts(thought, lambda claim: _holds(claim, view, action))

    def judgement(self, thought: str) -> Judgement | None:
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
    assert kind in CRAFTER.reviewed, kind
    return None


def _concludes(claim: Claim, view: View, action: Action) -> bool:
    """Return whether the conclusion names the key that was pressed, and what it was pressed on."""
    key = _KEYS[claim.kind].format(**{slot: claim.get(slot) for slot, _ in claim.values})
    pressed = next(iter(action.keys), "noop")
    ahead = claim.kind not in ("collect", "dig", "attack") or view.thing(view.facing) == claim.get("thing")
    return pressed == key and ahead
