"""The state from which a run goes on: tensors by name, each process writing its share while training goes on.

run/state/step-000250/   the last whole one
  .metadata              which tensor lies where; written last
  __0_0.distcp, …        a file of each process

The format is `torch.distributed.checkpoint`'s: any number of processes reads what any other number wrote. A state is
written beside the last one, gets its name when it is whole, and only then is the last one removed.
"""

from __future__ import annotations

import os
import pickle
import re
import shutil
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from tqdm import tqdm

from rig.errors import CheckpointError
from rig.storage import TEMPORARY, refusals_named
from rig.train import ranks

STATE_FOLDER = "state"
METADATA = ".metadata"

warnings.filterwarnings("ignore", "torch.distributed is disabled")  # one process alone is nothing to warn of


class State:
    """The state of a run.

    Args:
        folder: the run's folder; every process has to see it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / STATE_FOLDER
        self._pending: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, "state")
        # Of its own: what is exchanged in the background must not mix with what training exchanges.
        self._group = dist.new_group(backend="gloo") if ranks.are_several() else None

    @property
    def last(self) -> Path | None:
        """The last whole state, if there is one."""
        return next(iter(_states(self.folder)), None)

    @staticmethod
    def last_in(folder: Path) -> Path | None:
        """Return the last whole state of the run in `folder`, if there is one."""
        return next(iter(_states(folder / STATE_FOLDER)), None)

    @staticmethod
    def step_of(path: Path) -> int:
        """Return the step that a state's name says."""
        return int(path.name.removeprefix("step-"))

    def clear_unfinished(self) -> None:
        """Remove what a killed writer left; call it in the first process, while it holds the run's lock."""
        for path in self.folder.glob(f".*{TEMPORARY}"):
            shutil.rmtree(path)

    def save(self, tensors: Mapping[str, Tensor]) -> None:
        """Begin to save `tensors`, which hold "step", in place of the last state; they may change at once.

        Raises:
            RigError: the one before could not be written, as the disk is full.
        """
        self.finish()
        final = self.folder / f"step-{int(tensors['step']):06d}"
        temporary = final.with_name(f".{final.name}{TEMPORARY}")
        # A copy of the dictionary, too: names are looked up while the tensors are written.
        written = dcp.async_save(dict(tensors), storage_writer=_Writer(temporary, final), process_group=self._group)
        assert isinstance(written, Future)
        self._pending = self._thread.submit(_settle, written, temporary, final)

    def finish(self) -> None:
        """Wait until what is being saved is on the disk.

        Raises:
            RigError: the disk is full; the state before is still there.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Finish, and end the thread that writes."""
        try:
            self.finish()
        finally:
            self._thread.shutdown()

    def load(self, tensors: Mapping[str, Tensor]) -> bool:
        """Fill `tensors` from the newest state that is intact; return False where there is none at all.

        An older one is there where a process was killed behind the newest; it is told when it is gone back to.

        Raises:
            CheckpointError: no state can be read, or they hold other tensors.
        """
        states = _states(self.folder)
        for path, older in zip_longest(states, states[1:]):
            try:
                self._read(path, tensors)
                break
            except CheckpointError as error:
                if older is None:
                    raise
                if ranks.is_first():
                    tqdm.write(f"{error}. Going on from {older.name}", sys.stderr)
        return bool(states)

    def _read(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        try:
            _check_metadata(path / METADATA)
            dcp.load(dict(tensors), storage_reader=dcp.FileSystemReader(path), process_group=self._group)
        except (Exception, CheckpointException) as error:
            raise CheckpointError(
                f"{path} cannot be read ({_cause(error)}); remove it to begin this run again"
            ) from error
        if (step := int(tensors["step"])) != self.step_of(path):
            raise CheckpointError(f"{path} holds step {step}, which is not its own; remove it to begin this run again")


def _states(folder: Path) -> list[Path]:
    """Return the whole states in `folder`, newest first; other names are not ours."""
    found = [path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name) and path.is_dir()]
    return sorted(found, key=State.step_of, reverse=True)


class _Writer(dcp.FileSystemWriter):
    """Writes files to a folder, and names a full disk before the error goes to another process without its cause."""

    def __init__(self, folder: Path, final: Path) -> None:
        super().__init__(folder)
        self._final = final

    def write_data(self, *arguments: Any, **named: Any) -> Any:
        """Write the tensors of this process."""
        with refusals_named(self._final):
            return super().write_data(*arguments, **named)

    def finish(self, *arguments: Any, **named: Any) -> None:
        """Write the table of contents."""
        with refusals_named(self._final):
            super().finish(*arguments, **named)


def _settle(written: Future, temporary: Path, final: Path) -> None:
    """Wait for a state to be written, give it its name, and remove the one before; the first process does."""
    try:
        with refusals_named(final):
            written.result()
            if ranks.is_first():
                _replace(temporary, final)
    except BaseException as error:
        if ranks.is_first():
            shutil.rmtree(temporary, ignore_errors=True)
        raise _cause(error) from None


def _replace(temporary: Path, final: Path) -> None:
    before = [path for path in _states(final.parent) if path != final]
    if final.exists():  # damaged: what can be read of it was not gone on from
        shutil.rmtree(final)
    os.replace(temporary, final)
    descriptor = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for path in before:
        shutil.rmtree(path)


def _cause(error: BaseException) -> BaseException:
    """Return what lies behind an error of some processes: the first one's."""
    if isinstance(error, CheckpointException):
        return next(iter(error.failures.values()))[0]
    return error


class _Metadata(pickle.Unpickler):
    """Reads a state's table of contents and nothing else: a pickle can run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a table of contents of tensors is made of.

        Raises:
            UnpicklingError: it is something else.
        """
        if (module, name) == ("builtins", "getattr"):
            return _member
        known = module.partition(".")[0] == "pathlib" or name in _CONTENTS.get(module, ())
        if known or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which no state of a run does")


def _member(kind: Any, name: str) -> Enum:
    """Return a member of an enum, which Python 3.11.0 to 3.11.3 (Debian 12's is one) write as an attribute of it."""
    if isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__:
        return kind[name]
    raise pickle.UnpicklingError(f"it holds {kind}'s {name}, which no state of a run does")


_CONTENTS = {
    "torch": ("Size",),
    "torch.serialization": ("_get_layout",),
    "torch.distributed.checkpoint.filesystem": ("_StorageInfo",),
    "torch.distributed.checkpoint.metadata": (
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    ),
}
"""Without what stands for objects other than tensors, which torch would read as pickles."""


def _check_metadata(path: Path) -> None:
    with path.open("rb") as file:
        _Metadata(file).load()
