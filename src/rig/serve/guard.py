"""Who may ask: on this machine whoever is here, and no page of a browser; from elsewhere who has the token.

An ASGI application around the one that decides. What it refuses is answered over HTTP, a websocket's opening too.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rig.client import TOKEN
from rig.errors import RigError
from rig.serve.config import ServeConfig
from rig.serve.refusals import Refusing

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Event, Receive, Send], Awaitable[None]]

OPEN = "/health"
"""What may be asked without a token."""

_SHORTEST = 16
_HERE = ("localhost", "127.0.0.1", "::1")


def token_of(config: ServeConfig) -> bytes | None:
    """Return the token that clients are to send; None where there is none, which loopback alone allows.

    Raises:
        RigError: one is needed and there is none, or it is too short to be one.
    """
    if config.token_file:
        try:
            token = Path(config.token_file).read_bytes().strip()
        except OSError as error:
            raise RigError(f"--token-file {config.token_file} cannot be read ({error.strerror})") from error
    else:
        token = os.environ.get(TOKEN, "").strip().encode()
    if not token and config.is_loopback and not config.token_file:
        return None
    if len(token) < _SHORTEST:
        raise RigError(
            f"--host {config.host}: the token has {len(token)} characters, and {_SHORTEST} are the fewest; set "
            f"{TOKEN}, or give a --token-file: `openssl rand -hex 32` writes one"
        )
    return token


class Guard:
    """Lets pass who may ask.

    Args:
        application: who answers.
        config: of the server.
        token: what clients are to send, if anything.
        refused: called with the code of what is refused.
    """

    def __init__(
        self, application: Application, config: ServeConfig, token: bytes | None, refused: Callable[[str], None]
    ) -> None:
        self._application, self._config, self._token, self._refused = application, config, token, refused

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Answer, or refuse; who does not read the answer in time is left."""
        try:
            self._check(scope)
        except Refusing as refusal:
            self._refused(refusal.code)
            await deny(scope, receive, send, refusal)
            return

        async def send_in_time(event: Event) -> None:
            async with asyncio.timeout(self._config.send_seconds):
                await send(event)

        try:
            await self._application(scope, receive, send_in_time)
        except TimeoutError:
            self._refused("too_slow")

    def _check(self, scope: Event) -> None:
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        if self._token is None and _name_of(host) not in (*_HERE, self._config.host):
            raise Refusing("forbidden", f"this server is for this machine, and not for {host[:100]!r}")
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
            raise Refusing("forbidden", "pages of a browser may not ask here")
        if self._token is not None and scope["path"] != OPEN and not self._is_token(headers.get(b"authorization", b"")):
            raise Refusing("unauthorised", f"send the header Authorization: Bearer, with the token (clients: {TOKEN})")

    def _is_token(self, given: bytes) -> bool:
        """Return whether a header has the token, in a time that does not tell how much of it is right."""
        kind, _, sent = given.partition(b" ")
        assert self._token is not None
        return hmac.compare_digest(sent.strip(), self._token) and kind.lower() in (b"bearer", b"api-key")


def _name_of(host: str) -> str:
    """Return the name in a Host header, without its port and an address's brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


async def deny(scope: Event, receive: Receive, send: Send, refusal: Refusing) -> None:
    """Answer an HTTP request, or the opening of a websocket, with a refusal."""
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()
        kind = "websocket.http.response"
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": refusal.body})
