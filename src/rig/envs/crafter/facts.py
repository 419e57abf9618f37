"""What the engine knows about the part of the world that the frame shows, as plain JSON-like facts.

Annotators and checks read these facts and nothing else of the engine, so a thought cannot leak what lies out of view.
Offsets are (right, down) in cells from the player: (-2, -1) is two left and one up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rig.envs.crafter.simulator import AREA, CrafterSimulator
from rig.envs.facts import refuse_other_facts

COLUMNS, ROWS = 9, 7
HALF = (COLUMNS // 2, ROWS // 2)
OUTSIDE = "outside"
MATERIALS = {
    "grass": ".",
    "sand": ",",
    "path": "_",
    "tree": "T",
    "stone": "s",
    "coal": "c",
    "iron": "i",
    "diamond": "d",
    "water": "w",
    "lava": "l",
    "table": "t",
    "furnace": "f",
    OUTSIDE: " ",
}
_NAMES = {letter: name for name, letter in MATERIALS.items()}
WALKABLE = frozenset({"grass", "sand", "path"})
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
WAYS = {offset: way for way, offset in DIRECTIONS.items()}
VITALS = ("health", "food", "drink", "energy")

_MOVE = "move_"
_READ = ("view", "facing", "inventory", "creatures")
"""The facts that a `View` is of."""

Offset = tuple[int, int]

OWN: Offset = (0, 0)
"""Where the player stands."""


def read_facts(engine: CrafterSimulator) -> dict[str, Any]:
    """Return the facts of the current state.

    `view` holds the materials of the 7 rows of 9 cells, a letter a cell (`MATERIALS`); `creatures` what stands on
    them; `facing` the player's direction; `inventory` every item held, vitals included; `position`, `time` and
    `daylight` (0 dark, 1 bright) what no thought mentions.
    """
    world, player = engine.world, engine.player
    x0, y0 = (int(value) for value in player.pos)
    rows = [
        "".join(MATERIALS[_material(engine, (x0 + dx, y0 + dy))] for dx in range(-HALF[0], HALF[0] + 1))
        for dy in range(-HALF[1], HALF[1] + 1)
    ]
    creatures = []
    for found in world.objects:
        offset = (int(found.pos[0]) - x0, int(found.pos[1]) - y0)
        if found is not player and in_view(offset):
            creatures.append({"kind": _kind(found), "texture": found.texture, "at": list(offset)})
    return {
        "view": rows,
        "creatures": creatures,
        "facing": [int(value) for value in player.facing],
        "sleeping": bool(player.sleeping),
        "inventory": {name: int(count) for name, count in player.inventory.items() if count > 0},
        "position": [x0, y0],
        "time": int(engine.time),
        "daylight": float(world.daylight),
    }


class View:
    """Questions about a state's facts.

    Args:
        facts: what `read_facts` returned.

    Raises:
        RigError: they are those of another world.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        refuse_other_facts(facts, _READ, "Crafter")
        self.facts = facts
        self.facing: Offset = (facts["facing"][0], facts["facing"][1])
        self.inventory: Mapping[str, int] = facts["inventory"]
        self.creatures: dict[Offset, str] = {(c["at"][0], c["at"][1]): c["kind"] for c in facts["creatures"]}

    @property
    def belongings(self) -> dict[str, int]:
        """What is held and how many, without the vitals, in the order in which the frame shows it."""
        return {item: count for item, count in self.inventory.items() if item not in VITALS}

    def material(self, offset: Offset) -> str:
        """Return the material at `offset`; cells out of view are "outside"."""
        if not in_view(offset):
            return OUTSIDE
        return _NAMES[self.facts["view"][offset[1] + HALF[1]][offset[0] + HALF[0]]]

    def thing(self, offset: Offset) -> str:
        """Return what stands at `offset`: the creature there, or else the material."""
        return self.creatures.get(offset) or self.material(offset)

    def is_free(self, offset: Offset) -> bool:
        """Return whether the player could step onto `offset`."""
        return offset not in self.creatures and self.material(offset) in WALKABLE

    def find(self, kind: str) -> list[Offset]:
        """Return where `kind` (a material or a creature) is in view, nearest first."""
        return [offset for offset in NEAREST_FIRST if self.thing(offset) == kind]

    def is_beside(self, kind: str, reach: int = 1) -> bool:
        """Return whether `kind` lies within `reach` cells around the player; crafting reaches 1."""
        return any(max(abs(dx), abs(dy)) <= reach for dx, dy in self.find(kind))

    def is_known(self, kind: str) -> bool:
        """Return whether `kind` is in view."""
        return bool(self.find(kind))

    def count(self, item: str) -> int:
        """Return how many of `item` the player holds."""
        return self.inventory.get(item, 0)


def longest_line(places: set[Offset]) -> int:
    """Return the length of the longest horizontal or vertical line of adjacent `places`."""
    longest = 0
    for dx, dy in ((1, 0), (0, 1)):
        for x, y in places:
            if (x - dx, y - dy) in places:
                continue
            length = 0
            while (x + length * dx, y + length * dy) in places:
                length += 1
            longest = max(longest, length)
    return longest


def direction_of(key: str) -> Offset | None:
    """Return the way that a key turns or moves the player, None for any other key."""
    return DIRECTIONS.get(key.removeprefix(_MOVE)) if key.startswith(_MOVE) else None


def cells() -> Iterator[Offset]:
    """Yield the offset of every cell in view, row by row."""
    for dy in range(-HALF[1], HALF[1] + 1):
        for dx in range(-HALF[0], HALF[0] + 1):
            yield dx, dy


def offsets() -> Iterator[Offset]:
    """Yield the offset of every cell in view except the player's own."""
    return (offset for offset in cells() if offset != OWN)


def in_view(offset: Offset) -> bool:
    """Return whether the frame shows the cell at `offset`."""
    return abs(offset[0]) <= HALF[0] and abs(offset[1]) <= HALF[1]


def distance(offset: Offset) -> int:
    """Return the steps to `offset` over open ground."""
    return abs(offset[0]) + abs(offset[1])


def is_closer(step: Offset, offset: Offset) -> bool:
    """Return whether a step of the player brings `offset` closer."""
    return distance((offset[0] - step[0], offset[1] - step[1])) < distance(offset)


NEAREST_FIRST: tuple[Offset, ...] = tuple(sorted(offsets(), key=lambda offset: (distance(offset), offset)))
"""Every cell in view except the player's own, by distance."""


def _material(engine: CrafterSimulator, position: Offset) -> str:
    if not (0 <= position[0] < AREA[0] and 0 <= position[1] < AREA[1]):
        return OUTSIDE
    return engine.world[position][0]


def _kind(creature: Any) -> str:
    return type(creature).__name__.lower()
