"""Names what each patch of a Crafter frame shows: the labels that a small model's eyes learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rig.envs.crafter.engine import VIEW, constants
from rig.envs.crafter.facts import DIRECTIONS, OWN, ROWS, View, cells
from rig.records import Step

KINDS = (
    *("tree", "stone", "coal", "iron", "diamond", "table", "furnace", "water", "lava", "sand", "path", "tunnels"),
    *("plant", "cow", "zombie", "skeleton", "arrow"),
)
"""What is ranked by nearness; grass is everywhere."""

FARTHEST = 4
"""The rank that stands for itself and all beyond."""

_WAYS = {offset: way for way, offset in DIRECTIONS.items()}


class CrafterLabeller:
    """Labels of 9 × 9 patches: things with their rank by nearness, the player, items with their count.

    "tree 0" is the nearest tree, "tree 1" the next one; "me left" the player facing left; "wood 3" an item held.
    """

    name = "crafter-patches-1"

    def label(self, steps: Sequence[Step]) -> list[list[str]]:
        """Return the labels of each step's frame, row by row; its `privileged` facts are read."""
        return [self._label(View(step.privileged)) for step in steps]

    def _label(self, view: View) -> list[str]:
        return [*_map_labels(view), *_item_labels(view)]


def _map_labels(view: View) -> Iterator[str]:
    ranks = {offset: min(rank, FARTHEST) for kind in KINDS for rank, offset in enumerate(view.find(kind))}
    for offset in cells():
        thing = view.thing(offset)
        if offset == OWN:
            yield "asleep" if view.facts["sleeping"] else f"me {_WAYS[view.facing]}"
        else:
            yield f"{thing} {ranks[offset]}" if offset in ranks else thing


def _item_labels(view: View) -> Iterator[str]:
    """Yield the label of each slot of the inventory, which Crafter draws below the map in an order of its own."""
    slots = (VIEW[1] - ROWS) * VIEW[0]
    names = list(constants.items)
    for slot in range(slots):
        count = view.count(names[slot]) if slot < len(names) else 0
        yield f"{names[slot]} {count}" if count else "empty"
