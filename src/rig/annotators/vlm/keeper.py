"""The keeper: the process that makes the calls. It outlives a kill of whoever started it, to keep what is paid.

    python -m rig.annotators.vlm.keeper

It reads lines of JSON from its standard input, the first of which says how to call (`Manner`), and answers each call by
a line on its standard output. When its input ends, whoever asked has ended or was killed: it begins nothing more, waits
for the answers that are being written, which are charged in any case, keeps them in the store, and ends. The key comes
in the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from rig.annotators.vlm.caller import Call, Caller, GaveUp, Manner, NoRoom
from rig.annotators.vlm.config import NO_KEY
from rig.annotators.vlm.store import Store
from rig.annotators.vlm.transport import Refused, Server, Stop
from rig.errors import RigError
from rig.validation import parse_json, validated

KINDS: dict[type[Exception], str] = {
    Refused: "refused",
    Stop: "stop",
    NoRoom: "room",
    GaveUp: "failed",
    RigError: "stop",
}
"""How errors are called on the way to who asked."""


async def keep() -> None:
    """Answer calls until the input ends, and those that are in flight then."""
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    Thread(target=_read, args=(lines, loop), daemon=True).start()
    manner = _made(await lines.get(), Manner)
    key = os.environ.get(manner.key_variable, "").strip() if manner.key_variable else NO_KEY
    try:
        server, store = Server(manner.address, key, manner.timeout), Store(Path(manner.cache))
    except RigError as error:
        _say({"key": "", "error": "stop", "reason": str(error)})
        return
    caller = Caller(server, store, manner)
    answering: set[asyncio.Task[None]] = set()
    while line := await lines.get():
        task = asyncio.create_task(_answer(caller, _made(line, Call)))
        answering.add(task)
        task.add_done_callback(answering.discard)
    caller.finish()
    await caller.finished()
    await asyncio.gather(*answering)
    await server.close()
    store.close()


def _read(lines: asyncio.Queue[bytes], loop: asyncio.AbstractEventLoop) -> None:
    """Hand over the lines of the input, and an empty one behind the last."""
    for line in sys.stdin.buffer:
        loop.call_soon_threadsafe(lines.put_nowait, line)
    loop.call_soon_threadsafe(lines.put_nowait, b"")


async def _answer(caller: Caller, call: Call) -> None:
    try:
        _say({"key": call.key, "reply": asdict(await caller.ask(call))})
    except tuple(KINDS) as error:
        kind = next(name for known, name in KINDS.items() if isinstance(error, known))
        _say({"key": call.key, "error": kind, "reason": str(error)})


def _say(what: dict[str, Any]) -> None:
    left = memoryview(json.dumps(what).encode() + b"\n")
    with suppress(OSError):  # whoever asked has gone: what is paid is in the store
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]


def _made(line: bytes, kind: Any) -> Any:
    return validated(parse_json(line, "a line for the keeper", "report it"), kind, "a line for the keeper", "report it")


def main() -> None:
    """Keep answers for whoever started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's: whoever asked ends, and with it the input
    asyncio.run(keep())


if __name__ == "__main__":
    main()
