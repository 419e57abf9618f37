"""One thread in which decisions are made, those of all clients in the engine's common passes.

Whoever asks joins at the next pass, and whoever is done leaves: nobody waits for a batch to fill, or to end. What is
decided follows from what is seen and from the seed alone (`rig.agents.policy`), whoever shares the passes.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from threading import Condition, Thread
from typing import Any

import torch

from rig.agents.deciding import PolicyDeciding
from rig.agents.policy import Policy
from rig.records import Decision, Dream, Observation, Plan
from rig.serve.refusals import Refusing, busy, draining

_LOG = logging.getLogger("rig.serve")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Wanted:
    observation: Observation
    seed: int = 0
    plan: Plan | None = None
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """Makes decisions for many who ask at any time.

    Args:
        policy: who decides; used by this thread alone from now on.
        places: decisions that share the passes.
        waiting: decisions that wait for a place at the most.
    """

    def __init__(self, policy: Policy, *, places: int, waiting: int) -> None:
        self._policy, self._places, self._most_waiting = policy, places, waiting
        self._changed = Condition()
        self._waiting: deque[_Wanted] = deque()
        self._making: dict[int, _Wanted] = {}
        self._is_draining = self._is_closed = False
        self._threads = torch.get_num_threads()
        self._thread = Thread(target=self._run, name="rig-batcher", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Decisions that wait for a place."""
        return len(self._waiting)

    @property
    def making(self) -> int:
        """Decisions that are being made."""
        return len(self._making)

    @property
    def is_draining(self) -> bool:
        """Whether nothing more is taken."""
        return self._is_draining

    @property
    def is_alive(self) -> bool:
        """Whether decisions are made."""
        return self._thread.is_alive()

    def refuse_if_full(self) -> None:
        """Raise where nothing more would be taken now.

        Raises:
            Refusing: everything that may wait does, or the server ends.
        """
        if self._is_draining:
            raise draining()
        if len(self._waiting) >= self._most_waiting:
            raise busy(f"{len(self._waiting)} decisions wait, and no more may")

    def submit(self, observation: Observation, seed: int) -> Future[Decision]:
        """Return what will be the decision; cancelling it is no use once it is being made, and does no harm.

        Args:
            observation: one that `Policy.check_observation` lets pass.
            seed: what draws follow from.

        Raises:
            Refusing: as of `refuse_if_full`.
        """
        return self._submit(_Wanted(observation=observation, seed=seed)).future

    def submit_dream(self, observation: Observation, plan: Plan, *, goes_on: bool = False) -> Future[Dream]:
        """Return what will be dreamed to come of a plan's action, of what `Policy.check_dream` lets pass.

        Args:
            observation: what is seen.
            plan: its thought and its action.
            goes_on: it is asked for by who was let in before, and is not refused.

        Raises:
            Refusing: as of `refuse_if_full`.
        """
        return self._submit(_Wanted(observation=observation, plan=plan), is_let_in=goes_on).future

    def _submit(self, wanted: _Wanted, *, is_let_in: bool = False) -> _Wanted:
        with self._changed:
            if not is_let_in:
                self.refuse_if_full()
            self._waiting.append(wanted)
            self._changed.notify()
        return wanted

    def drain(self) -> None:
        """Take nothing more; what was taken is made."""
        self._is_draining = True

    def close(self, seconds: float | None = None) -> None:
        """Make what was taken, and end the thread; where that takes longer than `seconds`, it is left to itself."""
        with self._changed:
            self._is_draining = self._is_closed = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        torch.set_num_threads(self._threads)  # threads of a process may have other numbers
        deciding, keys = self._policy.deciding(self._places), count()
        while self._take_in(deciding, keys):
            try:
                for key, decision in deciding.advance():
                    self._making.pop(key).future.set_result(decision)
            except Exception as error:
                deciding = self._begin_anew(error)

    def _take_in(self, deciding: PolicyDeciding, keys: count[int]) -> bool:
        """Begin what waits and has a place, waiting where there is nothing to do; return False at the end."""
        with self._changed:
            while not (self._waiting or self._making or self._is_closed):
                self._changed.wait()
            while self._waiting and len(self._making) < self._places:
                wanted = self._waiting.popleft()
                if wanted.future.set_running_or_notify_cancel():
                    key = next(keys)
                    self._making[key] = wanted
                    _begin(deciding, key, wanted)
            return bool(self._waiting or self._making) or not self._is_closed

    def _begin_anew(self, error: Exception) -> PolicyDeciding:
        """Tell those whose decisions were being made that these failed, and return where others are made."""
        _LOG.error("decisions failed: %s: %s", type(error).__name__, error)
        for key in list(self._making):
            failed = Refusing("failed", "the decision failed; it is told in the server's log")
            self._making.pop(key).future.set_exception(failed)
        return self._policy.deciding(self._places)


def _begin(deciding: PolicyDeciding, key: int, wanted: _Wanted) -> None:
    if wanted.plan is None:
        deciding.submit(key, wanted.observation, wanted.seed)
    else:
        deciding.submit_dream(key, wanted.observation, wanted.plan)
