"""What made an artefact: code, machine, command and date, as one JSON-able dict that is saved with it."""

from __future__ import annotations

import math
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from rig import __version__
from rig.machine import usable_cores, usable_memory

UNKNOWN = "unknown"

_PACKAGE = Path(__file__).resolve().parent
_CPU_FILE = Path("/proc/cpuinfo")
_GPU_FOLDER = Path("/proc/driver/nvidia/gpus")


class Commit(TypedDict):
    """See `commit`."""

    hash: str
    dirty: bool | None


class Hardware(TypedDict):
    """What cards say of `hardware`."""

    cpu: str
    cores: int
    gpu: str


class Made(TypedDict):
    """What cards and reports say of the `provenance` that was saved with an artefact."""

    date: str
    commit: Commit
    hardware: Hardware
    command: str


def provenance() -> dict[str, Any]:
    """Return where an artefact comes from.

    Keys: `date` (UTC, ISO 8601), `version` of this package, `commit` (see `commit`), `hardware` (see `hardware`),
    `command` (the command line, see `command`), `python` and `platform`. It imports nothing heavy and starts no GPU.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": dict(commit()),
        "hardware": hardware(),
        "command": command(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def command(arguments: Sequence[str]) -> str:
    """Return a command line as one types it: its program by name, without the folder that it is installed in."""
    program = Path(arguments[0])
    name = "rig" if program.resolve().is_relative_to(_PACKAGE) else program.name
    return shlex.join([name, *arguments[1:]])


@lru_cache(maxsize=4)
def commit(package: Path = _PACKAGE) -> dict[str, Any]:
    """Return `hash` and `dirty` of the git commit that holds `package`, or `unknown` and None.

    It is unknown where there is no git and where the package is installed, even into a folder inside some other
    repository. `dirty` says whether a file of the package differs from that commit.
    """
    unknown = {"hash": UNKNOWN, "dirty": None}
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return unknown
    head = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".")
    if head is None or changes is None:
        return unknown
    return {"hash": head.strip(), "dirty": bool(changes.strip())}


def hardware() -> dict[str, Any]:
    """Return `cpu` (model), `gpu` (names joined by ", ", or "none"), `cores` and `memory` (bytes, or None).

    The last two are what this process may use, which a container may make less than what the machine has.
    """
    memory = usable_memory()
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory": int(memory) if math.isfinite(memory) else None,
        "gpu": ", ".join(_gpus()) or "none",
    }


def _cpu() -> str:
    if _CPU_FILE.exists():
        for line in _CPU_FILE.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or UNKNOWN


def _gpus() -> list[str]:
    """Ask the driver's files, then torch where it already holds the GPU, then nvidia-smi: none of them starts one."""
    if _GPU_FOLDER.is_dir():
        files = sorted(_GPU_FOLDER.glob("*/information"))
        lines = [line for file in files for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        return [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_initialized():
        return [cuda.get_device_name(index) for index in range(cuda.device_count())]
    if shutil.which("nvidia-smi") is None:
        return []
    found = _run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return [line.strip() for line in (found or "").splitlines() if line.strip()]


def _git(folder: Path, *arguments: str) -> str | None:
    return _run("git", "-C", str(folder), *arguments)


def _run(*command: str) -> str | None:
    """Return what a command prints, or None where it is missing, fails or takes longer than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
