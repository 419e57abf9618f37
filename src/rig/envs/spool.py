"""The steps of an episode that is being played, kept out of memory: five minutes of 640 x 360 are 4.1 GB of frames.

    steps = StepSpool()
    steps.append(step)
    trajectory = trajectory_of(world, episode, steps, lineage)

Frames are compressed, without loss, and each is kept once, though the frame after a step is that before the next. What
is more than a few megabytes goes to a temporary file that has no name: however the process ends, nothing is left of it.
A spool that another process is to read is given the path of a file, which that process takes over and removes.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any, NamedTuple
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from rig.errors import RigError
from rig.lazy import HeldFrames, Lazy
from rig.records import Step

IN_MEMORY = 8 << 20
"""Bytes of compressed steps that an episode keeps in memory; a file is open for each that is longer."""

_RECENT = 4
_CODEC = "lz4"
"""LZ4 takes 0.7 ms for a frame of 640 x 360, a third of it to read it again; zstd saves 15 % for half as much again."""


class StepSpool(Lazy[Step]):
    """A sequence of steps that grows by `append`; each is read when it is asked for, its arrays read-only.

    A copy in another process is a spool of its own.

    Args:
        in_memory: how many bytes may stay in memory before a file is begun.
        path: the file to keep everything in. A copy in another process then reads that file, which has no name any
            more once the copy is made; `append` is over before.
    """

    def __init__(self, in_memory: int = IN_MEMORY, path: Path | None = None) -> None:
        self._kept = _Kept(in_memory, path)
        self._path = path
        self._order: list[int] = []
        self._in_memory = in_memory
        super().__init__(self._kept.step, self._order)

    def append(self, step: Step) -> None:
        """Take in a step; what is changed in its frames later is not seen.

        Raises:
            RigError: there is no room for it.
        """
        self._kept.add(step)
        self._order.append(len(self._order))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is not None:
            self._kept.flush()
            return _taken_over, (self._path, self._kept.places)
        return _restored, (self._in_memory, *self._kept.content())


def _restored(in_memory: int, content: bytes, places: list[_Place]) -> StepSpool:
    spool = StepSpool(in_memory)
    spool._kept.fill(content, places)
    spool._order.extend(range(len(places)))
    return spool


def _taken_over(path: Path, places: list[_Place]) -> StepSpool:
    spool = StepSpool(path=path)
    spool._kept.places = places
    spool._order.extend(range(len(places)))
    with suppress(PermissionError):  # Windows removes no open file
        path.unlink()
    return spool


class _Place(NamedTuple):
    """Where something stands in the file, and how long it is before it is compressed."""

    start: int
    length: int
    size: int


class _Kept:
    """Steps in a file, or in memory while they are few: the compressed arrays of each, then what else it holds."""

    def __init__(self, in_memory: int, path: Path | None) -> None:
        most = max(1, in_memory)  # 0 would mean that no file is ever begun
        self._folder = path.parent if path else None
        with self._refusals():
            self._file: IO[bytes] = path.open("ab+") if path else tempfile.SpooledTemporaryFile(max_size=most)  # noqa: SIM115
        self._lock = Lock()
        self._end = 0
        self.places: list[_Place] = []
        self._recent: deque[tuple[bytes, _Place]] = deque(maxlen=_RECENT)
        self._last: Step | None = None
        self._held = HeldFrames()
        finalize(self, self._file.close)

    def add(self, step: Step) -> None:
        """Write a step behind the others."""
        arrays: list[pickle.PickleBuffer] = []
        rest = pickle.dumps(step, protocol=5, buffer_callback=arrays.append)
        with self._lock:
            whole = pickle.dumps((rest, [self._array(array.raw()) for array in arrays]))
            self.places.append(self._write(whole, len(whole)))
            self._last = step

    def step(self, number: int) -> Step:
        """Return a step: the last one as it came, any other as it was written."""
        with self._lock:
            if number == len(self.places) - 1 and self._last is not None:
                return self._last
            rest, arrays = pickle.loads(self._read(self.places[number]))
            buffers = [self._held.get(place.start, partial(self._unpacked, place)) for place in arrays]
        return pickle.loads(rest, buffers=buffers)

    def content(self) -> tuple[bytes, list[_Place]]:
        """Return the file's bytes, and where each step stands in them."""
        with self._lock:
            return self._read(_Place(0, self._end, self._end)), self.places

    def fill(self, content: bytes, places: list[_Place]) -> None:
        """Take the place of a file with this content."""
        self._write(content, len(content))
        self.places = places

    def flush(self) -> None:
        """Have everything in the file, for another process to read."""
        with self._lock, self._refusals():
            self._file.flush()

    def _array(self, raw: memoryview) -> _Place:
        packed = _compress(raw)
        for known, place in self._recent:
            if known == packed:
                return place
        place = self._write(packed, raw.nbytes)
        self._recent.append((packed, place))
        return place

    def _unpacked(self, place: _Place, _: int) -> NDArray[np.uint8]:
        return np.frombuffer(_decompress(self._read(place), place.size), np.uint8)

    def _write(self, content: bytes, size: int) -> _Place:
        place = _Place(self._end, len(content), size)
        with self._refusals():
            self._file.seek(self._end)
            self._file.write(content)
        self._end += len(content)
        return place

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            fix = "choose another one" if self._folder else "set TMPDIR to a folder on another disk"
            raise RigError(
                f"the frames of an episode cannot be kept in {self._folder or _folder()} ({error.strerror or error}); "
                f"free some space there, or {fix}"
            ) from error

    def _read(self, place: _Place) -> bytes:
        self._file.seek(place.start)
        return self._file.read(place.length)


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "a folder of temporary files: there is none"


def _compress(raw: memoryview) -> bytes:
    import pyarrow as pa

    return pa.compress(raw, _CODEC, asbytes=True)


def _decompress(packed: bytes, size: int) -> bytes:
    import pyarrow as pa

    return pa.decompress(packed, size, _CODEC, asbytes=True)
