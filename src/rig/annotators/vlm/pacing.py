"""How long to wait: behind an attempt that failed, and before any, so that a server is asked as fast as it bears."""

from __future__ import annotations

import asyncio
import random
import time

LONGEST_PAUSE = 60.0
_GLANCE = 0.2
"""Seconds after which whoever waits looks whether that is over."""

_SPREAD = 0.1
"""The share by which a pause that a server asked for is stretched, at the most, so that not all come back at once."""


def pause_behind(attempt: int, first: float, wanted: float | None, rng: random.Random) -> float:
    """Return the seconds to wait behind an attempt that failed: full jitter, or no less than the server asks for.

    Args:
        attempt: 0 for the first.
        first: the longest pause behind the first attempt; it doubles with each, up to a minute.
        wanted: what the server asks for.
        rng: whose numbers spread the pauses.
    """
    bound = min(LONGEST_PAUSE, first * 2 ** min(attempt, 20))
    if wanted is None:
        return rng.uniform(0, bound)
    return wanted + rng.uniform(0, min(bound, _SPREAD * wanted + 0.05))


class Pace:
    """Lets calls begin one after another, no more than so many a minute, and none while a server wants quiet."""

    def __init__(self, calls_per_minute: float | None) -> None:
        self._is_ending = False
        self._gap = 60 / calls_per_minute if calls_per_minute else 0.0
        self._next = 0.0
        self._quiet_until = 0.0

    async def turn(self) -> None:
        """Wait until a call may begin, or waiting is over."""
        while (left := max(self._next, self._quiet_until) - time.monotonic()) > 0 and not self._is_ending:
            await asyncio.sleep(min(left, _GLANCE))
        self._next = time.monotonic() + self._gap

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until waiting is over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._is_ending:
            await asyncio.sleep(min(left, _GLANCE))

    def end(self) -> None:
        """Have nobody wait any more."""
        self._is_ending = True

    def hold(self, seconds: float) -> None:
        """Begin nothing for so long: the server asked for it."""
        self._quiet_until = max(self._quiet_until, time.monotonic() + seconds)
