"""One page's session: a thread with a world, which does what the page says, and goes on with what is going on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any

from rig.errors import RigError
from rig.playground import messages
from rig.playground.hall import Hall
from rig.playground.house import House
from rig.playground.views import ViewState

_LOG = logging.getLogger("rig.playground")
_MOST_WAITING = 64
"""Messages that wait for the thread; more are refused."""


class Session:
    """A page's session.

    Args:
        house: what all pages share.
        send: takes what the page is told, as a mapping; called in the session's thread, where it may wait. It returns
            False where the page has gone.
        ended: called at its end, in that thread.
    """

    def __init__(self, house: House, send: Callable[[dict[str, Any]], bool], ended: Callable[[], object]) -> None:
        self._house, self._send, self._ended = house, send, ended
        self._inbox: Queue[messages.Said | None] = Queue(_MOST_WAITING)
        self._has_gone = False
        self._thread = Thread(target=self._run, name="rig-playground", daemon=True)
        self._thread.start()

    def take(self, data: bytes | str) -> None:
        """Take a message of the page.

        Raises:
            RigError: it is none, or too many wait.
        """
        said = messages.read(data)
        try:
            self._inbox.put_nowait(said)
        except Full as error:
            raise RigError(f"{_MOST_WAITING} messages wait already; say less at once") from error

    def tell(self, kind: str, **values: object) -> None:
        """Tell the page something; nothing happens where it has gone."""
        if not self._has_gone and not self._send({"kind": kind, **values}):
            self._has_gone = True  # never False again: `leave` says so from another thread

    def leave(self) -> None:
        """Have the thread keep what is to be kept, and end."""
        self._has_gone = True
        with suppress(Full):  # it looks whether the page is there after each message
            self._inbox.put_nowait(None)

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end of the thread."""
        self._thread.join(seconds)

    def _run(self) -> None:
        hall: Hall | None = None
        views: dict[str, ViewState] = {}
        try:
            self._house.mind.enter()
            hall = Hall(self._house.environment, self._house.mind, self.tell)
            views = {name: make(hall) for name, make in self._house.views.items()}
            self._serve(hall, views)
        except RigError as error:
            self.tell("error", code="failed", message=str(error))
        except Exception:
            _LOG.exception("a session failed")
            self.tell("error", code="failed", message="this session failed; it is told in the server's log. Reload.")
        finally:
            _close(hall, views)
            self._ended()

    def _serve(self, hall: Hall, views: dict[str, ViewState]) -> None:
        at = next(iter(views))
        self.tell("about", **self._house.about(hall))
        views[at].show()
        while not self._has_gone:
            said = self._next(views[at].wait())
            try:
                if isinstance(said, messages.View) and said.view in views:
                    views[at].hide()
                    at = said.view
                    views[at].show()
                elif isinstance(said, messages.Begin):
                    hall.world.tasks.variants([said.task])  # what cannot begin ends nothing
                    views[at].hide()
                    hall.begin(said.task, said.number, self._house.split_of(at))
                    views[at].show()
                elif said is not None:
                    views[at].handle(said)
                elif not self._has_gone:
                    views[at].go_on()
            except RigError as error:
                self.tell("error", code="refused", message=str(error))

    def _next(self, seconds: float | None) -> messages.Said | None:
        """Return what is said next; None where nothing was within so many seconds, or the page has gone."""
        try:
            return self._inbox.get_nowait() if seconds == 0 else self._inbox.get(timeout=seconds)
        except Empty:
            return None


def _close(hall: Hall | None, views: dict[str, ViewState]) -> None:
    for view in views.values():
        try:
            view.close()
        except RigError as error:
            _LOG.error("what was played could not be kept: %s", error)
    if hall is not None:
        hall.close()


class Pace:
    """Counts what comes against what may come: so many a second on average, and twice as many at once.

    Args:
        per_second: how many.
        clock: tells the seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._most, self._clock = per_second, max(1.0, 2 * per_second), clock
        self._left, self._at = self._most, clock()

    def allows(self) -> bool:
        """Count one more; return whether it may come."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
