"""A scripted expert for Crafter that sees the whole map.

It has no memory: the same state always gives the same action, targets in view come before targets out of view, and of
equally short ways it takes the one that goes straight on. What it does can therefore be learned from a frame and the
previous action, as far as the frame shows the reason.

`crafter_needs` says what has to be done next, `crafter_moment` what the map allows, `crafter_gaps` where the next stone
of a wall goes.
"""

from __future__ import annotations

from rig.actions import NOOP, Action
from rig.envs import World
from rig.envs.crafter.world import CrafterWorld
from rig.errors import RigError
from rig.teachers.crafter_moment import Moment
from rig.teachers.crafter_needs import Need, next_need


class CrafterExpert:
    """Solves every task of `rig.envs.crafter.tasks`.

    Attributes:
        moment: what it knows of a state.
    """

    name = "crafter-expert-1"
    moment = Moment

    def act(self, world: World) -> Action:
        """Return the expert's action in the current state of a `CrafterWorld`.

        Raises:
            RigError: it is another world.
            UnknownNameError: it knows no recipe for the task.
        """
        if not isinstance(world, CrafterWorld):
            raise RigError(
                f"the expert for Crafter cannot play in {world.name!r}; give that world's own with --teacher"
            )
        return _decide(self.moment(world))


def _decide(moment: Moment) -> Action:
    """Return the action to take: none in sleep, then whatever a foe asks for, then what the task needs next."""
    if moment.player.sleeping:
        return NOOP
    foe = moment.foe_beside()
    if foe is not None:
        return moment.strike(foe)
    task = moment.world.task
    return _follow(next_need(task.name, moment, remaining=moment.remaining), moment)


def _follow(need: Need, moment: Moment) -> Action:
    """Return the next action towards a need."""
    if need.verb == "make":
        return Action.press(f"make_{need.thing}")
    if need.verb == "place":
        return moment.place(need.thing)
    if need.verb == "wall":
        return moment.build_wall()
    if need.verb == "explore":
        return moment.explore()
    return moment.walk_to(need.thing)
