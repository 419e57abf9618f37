"""Trackers of other packages, each an extra. None of them asks the network for anything unless its user says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rig.errors import RigError
from rig.registry import require
from rig.tracking.base import PROJECT, TRACKERS, TrackedRun


class TensorBoard:
    """Event files in the run's own folder."""

    def __init__(self) -> None:
        require("tensorboard", "tensorboard")
        self._package: Any = require("torch.utils.tensorboard", "tensorboard")
        self._events: Any = None

    def begin(self, run: TrackedRun) -> None:
        """Open a file of events; those of later steps in earlier files are void."""
        folder = run.folder.absolute()
        if str(folder).encode(errors="replace") != os.fsencode(folder):  # it takes every name for UTF-8
            raise RigError(f"{folder} is named in another encoding than UTF-8")
        self._events = self._package.SummaryWriter(str(folder), purge_step=run.step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values as scalars."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def end(self) -> None:
        """Write what is left."""
        self._events.close()


class Trackio:
    """trackio's database on this machine, of which `trackio show --project rig` makes a page.

    Where the environment names a Space or a server (`TRACKIO_SPACE_ID`, `TRACKIO_SERVER_URL`) trackio tells that.
    """

    def __init__(self) -> None:
        self._package: Any = require("trackio", "trackio")
        self._run: Any = None

    def begin(self, run: TrackedRun) -> None:
        """Begin with the run, or go on with it."""
        self._run = self._package.init(
            project=PROJECT,
            name=f"{run.name}-{run.id}",
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values."""
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        """Write what is left."""
        self._package.finish()  # the run's own `finish` would be called once more, and tell so, when Python ends


class WandB:
    """A folder `wandb/` in the run's own, which `wandb sync` sends; with WANDB_MODE=online it is sent at once."""

    def __init__(self) -> None:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it tells its makers of its errors, even offline
        self._package: Any = require("wandb", "wandb")
        self._run: Any = None

    def begin(self, run: TrackedRun) -> None:
        """Begin with the run, or go on with it."""
        self._run = self._package.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            id=run.id,
            dir=str(run.folder),
            config=dict(run.config),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            settings=self._package.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values."""
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        """Write what is left."""
        self._run.finish()


TRACKERS.add("tensorboard", TensorBoard)
TRACKERS.add("trackio", Trackio)
TRACKERS.add("wandb", WandB)
