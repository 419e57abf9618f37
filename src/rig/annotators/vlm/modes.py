"""How a server is asked for JSON: the strongest way that it takes, found once and remembered with the answers."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from rig.annotators.vlm.asked import MODES, Mode, Reply
from rig.annotators.vlm.line import CallRefused
from rig.annotators.vlm.store import Store

_HOPELESS = 3
"""Requests that may be refused in every way, with none ever taken, before nothing more is asked."""


class Hopeless(Exception):
    """The server took no request, in whatever way it was asked."""


class Ladder:
    """Goes down the ways to ask until the server takes one, and stays there.

    Args:
        store: where it is written down.
        server: the server's address.
        model: who is asked.
    """

    def __init__(self, store: Store, server: str, model: str) -> None:
        self._store, self._server, self._model = store, server, model
        self._mode = store.mode(server, model)
        self._is_certain = False
        self._refused, self._reason = 0, ""
        self._finding = RLock()

    @property
    def mode(self) -> Mode:
        """The way that is tried first."""
        return self._mode or MODES[0]

    def ask(self, send: Callable[[Mode], Reply]) -> Reply:
        """Return what comes of `send` in the first way, from the present one down, that is not refused.

        Until a way has been taken by this server, one question at a time finds out.

        Raises:
            CallRefused: every way was.
            Hopeless: this has happened again and again, and no request was ever taken.
        """
        if self._is_certain:
            return send(self.mode)
        with self._finding:
            return send(self.mode) if self._is_certain else self._found(send)

    def _found(self, send: Callable[[Mode], Reply]) -> Reply:
        if self._refused >= _HOPELESS:
            raise Hopeless(self._reason)
        for mode in MODES[MODES.index(self.mode) :]:
            try:
                reply = send(mode)
            except CallRefused as error:
                self._reason = str(error)
                continue
            if mode != self._store.mode(self._server, self._model):
                self._store.remember_mode(self._server, self._model, mode)
            self._mode, self._is_certain = mode, True
            return reply
        self._refused += 1
        if self._refused >= _HOPELESS:
            raise Hopeless(self._reason)
        raise CallRefused(self._reason)
