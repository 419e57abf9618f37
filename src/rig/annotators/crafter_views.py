"""Says what a Crafter frame shows, whatever is done next: the descriptions that a small model learns to see from.

Real Janus checkpoints come with eyes that know words. A network that starts from nothing would learn where things are
from the one or two places that a thought names, which takes it very long. One describer names the nearest of each kind
in the words of thoughts; the other names every cell, which is learned first and tells a tree from grass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rig.annotators.base import prompt_hash
from rig.annotators.claims import WORDINGS, Claim, place_of, say
from rig.envs.crafter.facts import DIRECTIONS, HALF, OUTSIDE, VITALS, View
from rig.records import Step

KINDS = (
    *("tree", "stone", "coal", "iron", "diamond", "table", "furnace", "water", "lava", "sand", "path", "tunnels"),
    *("plant", "cow", "zombie", "skeleton", "arrow"),
)
"""What is looked for, in the order in which it is named; grass is everywhere."""


class CrafterDescriber:
    """A Reasoner that ignores the action: what is faced, the nearest of each kind of thing, open ways, what is held."""

    name = "crafter-views-1"
    prompt = prompt_hash(repr((KINDS, sorted(WORDINGS.items()))))

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return a description of each step's frame, always in the same words; its `privileged` facts are read."""
        views = [list(claims_of(View(step.privileged))) for step in steps]
        return [say(claims, [0] * len(claims)) for claims in views]


class CrafterCellNamer:
    """A Reasoner that ignores the action: what stands on every cell in view, row by row; "me" for the player."""

    name = "crafter-cells-1"
    prompt = prompt_hash("cells")

    def reason(self, steps: Sequence[Step]) -> list[str]:
        """Return the names of each step's cells; its `privileged` facts are read."""
        return [" ".join(cells_of(View(step.privileged))) for step in steps]


def claims_of(view: View) -> Iterator[Claim]:
    """Yield what is faced, the nearest of each kind of thing, the ways that are open, and what is held."""
    yield Claim.of("front", thing=view.thing(view.facing))
    for kind in KINDS:
        others = [offset for offset in view.find(kind) if offset != view.facing]
        if others:
            yield Claim.of("near", thing=kind, place=place_of(others[0]))
    for way, offset in DIRECTIONS.items():
        free = view.is_free(offset)
        yield Claim.of("open", way=way) if free else Claim.of("blocked", thing=view.thing(offset), way=way)
    for item, count in view.inventory.items():
        if item not in VITALS:
            yield Claim.of("have", item=item, n=count)


def cells_of(view: View) -> Iterator[str]:
    """Yield what stands on each cell in view, row by row; "me" for the player."""
    for dy in range(-HALF[1], HALF[1] + 1):
        for dx in range(-HALF[0], HALF[0] + 1):
            thing = view.thing((dx, dy)) if (dx, dy) != (0, 0) else "me"
            yield thing if thing != OUTSIDE else "nothing"
