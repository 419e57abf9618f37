"""Whether `torch.compile` works on this machine, found by compiling something tiny before a run relies on it.

It needs a C++ compiler (Triton on a GPU), a cache folder that it can write to, and paths without spaces; what it lacks
it says in the middle of the first step. Success is noted under `rig.machine.cache_root()`, for this torch and compiler.
"""

from __future__ import annotations

import os
import platform
import random
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from rig.machine import note_path
from rig.storage import write_text

LONGEST_REASON = 160


def why_not_compile(device: torch.device) -> str | None:
    """Return in a line why `torch.compile` does not work on `device`; None where it does."""
    with suppress(OSError, RuntimeError):  # without a home there is no such folder, and the trial takes seconds
        if _note(device).is_file():
            return None
    try:
        _try(device)
    except Exception as error:  # whatever a broken compiler raises is the finding
        return reason(error)
    with suppress(OSError, RuntimeError, ValueError):
        write_text(_note(device), "a tiny function was compiled\n")
    return None


def reason(error: BaseException) -> str:
    """Return what a compiler's error says, in one line: the line that names the error, or the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = next((line for line in lines if "error:" in line), lines[0])
    return told if len(told) <= LONGEST_REASON else f"{told[: LONGEST_REASON - 1]}…"


def _try(device: torch.device) -> None:
    """Compile a function, forward and backward, that no cache has: a number of its own is in it.

    It sums along rows, as a network does: where torch was told of fewer instructions than the processor has, only that
    finds out that compiler and headers disagree.
    """
    number = random.SystemRandom().random()

    def tiny(x: Tensor) -> Tensor:
        return (x * number).softmax(-1)

    x = torch.ones(16, 64, device=device, requires_grad=True)
    torch.compile(tiny, dynamic=False)(x).square().sum().backward()


def _instructions() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _note(device: torch.device) -> Path:
    """Return the file that says that compiling works; its name depends on all that it was tried with."""
    compiler = shutil.which(os.environ.get("CXX") or "g++") or ""
    changed = os.stat(compiler).st_mtime_ns if compiler else 0
    caches = os.environ.get("TORCHINDUCTOR_CACHE_DIR", tempfile.gettempdir())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _instructions()
    parts = (torch.__version__, torch.__file__, platform.node(), name, os.environ.get("CXX"), compiler, changed, caches)
    return note_path("compile", *parts)
