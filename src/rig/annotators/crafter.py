"""A Reasoner and a Reviewer for Crafter by rule, over the facts of the view.

They read `rig.envs.crafter.facts` only, which hold what the frame shows, so no thought can tell what lies out of view.
The wording varies with the frame, and the same frame is always worded the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rig.actions import Action
from rig.annotators.base import Vocabulary
from rig.annotators.claims import Claim
from rig.annotators.crafter_words import CRAFTER, REMEMBERED, items_of, place_of
from rig.annotators.evidence import Evidence, Informed, ReviewEvidence
from rig.annotators.rules import RuleReasoner, RuleReviewer
from rig.envs.crafter.facts import DIRECTIONS, WAYS, Offset, View, direction_of, distance, is_closer, offsets
from rig.teachers.crafter_needs import Need, has_recipe, next_need

FOES = ("zombie", "skeleton")
_REASONS, _REVIEWS = "3", "6"
_MAKE, _PLACE = "make_", "place_"


class _Explaining:
    """Says why an action follows."""

    def explain(self, facts: Mapping[str, Any], executed: Sequence[Action], action: Action) -> list[Claim]:
        """Return the claims of a thought; `executed`: what was done before, newest first, of which nothing is said."""
        return explain(facts, action)


class CrafterReasoner(_Explaining, RuleReasoner):
    """Writes three to six clauses: what is faced and held, what is missing, what is in view, what follows.

    What is faced and held comes first, whatever is done next. It cannot be guessed from what was done last, so who
    learns these thoughts must look; and what is then concluded can rest on it.
    """

    name = f"crafter-rules-{_REASONS}"
    prompt = CRAFTER.rules(_REASONS, without=REMEMBERED)

    def answer(self, known: Informed[Evidence]) -> str:
        """Return a thought about a step; its facts and its action are read."""
        evidence = known.evidence
        return CRAFTER.say_of(evidence.frame, self.explain(known.facts, _executed(evidence), evidence.action))


class CrafterReviewer(_Explaining, RuleReviewer):
    """Writes what was planned, what the dream led to, whether the plan stays, and everything that a thought would say.

    The plan is said again, so that it can be held against what came of it: in the conversation it lies two images
    back, and a small model that does not look there keeps the plan in words and does something else. The judgement
    comes before the reasons: said last, it knows which plans are bad, and what is done does not follow from it.
    """

    name = f"crafter-rules-{_REVIEWS}"
    prompt = CRAFTER.rules(_REVIEWS, without=REMEMBERED)

    def answer(self, known: Informed[ReviewEvidence]) -> str:
        """Return a review; the facts of the step and of its dreams are read."""
        return CRAFTER.say_of(known.evidence.frame, self._claims(known))

    def tells(self, known: Informed[ReviewEvidence]) -> bool:
        """Return whether the frames show that `better` is better than the proposal.

        They do where nothing comes of the proposal, where a foe is at hand, and where what is needed is in view or can
        be made or placed. They do not show where a search should lead, nor where a wall should stand.
        """
        facts = known.facts
        view, key = View(facts), next(iter(known.evidence.better.keys), "")
        dreamed, need = known.dream_facts[0], need_of(facts)
        if (dreamed and is_still(facts, dreamed)) or foe_at_hand(view, key) is not None:
            return True
        return bool(view.find(need.thing)) if need.is_out_there else need.verb in ("make", "place")

    def outcome(self, known: Informed[ReviewEvidence]) -> str:
        """Return what the plan led to, and what is faced, missing and seen there; nothing where nobody tried it.

        The words are always the same: which of several wordings it is says nothing of a plan, and costs learning.
        """
        after = known.dream_facts[-1] if known.dream_facts else {}
        if not after:
            return ""
        there = [claim for claim in explain(after, Action())[:-1] if not claim.kind.startswith("hold")]
        claims = [describe_dream(known.facts, after), *there]
        return CRAFTER.say(claims, [0] * len(claims))

    @classmethod
    def vocabulary(cls) -> Vocabulary:
        """Return every wording with some values filled in, and every place in view.

        A place of seven tokens takes a small network very long to learn: it must look for the thing anew at each.
        """
        values = {"thing": "tree", "place": "2 left and 1 up", "way": "right"}
        values |= {"item": "wood", "items": "1 wood", "n": "1", "m": "4", "deed": "use"}
        return Vocabulary(sentences=CRAFTER.filled(values), terms=[f" {place_of(offset)}" for offset in offsets()])

    def _claims(self, known: Informed[ReviewEvidence]) -> list[Claim]:
        facts, proposal, better = known.facts, known.evidence.proposal, known.evidence.better
        plan = Claim.of("plan", deed=_deed(proposal))
        judgement = Claim.of("keep" if better == proposal else "change")
        dreamed = [came for came in known.dream_facts if came]
        outcome = [describe_dream(facts, dreamed[-1])] if dreamed else []
        return [plan, *outcome, judgement, *self.explain(facts, _executed(known.evidence), better)]


def _executed(evidence: Evidence | ReviewEvidence) -> tuple[Action, ...]:
    return (evidence.previous_action, *evidence.earlier_actions)


def explain(facts: Mapping[str, Any], action: Action) -> list[Claim]:
    """Return the claims that lead from the view's facts to `action`: faced and held, missing, seen, concluded."""
    view = View(facts)
    key = next(iter(action.keys), "")
    faced = front_of(view)
    return [faced, hands_of(view), *(claim for claim in _reasons(view, key) if claim != faced)]


