"""What one client's decisions leave behind: what was executed, and how many there were."""

from __future__ import annotations

from rig.actions import NOOP, Action, ActionSpace
from rig.agents.agent import decision_seed
from rig.client.messages import Asked
from rig.records import Decision, Frame, Observation, remembered


class Session:
    """A session; its draws begin anew, those of `rig.load_agent()` with its seed 0.

    Args:
        space: the agent's action space.
    """

    def __init__(self, space: ActionSpace) -> None:
        self._space = space
        self._previous: Action = NOOP
        self._earlier: tuple[Action, ...] = ()
        self._made = 0

    def asked(self, ask: Asked, frame: Frame) -> tuple[Observation, int]:
        """Return what is observed, and the seed of the decision.

        Raises:
            ActionError: an action is none of the space.
        """
        previous, earlier = (NOOP, ()) if ask.reset else (self._previous, self._earlier)
        if ask.previous_action is not None:
            previous = self._space.parse(ask.previous_action)
        if ask.earlier_actions is not None:
            earlier = tuple(map(self._space.parse, ask.earlier_actions))
        seen = Observation(frame=frame, instruction=ask.instruction, previous_action=previous, earlier_actions=earlier)
        return seen, decision_seed(0, self._made) if ask.seed is None else ask.seed

    def decided(self, ask: Asked, seen: Observation, decision: Decision) -> None:
        """Take it that a decision is executed."""
        self._made += ask.seed is None
        self._previous, self._earlier = decision.action, remembered(seen.previous_action, seen.earlier_actions)
