"""What has to be on the machine for MineStudio, and for MineRL: each with the command that brings it. Nothing asks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from rig.errors import MissingDependencyError

JAR = Path("build") / "libs" / "mcprec-6.13.jar"
"""The game, in the folder of an engine."""

MINESTUDIO_INSTALL = "pip install 'rig-agent[minestudio]'"
_MINERL = "pip install --no-deps 'minerl @ git+https://github.com/minerllabs/minerl@v1.0.2'"
MINERL_INSTALL = f"pip install 'rig-agent[minerl]' && {_MINERL}"
"""Not from PyPI, whose newest is 0.4: another game, with other keys. It pins a numpy that is older than ours."""

_ENGINE = "python -m minestudio.simulator.entry -y"
_JAVA = "conda install -c conda-forge openjdk=8"
_XVFB = "apt-get install -y xvfb"
_VGL = "install VirtualGL, or unset MINESTUDIO_GPU_RENDER to draw without a GPU"
_SCREEN = "start rig behind `xvfb-run -a`, or set DISPLAY"

START_HINT = (
    ". It needs Java 8 first on PATH, and a display that OpenGL can draw to: see `rig doctor`, and the newest file in "
    "the folder logs/ that the engine has written beside you"
)
LOST_HINT = (
    ". Mostly its process has ended, or has stopped answering: see the newest file in the folder logs/ that the engine "
    "has written beside you"
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One prerequisite: its name, what was found, whether that will do, and the command that mends it."""

    name: str
    found: str
    ok: bool
    mend: str


def examine_minestudio() -> list[Finding]:
    """Return a finding for all that MineStudio's simulator needs; the package alone, where that is missing."""
    return _examined(_minestudio(), (_java, _minestudio_display, _minestudio_engine))


def examine_minerl() -> list[Finding]:
    """Return a finding for all that MineRL 1.0 needs; the package alone, where that is missing."""
    return _examined(_minerl(), (_java, _screen, _minerl_engine))


def refuse_missing_minestudio() -> None:
    """Raise MissingDependencyError where MineStudio cannot start; it would ask whoever sits there."""
    _refuse("minestudio", examine_minestudio())


def refuse_missing_minerl() -> None:
    """Raise MissingDependencyError where MineRL cannot start."""
    _refuse("minerl", examine_minerl())


def minestudio_folder() -> Path:
    """Return where MineStudio keeps its engine; it is not made here."""
    return Path(os.environ.get("MINESTUDIO_DIR") or Path(tempfile.gettempdir()) / "MineStudio")


def _examined(package: Finding, others: Sequence[Callable[[], Finding]]) -> list[Finding]:
    return [package, *(look() for look in others)] if package.ok else [package]


def _refuse(world: str, findings: Sequence[Finding]) -> None:
    for finding in findings:
        if not finding.ok:
            raise MissingDependencyError(f"the world {world!r} needs {finding.name}: {finding.found}. {finding.mend}")


def _minestudio() -> Finding:
    found = _version("minestudio")
    ok = found.startswith("1.")
    return Finding(name="the package minestudio 1.1", found=found, ok=ok, mend=f"Install it: {MINESTUDIO_INSTALL}")


def _minerl() -> Finding:
    found = _version("minerl")
    ok = found.startswith("1.")
    return Finding(name="the package minerl 1.0", found=found, ok=ok, mend=f"Install it: {MINERL_INSTALL}")


def _version(package: str) -> str:
    try:
        return version(package) if find_spec(package) else "not installed"
    except PackageNotFoundError:
        return "not installed"


def _java() -> Finding:
    path = shutil.which("java")
    found = _java_version(path) if path else "not installed"
    return Finding(name="Java 8", found=found, ok=found.startswith(("1.8", "8")), mend=f"Install it: {_JAVA}")


@lru_cache
def _java_version(path: str) -> str:
    """Return what a Java says of itself, which it does on stderr."""
    said = subprocess.run(
        [path, "-version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    ).stderr
    told = re.search(r'version "([^"]+)"', said)
    return told[1] if told else f"{path}, which does not say its version"


def _minestudio_display() -> Finding:
    """Return what MineStudio draws with: on a GPU VirtualGL, where its own variable says so, and else Xvfb."""
    by_gpu = os.environ.get("MINESTUDIO_GPU_RENDER") == "1"
    program, mend = ("vglrun", f"Either {_VGL}") if by_gpu else ("xvfb-run", f"Install it: {_XVFB}")
    path = shutil.which(program)
    return Finding(name=f"a display, {program}", found=path or "not installed", ok=path is not None, mend=mend)


def _screen() -> Finding:
    display = os.environ.get("DISPLAY", "")
    return Finding(name="a display", found=display or "DISPLAY is not set", ok=bool(display), mend=f"Mend: {_SCREEN}")


def _minestudio_engine() -> Finding:
    jar = minestudio_folder() / "engine" / JAR
    mend = f"Set MINESTUDIO_DIR to a folder that stays, and download it without being asked: {_ENGINE}"
    return _engine(jar, "MineStudio's engine", mend)


def _minerl_engine() -> Finding:
    spec = find_spec("minerl")
    place = Path(spec.origin).parent if spec and spec.origin else Path("minerl")
    mend = f"Build it with Java 8 on PATH: {_MINERL} --force-reinstall"
    return _engine(place / "MCP-Reborn" / JAR, "MineRL's engine", mend)


def _engine(jar: Path, name: str, mend: str) -> Finding:
    there = jar.is_file()
    return Finding(name=name, found=str(jar) if there else f"there is no {jar}", ok=there, mend=mend)
