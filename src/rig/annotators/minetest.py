"""A Reasoner and a Reviewer for Minetest by rule, over what the frame shows.

They read `rig.envs.minetest.seen`: the nodes that the frame shows and where, what is under the crosshair, the tilt of
the head and the hand; and of the teacher's way only whether it goes up at its next step, which lies in view. No thought
can tell what the frame does not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rig.actions import Action
from rig.annotators.base import Vocabulary
from rig.annotators.claims import Claim
from rig.annotators.evidence import Evidence, Informed, ReviewEvidence
from rig.annotators.minetest_words import MINETEST, deed_of, terms, tilt_of, where_of
from rig.annotators.rules import RuleReasoner, RuleReviewer
from rig.envs.minetest.seen import DIRT, THINGS, TRUNK, TUFT, Seen, Sighting

_REASONS, _REVIEWS = "1", "2"
TARGETS = {"chop_a_tree": TRUNK, "break_grass": TUFT, "collect_dirt": DIRT}
"""Task -> what it looks for."""

BY_HAND = ("dig_down", "build_a_tower")
"""Tasks that are done where one stands, by how the head is held."""

_GAINS = {
    "dig_down": "depth",
    "go_explore": "distance",
    "build_a_tower": "height",
    "craft_planks": "planks",
    "craft_a_wooden_pickaxe": "pickaxe",
}
"""Task -> what a sample of it is called, where nothing is looked for."""

_STILL = 0.05
"""Nodes that one moves without going anywhere."""


class MinetestReasoner(RuleReasoner):
    """Writes two to four clauses: what is aimed at, what is sought and where, how the way goes, what to do."""

    name = f"minetest-rules-{_REASONS}"
    prompt = MINETEST.rules(_REASONS)

    def answer(self, known: Informed[Evidence]) -> str:
        """Return a thought about a step; its facts and its action are read."""
        return MINETEST.say_of(known.evidence.frame, explain(known.facts, known.evidence.action))


class MinetestReviewer(RuleReviewer):
    """Writes what was planned, what the dream led to, and whether the plan stays; where it does not, a new thought.

    A plan that stays is said once more, and nothing else: a review that looks at everything again before it repeats the
    plan teaches a small network to plan anew from what it now sees.
    """

    name = f"minetest-rules-{_REVIEWS}"
    prompt = MINETEST.rules(_REVIEWS)

    def answer(self, known: Informed[ReviewEvidence]) -> str:
        """Return a review; the facts of the step and of its dreams are read."""
        return MINETEST.say_of(known.evidence.frame, self._claims(known))

    def tells(self, known: Informed[ReviewEvidence]) -> bool:
        """Return whether the frames show that `better` is better than the proposal.

        They do where nothing comes of the proposal, where the task is done on the spot, and where what is sought is in
        view or the better action looks for it. They do not show where an unseen way leads.
        """
        facts, seen, dreamed = known.facts, Seen(known.facts), known.dream_facts[0]
        target = TARGETS.get(facts["task"], "")
        if facts["task"] in BY_HAND or (dreamed and is_still(facts, dreamed)):
            return True
        return seen.crosshair == target or bool(seen.find(target)) or _is_search(known.evidence.better)

    def outcome(self, known: Informed[ReviewEvidence]) -> str:
        """Return what the plan led to, and what is aimed at and seen there; nothing where nobody tried it.

        The words are always the same, as Crafter's are.
        """
        after = known.dream_facts[-1] if known.dream_facts else {}
        if not after:
            return ""
        came = describe_dream(known.facts, after, known.evidence.dreams[-1].action)
        claims = [came, *explain(after, Action())[:-1]]
        return MINETEST.say(claims, [0] * len(claims))

    @classmethod
    def vocabulary(cls) -> Vocabulary:
        """Return every wording with each thing in it, the deeds, and the words for turns."""
        values = {"where": "left 10 and up 5", "tilt": "down 85", "n": "4", "deed": "run ahead and turn right 10"}
        sentences = [line for thing in THINGS for line in MINETEST.filled({**values, "thing": thing, "item": thing})]
        return Vocabulary(sentences=sentences, terms=terms())

    def _claims(self, known: Informed[ReviewEvidence]) -> list[Claim]:
        facts, proposal, better = Seen(known.facts).facts, known.evidence.proposal, known.evidence.better
        deed = deed_of(proposal, in_menu=facts["menu_open"])
        dreams = [pair for pair in zip(known.dream_facts, known.evidence.dreams, strict=True) if pair[0]]
        outcome = [describe_dream(facts, dreams[-1][0], dreams[-1][1].action)] if dreams else []
        if better == proposal:
            return [Claim.of("plan", deed=deed), *outcome, Claim.of("keep"), Claim.of("do", deed=deed)]
        return [Claim.of("plan", deed=deed), *outcome, Claim.of("change"), *explain(facts, better)]


def explain(facts: Mapping[str, Any], action: Action) -> list[Claim]:
    """Return the claims that lead from what the frame shows to `action`."""
    seen = Seen(facts)
    if facts["menu_open"]:
        return [Claim.of("menu"), Claim.of("do", deed=deed_of(action, in_menu=True))]
    target = TARGETS.get(facts["task"], "")
    sought = _sought(seen, target, action) if target else []
    posture = [hand_of(seen), tilt_claim(seen)] if facts["task"] in BY_HAND else []
    searches = _is_search(action) and sought == [Claim.of("none", thing=target)]
    conclusion = Claim.of("search" if searches else "do", deed=deed_of(action))
    return [*posture, aim_of(seen), *sought, *_way(facts, action), conclusion]


def aim_of(seen: Seen) -> Claim:
    """Return what is under the crosshair."""
    return Claim.of("on", thing=seen.crosshair) if seen.crosshair else Claim.of("off")


def hand_of(seen: Seen) -> Claim:
    """Return what is in the hand."""
    return Claim.of("hold", item=seen.hand) if seen.hand else Claim.of("hold_nothing")


def tilt_claim(seen: Seen) -> Claim:
    """Return how the head is held."""
    return Claim.of("tilt", tilt=tilt_of(seen.tilt))


def sighting_of(thing: str, sighting: Sighting) -> Claim:
    """Return where a thing is seen."""
    return Claim.of("see", thing=thing, where=where_of(sighting.right, sighting.down), n=sighting.distance)


def way_of(facts: Mapping[str, Any]) -> Claim | None:
    """Return whether the teacher's way goes up at its next step; None where there is none."""
    sight = facts.get("sight") or {}
    if not sight.get("heading"):
        return None
    return Claim.of("rises" if sight["is_up"] else "open")


