"""A scripted expert for Minetest's tasks, by the facts of `privileged()["sight"]`: keys and 5-degree turns only.

It has no memory: the same state always gives the same action. It turns towards a thing before it acts on it, digs only
what is under the crosshair, and walks the engine's own ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rig.actions import NOOP, Action
from rig.envs import World
from rig.errors import RigError
from rig.teachers.minetest_aim import Aim, aim_at

ATTACK = Action.press("attack")
_DOWN = 85
"""Pitch at which one looks at what one stands on."""

_WALKING_PITCH, _NEAR_PITCH = 15, 35
_NEAR = 4
"""Nodes of a way from which on one looks at the ground before one."""

_STRAIGHT = 10
"""Degrees within which one runs while turning."""

_FAR = 6
"""Nodes of a way from which on it is run."""

_ARM = 4.4
"""From the eye to the middle of a node that may still be in reach."""

_SAME_WAY = 30
"""Degrees within which one walks while turning."""

_BLOCKS = "hotbar.2"
Point = Sequence[float]


class MinetestExpert:
    """Solves the six tasks of RIG's paper in `rig.envs.minetest.tasks`; it does not craft."""

    name = "minetest-expert-1"

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
        return way(world.privileged())


def gather(facts: dict[str, Any]) -> Action:
    """Dig what is wanted: under the crosshair, else in view and in reach, else where the way leads."""
    sight = facts["sight"]
    below = [sight["feet"][0], sight["feet"][1] - 1, sight["feet"][2]]
    if facts["pointed"] and facts["pointed"]["under"] in sight["wanted"] and facts["pointed"]["under"] != below:
        return ATTACK
    seen = [one["middle"] for one in sight["seen"] if one["at"] != below]
    if seen:
        return _dig(facts, _least_turn(facts, seen))
    if len(sight["way"]) > 1:
        return walk(facts)
    near = [node for node in sight["wanted"] if node != below and aim_at(facts, node).distance < _ARM]
    return _dig(facts, _least_turn(facts, near)) if near else walk(facts)


def dig_down(facts: dict[str, Any]) -> Action:
    """Look down, and dig."""
    aim = _down(facts)
    return ATTACK if aim.is_done else Action.press(camera=aim.camera)


def build_up(facts: dict[str, Any]) -> Action:
    """Take the blocks in hand, look down, and put one under each jump."""
    if facts["hotbar"] != int(_BLOCKS.rpartition(".")[2]):
        return Action.press(_BLOCKS)
    aim = _down(facts)
    return Action.press("jump", "use") if aim.is_done else Action.press(camera=aim.camera)


def walk(facts: dict[str, Any]) -> Action:
    """Follow the way: look along it, jump where it goes up, run where it is long."""
    heading, feet, left = facts["sight"]["heading"], facts["sight"]["feet"], len(facts["sight"]["way"])
    if not heading:
        return NOOP
    aim = aim_at(facts, heading, _NEAR_PITCH if left <= _NEAR else _WALKING_PITCH)
    if abs(aim.yaw) > _SAME_WAY:
        return Action.press(camera=aim.camera)
    keys = ["forward"]
    if heading[1] > feet[1]:
        keys.append("jump")
    elif left > _FAR and abs(aim.yaw) <= _STRAIGHT:
        keys.append("sprint")
    return Action.press(*keys, camera=aim.camera)


def _dig(facts: dict[str, Any], point: Point) -> Action:
    """Turn to a point of a node; what stands before it is dug too, and what is still too far is approached."""
    aim = aim_at(facts, point)
    if not aim.is_done:
        return Action.press(camera=aim.camera)
    return ATTACK if facts["pointed"] else Action.press("forward")


def _least_turn(facts: dict[str, Any], points: Sequence[Point]) -> Point:
    return min(points, key=lambda point: (aim_at(facts, point).size, point))


def _down(facts: dict[str, Any]) -> Aim:
    """Return the turn to what one stands on; which way one faces does not matter."""
    x, y, z = facts["position"]
    return replace(aim_at(facts, (x, y - 1, z), _DOWN), yaw=0)


_WAYS: Mapping[str, Callable[[dict[str, Any]], Action]] = {
    "chop_a_tree": gather,
    "break_grass": gather,
    "collect_dirt": gather,
    "dig_down": dig_down,
    "go_explore": walk,
    "build_a_tower": build_up,
}
