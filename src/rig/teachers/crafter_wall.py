"""How to lay stones in a line in Crafter, where pressing a key towards a free cell walks there."""

from __future__ import annotations

from rig.actions import Action
from rig.envs.crafter.ground import IMPASSABLE, Position, plus
from rig.teachers.crafter_gaps import run_up
from rig.teachers.crafter_moment import Moment


def lay_stone(moment: Moment) -> Action:
    """Return the next action of building a wall: place a stone, or get to where one can be placed."""
    gap = moment.next_gap()
    return _fill(moment, *gap) if gap else moment.leave_corner()


def _fill(moment: Moment, gap: Position, side: Position) -> Action:
    """Return the next action of filling a gap: lay the stone, step up to it, or walk to where one steps up from."""
    stand, start = plus(gap, side), run_up((gap, side))
    if (moment.here, moment.faced) == (stand, gap):
        return Action.press("place_stone")
    if moment.here in (start, gap):
        return moment.enter(stand)
    kept = moment.costs[gap]
    moment.costs[gap] = IMPASSABLE
    action = moment.walk([start])
    moment.costs[gap] = kept
    return action
