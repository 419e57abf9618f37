"""Decisions in the making, and dreams beside them, in the passes of one stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rig.agents.planners import Planner
from rig.agents.state import Substitute
from rig.engine import Conversation, Ended, Slot, Stream
from rig.records import Cost, Decision, Dream, Observation, Plan


class PolicyDeciding:
    """Decisions in the making, each at its own pace; made by `Policy.deciding`.

    Args:
        stream: where conversations are held.
        converse: what each of them says.
        imagine: what one says that dreams alone.
    """

    def __init__(
        self,
        stream: Stream[Decision | Dream],
        converse: Callable[[Slot, Observation, int, Substitute | None, Planner | None], Conversation[Decision]],
        imagine: Callable[[Observation, Plan, Slot], Conversation[Dream]],
    ) -> None:
        self._stream, self._converse, self._imagine = stream, converse, imagine
        self._keys: dict[int, int] = {}

    def submit(
        self,
        key: int,
        observation: Observation,
        seed: int,
        substitute: Substitute | None = None,
        planner: Planner | None = None,
    ) -> None:
        """Hand in an observation under a key of the caller's; the decision follows from it and the seed alone.

        Args:
            key: the caller's.
            observation: what is seen.
            seed: of the decision.
            substitute: where given, what it shows takes the place of every dream.
            planner: comes to the decision in the place of the policy's own; it dreams no further than that one.
        """
        ticket = self._stream.submit(seed, lambda slot: self._converse(slot, observation, seed, substitute, planner))
        self._keys[ticket] = key

    def submit_dream(self, key: int, observation: Observation, plan: Plan) -> None:
        """Hand in a plan, of which a dream is wanted and no decision; see `Policy.dream_of`."""
        self._keys[self._stream.submit(0, partial(self._imagine, observation, plan))] = key

    def next(self) -> tuple[int, Decision]:
        """Return the next decision that is made, and its key; to be called where no dream was handed in."""
        key, decision = self._keyed(self._stream.next())
        assert isinstance(decision, Decision)
        return key, decision

    def advance(self) -> list[tuple[int, Decision | Dream]]:
        """Go on by one pass, and return what is made by it, with the keys; more may come meanwhile."""
        return [self._keyed(ended) for ended in self._stream.advance()]

    def _keyed(self, ended: Ended[Decision | Dream]) -> tuple[int, Decision | Dream]:
        made = ended.value
        if isinstance(made, Decision):
            made = replace(made, cost=made.cost + Cost(seconds=ended.seconds))
        return self._keys.pop(ended.ticket), made
