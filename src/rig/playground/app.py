"""What a browser is served: the page, and the websocket over which it plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from rig.errors import RigError
from rig.playground.house import House
from rig.playground.page import headers, page
from rig.playground.session import Pace, Session
from rig.serve.guard import Application, Event, Receive, Send
from rig.serve.refusals import busy

_COOKIE = "rig_playground"
_AHEAD = 32
"""Messages to a page that may wait to be sent: whoever makes more waits for it to read."""
_LAST_SECONDS = 30.0
"""That a session may take to keep what it has, when its page has gone."""


class Doors:
    """Counts the pages that are open.

    Args:
        house: what they share.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self.sessions: set[Session] = set()

    async def index(self, _: Request) -> Response:
        """Return the page."""
        return Response(page(self.house), headers=headers(), media_type="text/html")

    async def health(self, _: Request) -> Response:
        """Say that it serves."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def play(self, websocket: WebSocket) -> None:
        """Serve a page until it leaves."""
        if len(self.sessions) >= self.house.config.sessions:
            refusal = busy(f"{len(self.sessions)} pages are open, and no more may (--sessions)")
            await websocket.send_denial_response(Response(refusal.body, refusal.status, dict(refusal.headers)))
            return
        await websocket.accept()
        post, loop, has_ended = _Post(self.house.config.send_seconds), asyncio.get_running_loop(), asyncio.Event()
        session = Session(self.house, post.put, lambda: _soon(loop, has_ended.set))
        self.sessions.add(session)
        try:
            await self._serve(websocket, session, post, has_ended)
        finally:
            session.leave()
            with suppress(TimeoutError):
                await asyncio.wait_for(has_ended.wait(), _LAST_SECONDS)
            self.sessions.discard(session)

    def close(self) -> None:
        """Have every session keep what it has, and let the place of recordings go."""
        for session in list(self.sessions):
            session.leave()
            session.join(_LAST_SECONDS)
        self.house.shelf.close()

    async def _serve(self, websocket: WebSocket, session: Session, post: _Post, has_ended: asyncio.Event) -> None:
        """Carry messages both ways, until one way ends, or the session has."""
        pace = Pace(self.house.config.messages_per_second)
        read = _read(websocket, session, pace, post)
        ways = [asyncio.create_task(way) for way in (read, post.send(websocket), post.sent_after(has_ended))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        except (WebSocketDisconnect, TimeoutError):
            pass
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if websocket.application_state is WebSocketState.CONNECTED is websocket.client_state:
                await websocket.close(1001)


class _Post:
    """What a page is told, from the thread of its session to the loop that sends it.

    Args:
        seconds: that the thread waits for the page to read, before it takes it that the page has gone.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._loop = seconds, asyncio.get_running_loop()
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._room = BoundedSemaphore(_AHEAD)

    def put(self, values: dict[str, Any]) -> bool:
        """Take what is to be sent; return False where the page does not read, or has gone."""
        return self._room.acquire(timeout=self._seconds) and self._post(values)

    def offer(self, values: dict[str, Any]) -> None:
        """Take what may be lost, without waiting for room: for the loop itself."""
        if self._room.acquire(blocking=False):
            self._post(values)

    def _post(self, values: dict[str, Any]) -> bool:
        return _soon(self._loop, partial(self._waiting.put_nowait, msgspec.json.encode(values)))

    async def send(self, websocket: WebSocket) -> None:
        """Send what is taken, for ever."""
        while True:
            data = await self._waiting.get()
            await websocket.send_text(data.decode())
            self._room.release()
            self._waiting.task_done()

    async def sent_after(self, event: asyncio.Event) -> None:
        """Wait for an event, and until all that was said before it is sent."""
        await event.wait()
        await self._waiting.join()


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> bool:
    """Have a loop do something, from another thread; return False where it has ended."""
    try:
        loop.call_soon_threadsafe(act)
    except RuntimeError:
        return False
    return True


async def _read(websocket: WebSocket, session: Session, pace: Pace, post: _Post) -> None:
    """Hand on what the page says; what is none, and what is too much, is told of and forgotten."""
    is_fast = False
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            return
        if not pace.allows():
            if not is_fast:
                post.offer(_error("too_fast", "the page says too much at once; some of it is lost"))
            is_fast = True
            continue
        is_fast = False
        try:
            session.take(event.get("text") or event.get("bytes") or b"")
        except RigError as error:
            post.offer(_error("bad_message", str(error).encode(errors="replace").decode()))


def _error(code: str, message: str) -> dict[str, Any]:
    return {"kind": "error", "code": code, "message": message}


def make_app(doors: Doors) -> Starlette:
    """Return the application; who may ask is the guard's to say."""
    return Starlette(
        routes=[
            Route("/", doors.index),
            Route("/health", doors.health),
            WebSocketRoute("/play", doors.play),
        ]
    )


class TokenInCookie:
    """Lets a browser show a token, which it cannot send as programs do: once in the address, then in a cookie.

    It judges nothing: what it is shown it puts where the guard looks for it.

    Args:
        guarded: the guard.
    """

    def __init__(self, guarded: Application) -> None:
        self._guarded = guarded

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Answer, as the guard has it."""
        shown = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token")
        if scope["type"] == "http" and scope["path"] == "/" and shown:
            cookie = f"{_COOKIE}={quote(shown[0])}; Path=/; HttpOnly; SameSite=Strict"
            await Response(status_code=303, headers={"location": "/", "set-cookie": cookie, **headers()})(
                scope, receive, send
            )
            return
        held = _cookie(scope)
        if held:
            others = [(name, value) for name, value in scope["headers"] if name.lower() != b"authorization"]
            scope = {**scope, "headers": [*others, (b"authorization", b"Bearer " + held)]}
        await self._guarded(scope, receive, send)


def _cookie(scope: Event) -> bytes:
    for name, value in scope["headers"]:
        if name.lower() == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, held = part.strip().partition("=")
                if key == _COOKIE:
                    return unquote(held).encode()
    return b""
