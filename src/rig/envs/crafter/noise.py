"""The noise that Crafter's worlds are made of, compiled where numba can: a fifteenth of the time, the same bits.

opensimplex compiles its functions by itself where it finds numba, and would keep them beside its own files, which may
be another user's. They are kept under `rig.machine.cache_root()` here. Whatever is wrong with numba or with what it
kept costs time, and no world: what cannot be compiled is computed in Python.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from rig.errors import MissingDependencyError, RigError
from rig.machine import cache_root
from rig.registry import require
from rig.storage import LOCK_NAME, Lock

_PACKAGE = "opensimplex"


def load() -> ModuleType:
    """Return opensimplex, with functions that numba will compile when they are first called, if it works here.

    A program that has imported it before has it as it is.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if _PACKAGE in sys.modules:
        return sys.modules[_PACKAGE]
    try:
        with _kept_in(_folder()):
            require(_PACKAGE, "crafter")
            return sys.modules[_PACKAGE]
    except MissingDependencyError:
        raise
    except Exception:  # numba for another numpy, a library of its that does not load, nowhere to keep anything
        return in_python()


def in_python() -> ModuleType:
    """Return opensimplex as it is without numba, imported anew."""
    for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
        del sys.modules[name]
    with _hidden("numba"):
        return import_module(_PACKAGE)


@lru_cache(maxsize=1)
def compiled() -> ModuleType:
    """Return opensimplex ready to be used: its functions compiled, or taken from what was kept; else in Python.

    That takes 2 s the first time on a machine, and 0.3 s in each process after it. One process at a time does it, so
    that of many which start together one compiles and the others take what it kept.
    """
    module = load()
    with suppress(RigError), _alone():
        for _ in range(2):
            with suppress(Exception):  # a kept file that was cut short, say
                _try(module)
                return module
            _forget(module)
    with suppress(Exception):  # the folder could not be locked: whoever writes there next will say why
        _try(module)
        return module
    return in_python()


def is_compiled(module: ModuleType) -> bool:
    """Return whether numba compiles the functions of this opensimplex."""
    return hasattr(_function(module), "py_func")


def _try(module: ModuleType) -> None:
    """Call the noise as `crafter.worldgen` does."""
    module.OpenSimplex(0).noise3(0.5, 0.5, 0)


def _function(module: ModuleType) -> Any:
    return sys.modules[f"{module.__name__}.internals"]._noise3


def _folder() -> Path | None:
    try:
        return cache_root() / "numba"
    except RigError:
        return None


@contextmanager
def _alone() -> Iterator[None]:
    folder = _folder()
    if folder is None:
        yield
        return
    with Lock(folder / LOCK_NAME, wait=True):
        yield


def _forget(module: ModuleType) -> None:
    """Remove what was kept of this opensimplex; what others keep beside it, installed elsewhere, stays.

    Its folder stays too, for numba made that when the module was imported.
    """
    folder = getattr(getattr(_function(module), "stats", None), "cache_path", None)
    for path in Path(folder).glob("*.nb?") if folder else ():
        path.unlink(missing_ok=True)


@contextmanager
def _kept_in(folder: Path | None) -> Iterator[None]:
    """Have numba keep what is declared within the block in a folder, unless the user chose one (`NUMBA_CACHE_DIR`)."""
    try:
        config: Any = import_module("numba").config
    except ModuleNotFoundError:
        yield
        return
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(folder or "")
    try:
        yield
    finally:
        config.CACHE_DIR = before


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Have imports of a module fail within the block, as if it was not installed."""
    before = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
