"""What goes to and fro between Python and the engine: one request and one reply a tick, and frames in shared memory.

Both ends are made before the engine starts and inherited by it, so there is no port, no socket file and no name that
two worlds could share.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from rig.envs.minetest.config import TICK_SECONDS
from rig.records import Frame
from rig.validation import parse_json, validated

_REQUEST = struct.Struct("=IiiiiIIIIII")
_REPLY = struct.Struct("=IIIIII")
_TICK_US = round(TICK_SECONDS * 1e6)


class Errand(IntEnum):
    """What the engine is asked for; the order is that of native/lockstep.h."""

    TICK = 0
    KEEP = 1
    GO_BACK = 2
    DROP = 3


@dataclass(frozen=True, kw_only=True)
class Request:
    """One tick.

    Attributes:
        keys: bit per key that is held.
        turn: counts of the mouse (right, down) that turn the view.
        shift: pixels (right, down) that the cursor moves, where a menu is open.
        commands: what the mod is to do at the beginning of the tick.
    """

    keys: int = 0
    turn: tuple[int, int] = (0, 0)
    shift: tuple[int, int] = (0, 0)
    commands: Sequence[dict[str, Any]] = field(default_factory=tuple)

    def pack(self, *, draw: bool = False, look: bool = False) -> bytes:
        """Return the bytes that the engine reads: whether a frame is wanted, or at least `sight`."""
        text = json.dumps(list(self.commands)).encode() if self.commands else b""
        return _REQUEST.pack(self.keys, *self.turn, *self.shift, _TICK_US, draw, look, Errand.TICK, 0, len(text)) + text

    @classmethod
    def unpack(cls, packed: bytes) -> Request:
        """Return the request that was packed.

        Raises:
            ValueError: it was none.
        """
        size = request_size(packed)
        if size != len(packed):
            raise ValueError(f"{len(packed)} bytes, where {size} were expected")
        keys, right, down, shift_right, shift_down, *_ = _REQUEST.unpack_from(packed)
        text, place, fix = packed[_REQUEST.size :], "the commands of a request", "give what was packed"
        commands = validated(parse_json(text, place, fix), tuple[dict[str, Any], ...], place, fix) if text else ()
        return cls(keys=keys, turn=(right, down), shift=(shift_right, shift_down), commands=commands)


def request_size(packed: bytes, at: int = 0) -> int:
    """Return the number of bytes of the packed request that begins at `at`.

    Raises:
        ValueError: the bytes end before.
    """
    if len(packed) - at < _REQUEST.size:
        raise ValueError(f"{len(packed) - at} bytes are too few for a request")
    size: int = _REQUEST.unpack_from(packed, at)[-1]
    return _REQUEST.size + size


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of a tick.

    Attributes:
        menu_open: whether the mouse now moves a cursor.
        held: bit per key that is held, as in a request.
        cursor: where it is, [right, down] in pixels of 640 x 360; without a menu it means nothing.
        settled: whether every thread of the engine had done its share; False after a tick that took too long for that.
            In the reply to another errand: whether it was done.
        state: the mod's facts.
    """

    menu_open: bool
    settled: bool
    held: int
    cursor: tuple[int, int]
    state: dict[str, Any]


class Link:
    """Python's end; `inherited` are the descriptors of the engine's.

    Args:
        width: of frames, in pixels.
        height: of frames, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._memory = os.memfd_create("rig-frame")
        os.ftruncate(self._memory, 3 * width * height)
        self._pixels = mmap.mmap(self._memory, 3 * width * height)
        self._shape = (height, width, 3)

    @property
    def inherited(self) -> tuple[int, int]:
        """The engine's descriptors: of its end of the link, and of the frame's memory."""
        return self._theirs.fileno(), self._memory

    def engine_started(self) -> None:
        """Let go of the engine's end, so that its death is noticed."""
        self._theirs.close()
        os.close(self._memory)

    def send(self, request: Request, *, draw: bool, look: bool) -> None:
        """Ask for a tick; see `Request.pack`."""
        self._ours.sendall(request.pack(draw=draw, look=look))

    def send_errand(self, errand: Errand, anchor: int) -> None:
        """Ask for something else than a tick."""
        self._ours.sendall(_REQUEST.pack(0, 0, 0, 0, 0, 0, 0, 0, errand, anchor, 0))

    def receive(self, timeout: float) -> Reply:
        """Return what came of the tick.

        Raises:
            TimeoutError: nothing came for `timeout` seconds.
            ConnectionError: the engine is gone.
        """
        self._ours.settimeout(timeout)
        menu_open, settled, held, x, y, size = _REPLY.unpack(self._read(_REPLY.size))
        state = json.loads(self._read(size))
        return Reply(menu_open=bool(menu_open), settled=bool(settled), held=held, cursor=(x, y), state=state)

    def frame(self) -> Frame:
        """Return a copy of the last drawn frame, uint8 [height, width, 3]."""
        return np.frombuffer(self._pixels, np.uint8).reshape(self._shape).copy()

    def close(self) -> None:
        """Close our end; the engine ends when it notices."""
        self._ours.close()

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._ours.recv(size - len(parts))
            if not part:
                raise ConnectionError("the engine has ended")
            parts += part
        return bytes(parts)
