"""Frames that somebody holds: neighbouring steps share a frame, and it is read once for both."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from weakref import WeakValueDictionary

from rig.records import Frame


class HeldFrames:
    """The frames of one source that somebody holds, by number; a frame that nobody holds is gone."""

    def __init__(self) -> None:
        self._frames: WeakValueDictionary[int, Frame] = WeakValueDictionary()
        self._lock = Lock()

    def get(self, number: int, read: Callable[[int], Frame]) -> Frame:
        """Return a frame, read-only: the one that is held, or what `read` makes of `number`, one at a time."""
        with self._lock:
            found = self._frames.get(number)
            if found is None:
                found = read(number)
                found.flags.writeable = False
                self._frames[number] = found
            return found