def describe_dream(before: Mapping[str, Any], after: Mapping[str, Any], action: Action) -> Claim:
    """Return the one claim that says most about what a dream led to, whose last action was `action`."""
    target = TARGETS.get(before["task"], "")
    if after["health"] < before["health"]:
        return Claim.of("dream_hurt")
    if after["samples"] > before["samples"]:
        return Claim.of("dream_gain", thing=gain_of(before["task"]))
    if is_still(before, after):
        return Claim.of("dream_digs" if "attack" in action.keys and after["pointed"] else "dream_still")
    return _change_of_target(Seen(before), Seen(after), target) or Claim.of(
        "dream_walks" if has_moved(before, after) else "dream_turns"
    )


def gain_of(task: str) -> str:
    """Return what a sample of a task is called; "sample" of one that is not of this package."""
    return TARGETS.get(task) or _GAINS.get(task, "sample")


def is_still(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the player stands, looks, aims and holds as before."""
    alike = all(before[name] == after[name] for name in ("yaw", "pitch", "hotbar", "inventory", "menu_open"))
    aims_alike = before["pointed"].get("under") == after["pointed"].get("under")
    return alike and aims_alike and not has_moved(before, after)


def _change_of_target(then: Seen, now: Seen, target: str) -> Claim | None:
    if not target:
        return None
    if (then.crosshair == target) != (now.crosshair == target):
        return Claim.of("dream_on" if now.crosshair == target else "dream_off", thing=target)
    old, new = then.find(target), now.find(target)
    if bool(old) != bool(new):
        return Claim.of("dream_found" if new else "dream_lost", thing=target)
    if not old or not has_moved(then.facts, now.facts):
        return None
    return Claim.of("dream_closer" if new[0].distance < old[0].distance else "dream_no_closer", thing=target)


def has_moved(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the player stands elsewhere."""
    pairs = zip(before["position"], after["position"], strict=True)
    return max(abs(now - then) for then, now in pairs) > _STILL


def _is_search(action: Action) -> bool:
    """Return whether an action does nothing but turn far."""
    return not action.keys and abs(action.camera[1]) >= 30


def _sought(seen: Seen, target: str, action: Action) -> list[Claim]:
    """Return where what is sought is seen; nothing where it is aimed at and dug."""
    if seen.crosshair == target and "attack" in action.keys:
        return []
    sighting = _aimed_at(seen.find(target), action)
    return [sighting_of(target, sighting) if sighting else Claim.of("none", thing=target)]


def _aimed_at(found: Sequence[Sighting], action: Action) -> Sighting | None:
    """Return the sighting that the camera turns to; where it does not turn, the nearest."""
    down, right = action.camera
    if not found or (down, right) == (0, 0):
        return found[0] if found else None
    return min(found, key=lambda one: (one.off(right, down), one.distance))


def _way(facts: Mapping[str, Any], action: Action) -> list[Claim]:
    """Return how the way goes on, where one walks and it is known."""
    way = way_of(facts)
    return [way] if way and "forward" in action.keys else []