def front_of(view: View) -> Claim:
    """Return which way is faced, and what stands there.

    The way is said first: what stands there can then be looked up in one place.
    """
    return Claim.of("front", way=WAYS[view.facing], thing=view.thing(view.facing))


def hands_of(view: View) -> Claim:
    """Return everything that is held, in the order in which the inventory shows it."""
    held = view.belongings
    return Claim.of("hold", items=items_of(held)) if held else Claim.of("hold_nothing")


def _reasons(view: View, key: str) -> list[Claim]:
    """Return what is missing and seen, and the conclusion."""
    foe = foe_at_hand(view, key)
    if foe is not None:
        return [_near(view, foe), _conclusion(view, key, None)]
    need = need_of(view.facts)
    if need.verb == "explore":
        return [*_way_ahead(view, key), _conclusion(view, key, None)]
    if need.verb in ("make", "place", "wall"):
        ahead = [] if key.startswith((_MAKE, _PLACE)) else _way_ahead(view, key)
        return [*_ready(view, need), *ahead, _conclusion(view, key, None)]
    target = _target(view, need.thing, key)
    missing = [Claim.of("count", item=need.item, n=view.count(need.item), m=need.want)] if need.item else []
    seen = _near(view, target) if target else Claim.of("none", thing=need.thing)
    return [*missing, seen, *_obstacle(view, target, key), _conclusion(view, key, target)]


def need_of(facts: Mapping[str, Any]) -> Need:
    """Return what the recipes ask for next, as far as the view's facts tell; for a task that has none, to look around.

    Then nothing is said to be missing, and what is done follows from what is seen.
    """
    if not has_recipe(facts["task"]):
        return Need(verb="explore", thing="far")
    return next_need(facts["task"], View(facts), remaining=facts["target"] - facts["samples"])


def describe_dream(before: Mapping[str, Any], after: Mapping[str, Any]) -> Claim:
    """Return the one claim that says most about what a dream led to."""
    then, now = View(before), View(after)
    if now.count("health") < then.count("health"):
        return Claim.of("dream_hurt")
    for item, count in now.belongings.items():
        if count > then.count(item):
            return Claim.of("dream_gain", item=item)
    if is_still(before, after):
        return Claim.of("dream_still")
    need = need_of(before)
    if need.is_out_there:
        old, new = then.find(need.thing), now.find(need.thing)
        if old:
            closer = bool(new) and distance(new[0]) < distance(old[0])
            return Claim.of("dream_closer" if closer else "dream_no_closer", thing=need.thing)
    return Claim.of("dream_walks")


def is_still(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the player stands, looks and holds as before."""
    return all(before[name] == after[name] for name in ("position", "facing", "inventory"))


def _near(view: View, offset: Offset) -> Claim:
    if offset == view.facing:
        return front_of(view)
    return Claim.of("near", thing=view.thing(offset), place=place_of(offset))


def _ready(view: View, need: Need) -> list[Claim]:
    """Return what makes it time to make or place something."""
    if need.verb == "make":
        return [Claim.of("beside", thing="table"), Claim.of("enough", item="wood", n=view.count("wood"))]
    item = "stone" if need.verb == "wall" else "wood"
    return [Claim.of("enough", item=item, n=view.count(item))]


def foe_at_hand(view: View, key: str) -> Offset | None:
    """Return where the foe stands that `key` deals with, or None."""
    towards = view.facing if key == "use" else direction_of(key)
    return towards if towards is not None and view.creatures.get(towards) in FOES else None


def _target(view: View, thing: str, key: str) -> Offset | None:
    """Return which `thing` in view the action goes for: the nearest that it faces or gets closer to, or the nearest."""
    found = view.find(thing)
    step = direction_of(key)
    if key == "use" and view.thing(view.facing) == thing:
        return view.facing
    if step is not None:
        for offset in found:
            if offset == step or is_closer(step, offset):
                return offset
    return found[0] if found else None


def _obstacle(view: View, target: Offset | None, key: str) -> list[Claim]:
    """Return what keeps the player from going straight to the target, where the action goes another way."""
    step = direction_of(key)
    if target is None or step is None or is_closer(step, target):
        return []
    for way, direct in DIRECTIONS.items():
        if is_closer(direct, target) and not view.is_free(direct):
            return [Claim.of("blocked", thing=view.thing(direct), way=way)]
    return []


def _way_ahead(view: View, key: str) -> list[Claim]:
    """Return whether the way that the action takes is open, or what stands there."""
    step = direction_of(key)
    if step is None:
        return []
    return [Claim.of("open", way=WAYS[step]) if view.is_free(step) else _near(view, step)]


def _conclusion(view: View, key: str, target: Offset | None) -> Claim:
    step = direction_of(key)
    if step is not None:
        if view.is_free(step):
            need = need_of(view.facts)
            searches = target is None and need.is_out_there
            return Claim.of("search" if searches else "go", way=WAYS[step])
        return Claim.of("turn", way=WAYS[step])
    if key == "use":
        ahead = view.thing(view.facing)
        if view.facing in view.creatures:
            return Claim.of("attack", thing=ahead)
        need = need_of(view.facts)
        return Claim.of("collect" if ahead == need.thing else "dig", thing=ahead)
    if key.startswith(_PLACE):
        return Claim.of("place", thing=key.removeprefix(_PLACE))
    if key.startswith(_MAKE):
        return Claim.of("make", thing=key.removeprefix(_MAKE))
    return Claim.of("wait")


def _deed(action: Action) -> str:
    """Return the key of `action` as words can name it before anything is looked at: "move right", "use", "wait"."""
    return next(iter(action.keys), "wait")
