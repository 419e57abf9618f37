"""What has to be on the machine: the engine, its game, a display without a screen, and a C compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rig.errors import MissingDependencyError

PACKAGES = tuple(Path(__file__).with_name("packages.txt").read_text(encoding="utf-8").split())
"""The Debian packages of all of it; the only place where they are named."""

INSTALL = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
"""The one command that mends whatever is missing, as root."""

VERSION = "5.6.1"
"""The engine that this is written for; newer ones open their window in another way."""

GAME = Path("/usr/share/games/minetest/games/minetest_game")
"""The folder of the game."""

_PLACES = ("/usr/games", "/usr/local/games")
_HEADERS = ("X11/Xlib.h", "GL/glx.h")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One prerequisite: its name, what was found, and whether that will do."""

    name: str
    found: str
    ok: bool


def program(name: str) -> str | None:
    """Return the path of a program, also where games are kept, which root's PATH leaves out."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_PLACES))


def compiler() -> str | None:
    """Return the path of the C compiler: $CC, cc, gcc or clang; None where there is none."""
    named = os.environ.get("CC")
    return next((path for name in (named, "cc", "gcc", "clang") if name and (path := shutil.which(name))), None)


def run(command: Sequence[str], text: str = "", seconds: float = 30) -> subprocess.CompletedProcess[str]:
    """Return what came of a command that reads `text`; its words may be of any encoding."""
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=seconds,
        check=False,
    )


def examine() -> list[Finding]:
    """Return a finding for every prerequisite."""
    return [_engine(), _game(), _display(), _compiler(), _headers()]


def required(name: str) -> str:
    """Return the path of a program that is needed.

    Raises:
        MissingDependencyError: it is not installed.
    """
    path = program(name)
    if path is None:
        raise MissingDependencyError(f"{name} is not installed. Install it: {INSTALL}")
    return path


def check_engine() -> None:
    """Raise MissingDependencyError where the engine, its game or the display server will not do."""
    for finding in (_engine(), _game(), _display()):
        if not finding.ok:
            raise MissingDependencyError(f"{finding.name}: {finding.found}. Install it: {INSTALL}")


def _engine() -> Finding:
    path = program("minetest")
    version = _version(path) if path else "not installed"
    return Finding(name=f"Minetest {VERSION}", found=version, ok=f"Minetest {VERSION}" in version)


@lru_cache
def _version(path: str) -> str:
    return next(iter(run([path, "--version"]).stdout.splitlines()), "does not say its version")


def _game() -> Finding:
    there = GAME.is_dir()
    return Finding(name="Minetest Game", found=str(GAME) if there else "not installed", ok=there)


def _display() -> Finding:
    path = program("Xvfb")
    return Finding(name="Xvfb, a display without a screen", found=path or "not installed", ok=path is not None)


def _compiler() -> Finding:
    path = compiler()
    return Finding(name="C compiler for Minetest's lock-step", found=path or "none", ok=path is not None)


def _headers() -> Finding:
    path = compiler()
    source = "".join(f"#include <{header}>\n" for header in _HEADERS)
    there = path is not None and not _preprocess(path, source)
    return Finding(name="headers of X11 and OpenGL", found="there" if there else "not installed", ok=there)


def _preprocess(path: str, source: str) -> int:
    return run([path, "-E", "-x", "c", "-", "-o", os.devnull], source).returncode
