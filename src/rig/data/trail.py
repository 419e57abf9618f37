"""What was executed before a step, as far as the steps before it in its trajectory tell: no column need hold it."""

from __future__ import annotations

from rig.actions import Action
from rig.records import remembered

_BRANCH = "branch"
"""The stage whose trajectories are no episodes: their steps begin in states here and there, though they are numbered
one after the other."""


class ActionTrail:
    """The actions executed on the way through a trajectory, whose steps are passed in order.

    Args:
        stage: which wrote it (`Lineage.stage`).
    """

    def __init__(self, stage: str) -> None:
        self._is_episode = stage != _BRANCH
        self._next: int | None = None
        self._executed: tuple[Action, ...] = ()

    def before(self, index: int) -> tuple[Action, ...]:
        """Return the `earlier_actions` of the step at `index`; none where it is not the one behind the last passed."""
        return self._executed if self._is_episode and index == self._next else ()

    def go_on(self, index: int, previous: Action, earlier: tuple[Action, ...]) -> None:
        """Pass the step at `index`, before which these actions were executed."""
        self._next, self._executed = index + 1, remembered(previous, earlier)
