"""What a world asks of an engine, and how whatever goes wrong in one becomes a `SimulatorError`."""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn, Protocol, TypeVar

import numpy as np

from rig.envs.minecraft.keys import Pressed
from rig.envs.minecraft.tasks import Spawn
from rig.errors import MissingDependencyError, RigError, SimulatorError
from rig.records import Frame

NATIVE_SIZE = (640, 360)
"""Width and height that the engines draw at: what VPT and STEVE-1 were trained on, together with the next."""

VIEW: Mapping[str, Any] = {
    "fov_range": [70, 70],
    "gamma_range": [2, 2],
    "guiscale_range": [1, 1],
    "cursor_size_range": [16.0, 16.0],
}
"""How an engine is to draw, in the words of its environments."""

T = TypeVar("T")

_LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What came of a tick: the frame, uint8 [360, 640, 3], all that was told, and whether the engine ended it."""

    frame: Frame
    told: Mapping[str, Any]
    done: bool


class Engine(Protocol):
    """An engine: a process of its own, started by the first `begin`.

    Attributes:
        keys: those of MineRL that it takes.
    """

    keys: frozenset[str]

    def begin(self, seed: int, spawn: Spawn) -> Tick:
        """Start an episode.

        Raises:
            SimulatorError: the engine did not start.
        """
        ...

    def step(self, pressed: Pressed) -> Tick:
        """Let a tick pass.

        Raises:
            SimulatorError: the engine failed; it has been closed.
        """
        ...

    def close(self) -> None:
        """End the engine, if it runs."""
        ...


def tick_of(frame: Any, told: Mapping[str, Any], done: Any) -> Tick:
    """Return a tick as it was told.

    Raises:
        SimulatorError: it is none: the engine has lost its process, of which it makes a random frame.
    """
    if "error" in told:
        raise SimulatorError(f"the engine lost its process: {told['error']}")
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        kind = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise SimulatorError(f"the engine showed {kind} in place of a frame, uint8 [height, width, 3]")
    return Tick(frame=frame, told=told, done=bool(done))


def imported(module: str, install: str) -> Any:
    """Return a module of an engine's package, whose requirements may not fit each other.

    Raises:
        MissingDependencyError: it does not import, for whatever reason.
    """
    try:
        return import_module(module)
    except Exception as error:
        raise MissingDependencyError(
            f"{module} does not import ({_said(error)}). Install it anew: {install}"
        ) from error


def ask(call: Callable[[], T], close: Callable[[], None], doing: str, hint: str = "") -> T:
    """Return what an engine's own code gives; whatever it raises is the engine's failure, and `close` is called.

    Raises:
        SimulatorError: it raised something.
    """
    try:
        return call()
    except BaseException as error:  # interrupted: an answer that is still to come would be taken for the next one
        with suppress(Exception):
            close()
        if not isinstance(error, Exception):
            raise
        raise SimulatorError(f"the engine failed in {doing} ({_said(error)}){hint}") from error


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, SimulatorError):
        return text
    return f"{type(error).__name__}: {text[-_LONGEST:]}" if text else type(error).__name__


_STARTING = threading.RLock()
"""Engines start one after the other: both packages count them without a lock."""


@contextmanager
def unattended(name: str) -> Iterator[None]:
    """Have nothing asked of whoever sits there, and nothing written where results are, while a package starts.

    Raises:
        RigError: the package asked something, or ended the process.
    """

    def refuse(question: object = "", /) -> NoReturn:
        raise RigError(f"{name} asks: {str(question).strip()!r}. Nobody answers here: see to it as `rig doctor` says")

    with _STARTING, redirect_stdout(sys.stderr):
        asking, builtins.input = builtins.input, refuse
        try:
            yield
        except SystemExit as error:
            raise RigError(f"{name} would end this process instead of starting; see what `rig doctor` says") from error
        finally:
            builtins.input = asking
