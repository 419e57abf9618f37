"""A scripted expert for Minetest's tasks, by the facts of `privileged()`: keys and 5-degree turns only.

It has no memory: the same state always gives the same action. It turns to the right until what it goes for is in the
frame, looks at a thing before it acts on it, digs only what is under the crosshair, and walks the engine's own ways.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from rig.actions import NOOP, Action
from rig.envs import World
from rig.errors import RigError
from rig.teachers.minetest_aim import IN_FRAME, SEARCH_PITCH, Aim, aim_at, reach_to, turn_by
from rig.teachers.minetest_craft import RECIPES, craft

ATTACK = Action.press("attack")
_DOWN = 85
"""Pitch at which one looks at what one stands on."""

_NEAR_PITCH = 35
_NEAR = 4
"""Nodes of a way from which on one looks at the ground before one."""

_STRAIGHT = 10
"""Degrees within which one runs while turning."""

_FAR = 6
"""Nodes of a way from which on it is run."""

_NEXT = 4
"""Places of a way before one that are cleared."""

_RUN = 3
"""Nodes from the eye to where one goes straight, from which on one runs there."""

_ARM = 4.4
"""From the eye to the middle of a node that may still be in reach."""

_ABOVE = 0.4
"""Nodes to the side of the middle of what is met when one looks straight up."""

_BESIDE = 1.5
"""Nodes between neighbours, at the most."""

_AT_REST = 0.05
"""Nodes a second up or down."""

_SAME_WAY = 30
"""Degrees within which one walks while turning."""

_TOOL, _BLOCKS = 1, 2
"""Places of the hotbar."""

Way = Callable[[dict[str, Any]], Action]


class MinetestExpert:
    """Solves all tasks of `rig.envs.minetest.tasks`."""

    name = "minetest-expert-6"

    def act(self, world: World) -> Action:
        """Return the expert's action in the current state of a `MinetestWorld`.

        Raises:
            RigError: it does not know the task.
        """
        way = _WAYS.get(world.task.name)
        if way is None:
            raise RigError(
                f"the Minetest expert does not know the task {world.task.name!r}; give it one of {', '.join(_WAYS)}"
            )
        facts = world.privileged()
        return _get_ready(facts, way) or way(facts)


def _get_ready(facts: dict[str, Any], way: Way) -> Action | None:
    """Close a menu that is not needed, and take in hand what is; None where nothing is to be done."""
    if way in _CRAFTING.values():
        return None
    if facts["menu_open"]:
        return NOOP if "ESC" in facts["keys"] else Action.press("ESC")
    place = _BLOCKS if way is build_up else _TOOL
    return None if facts["hotbar"] == place else Action.press(f"hotbar.{place}")


def gather(facts: dict[str, Any]) -> Action:
    """Dig what is wanted: under the crosshair, else in reach, else where the way leads; what the frame shows first.

    Who sees no more than the frame can learn to go for what is in it, and to turn to the right where nothing is.
    """
    sight, pointed = facts["sight"], facts["pointed"]
    below = [sight["feet"][0], sight["feet"][1] - 1, sight["feet"][2]]
    if pointed and pointed["is_sure"] and pointed["under"] in sight["wanted"] and pointed["under"] != below:
        return ATTACK
    turns = [turn_by(facts, *one["turn"]) for one in sight["seen"] if one["at"] != below]
    if turns and (_least(turns).is_in_frame or not sight["is_shown"]):
        return _dig(facts, _least(turns))
    if len(sight["way"]) > 1:
        return walk(facts)
    near = [aim_at(facts, node) for node in sight["wanted"] if node != below and reach_to(facts, node) < _ARM]
    return _dig(facts, _least(near)) if near else walk(facts)


def dig_down(facts: dict[str, Any]) -> Action:
    """Look down, and dig; into a hole beside which one stands, step."""
    aim = _down(facts)
    if not aim.is_done:
        return Action.press(camera=aim.camera)
    x, _, z = facts["position"]
    return Action.press(_key_towards(facts, round(x), round(z))) if _is_over_edge(facts) else ATTACK


def build_up(facts: dict[str, Any]) -> Action:
    """Look down, and put a block under each jump; from an edge, creep back."""
    aim = _down(facts)
    if not aim.is_done:
        return Action.press(camera=aim.camera)
    if _is_over_edge(facts):
        x, _, z = facts["sight"]["ground"]
        return Action.press("sneak", _key_towards(facts, x, z))
    return Action.press("jump", "use")


def walk(facts: dict[str, Any]) -> Action:
    """Follow the way: look along it, jump where it goes up, run where it is long, dig what hangs into it.

    Where what it leads to can be seen, one turns to its beginning by the shorter side.
    """
    sight = facts["sight"]
    heading, left = sight["heading"], len(sight["way"])
    if not heading:
        return NOOP
    if sight["is_up"] and sight["roof"]:
        return _dig(facts, _up(facts, sight["roof"]))
    aim = aim_at(facts, heading, _NEAR_PITCH if left <= _NEAR else SEARCH_PITCH)
    if abs(aim.yaw) > _SAME_WAY:
        return Action.press(camera=aim.straight if _keeps_the_end_in_sight(facts, aim) else aim.camera)
    if _is_blocked(facts):
        return ATTACK
    keys = ["forward"]
    if sight["is_up"]:
        keys.append("jump")
    elif left > _FAR and abs(aim.yaw) <= _STRAIGHT and reach_to(facts, heading) > _RUN:
        keys.append("sprint")
    return Action.press(*keys, camera=aim.camera)


def _keeps_the_end_in_sight(facts: dict[str, Any], turn: Aim) -> bool:
    """Return whether what the way leads to, its end or what is beside that, is in the frame and stays so in a turn."""
    sight = facts["sight"]
    end = sight["way"][-1]
    places = [end, *(node for node in sight["wanted"] if math.dist(node, end) < _BESIDE)]
    aims = [aim_at(facts, place) for place in places]
    return any(aim.is_in_frame and abs(aim.yaw - turn.yaw) <= 2 * IN_FRAME for aim in aims)


def _is_blocked(facts: dict[str, Any]) -> bool:
    """Return whether a node under the crosshair fills the next places of the way, feet or head, and can be dug.

    The engine's ways lead under leaves that leave no room for the head.
    """
    pointed = facts["pointed"]
    if not pointed or pointed["dig_seconds"] < 0:
        return False
    x, y, z = pointed["under"]
    steps = pairwise(facts["sight"]["way"][:_NEXT])
    return any((x, z) == (to[0], to[2]) and to[1] <= y <= max(at[1], to[1]) + 1 for at, to in steps)


def _dig(facts: dict[str, Any], aim: Aim) -> Action:
    """Turn to a node; what stands before it is dug too, and what is still too far is approached."""
    if not aim.is_done:
        return Action.press(camera=aim.camera)
    return ATTACK if facts["pointed"] else Action.press("forward")


def _is_over_edge(facts: dict[str, Any]) -> bool:
    """Return whether one stands, but not on what is straight below the eye."""
    ground, pointed = facts["sight"]["ground"], facts["pointed"]
    return bool(ground) and abs(facts["velocity"][1]) < _AT_REST and (not pointed or pointed["under"][1] < ground[1])


def _key_towards(facts: dict[str, Any], x: float, z: float) -> str:
    """Return the key that moves nearest to the direction of a place, wherever one looks."""
    right = math.degrees(math.atan2(x - facts["position"][0], z - facts["position"][2])) - facts["yaw"]
    return ("forward", "right", "back", "left")[round(right / 90) % 4]


def _least(aims: Sequence[Aim]) -> Aim:
    """Return the smallest turn, but one to what is in the frame before any to what is not."""
    return min(aims, key=lambda aim: (not aim.is_in_frame, aim.size, aim.pitch, aim.yaw))


def _down(facts: dict[str, Any]) -> Aim:
    """Return the turn to what one stands on; which way one faces does not matter."""
    x, y, z = facts["position"]
    return replace(aim_at(facts, (x, y - 1, z), _DOWN), yaw=0)


def _up(facts: dict[str, Any], roof: Sequence[float]) -> Aim:
    """Return the turn to what one would hit with one's head; straight above, which way one faces does not matter."""
    aim, (x, _, z) = aim_at(facts, roof), facts["position"]
    return replace(aim, yaw=0) if math.hypot(roof[0] - x, roof[2] - z) < _ABOVE else aim


_CRAFTING: Mapping[str, Way] = {task: partial(craft, recipe=recipe) for task, recipe in RECIPES.items()}
_WAYS: Mapping[str, Way] = {
    "chop_a_tree": gather,
    "break_grass": gather,
    "collect_dirt": gather,
    "dig_down": dig_down,
    "go_explore": walk,
    "build_a_tower": build_up,
    **_CRAFTING,
}
