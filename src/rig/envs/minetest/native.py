"""Compiles the preload library and the keeper, once for every version of their source and of the compiler."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rig.envs.minetest.prerequisites import INSTALL, compiler, run
from rig.errors import MissingDependencyError, RigError
from rig.machine import cache_root
from rig.storage import made_once

_SOURCES = Path(__file__).with_name("native")
_FLAGS = ("-O3", "-Wall", "-Wextra")
_LIBRARY = ("clock.c", "chance.c", "threads.c", "network.c", "input.c", "pixels.c", "link.c", "anchors.c")


@dataclass(frozen=True, kw_only=True)
class Native:
    """What was compiled.

    Attributes:
        library: is preloaded into the engine.
        keeper: starts the engine and its display, and ends both.
    """

    library: Path
    keeper: Path


def build() -> Native:
    """Return the compiled library and keeper, from the cache where they are there.

    Raises:
        MissingDependencyError: there is no C compiler.
        RigError: the compiler refuses, with its words; or nothing may be run from the cache.
    """
    path = compiler()
    if path is None:
        raise MissingDependencyError(
            "Minetest's lock-step is compiled once, and there is no C compiler (cc, gcc or clang). "
            f"Install it: {INSTALL}"
        )
    folder = made_once(cache_root() / "minetest" / _key(path), partial(_compile_into, path))
    keeper = folder / "keeper"
    if not os.access(keeper, os.X_OK):
        raise RigError(
            f"{keeper} may not be run where it lies, as on a disk that is mounted noexec; set RIG_CACHE to a folder on "
            "one that programs may run from"
        )
    return Native(library=folder / "lockstep.so", keeper=keeper)


def _key(path: str) -> str:
    """Name what the result depends on: sources, flags, compiler and machine."""
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    version = run([path, "--version"]).stdout
    digest.update(" ".join((*_FLAGS, version, platform.machine())).encode())
    return digest.hexdigest()[:24]


def _compile_into(path: str, folder: Path) -> None:
    library = [str(_SOURCES / name) for name in _LIBRARY]
    _run([path, *_FLAGS, "-fPIC", "-shared", "-o", str(folder / "lockstep.so"), *library, "-ldl", "-lpthread"])
    _run([path, *_FLAGS, "-o", str(folder / "keeper"), str(_SOURCES / "keeper.c")])


def _run(command: list[str]) -> None:
    done = run(command, seconds=120)
    if done.returncode:
        raise RigError(
            f"{command[0]} cannot compile Minetest's lock-step:\n{done.stderr.strip()[-1500:]}\n"
            f"What it needs is installed by: {INSTALL}"
        )
