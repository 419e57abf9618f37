"""Says what a Crafter frame shows, whatever is done next: the descriptions that a small model learns to see from.

Real Janus checkpoints come with eyes that know words. A network that starts from nothing would learn where things are
from the one or two places that a thought names, which takes it very long. One describer names a few dozen places in the
words of thoughts; the other names every cell, which is learned first and tells a tree from grass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rig.annotators.base import prompt_hash
from rig.annotators.claims import WORDINGS, Claim, place_of, say
from rig.envs.crafter.facts import DIRECTIONS, OUTSIDE, OWN, VITALS, View, cells
from rig.records import Step

KINDS = (
    *("tree", "stone", "coal", "iron", "diamond", "table", "furnace", "water", "lava", "sand", "path", "tunnels"),
    *("plant", "cow", "zombie", "skeleton", "arrow"),
)
"""What is looked for, in the order in which it is named; grass is everywhere."""

NEAREST = 4
"""The most places that are told of one kind."""


class CrafterDescriber:
    """A Reasoner that ignores the action: where things are, what is faced, which ways are open, what is held."""

    name = "crafter-views-1"
    prompt = prompt_hash(repr((KINDS, sorted(WORDINGS.items()))))

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return a description of each step's frame, always in the same words; its `privileged` facts are read."""
        return [self._describe(View(step.privileged)) for step in steps]

    def _describe(self, view: View) -> str:
        claims = list(claims_of(view))
        return " ".join([*places_in(view), say(claims, [0] * len(claims))])


class CrafterCellNamer:
    """A Reasoner that ignores the action: what stands on every cell in view, row by row; "me" for the player."""

    name = "crafter-cells-1"
    prompt = prompt_hash("cells")

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return the names of each step's cells; its `privileged` facts are read."""
        return [" ".join(cells_of(View(step.privileged))) for step in steps]


def places_in(view: View) -> Iterator[str]:
    """Yield for each kind of thing in view where the nearest of it are, for example "Tree 2 left, 1 left and 3 up."."""
    for kind in KINDS:
        found = view.find(kind)[:NEAREST]
        if found:
            yield f"{kind.capitalize()} {', '.join(map(place_of, found))}."


def claims_of(view: View) -> Iterator[Claim]:
    """Yield what is faced, the ways that are open, and what is held."""
    yield Claim.of("front", thing=view.thing(view.facing))
    for way, offset in DIRECTIONS.items():
        free = view.is_free(offset)
        yield Claim.of("open", way=way) if free else Claim.of("blocked", thing=view.thing(offset), way=way)
    for item, count in view.inventory.items():
        if item not in VITALS:
            yield Claim.of("have", item=item, n=count)


def cells_of(view: View) -> Iterator[str]:
    """Yield what stands on each cell in view, row by row; "me" for the player."""
    for offset in cells():
        thing = view.thing(offset) if offset != OWN else "me"
        yield thing if thing != OUTSIDE else "nothing"
