"""What the machine underneath is good at."""

from __future__ import annotations

import ctypes
import sys

import torch


def best_device() -> torch.device:
    """Return the GPU where torch finds one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype(device: torch.device | str) -> torch.dtype:
    """Return the dtype in which matrices multiply fastest on `device`: bfloat16 where there is hardware for it."""
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
    return torch.bfloat16 if has_amx else torch.float32


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
