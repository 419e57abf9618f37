"""A walk through what an agent imagines: each dream is of the one before it alone, so that it may be of any length."""

from __future__ import annotations

from dataclasses import replace

from rig.actions import Action
from rig.agents.policy import Policy
from rig.records import Dream, Observation, Plan, remembered


class DreamWalk:
    """Goes on from frame to dreamed frame.

    Args:
        policy: whose imagination.
        seen: where it begins.

    Attributes:
        seen: where it stands: the last dream, and what was done to come there.
    """

    def __init__(self, policy: Policy, seen: Observation) -> None:
        self._policy, self.seen = policy, seen

    def follow(self, action: Action, thought: str = "") -> Dream:
        """Return what is dreamed to come of an action, and stand there.

        Args:
            action: what is done.
            thought: what is thought before it.

        Raises:
            RigError: the agent does not dream, where it stands is no frame, or the thought cannot be said.
        """
        plan = Plan(thought=thought, action=action)
        self._policy.check_dream(self.seen, plan)
        (dream,) = self._policy.dream_of([self.seen], [plan])
        self.seen = seen_in(dream, self.seen)
        return dream


def seen_in(dream: Dream, before: Observation) -> Observation:
    """Return what is seen where a dream is taken for what really came of its action."""
    assert dream.frame is not None
    known = remembered(before.previous_action, before.earlier_actions)
    return replace(before, frame=dream.frame, previous_action=dream.action, earlier_actions=known)
