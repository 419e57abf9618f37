"""Names what each patch of a Crafter frame shows: the labels that a small model's eyes learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rig.annotators.evidence import Evidence, Informed
from rig.annotators.rules import RuleLabeller
from rig.envs.crafter.facts import NEAREST_FIRST, OWN, ROWS, WAYS, View, cells
from rig.envs.crafter.simulator import VIEW, constants

KINDS = (
    *("tree", "stone", "coal", "iron", "diamond", "table", "furnace", "water", "lava", "sand", "path", "tunnels"),
    *("plant", "cow", "zombie", "skeleton", "arrow"),
)
"""What is ranked by nearness; grass is everywhere."""

FARTHEST = 4
"""The rank that stands for itself and all beyond."""


class CrafterLabeller(RuleLabeller):
    """Labels of 9 × 9 patches: things with their rank by nearness, the player, items with their count.

    "tree 0" is the nearest tree, "tree 1" the next one; "me left" the player facing left; "wood 3" an item held.
    """

    name = "crafter-patches-1"

    def answer(self, known: Informed[Evidence]) -> list[str]:
        """Return the labels of a frame, row by row; its facts are read."""
        view = View(known.facts)
        return [*_map_labels(view), *_item_labels(view)]


def _map_labels(view: View) -> Iterator[str]:
    nearer: Counter[str] = Counter()
    labels = {OWN: "asleep" if view.facts["sleeping"] else f"me {WAYS[view.facing]}"}
    for offset in NEAREST_FIRST:
        thing = view.thing(offset)
        labels[offset] = f"{thing} {min(nearer[thing], FARTHEST)}" if thing in KINDS else thing
        nearer[thing] += 1
    return (labels[offset] for offset in cells())


def _item_labels(view: View) -> Iterator[str]:
    """Yield the label of each slot of the inventory, which Crafter draws below the map in an order of its own."""
    for name in constants.items:
        count = view.count(name)
        yield f"{name} {count}" if count else "empty"
    slots = (VIEW[1] - ROWS) * VIEW[0]
    yield from ["empty"] * (slots - len(constants.items))
