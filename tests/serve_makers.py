"""A server of decisions in a thread of the tests, on loopback, and what may be asked of it."""

import socket
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace

import httpx
import msgspec
import numpy as np
from fuzz_agents import good_agent

from rig.agents import HowToPlay, Lookahead
from rig.client.messages import array_map, pack, png
from rig.serve.config import ServeConfig
from rig.serve.server import Server, listen, open_desk

QUICK = HowToPlay(
    planner_for=lambda _: Lookahead(dreams=1),
    thought_tokens=2,
    entropy_threshold=99.0,
    dtype="float32",
    temperature=1.0,
)
"""Decisions in few passes."""


@contextmanager
def served(agent=None, how=QUICK, *, token=None, send_buffer=None, **config):
    """Serve an agent, or the fuzzers' small untrained one; yield addresses, desk, server, and its thread."""
    config = ServeConfig(port=0, **config)
    with listen(config) as listening:
        if send_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        desk, ready = open_desk(str(agent or good_agent()), how, config), Event()
        server = Server(desk, token, ready.set)
        thread = Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert ready.wait(20)
        address = "{}:{}".format(*listening.getsockname())
        try:
            yield SimpleNamespace(
                ws=f"ws://{address}",
                http=f"http://{address}",
                port=listening.getsockname()[1],
                desk=desk,
                server=server,
                thread=thread,
            )
        finally:
            server.should_exit = True
            thread.join(20)
            desk.batcher.close(20)


def picture(seed=0, size=32):
    """Return a frame of noise."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def ask(**changes):
    """Return the fields of a good question."""
    return {"frame": picture(), "instruction": "collect wood", "previous_action": "noop", "seed": 3} | changes


def packed(asked):
    """Return a question as a websocket takes it."""
    frame = asked["frame"]
    return pack(asked | {"frame": array_map(frame) if isinstance(frame, np.ndarray) else frame})


def as_json(asked):
    """Return a question as HTTP takes it."""
    frame = asked["frame"]
    return msgspec.json.encode(asked | {"frame": png(frame) if isinstance(frame, np.ndarray) else frame})


def post(server, asked, path="/v1/decide", **headers):
    """Ask over HTTP; return the response."""
    body = asked if isinstance(asked, bytes) else as_json(asked)
    return httpx.post(f"{server.http}{path}", content=body, headers=headers, timeout=30)
