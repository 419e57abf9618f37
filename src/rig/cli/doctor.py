"""The examination behind `rig doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig.errors import RigError
from rig.machine import cache_root, usable_memory
from rig.provenance import hardware

if TYPE_CHECKING:
    import torch

PACKAGES = {
    "torch": ("torch", ""),
    "pyarrow": ("pyarrow", ""),
    "tokenizers": ("tokenizers", ""),
    "numba": ("numba", "crafter"),
    "crafter": ("crafter", "crafter"),
    "torchmetrics": ("torchmetrics", "eval"),
    "matplotlib": ("matplotlib", "eval"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "av": ("av", "video"),
}
"""Module -> (distribution, extra that installs it)."""
_IMPORTED_BY = {"crafter": "rig.envs.crafter.simulator"}
"""Modules that want something done before they are imported, and what does it."""

LEAST_FREE = 2e9
LEAST_MEMORY = 1.5e9
LEAST_PYTHON = (3, 11)


def examine(agent: str = "") -> list[dict[str, Any]]:
    """Return one entry per check: name, ok, found, and mend where it is not ok."""
    return [
        *_packages(),
        *_compute(),
        *_worlds(),
        *_machine(),
        *_minetest(),
        *_minecraft(),
        *(_agent(agent) if agent else ()),
    ]


def _packages() -> Iterator[dict[str, Any]]:
    least = ".".join(map(str, LEAST_PYTHON))
    yield _check("Python", sys.version_info >= LEAST_PYTHON, platform.python_version(), f"install Python {least}")
    for module, (distribution, extra) in PACKAGES.items():
        wanted = f"rig-agent[{extra}]" if extra else "rig-agent"
        try:
            found = version(distribution)
        except PackageNotFoundError:
            yield _check(f"package {module}", False, "not installed", f"pip install '{wanted}'")
            continue
        yield _try(
            f"package {module}",
            partial(import_module, _IMPORTED_BY.get(module, module)),
            found,
            f"pip install '{wanted}'",
        )


def _compute() -> Iterator[dict[str, Any]]:
    import torch

    from rig.model import best_device, compute_dtype, decision_dtype
    from rig.train.compiling import why_not_compile

    device = best_device()
    trains, decides = (str(dtype(device)).removeprefix("torch.") for dtype in (compute_dtype, decision_dtype))
    found = f"{device}, {torch.get_num_threads()} threads, trains in {trains}, decides in {decides}{_measured(device)}"
    yield _check("compute", True, found, "")
    compiler = shutil.which("g++") or shutil.which("clang++")
    mend = "apt-get install g++, or train with --no-compile"
    yield _check("C++ compiler for torch.compile", compiler is not None, compiler or "none", mend)
    why = why_not_compile(device)
    mend = "mend what it names, or let `rig train` go on without compiling, as it then does"
    yield _check("torch.compile", why is None, why or "compiles", mend)


def _measured(device: torch.device) -> str:
    """Say how fast bfloat16 was found to be on a CPU; nothing of a GPU, which is known."""
    from rig.model.precision import gains

    if device.type == "cuda":
        return ""
    found = gains()
    return (
        f"; bfloat16 is {found.training:.2f} times as fast as float32 in training, {found.prefill:.2f} in reading, "
        f"{found.token:.2f} in writing"
    )


def _worlds() -> Iterator[dict[str, Any]]:
    """Say whether Crafter's worlds are made by compiled functions; nothing where there is no Crafter."""
    try:
        from rig.envs.crafter import noise

        is_compiled = noise.is_compiled(noise.compiled())
    except RigError:
        return
    found = "compiled" if is_compiled else "in Python: each world takes a second of processor time in place of 0.06"
    yield _check("noise of Crafter's worlds", is_compiled, found, "pip install --upgrade numba, which compiles it")


