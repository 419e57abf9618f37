"""The line to the keeper: questions go down, answers come up, from any number of threads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict
from threading import Lock, Thread
from typing import Any

from rig.annotators.vlm.asked import Reply
from rig.annotators.vlm.caller import Call, Manner
from rig.errors import AnnotationError

_KEEPER = "rig.annotators.vlm.keeper"
_SECONDS_TO_END = 5.0


class CallRefused(Exception):
    """The server does not take a request as it is."""


class CallFailed(Exception):
    """A request was not answered, while others were."""


class BudgetSpent(AnnotationError):
    """The budget has no room for another call."""


class Line:
    """Starts the keeper when something is asked, and lets it go by `close`.

    Args:
        manner: how the keeper calls.
    """

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: dict[str, Future[Mapping[str, Any]]] = {}
        self._is_closed = False

    def ask(self, call: Call) -> Reply:
        """Return the answer to a call.

        Raises:
            CallRefused: the server does not take it.
            CallFailed: it was not answered in time, while others were.
            BudgetSpent: the budget has no room for it.
            AnnotationError: no call will be answered, or the line is closed.
        """
        with self._lock:
            waiting = self._waiting.get(call.key)
            if waiting is None:
                waiting = self._waiting[call.key] = Future()
                self._send(asdict(call))
        said = waiting.result()
        if "reply" in said:
            return Reply(**said["reply"])
        raise self._error(said["error"], said["reason"])

    def _error(self, kind: str, reason: str) -> Exception:
        if kind == "room":
            return BudgetSpent("the budget has no room for another call")
        kinds: dict[str, type[Exception]] = {"refused": CallRefused, "failed": CallFailed}
        return kinds.get(kind, AnnotationError)(reason)

    def close(self) -> None:
        """End the line: nobody waits any more. The keeper ends by itself, behind the calls that it has in flight."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
            is_idle = not self._waiting
        if process is None:
            return
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        self._fail("the line to the server is closed")
        if is_idle:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_END)

    def _send(self, what: dict[str, Any]) -> None:
        """Write a line to the keeper, which is started where it is not there yet; under the lock."""
        if self._is_closed:
            self._waiting.pop(what["key"]).set_result({"error": "stop", "reason": "the line to the server is closed"})
            return
        if self._process is None:
            # In a session of its own, the terminal's interrupt does not end it before it has kept what is paid.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _KEEPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            self._write(asdict(self.manner))
            Thread(target=self._read, args=(self._process,), daemon=True).start()
        self._write(what)

    def _write(self, what: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # where the keeper has ended, the reading thread says so
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if not said["key"]:
                return self._fail(said["reason"])
            with self._lock:
                waiting = self._waiting.pop(said["key"], None)
            if waiting is not None:
                waiting.set_result(said)
        return self._fail(f"the process that calls the server ended with status {process.wait()}")

    def _fail(self, reason: str) -> None:
        """Have everybody who waits, now or later, be told that there will be no answer."""
        with self._lock:
            self._is_closed = True
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_result({"error": "stop", "reason": reason})
