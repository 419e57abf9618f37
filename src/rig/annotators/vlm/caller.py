"""One answer: from the store, or else claimed, reserved, asked for until it comes, and kept."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from rig.annotators.vlm import prompts
from rig.annotators.vlm.asked import Reply
from rig.annotators.vlm.pacing import Pace, pause_behind
from rig.annotators.vlm.store import Bill, Budget, Payer, Store
from rig.annotators.vlm.transport import Stop, Transient
from rig.validation import Meta

T = TypeVar("T")

_NOTE_EVERY = 30.0
"""Seconds between two notes that a server is not answering."""


class Completing(Protocol):
    """What a caller needs of a `Server`."""

    address: str

    async def models(self) -> list[str] | None:
        """Return the models that it offers."""
        ...

    async def complete(self, body: Mapping[str, Any]) -> Reply:
        """Return its answer."""
        ...


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a server is called; see `ServedConfig`."""

    address: str
    key_variable: str
    cache: str
    account: str
    role: str
    concurrency: Annotated[int, Meta(ge=1)]
    calls_per_minute: float | None
    timeout: float
    retry_seconds: float
    first_pause: float
    usd_in: float | None
    usd_out: float | None
    budget_usd: float | None
    budget_tokens: int | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is to be sent.

    Attributes:
        key: the hash under which the answer is kept.
        body: the request's JSON.
        tokens_in: about how many tokens it has to read.
        tokens_out: the most that it may write.
    """

    key: str
    body: Mapping[str, Any]
    tokens_in: int
    tokens_out: int


class NoRoom(Exception):
    """The budget has no room for another call."""


class GaveUp(Exception):
    """A call was tried for as long as it may be, while others went well."""


class Caller:
    """Makes calls, many at once; each answer is paid once, by whoever asks first.

    Args:
        server: who answers.
        store: where answers are kept.
        manner: how it is called.
    """

    def __init__(self, server: Completing, store: Store, manner: Manner) -> None:
        self.server, self.store, self.manner = server, store, manner
        self._payer = Payer(account=manner.account, role=manner.role)
        self._budget = Budget(usd=manner.budget_usd, tokens=manner.budget_tokens)
        self._slots = asyncio.Semaphore(manner.concurrency)
        self._pace = Pace(manner.calls_per_minute)
        self._rng = random.Random()
        self._flying: dict[str, asyncio.Task[Reply]] = {}
        self._greeting: asyncio.Task[None] | None = None
        self._settled = asyncio.Condition()
        self._reserved = 0
        self._dearness = 1.0  # tokens that are read, for each that was thought to be
        self._last_success = -1.0
        self._noted = 0.0
        self._is_closing = False
        self._offered: list[str] | None = None
        # Claims wait for other processes, and must not keep the store from whoever holds them.
        self._claims = ThreadPoolExecutor(manner.concurrency, "claims")
        self._writer = ThreadPoolExecutor(1, "store")

    async def ask(self, call: Call) -> Reply:
        """Return the answer to a call; one that is asked for already is waited for.

        Raises:
            Refused: the server does not take it.
            Stop: the server takes none.
            NoRoom: the budget is used up.
            GaveUp: it was tried for as long as it may be.
        """
        flying = self._flying.get(call.key)
        if flying is None:
            flying = self._flying[call.key] = asyncio.create_task(self._asked(call))
            flying.add_done_callback(lambda _: self._flying.pop(call.key, None))
        return await asyncio.shield(flying)

    def finish(self) -> None:
        """Begin nothing more; what is with the server already is waited for and kept."""
        self._is_closing = True
        self._pace.end()

    async def finished(self) -> None:
        """Wait for what is with the server."""
        await asyncio.gather(*self._flying.values(), return_exceptions=True)
        self._claims.shutdown(wait=False)
        self._writer.shutdown()

    async def _asked(self, call: Call) -> Reply:
        async with self._slots:
            self._refuse_closing()
            lock = self.store.claim(call.key)
            await self._in(self._claims, lock.acquire)
            try:
                found = await self._stored(self.store.get, call.key)
                return found if found is not None else await self._paid(call)
            finally:
                lock.release()

    async def _paid(self, call: Call) -> Reply:
        await self._greeted()
        await self._reserve(call)
        try:
            reply = await self._until_answered(call, lambda: self.server.complete(call.body))
        except BaseException:
            await self._freed(self.store.release, call.key)
            raise
        await self._freed(self.store.settle, call.key, self._payer, reply, self._bill(call, reply))
        return reply

    async def _reserve(self, call: Call) -> None:
        """Write the call down; where the budget has no room, wait for what calls in flight leave over."""
        async with self._settled:
            while True:
                tokens, usd = self._at_most(call)
                if await self._stored(self.store.reserve, call.key, self._payer, tokens, usd, self._budget):
                    break
                if not self._reserved:
                    raise NoRoom
                await self._settled.wait()
            self._reserved += 1

    async def _freed(self, write: Callable[..., None], *values: Any) -> None:
        async with self._settled:
            self._reserved -= 1
            try:
                await asyncio.shield(self._stored(write, *values))
            finally:
                self._settled.notify_all()

    async def _greeted(self) -> None:
        """Ask the server for its models, once: a wrong address or key shows before anything is sent."""
        if self._greeting is None:
            self._greeting = asyncio.create_task(self._greet())
        await asyncio.shield(self._greeting)

    async def _greet(self) -> None:
        self._offered = await self._until_answered(None, self.server.models)

    async def _until_answered(self, call: Call | None, send: Callable[[], Awaitable[T]]) -> T:
        """Return what comes of an attempt, or of another behind a pause, for as long as `retry_seconds` say."""
        began, attempt = time.monotonic(), 0
        while True:
            await self._pace.turn()
            self._refuse_closing(attempt)
            try:
                found = await send()
            except Transient as error:
                left = began + self.manner.retry_seconds - time.monotonic()
                await self._note(call, error)
                pause = pause_behind(attempt, self.manner.first_pause, error.wait, self._rng)
                if pause > left:
                    raise self._end(began, error) from error
                if error.wait:
                    self._pace.hold(error.wait)
                await self._pace.rest(pause)
                attempt += 1
            except Stop as error:
                raise self._with_models(error) from error
            else:
                self._last_success = time.monotonic()
                return found

    def _end(self, began: float, error: Transient) -> GaveUp | Stop:
        """Return the error of a call that was tried for as long as it may be."""
        wanted = f"; it asks for a pause of {error.wait:.0f} s" if error.wait else ""
        reason = (
            f"{error}{wanted}; tried for {time.monotonic() - began:.0f} s (retry_seconds={self.manner.retry_seconds:g})"
        )
        # Where others went well meanwhile it is the question's fault; where none did, the server's.
        return GaveUp(reason) if self._last_success > began else Stop(f"{reason}; see to the server")

    def _with_models(self, error: Stop) -> Stop:
        known = ", ".join(map(repr, (self._offered or [])[:8]))
        return Stop(f"{error}; it offers {known}") if known and error.status == 404 else error

    def _refuse_closing(self, attempt: int = 0) -> None:
        if self._is_closing:
            raise GaveUp(f"ended by the user behind {attempt} attempts")

    async def _note(self, call: Call | None, error: Transient) -> None:
        """Count an attempt that failed, and now and then say so."""
        counts: dict[str, float] = {f"failed {error.kind}": 1}
        if call is not None and error.maybe_charged:
            tokens, usd = self._at_most(call)
            counts |= {"broken": 1, "broken_tokens": tokens, "broken_usd": usd}
        await self._stored(lambda: self.store.add(self._payer, **counts))
        now = time.monotonic()
        if now - max(self._noted, self._last_success) > _NOTE_EVERY or not (self._noted or self._last_success > 0):
            self._noted = now
            print(f"\n{error}; trying for {self.manner.retry_seconds:g} s in all", file=sys.stderr, flush=True)

    def _bill(self, call: Call, reply: Reply) -> Bill:
        read, written = reply.tokens_in, reply.tokens_out
        guessed = read is None or written is None
        self._dearness = max(self._dearness, (read or 0) / call.tokens_in)
        read = call.tokens_in if read is None else read
        written = prompts.words([reply.text, reply.reasoning]) if written is None else written
        return Bill(
            model=str(call.body["model"]),
            prompt=prompts.VERSION,
            tokens_in=read,
            tokens_out=written,
            estimated=guessed,
            usd=self._price(read, written),
        )

    def _at_most(self, call: Call) -> tuple[int, float]:
        """Return the tokens that a call may take, and what it may cost."""
        read = round(call.tokens_in * self._dearness)
        return read + call.tokens_out, self._price(read, call.tokens_out) or 0.0

    def _price(self, read: int, written: int) -> float | None:
        if self.manner.usd_in is None or self.manner.usd_out is None:
            return None
        return (read * self.manner.usd_in + written * self.manner.usd_out) / 1e6

    async def _stored(self, work: Callable[..., T], *values: Any) -> T:
        return await self._in(self._writer, work, *values)

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work, *values)
