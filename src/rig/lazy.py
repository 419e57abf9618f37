"""Sequences whose items are made when they are asked for: the steps of an episode that is longer than memory.

`HeldFrames` has neighbouring steps share a frame, which is read once for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, TypeVar, overload
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Lazy(Sequence[T]):
    """A sequence whose items are made when they are asked for, each time anew, and not kept.

    A slice is lazy too. A copy in another process holds the items themselves, as a tuple.

    Args:
        make: returns the item at a position.
        positions: the positions, in order: `range(length)`, or some of these.
    """

    def __init__(self, make: Callable[[int], T], positions: Sequence[int]) -> None:
        self._make = make
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, key: int) -> T: ...

    @overload
    def __getitem__(self, key: slice) -> Lazy[T]: ...

    def __getitem__(self, key: int | slice) -> T | Lazy[T]:
        if isinstance(key, slice):
            return Lazy(self._make, self._positions[key])
        return self._make(self._positions[key])

    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._positions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lazy | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a tuple of frames has none

    def __repr__(self) -> str:
        return f"<{len(self)} items, made when asked for>"

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (tuple(self),)


def lazily(function: Callable[..., T], *sequences: Sequence[Any]) -> Lazy[T]:
    """Return what `function` makes of the items of `sequences`, side by side, when it is asked for.

    It is `map` for sequences of one length: nothing is called until an item is wanted, and none is kept.
    """
    lengths = {len(sequence) for sequence in sequences}
    assert len(lengths) == 1, f"sequences of {sorted(lengths)} items"
    return Lazy(lambda index: function(*(sequence[index] for sequence in sequences)), range(lengths.pop()))


class HeldFrames:
    """The frames of one source that somebody holds, by number; a frame that nobody holds is gone."""

    def __init__(self) -> None:
        self._frames: WeakValueDictionary[int, NDArray[np.uint8]] = WeakValueDictionary()
        self._lock = Lock()

    def get(self, number: int, read: Callable[[int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Return a frame, read-only: the one that is held, or what `read` makes of `number`, one at a time."""
        with self._lock:
            found = self._frames.get(number)
            if found is None:
                found = read(number)
                found.flags.writeable = False
                self._frames[number] = found
            return found
