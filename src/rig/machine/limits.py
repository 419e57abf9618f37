"""The memory and the cores that this process may use: the machine's, or less where a container or a quota says so.

The kernel keeps a container's limits in control groups, of version 1 (a hierarchy for each resource) or 2 (one for
all). A limit on a group holds for all within it, so those of the process's own group and of all above it count. Folders
are read below a `root`, which is "/" but in tests.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """Return how many cores this process may use at once, at least 1: by its affinity, and by quotas of time."""
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    return max(1, round(min([_allowed(), *quotas])))


def usable_memory(root: Path = ROOT) -> float:
    """Return the bytes of memory that this process and its kin may use; infinity where the system does not say."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    limits = [_number(folder / name) for folder in _groups(root, "memory") for name in names]
    return min([_built_in(), *(limit for limit in limits if limit is not None)])


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _built_in() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control groups for a controller, of either version, innermost first."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" "), "", "", ""][:3]
        if len(fields := before.split(" ")) < 5 or not _serves(kind, options, controller):
            continue
        mounted, place = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
        path = _path(root, controller if kind == "cgroup" else "")
        if path is None:
            continue
        is_below = path.is_relative_to(mounted) and ".." not in path.parts
        below = path.relative_to(mounted) if is_below else PurePosixPath()
        top = root / place.relative_to("/")
        yield from (folder for folder in (top / below, *(top / below).parents) if folder.is_relative_to(top))


def _serves(kind: str, options: str, controller: str) -> bool:
    return kind == "cgroup2" or (kind == "cgroup" and controller in options.split(","))


def _path(root: Path, controller: str) -> PurePosixPath | None:
    """Return this process's group in the hierarchy of a controller; that of version 2 has none."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(","):
            return PurePosixPath(path or "/")
    return None


def _quota(folder: Path) -> float | None:
    """Return the cores that a group's quota of processor time makes, or None without one."""
    words = " ".join(_lines(folder / "cpu.max")).split()
    if len(words) != 2:
        words = [word for name in ("quota", "period") for word in _lines(folder / f"cpu.cfs_{name}_us")]
    if len(words) != 2 or not all(word.isdecimal() and int(word) for word in words):  # "max", or -1
        return None
    return int(words[0]) / int(words[1])


def _number(path: Path) -> int | None:
    word = "".join(_lines(path))
    return int(word) if word.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _unescaped(field: str) -> str:
    """Return a field of mountinfo, where blanks are written as octal numbers."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), field)
