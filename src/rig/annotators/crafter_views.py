"""Says what a Crafter frame shows, whatever is done next: the descriptions that a small model learns to see from.

Real Janus checkpoints come with a decoder that knows what its eyes tell it. A network that starts from nothing would
learn where things are from the one place that a thought names, which takes it very long; a description names dozens.
"""

from __future__ import annotations

from collections.abc import Iterator

from rig.annotators.base import prompt_hash
from rig.annotators.claims import Claim
from rig.annotators.crafter import front_of, hands_of
from rig.annotators.crafter_patches import KINDS
from rig.annotators.crafter_words import CRAFTER, WORDINGS, place_of
from rig.annotators.evidence import Evidence, Informed
from rig.annotators.rules import RuleReasoner
from rig.envs.crafter.facts import DIRECTIONS, View, is_closer

NEAREST = 4
"""The most places that are told of one kind."""


class CrafterDescriber(RuleReasoner):
    """A Reasoner that ignores the action: where things are and which ways lead there, what is faced, open and held."""

    name = "crafter-views-4"
    prompt = prompt_hash(repr((KINDS, sorted(WORDINGS.items()))))

    def answer(self, known: Informed[Evidence]) -> str:
        """Return a description of a frame, always in the same words; its facts are read."""
        return self._describe(View(known.facts))

    def _describe(self, view: View) -> str:
        claims = list(claims_of(view))
        return " ".join([*places_in(view), CRAFTER.say(claims, [0] * len(claims))])


def places_in(view: View) -> Iterator[str]:
    """Yield for each kind of thing where the nearest are, and the ways to the first.

    For example "I see tree 2 left and 1 up, 3 down. So go left or up."
    """
    for kind in KINDS:
        found = view.find(kind)[:NEAREST]
        if found:
            ways = [way for way, step in DIRECTIONS.items() if is_closer(step, found[0])]
            yield f"I see {kind} {', '.join(map(place_of, found))}. So go {' or '.join(ways)}."


def claims_of(view: View) -> Iterator[Claim]:
    """Yield what is faced, the ways that are open, and what is held."""
    yield front_of(view)
    for way, offset in DIRECTIONS.items():
        free = view.is_free(offset)
        yield Claim.of("open", way=way) if free else Claim.of("blocked", thing=view.thing(offset), way=way)
    yield hands_of(view)
