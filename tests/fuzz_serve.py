"""What clients of a server of decisions send, spoilt: it is answered or refused, and nobody else notices.

PYTHONPATH=src:tests python -c "import fuzz_serve; print(fuzz_serve.run(10000, seed=0))"
"""

import atexit
import json
import logging
import socket
import struct
from contextlib import ExitStack
from functools import cache

import msgpack
import msgspec
from data_mutations import VALUES, outcomes_of, places, spoil_bytes, spoil_json
from serve_makers import as_json, ask, packed, picture, served
from websockets.sync.client import connect

from rig.client.messages import Refused, Said, SaidDreams
from rig.serve.refusals import STATUS

GOOD = ask(frame=picture(size=16), earlier_actions=["move_left", "noop"], reset=True)
DREAMS = {"frame": picture(size=16), "actions": ["move_left", "noop"], "thoughts": ["go", ""], "instruction": "wood"}
HEAD = b"POST /v1/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
OPENING = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SECONDS = 10
_PATIENCE = 0.1
"""With what may be half a message, for the end of which the server waits."""


class Complaints(logging.Handler):
    """Keeps what the server complains of: a traceback, or anything that it takes for its own fault."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        self.found.append(logging.Formatter().format(record)[-2000:])


class _Served:
    """A server, and what it says to the good question, which is asked again and again."""

    def __init__(self):
        stack, self.complaints = ExitStack(), Complaints()
        self.server = stack.enter_context(served(clients=8, idle_seconds=5, send_seconds=5))
        atexit.register(stack.close)
        for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi", "rig.serve", "asyncio"):
            logging.getLogger(name).addHandler(self.complaints)
        self.socket = self.open()
        self.good = self.say(packed(GOOD))

    def open(self):
        """Return a websocket that has been told what there is."""
        opened = connect(self.server.ws, compression=None, ping_interval=None)
        opened.recv()
        return opened

    def say(self, data):
        """Return what is answered to a message, without what it took."""
        self.socket.send(data)
        answer = msgpack.unpackb(self.socket.recv(timeout=_SECONDS))
        return {name: value for name, value in answer.items() if name != "cost"}

    def plainly(self, data, seconds=_SECONDS):
        """Return what comes for bytes on a connection of their own, until its end or until we leave."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=seconds) as plain:
            came = b""
            try:
                plain.sendall(data)
                while some := plain.recv(65536):
                    came += some
            except (TimeoutError, ConnectionError):
                pass
            return came


@cache
def running():
    """Return the server, begun once in this process."""
    return _Served()


def judged(answer):
    """Return what kind of answer it is, all of which are whole and known.

    Raises:
        AssertionError: it is none.
    """
    if answer["kind"] == "decision":
        assert answer["action"]
        return "decided"
    if answer["kind"] == "dreams":
        assert all(dream["frame"] for dream in answer["dreams"])
        return "dreamed"
    assert answer["error"]["code"] in set(STATUS) - {"failed"}, answer
    answer["error"]["message"].encode()
    return "refused"


def _over_websocket(rng):
    good = rng.choice((GOOD, GOOD, DREAMS))
    data = packed(good)
    if rng.random() < 0.5:
        data = _spoilt_values(good, rng) or data
    return judged(running().say(spoil_bytes(data, rng) if rng.random() < 0.6 else data))


def _spoilt_values(good, rng):
    """Return a question with a value replaced by any other, packed; None where that cannot be."""
    asked = msgpack.unpackb(packed(good))
    *way, key = rng.choice(list(places(asked)))
    holder = asked
    for part in way:
        holder = holder[part]
    holder[key] = rng.choice([*VALUES, b"", b"\x89PNG", 2**64 - 1, {b"data": 1}, msgpack.Timestamp(1), [[[]]] * 9])
    try:
        return msgpack.packb(asked)
    except (OverflowError, ValueError):
        return None


def _over_http(rng):
    way, good = rng.choice(((b"decide", GOOD), (b"decide", GOOD), (b"dream", DREAMS)))
    body = as_json(good)
    if rng.random() < 0.6:
        body = spoil_json(json.loads(body), rng).encode()
    if rng.random() < 0.5:
        body = spoil_bytes(body, rng)
    head, _, answer = running().plainly(HEAD % (way, len(body)) + body).partition(b"\r\n\r\n")
    status = int(head.split()[1])
    kind = judged(json.loads(answer))
    assert (status == 200) == (kind != "refused")
    msgspec.json.decode(answer, type=Said | SaidDreams | Refused)
    return kind


def _half_or_not_http(rng):
    body = as_json(GOOD)
    answer = running().plainly(spoil_bytes(HEAD % (b"decide", len(body)) + body, rng), _PATIENCE)
    assert not answer or int(answer.split()[1]) in (200, 400, 403, 404, 405, 408, 413, 414, 422, 431, 501), answer[:200]
    return "decided" if answer.startswith(b"HTTP/1.1 200") else "refused"


def _half_or_no_frames(rng):
    data, mask = packed(GOOD), rng.randbytes(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    frame = b"\x82" + struct.pack("!BH", 0x80 | 126, len(data)) + mask + masked
    spoilt = OPENING + spoil_bytes(frame, rng) if rng.random() < 0.8 else spoil_bytes(OPENING + frame, rng)
    running().plainly(spoilt, _PATIENCE)
    return "cut"


def _case(rng, _):
    way = rng.choices((_over_websocket, _over_http, _half_or_not_http, _half_or_no_frames), (45, 45, 5, 5))[0]
    outcome = way(rng)
    if rng.random() < 0.05:
        assert running().say(packed(GOOD)) == running().good, "another's answer, or another answer"
    assert not running().complaints.found, running().complaints.found[0]
    return outcome


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Send `count` messages; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named.
    """
    return outcomes_of(_case, count, seed)
