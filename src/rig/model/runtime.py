"""What the machine underneath is good at."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rig.errors import CheckpointError
from rig.model.precision import WORTHWHILE, gains


def best_device() -> torch.device:
    """Return the GPU where torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def threads_of(count: int | None) -> Iterator[None]:
    """Let torch have so many threads in this process; None: as many as it has."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def compute_dtype(device: torch.device | str) -> torch.dtype:
    """Return the dtype in which training multiplies on `device`: bfloat16 where that is clearly faster.

    A GPU says so itself; on a CPU it is measured once on each machine (`precision`).
    """
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if gains().training >= WORTHWHILE else torch.float32


def decision_dtype(device: torch.device | str) -> torch.dtype:
    """Return the dtype in which agents decide on `device` where nothing else is asked for.

    On a CPU it is float32, whatever is faster: what an agent decides is to depend neither on who shares its passes, as
    in bfloat16 it does, nor on what a measurement found.
    """
    return compute_dtype(device) if torch.device(device).type == "cuda" else torch.float32


def refuse_not_numbers(values: Tensor, what: str) -> None:
    """Raise where a network computes what are no numbers, which it would go on with as if they were some.

    Raises:
        CheckpointError: `values`, which the message calls `what`, hold NaN or infinity.
    """
    if not math.isfinite(values.sum().item()):  # a single one shows in the sum, which takes a tenth of a look at each
        raise CheckpointError(
            f"this agent's {what} are not numbers: its weights are, but so large that sums overflow; restore it from a "
            f"copy, or train it again with a lower --learning-rate"
        )


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next tensor instead of giving it back to the system.

    Big tensors otherwise come as fresh pages every time, and faulting those in takes longer than most operations on
    them. Returns True where it took effect (Linux with glibc); call it once, before training on a CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    trim_threshold, top_pad, mmap_max = -1, -2, -4
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(mmap_max, 0), mallopt(trim_threshold, 2**31 - 1), mallopt(top_pad, 64 << 20)])
