"""The server: uvicorn, with bounds on what a connection may hold, and an end that waits for what was begun."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from rig.agents import HowToPlay
from rig.agents.actors import short_name
from rig.agents.checkpoint import about_agent
from rig.agents.how import load_policy
from rig.errors import RigError
from rig.serve.app import make_app
from rig.serve.config import ServeConfig
from rig.serve.desk import Desk, about_policy
from rig.serve.guard import Application, Guard, token_of

_LEAVE_SECONDS = 5.0
"""Until a connection that was closed is cut, read or not."""
_SPARE = 16
"""Connections beside those of clients: for health, metrics, and HTTP."""


class _Websocket(WebSocketsSansIOProtocol):
    """A websocket that is cut a while after its end: one that does not read would otherwise stay for ever.

    One that is cut from the other side lets go of what it has read, which the parser in it would keep until some later
    collection of garbage: frames are large, and what holds them is small, so that this comes late.
    """

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.conn.parser.close()

    async def send(self, message: Any) -> None:
        if self.transport.is_closing():  # else who is cut before it is let in is taken for a fault of ours
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body":  # refused is answered, which uvicorn complains of
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(_LEAVE_SECONDS, self.transport.abort)


class _Http(H11Protocol):
    """A connection that is cut where there are too many, or where it does not ask for anything in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > (self.limit_concurrency or 0):
            transport.abort()
        self.loop.call_later(_LEAVE_SECONDS, self._cut_if_silent)

    def _cut_if_silent(self) -> None:
        if self in self.connections and self.cycle is None:
            self.transport.abort()


def settings_of(app: Application, config: ServeConfig) -> uvicorn.Config:
    """Return how uvicorn is to serve an application within the bounds of `config`."""
    return uvicorn.Config(
        app,
        http=_Http,
        ws=_Websocket,
        ws_max_size=config.frame_bytes,
        ws_per_message_deflate=False,
        limit_concurrency=config.clients + _SPARE,
        timeout_graceful_shutdown=5,
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level=logging.WARNING,
    )


class Server(uvicorn.Server):
    """A server that drains before it ends.

    Args:
        desk: who answers.
        token: what clients are to send, if anything.
        ready: called when it listens.
    """

    def __init__(self, desk: Desk, token: bytes | None, ready: Callable[[], None]) -> None:
        app = Guard(make_app(desk), desk.config, token, lambda code: desk.metrics.refusals.labels(code).inc())
        super().__init__(settings_of(app, desk.config))
        self._desk, self._ready = desk, ready
        self._drained_by: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends at once."""
        if self._drained_by is not None:
            self.should_exit = self.force_exit = True
        self.drain()

    def drain(self) -> None:
        """Take nothing more, and end when what was begun is answered."""
        self._desk.batcher.drain()
        self._drained_by = self._drained_by or time.monotonic() + self._desk.config.drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end; called ten times a second."""
        if self._drained_by is not None and (self._desk.is_idle or time.monotonic() > self._drained_by):
            self.should_exit = True
        return await super().on_tick(counter)


def listen(config: ServeConfig) -> socket.socket:
    """Return the socket that is listened on.

    Raises:
        RigError: there is no such address here, or another program listens there.
    """
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        listening = socket.create_server((config.host, config.port), family=family, backlog=128)
    except OSError as error:
        raise RigError(
            f"--host {config.host} --port {config.port} cannot be listened on ({error.strerror or error}); choose "
            "another port, or 0 for a free one"
        ) from error
    # What is accepted inherits it. Else a small message waits 40 ms where the one before is not acknowledged yet.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_of(listening: socket.socket) -> str:
    """Return where a socket listens, as "host:port"."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_desk(agent: str, how: HowToPlay, config: ServeConfig) -> Desk:
    """Return the desk of the trained agent in a folder."""
    about = about_agent(agent)
    policy = load_policy(agent, how, about.environment)
    return Desk(policy, about_policy(policy, how, short_name(agent), about.environment, config), config)


def serve(agent: str, how: HowToPlay, config: ServeConfig, ready: Callable[[str], None]) -> Desk:
    """Serve the trained agent in the folder `agent` until SIGTERM or SIGINT; return its desk, with its counters.

    Args:
        agent: its folder.
        how: how it decides.
        config: where, and how much.
        ready: called with the address, "host:port", when it listens.

    Raises:
        RigError: it cannot be listened there, or a token is needed.
        CheckpointError: the agent cannot be loaded.
    """
    token = token_of(config)
    with listen(config) as listening:
        desk = open_desk(agent, how, config)
        address = address_of(listening)
        try:
            Server(desk, token, lambda: ready(address)).run([listening])
        finally:
            desk.batcher.close(_LEAVE_SECONDS)
    return desk
