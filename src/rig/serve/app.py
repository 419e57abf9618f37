"""What is asked over HTTP and over websockets, described by /openapi.json."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import FastAPI, Request, WebSocket
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from rig import __version__
from rig.client.messages import About, Ask, AskDreams, Refused, Said, SaidDreams, pack
from rig.serve.desk import Desk
from rig.serve.refusals import STATUS, Refusing, too_large
from rig.serve.session import Session

_JSON = "application/json"
_TELL = (
    "Websockets at `/` say the same in msgpack: an `About` first, and then a `Said` for every `Ask`, a `SaidDreams` "
    "for every `AskDreams`, or a `Refused`."
)


def make_app(desk: Desk) -> FastAPI:
    """Return the application of a desk."""
    app = FastAPI(title="rig serve", version=__version__, description=_TELL, docs_url=None, redoc_url=None)
    app.get("/health", responses={503: {"description": "It ends, or has failed."}})(_health(desk))
    app.get("/metrics")(_metrics(desk))
    app.get("/v1/about", openapi_extra=_described(About))(_about(desk))
    app.post("/v1/decide", openapi_extra=_described(Said, Ask))(_decide(desk))
    app.post("/v1/dream", openapi_extra=_described(SaidDreams, AskDreams))(_dream(desk))
    app.websocket("/")(_websocket(desk))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _health(desk: Desk) -> Any:
    async def health() -> Response:
        """Say whether decisions are made: 200 and "ok", or 503."""
        body = msgspec.json.encode({"status": desk.health})
        return Response(body, 200 if desk.health == "ok" else 503, media_type=_JSON)

    return health


def _metrics(desk: Desk) -> Any:
    async def metrics() -> Response:
        """Return counters for Prometheus."""
        return Response(desk.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return metrics


def _about(desk: Desk) -> Any:
    async def about() -> Response:
        """Return what is served: the agent, its actions, how it decides, and the limits."""
        return Response(msgspec.json.encode(desk.about), media_type=_JSON)

    return about


def _decide(desk: Desk) -> Any:
    async def decide(request: Request) -> Response:
        """Return the decision for one frame. Every request is a session of its own: nothing is remembered."""
        return await _answered(desk, request, lambda body: desk.decide(body, Session(desk.policy.space), "http"))

    return decide


def _dream(desk: Desk) -> Any:
    async def dream(request: Request) -> Response:
        """Return the frames that are imagined to follow one when actions are done one after the other."""
        return await _answered(desk, request, lambda body: desk.dream(body, "http"))

    return dream


async def _answered(desk: Desk, request: Request, answer: Callable[[bytes], Awaitable[Any]]) -> Response:
    """Return the answer to a request's body, or why there is none."""
    try:
        with desk.answer():
            body = await _body(request, desk.config.frame_bytes, desk.config.send_seconds)
            return Response(msgspec.json.encode(await answer(body)), media_type=_JSON)
    except Refusing as refusal:
        return _refused(refusal)


def _refused(refusal: Refusing) -> Response:
    return Response(refusal.body, refusal.status, dict(refusal.headers))


async def _body(request: Request, most: int, seconds: float) -> bytes:
    """Return the body of a request, which may not be larger than `most`, nor come more slowly than in `seconds`."""
    body, told = bytearray(), request.headers.get("content-length", "0")
    try:
        if told.isdecimal() and int(told[:20]) > most:
            raise too_large(most)
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body.extend(chunk)
                if len(body) > most:
                    raise too_large(most)
    except TimeoutError as error:
        raise Refusing("too_slow", f"the message did not come within {seconds:g} s") from error
    except ClientDisconnect as error:
        raise Refusing("bad_message", "half a message came, and its client left") from error
    return bytes(body)


def _websocket(desk: Desk) -> Any:
    async def session(websocket: WebSocket) -> None:
        try:
            desk.take_in()
        except Refusing as refusal:
            await websocket.send_denial_response(_refused(refusal))
            return
        try:
            await websocket.accept()
            await _serve(desk, websocket)
        finally:
            desk.clients -= 1

    return session


async def _serve(desk: Desk, websocket: WebSocket) -> None:
    """Answer a client until it leaves, or says nothing for too long."""
    session = Session(desk.policy.space)
    try:
        await websocket.send_bytes(pack(desk.about))
        while True:
            async with asyncio.timeout(desk.config.idle_seconds):
                event = await websocket.receive()
            if event["type"] == "websocket.disconnect":
                return
            with desk.answer():
                await websocket.send_bytes(await _answer(desk, session, event.get("bytes")))
    except TimeoutError:
        await websocket.close(1001, "nothing was said, or read, for too long")
    except WebSocketDisconnect:
        return


async def _answer(desk: Desk, session: Session, data: bytes | None) -> bytes:
    """Return the answer to a message, packed; data is None of one that is text."""
    try:
        with desk.answer():
            if data is None:
                raise Refusing("bad_message", "the message is text; send msgpack, as bytes")
            if _asks_for_dreams(data):
                return pack(await desk.dream(data, "websocket"))
            return pack(await desk.decide(data, session, "websocket"))
    except Refusing as refusal:
        return pack(refusal.answer)


def _asks_for_dreams(data: bytes) -> bool:
    """Return whether a message to a websocket is a `PackedAskDreams`, or would be one: whether it has `actions`."""
    try:
        return "actions" in msgspec.msgpack.decode(data, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False


def _described(answer: type, asked: type | None = None) -> dict[str, Any]:
    """Return what OpenAPI says of a route that answers so, and is asked so."""
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": _content(answer)}}
    if asked is None:
        return {"responses": responses}
    codes = {str(status): {"description": code, "content": _content(Refused)} for code, status in STATUS.items()}
    body = {"required": True, "content": _content(asked)}
    return {"requestBody": body, "responses": responses | codes}


def _content(kind: type) -> dict[str, Any]:
    return {_JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}


def _openapi(app: FastAPI) -> dict[str, Any]:
    described = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, schemas = msgspec.json.schema_components(
        [About, Ask, AskDreams, Said, SaidDreams, Refused], ref_template="#/components/schemas/{name}"
    )
    return described | {"components": {"schemas": schemas}}
