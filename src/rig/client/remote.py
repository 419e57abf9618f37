"""An agent behind a server, which decides as one that is loaded."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from threading import Lock
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from rig.actions import Action, ActionSpace
from rig.client.messages import (
    PROTOCOL,
    About,
    Asked,
    AskedDreams,
    Refusal,
    Refused,
    Said,
    SaidDreams,
    array_map,
    decision_of,
    dreams_of,
    pack,
)
from rig.errors import ServiceError
from rig.records import Decision, Frame
from rig.registry import require
from rig.validation import parse_as, validated

TOKEN = "RIG_SERVE_TOKEN"
"""The environment variable that has the token where none is given."""

_MOST_BYTES = 1 << 28
_FIX = "the server is to be `rig serve` of the same release"


class _Sent(Asked, frozen=True, kw_only=True):
    frame: Any


class _SentDreams(AskedDreams, frozen=True, kw_only=True):
    frame: Any


def connect(url: str, *, token: str | None = None, timeout: float = 60.0) -> RemoteAgent:
    """Return the agent that `rig serve` serves at a "ws://host:port".

    Args:
        url: where; "wss://…" behind a proxy that encrypts.
        token: what the server wants of clients from elsewhere; None takes that of the variable RIG_SERVE_TOKEN, if set.
        timeout: seconds that an answer may take, the waiting included where the server is busy.

    Raises:
        ServiceError: nobody answers there, or it refuses.
        MissingDependencyError: websockets is not installed.
    """
    return RemoteAgent(url, token=token, timeout=timeout)


class RemoteAgent:
    """An agent behind a server; made by `connect`, closed by `close` or at the end of a `with` block.

    A connection is a session: the server remembers what was decided in it, so that a frame and an instruction are
    enough. Calls of several threads wait for each other; who wants answers side by side opens several.

    Attributes:
        about: what the server says of itself.
        actions: the keys and the camera that the agent decides with.
    """

    def __init__(self, url: str, *, token: str | None = None, timeout: float = 60.0) -> None:
        self.url, self._timeout, self._lock = url, timeout, Lock()
        self._token = os.environ.get(TOKEN) if token is None else token
        self._library: Any = require("websockets.sync.client", "client")
        self._errors: Any = require("websockets.exceptions", "client")
        self._open_socket = ExitStack()
        self._socket = self._open(time.monotonic() + timeout)
        try:
            self.about = self._first_message()
            self.actions: ActionSpace = validated(
                self.about.action_space, ActionSpace, f"{url}: action_space", _FIX, ServiceError
            )
        except BaseException:
            self.close()
            raise

    def decide(
        self,
        frame: Frame,
        instruction: str,
        previous_action: Action | str | None = None,
        *,
        earlier_actions: Sequence[Action | str] | None = None,
        seed: int | None = None,
        reset: bool = False,
    ) -> Decision:
        """Return what the agent decides to do; see `rig.Agent.decide`.

        Args:
            frame: what is seen, uint8 [H, W, 3].
            instruction: the task as text.
            previous_action: what was executed last; None is what was decided last in this session.
            earlier_actions: what was executed before that, newest first; None is what the session knows of it.
            seed: the decision follows from what is seen and from this alone; None takes the next of the session's own.
            reset: begin a new episode first: what was executed before is forgotten.

        Raises:
            ServiceError: the server refuses, is lost, or does not answer in time.
        """
        asked = _Sent(
            frame=array_map(np.ascontiguousarray(frame)),
            instruction=instruction,
            previous_action=None if previous_action is None else self._text(previous_action),
            earlier_actions=None if earlier_actions is None else tuple(map(self._text, earlier_actions)),
            seed=seed,
            reset=reset,
        )
        answer = self._ask(asked)
        if not isinstance(answer, Said):
            raise ServiceError(f"{self.url} answers with dreams where a decision was asked for; {_FIX}")
        return decision_of(answer, self.actions)

    def dream(
        self,
        frame: Frame,
        actions: Sequence[Action | str],
        instruction: str = "",
        *,
        thoughts: Sequence[str] | None = None,
    ) -> list[Frame]:
        """Return the frames that it imagines to follow a frame; see `rig.Agent.dream`. The session stays as it is.

        Args:
            frame: where it begins, uint8 [H, W, 3].
            actions: what is done, as actions or as their texts; 64 at the most.
            instruction: the task as text; none is needed.
            thoughts: what is thought before each action; nothing where None.

        Returns:
            A frame for each action, of the size of `frame`.

        Raises:
            ServiceError: the server refuses, is lost, or does not answer in time.
        """
        asked = _SentDreams(
            frame=array_map(np.ascontiguousarray(frame)),
            actions=tuple(map(self._text, actions)),
            thoughts=None if thoughts is None else tuple(thoughts),
            instruction=instruction,
        )
        answer = self._ask(asked)
        if not isinstance(answer, SaidDreams):
            raise ServiceError(f"{self.url} answers with a decision where dreams were asked for; {_FIX}")
        frames = [dream.frame for dream in dreams_of(answer, self.actions) if dream.frame is not None]
        if len(frames) != len(asked.actions):
            raise ServiceError(f"{self.url} sent {len(frames)} frames for {len(asked.actions)} actions; {_FIX}")
        return frames

    def close(self) -> None:
        """End the session."""
        self._open_socket.close()

    def __enter__(self) -> RemoteAgent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _text(self, action: Action | str) -> str:
        return action if isinstance(action, str) else self.actions.format(action)

    def _ask(self, asked: Asked | AskedDreams) -> Said | SaidDreams:
        message, most = pack(asked), self.about.limits.frame_bytes
        if len(message) > most:
            # A server that cuts a connection for it may be gone before the reason is read.
            raise ServiceError(f"a message of {len(message)} bytes, and {self.url} takes {most}; send a smaller frame")
        with self._lock:
            return self._answer(message)

    def _answer(self, asked: bytes) -> Said | SaidDreams:
        """Return the answer; where the server is busy, ask again when it says to, until the time is over."""
        until = time.monotonic() + self._timeout
        while True:
            answer = self._exchange(asked, until)
            if not isinstance(answer, Refused):
                return answer
            _wait_or_refuse(answer.error, until, self.url)

    def _exchange(self, asked: bytes, until: float) -> Said | SaidDreams | Refused:
        try:
            self._socket.send(asked)
            data = self._socket.recv(timeout=max(0.0, until - time.monotonic()), decode=False)
        except TimeoutError as error:
            self.close()  # what comes now would be taken for the answer to the next
            raise ServiceError(f"{self.url} did not answer within {self._timeout:g} s") from error
        except self._errors.ConnectionClosed as error:
            raise ServiceError(f"{self.url} ended the session ({error}); connect again") from error
        return parse_as(data, Said | SaidDreams | Refused, "msgpack", f"the answer of {self.url}", _FIX, ServiceError)  # type: ignore[arg-type]

    def _open(self, until: float) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        while True:
            try:
                opening = self._library.connect(
                    self.url,
                    additional_headers=headers,
                    compression=None,
                    max_size=_MOST_BYTES,
                    open_timeout=max(0.1, until - time.monotonic()),
                )
                return self._open_socket.enter_context(opening)
            except self._errors.InvalidStatus as error:
                _wait_or_refuse(_refusal_of(error.response), until, self.url)
            except (OSError, ValueError, self._errors.WebSocketException) as error:
                told = str(error) or type(error).__name__
                raise ServiceError(f"nobody serves decisions at {self.url} ({told}); is `rig serve` there?") from error

    def _first_message(self) -> About:
        try:
            data = self._socket.recv(timeout=self._timeout, decode=False)
        except (TimeoutError, self._errors.ConnectionClosed) as error:
            raise ServiceError(f"{self.url} does not say what it is ({error}); {_FIX}") from error
        about = parse_as(data, About, "msgpack", f"the first message of {self.url}", _FIX, ServiceError)
        if about.protocol != PROTOCOL:
            raise ServiceError(f"{self.url} speaks protocol {about.protocol}, and this client {PROTOCOL}; {_FIX}")
        return about


def _refusal_of(response: Any) -> Refusal:
    """Return why a server did not take a connection, whoever wrote it."""
    try:
        return msgspec.json.decode(response.body or b"", type=Refused).error
    except ValueError:
        return Refusal(code="forbidden", message=f"HTTP {response.status_code} {response.reason_phrase}")


def _wait_or_refuse(refusal: Refusal, until: float, url: str) -> None:
    """Wait as long as the server says; where it says nothing, or the time would be over, raise ServiceError."""
    if refusal.retry_after is None or time.monotonic() + refusal.retry_after > until:
        raise ServiceError(f"{url} refuses ({refusal.code}): {refusal.message}")
    time.sleep(max(0.0, refusal.retry_after))
