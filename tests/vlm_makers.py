"""What tests of annotators behind a server share: questions, and annotators that call from the test's own process."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

import numpy as np
from chat_server import MODEL

from rig.actions import CRAFTER, NOOP, Action
from rig.annotators import build_reasoner, build_reviewer
from rig.annotators.vlm.caller import Call, Caller, GaveUp, Manner, NoRoom
from rig.annotators.vlm.line import Line
from rig.annotators.vlm.store import Store
from rig.annotators.vlm.transport import Refused, Server, Stop
from rig.records import fake_step

USE = Action.press("use")
PRICES = {"usd_per_million_in": 2.5, "usd_per_million_out": 10.0}
KINDS = {Refused: "refused", Stop: "stop", NoRoom: "room", GaveUp: "failed"}


def wait_until(is_so, seconds=20):
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.005)


def step_of(number, **changes):
    """Return a step whose frame no other number has."""
    frame = np.full((4, 4, 3), number % 251, np.uint8)
    frame[0, 0] = divmod(number, 256)[0], number % 256, 7
    step = replace(
        fake_step(number, size=4), frame=frame, instruction=f"task {number}", previous_action=NOOP, action=USE
    )
    return replace(step, index=number, **changes)


def steps_of(count):
    return [step_of(number) for number in range(count)]


class NearLine(Line):
    """A line whose keeper is a thread: as fast as tests want it, and nothing outlives a kill."""

    def __init__(self, manner):
        super().__init__(manner)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.caller = None

    def ask(self, call):
        if self.caller is None:
            self.caller = asyncio.run_coroutine_threadsafe(self._made(), self.loop).result()
        waiting = asyncio.run_coroutine_threadsafe(self.caller.ask(call), self.loop)
        try:
            return waiting.result()
        except tuple(KINDS) as error:
            raise self._error(KINDS[type(error)], str(error)) from error

    async def _made(self):
        store = Store(self.manner.cache)
        return Caller(Server(self.manner.address, key_in(self.manner), self.manner.timeout), store, self.manner)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


def key_in(manner):
    import os

    return os.environ.get(manner.key_variable) or "none"


def served(server, cache, *, kind="reasoner", space=CRAFTER, **config):
    """Return an annotator that asks `server`."""
    build = {"reasoner": build_reasoner, "reviewer": build_reviewer}[kind]
    quick = {"first_pause": 0.02, "timeout": 5.0, "retry_seconds": 10.0}
    given = {"model": MODEL, "base_url": server.url, "cache": str(cache), **quick, **config}
    return build("openai", given, space)


def manner_of(server, cache, **changes):
    """Return how to call `server`, in tests of callers."""
    found = Manner(
        address=server.url,
        key_variable="",
        cache=str(cache),
        account="a",
        role="reasoner",
        concurrency=4,
        calls_per_minute=None,
        timeout=5.0,
        retry_seconds=10.0,
        first_pause=0.02,
        usd_in=1.0,
        usd_out=1.0,
        budget_usd=None,
        budget_tokens=None,
    )
    return replace(found, **changes)


def call_of(number, **changes):
    """Return a call that the server of the tests answers."""
    asked = [{"role": "system", "content": "rules"}, {"role": "user", "content": f"{number}\nAction taken: use\n"}]
    body = {"model": MODEL, "messages": asked, "max_tokens": 50}
    return replace(Call(key=sha256(b"%d" % number).hexdigest(), body=body, tokens_in=20, tokens_out=50), **changes)


@contextmanager
def calling(server, cache, **changes):
    """Yield a function that makes calls, several at once, and returns what came of each: a reply or an error."""
    manner = manner_of(server, cache, **changes)
    store = Store(manner.cache)

    def ask(*calls):
        async def all_asked():
            end = Server(manner.address, "none", manner.timeout)
            caller = Caller(end, store, manner)
            found = await asyncio.gather(*map(caller.ask, calls), return_exceptions=True)
            await caller.finished()
            await end.close()
            return found

        return asyncio.run(all_asked())

    ask.store = store
    yield ask
    store.close()
