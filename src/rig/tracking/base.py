"""What a tracker is, and how a run tells its own what it logs without ever depending on one."""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from tqdm import tqdm

from rig.errors import RigError
from rig.registry import Registry
from rig.storage import read_json, write_json
from rig.validation import Meta, validated

TRACKING_FILE = "tracking.json"
"""In the folder of what is tracked: the id under which trackers know it."""

PROJECT = "rig"
"""What trackers file runs under."""

_NO_SCORES = ("config", "provenance", "seeds")
"""Numbers of a summary that say how it was made, not what was found."""


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told of a run before its values.

    Attributes:
        folder: where the run lives; it exists.
        name: what people call it: its folder's name.
        id: the run's own, the same whenever it goes on.
        config: what it does, as JSON has it.
        step: where it begins, or goes on. A tracker may have been told of later steps before the run was cut; they come
            again with the same values.
    """

    folder: Path
    name: str
    id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0


class Tracker(Protocol):
    """Keeps what runs log, for people to look at; made without arguments.

    Raises:
        MissingDependencyError: when it is made, where its package is not installed.
    """

    def begin(self, run: TrackedRun) -> None:
        """Begin with a run, or go on with it."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep what was measured at a step; one step may come in several pieces, and none before an earlier one."""
        ...

    def end(self) -> None:
        """Keep for good whatever is not kept yet."""
        ...


TRACKERS: Registry[Callable[[], Tracker]] = Registry("tracker", "rig.trackers")


def trackers_named(names: Sequence[str]) -> dict[str, Tracker]:
    """Return a tracker for each name; one that is named twice is one.

    Raises:
        UnknownNameError: there is no tracker of that name.
        MissingDependencyError: its package is not installed.
    """
    return {name: TRACKERS.get(name)() for name in names}


class Tracking:
    """The trackers of one run. One that fails is told in a line and left out from there on: no run ends by it.

    Nor does a run learn anything else for being tracked: what trackers draw from the interpreter's random numbers is
    drawn again by whoever comes next, and they are given copies. What they print is dropped, for standard output is the
    result's.

    Args:
        names: of the trackers.

    Raises:
        UnknownNameError: there is no tracker of that name.
        MissingDependencyError: its package is not installed.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._trackers = trackers_named(names)
        self._begun = False

    def begin(self, folder: Path, config: Mapping[str, Any], step: int = 0) -> None:
        """Tell the trackers of the run in `folder`, which begins or goes on at `step`."""
        self._begun = True
        if not self._trackers:
            return
        try:
            run = TrackedRun(
                folder=folder, name=folder.absolute().name, id=_id_of(folder), config=dict(config), step=step
            )
        except (OSError, RigError) as error:
            self._leave_out(*self._trackers, error=error)
            return
        self._each(lambda tracker: tracker.begin(run))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Tell them what was measured at a step."""
        assert self._begun or not self._trackers, "trackers are told of a run before its values"
        self._each(lambda tracker: tracker.log(step, dict(values)))

    def end(self) -> None:
        """Have them keep everything; nobody is told anything afterwards."""
        if self._begun:
            self._each(lambda tracker: tracker.end())
        self._trackers = {}

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                with _same_random_numbers(), redirect_stdout(StringIO()):
                    tell(tracker)
            except (Exception, SystemExit) as error:
                self._leave_out(name, error=error)

    def _leave_out(self, *names: str, error: BaseException) -> None:
        for name in names:
            del self._trackers[name]
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(":")
        tqdm.write(f"the run goes on without the tracker {', '.join(names)}, which failed: {why}", sys.stderr)


def track_scores(tracking: Tracking, folder: Path | str, scores: Mapping[str, Any]) -> None:
    """Tell trackers the numbers of an evaluation, whose results lie in `folder`, as the one step of a run."""
    config = scores.get("config")
    told = {name: value for name, value in scores.items() if name not in _NO_SCORES}
    tracking.begin(Path(folder), config if isinstance(config, Mapping) else {})
    tracking.log(0, numbers_in(told))
    tracking.end()


def numbers_in(scores: Mapping[str, Any], before: str = "") -> dict[str, float]:
    """Return the numbers in nested mappings and lists, each by its way there: "cells/explore/success/value"."""
    found: dict[str, float] = {}
    for name, value in scores.items():
        if isinstance(value, list | tuple):
            value = {str(number): entry for number, entry in enumerate(value)}
        if isinstance(value, Mapping):
            found |= numbers_in(value, f"{before}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{before}{name}"] = float(value)
    return found


def _id_of(folder: Path) -> str:
    """Return the id of the run in `folder`, drawn when it is asked for first."""
    path, fix = folder / TRACKING_FILE, "remove it, and the run begins anew for its trackers"
    if not path.is_file():
        write_json(path, {"id": secrets.token_hex(4)})
    return str(validated(read_json(path, fix), _Id, path, fix).id)


@dataclass(frozen=True, kw_only=True)
class _Id:
    id: Annotated[str, Meta(pattern="^[0-9a-z]{8}$")]


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Put the random numbers that a whole interpreter shares back to where they were."""
    torch = sys.modules.get("torch")
    states = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        if torch:
            torch.set_rng_state(states[2])
