"""What has to be done next for a Crafter task: the recipe book, from what the player holds and stands beside.

Both the expert, who sees the whole map, and the rule-based Reasoner, who sees one frame, read this book, so the
thoughts explain what the expert does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from rig.envs import TASKS
from rig.envs.crafter.facts import MATERIALS, OUTSIDE, WALKABLE
from rig.errors import RigError, UnknownNameError
from rig.registry import suggestion

TABLE_WOOD = 2
PICKAXE_WOOD = 1

RECIPES = (
    *("collect_wood", "collect_stone", "collect_coal", "collect_iron"),
    *("place_table", "explore", "build_wall", "make_stone_pickaxe"),
)
"""The tasks of Crafter's own, which `next_need` knows; a task that was added may bring a recipe."""

FOUND = tuple(sorted({*MATERIALS} - {OUTSIDE, *WALKABLE}))
"""What can be gathered and reached: what is not walked on."""

Verb = Literal["gather", "reach", "place", "make", "explore", "wall"]


@dataclass(frozen=True, kw_only=True)
class Need:
    """The next thing to do.

    Attributes:
        verb: what to do with `thing`.
        thing: a material to gather or reach, or what to place or make.
        item: the item counted towards it; empty where nothing is counted.
        want: how many of `item` are wanted in all.
    """

    verb: Verb
    thing: str
    item: str = ""
    want: int = 0

    @property
    def is_out_there(self) -> bool:
        """Whether `thing` must be found in the world, to be gathered or reached."""
        return self.verb in ("gather", "reach")


class Situation(Protocol):
    """What the recipes ask about the player."""

    def count(self, item: str) -> int:
        """Return how many of `item` the player holds."""
        ...

    def is_beside(self, kind: str, reach: int = 1) -> bool:
        """Return whether `kind` lies within `reach` cells around the player; crafting reaches 1."""
        ...

    def is_known(self, kind: str) -> bool:
        """Return whether `kind` is near enough to walk to rather than to make anew."""
        ...


def has_recipe(task: str) -> bool:
    """Return whether `next_need` knows the task called `task`."""
    return task in RECIPES or _added_recipe(task) is not None


def next_need(task: str, situation: Situation, *, remaining: int) -> Need:
    """Return what to do next for the task called `task`.

    Args:
        task: name of the task.
        situation: the player's hands and surroundings.
        remaining: samples still missing; for the wall, the stones still to be laid.

    Raises:
        UnknownNameError: there is no recipe for the task.
        RigError: the recipe that was added with it asks for what nobody can do.
    """
    if task == "explore":
        return Need(verb="explore", thing="far")
    if task == "place_table":
        return _table(situation, wood=TABLE_WOOD)
    if task == "build_wall":
        return _wall(situation, remaining)
    if task == "collect_wood":
        return _gather("tree", "wood", situation.count("wood") + remaining)
    if task == "make_stone_pickaxe":
        return _stone_pickaxe(situation)
    if task == "collect_iron":
        ready = situation.count("stone_pickaxe") > 0
        return _gather("iron", "iron", situation.count("iron") + remaining) if ready else _stone_pickaxe(situation)
    if task in ("collect_stone", "collect_coal"):
        thing = task.removeprefix("collect_")
        if not situation.count("wood_pickaxe"):
            return _wood_pickaxe(situation, wood=TABLE_WOOD + PICKAXE_WOOD)
        return _gather(thing, thing, situation.count(thing) + remaining)
    recipe = _added_recipe(task)
    if recipe is not None:
        return _possible(task, recipe(situation, remaining))
    raise UnknownNameError(
        f"there is no recipe for the Crafter task {task!r}; the expert and the recipes know {', '.join(RECIPES)}. "
        "Give a task of your own a recipe, or a --teacher of your own (docs/extending.md)"
    )


def _added_recipe(task: str) -> Callable[[Situation, int], Need] | None:
    """Return the recipe of a task that others have added to Crafter."""
    name = f"crafter/{task}"
    return TASKS.get(name).recipe if name in TASKS else None


def _possible(task: str, need: Need) -> Need:
    """Return a need of a recipe of others.

    Raises:
        RigError: the expert cannot follow it.
    """
    if not isinstance(need, Need):
        raise RigError(f"the recipe of the task {task!r} returned {need!r}; return a rig.teachers.crafter_needs.Need")
    if need.verb not in get_args(Verb):
        raise RigError(
            f"the recipe of the task {task!r} needs to {need.verb!r}.{suggestion(need.verb, get_args(Verb))} Known: "
            f"{', '.join(get_args(Verb))}."
        )
    if need.is_out_there and need.thing not in FOUND:
        raise RigError(
            f"the recipe of the task {task!r} needs to {need.verb} {need.thing!r}, which the expert cannot find."
            f"{suggestion(need.thing, FOUND)} Known: {', '.join(FOUND)}."
        )
    return need


def _gather(thing: str, item: str, want: int) -> Need:
    return Need(verb="gather", thing=thing, item=item, want=want)


def _table(situation: Situation, wood: int) -> Need:
    if situation.count("wood") < wood:
        return _gather("tree", "wood", wood)
    return Need(verb="place", thing="table")


def _wood_pickaxe(situation: Situation, wood: int) -> Need:
    """Make a wooden pickaxe, with `wood` gathered before a table is placed."""
    if situation.count("wood") >= PICKAXE_WOOD:
        if situation.is_beside("table"):
            return Need(verb="make", thing="wood_pickaxe")
        if situation.is_known("table"):
            return Need(verb="reach", thing="table")
    return _table(situation, wood)


def _stone_pickaxe(situation: Situation) -> Need:
    """Make a stone pickaxe. The table is placed beside stone, so that everything after it happens in one view."""
    wood = situation.count("wood")
    if not situation.count("wood_pickaxe"):
        need = _wood_pickaxe(situation, wood=TABLE_WOOD + 2 * PICKAXE_WOOD)
        if need.verb == "place" and not situation.is_beside("stone", reach=2):
            return Need(verb="reach", thing="stone")
        return need
    if situation.count("stone") < 1:
        return _gather("stone", "stone", 1)
    if situation.is_known("table"):
        if wood < PICKAXE_WOOD:
            return _gather("tree", "wood", PICKAXE_WOOD)
        beside = situation.is_beside("table")
        return Need(verb="make", thing="stone_pickaxe") if beside else Need(verb="reach", thing="table")
    return _table(situation, TABLE_WOOD + PICKAXE_WOOD)


def _wall(situation: Situation, remaining: int) -> Need:
    if situation.count("stone") >= remaining:
        return Need(verb="wall", thing="stone")
    if not situation.count("wood_pickaxe"):
        return _wood_pickaxe(situation, wood=TABLE_WOOD + PICKAXE_WOOD)
    return _gather("stone", "stone", remaining)
