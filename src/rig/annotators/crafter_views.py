"""Says what a Crafter frame shows, whatever is done next: the descriptions that a small model learns to see from.

Real Janus checkpoints come with eyes that know words. A network that starts from nothing learns where things are from
the one or two places that a thought names, which takes it tens of thousands of steps; a description names a dozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rig.annotators.base import prompt_hash
from rig.annotators.claims import WORDINGS, Claim, place_of, say
from rig.envs.crafter.facts import DIRECTIONS, OUTSIDE, VITALS, View, distance, offsets
from rig.records import Step

_VERSION = "1"
_UNSAID = ("grass", OUTSIDE)


class CrafterDescriber:
    """A Reasoner that ignores the action: what is faced, the nearest of each kind of thing, open ways, what is held."""

    name = f"crafter-views-{_VERSION}"
    prompt = prompt_hash(_VERSION + repr(sorted(WORDINGS.items())))

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return a description of each step's frame, always in the same words; its `privileged` facts are read."""
        said = [list(describe(View(step.privileged))) for step in steps]
        return [say(claims, [0] * len(claims)) for claims in said]


def describe(view: View) -> Iterator[Claim]:
    """Yield what `view` shows, the nearest things first."""
    yield Claim.of("front", thing=view.thing(view.facing))
    named = {view.thing(view.facing), *_UNSAID}
    for offset in sorted(offsets(), key=lambda offset: (distance(offset), offset)):
        thing = view.thing(offset)
        if thing not in named:
            named.add(thing)
            yield Claim.of("near", thing=thing, place=place_of(offset))
    for way, offset in DIRECTIONS.items():
        free = view.is_free(offset)
        yield Claim.of("open", way=way) if free else Claim.of("blocked", thing=view.thing(offset), way=way)
    for item, count in view.inventory.items():
        if item not in VITALS:
            yield Claim.of("have", item=item, n=count)