def _machine() -> Iterator[dict[str, Any]]:
    found = hardware()
    yield _check("processor", True, f"{found['cores']} cores, {found['cpu']}; GPU: {found['gpu']}", "")
    memory = usable_memory()
    mend = "raise the container's limit, or train the debug preset"
    yield _check("memory", memory > LEAST_MEMORY, f"{memory / 1e9:.1f} GB may be used", mend)
    yield _disk()
    yield _home()
    yield _cache()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    mend = "apt-get install chromium chromium-driver (only the viewer's own tests need it)"
    yield _check("browser for the viewer's tests", browser is not None, browser or "none", mend)


def _disk() -> dict[str, Any]:
    try:
        free = shutil.disk_usage(".").free
    except OSError as error:
        return _check("disk", False, f"this folder: {error.strerror}", "go to a folder that is there and yours")
    mend = "free some space; a ladder takes about 2 GB"
    return _check("disk", free > LEAST_FREE, f"{free / 1e9:.1f} GB free here", mend)


def _home() -> dict[str, Any]:
    """Return whether there is a home folder to write to, which is needed for nothing but the cache."""
    try:
        home = Path.home()
        trouble = _not_writable(home)
    except RuntimeError:
        home, trouble = Path("none"), "HOME is not set, and the system knows none for this user"
    is_needed = not os.environ.get("RIG_CACHE")
    found = f"{home}{f', {trouble}' if trouble else ''}{'' if is_needed else '; RIG_CACHE is used in its place'}"
    mend = "set HOME, or RIG_CACHE, to a folder that you can write to"
    return _check("home folder", not (trouble and is_needed), found, mend)


def _cache() -> dict[str, Any]:
    try:
        cache = cache_root()
    except RigError as error:
        return _check("cache of worlds", False, str(error), "set RIG_CACHE to a folder that you can write to")
    trouble = _not_writable(cache)
    found = f"{cache}{f', {trouble}' if trouble else ''}"
    mend = "set RIG_CACHE to a folder that you can write to, on a disk that programs may run from"
    return _check("cache of worlds", not trouble, found, mend)


def _not_writable(folder: Path) -> str:
    """Return why a folder, or the nearest above it that is there, cannot be used; "" where it can."""
    place = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not place.is_dir():
        return f"where {place} is no folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"where this user may not write to {place}"
    if hasattr(os, "statvfs") and os.statvfs(place).f_flag & os.ST_NOEXEC:
        return f"whose disk may not run programs, as Minetest's are compiled ({place})"
    return ""


def _minetest() -> Iterator[dict[str, Any]]:
    from rig.envs.minetest.prerequisites import INSTALL
    from rig.envs.minetest.prerequisites import examine as examine_minetest

    for finding in examine_minetest():
        yield _check(f"Minetest world: {finding.name}", finding.ok, finding.found, INSTALL)


def _minecraft() -> Iterator[dict[str, Any]]:
    """Say what the two engines of Minecraft need; of one whose package is missing, that alone."""
    from rig.envs.minecraft.prerequisites import examine_minerl, examine_minestudio

    for world, examine_world in (("MineStudio", examine_minestudio), ("MineRL", examine_minerl)):
        for finding in examine_world():
            yield _check(f"{world} world: {finding.name}", finding.ok, finding.found, finding.mend)


def _agent(folder: str) -> Iterator[dict[str, Any]]:
    from rig.agents.checkpoint import AgentCheckpoint

    try:
        checkpoint = AgentCheckpoint.load(folder)
    except RigError as error:
        yield _check(f"agent {folder}", False, str(error), "train one with `rig train`, or give another folder")
        return
    count = sum(value.numel() for value in checkpoint.model.parameters())
    yield _check(f"agent {folder}", True, f"{count / 1e6:.1f} M parameters, loads", "")


def _try(name: str, attempt: Callable[[], object], found: str, mend: str) -> dict[str, Any]:
    try:
        attempt()
    except Exception as error:  # whatever a broken installation raises is the finding
        return _check(name, False, f"{found}, but it does not import: {error}", mend)
    return _check(name, True, found, mend)


def _check(name: str, ok: bool, found: str, mend: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "found": found, **({} if ok else {"mend": mend})}
