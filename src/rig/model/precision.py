"""How fast bfloat16 is beside float32 on this processor, found by timing both; what was found is kept in the cache.

Flags do not tell: of two processors with AVX-512's bfloat16 and without AMX, one multiplies 2,048 rows 1.7 to 3.5 times
as fast in bfloat16 as in float32, the other 0.6 times. So a small piece of each kind of work is done in both, in turns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from rig.errors import RigError
from rig.machine import note_path
from rig.provenance import hardware
from rig.storage import LOCK_NAME, Lock, write_json
from rig.validation import Meta, load_json, validated

WORTHWHILE = 1.15
"""So many times as fast bfloat16 has to be: what is nearer is within what a busy machine changes."""
_HOPELESS = 0.25
"""Bfloat16 that is so slow with few rows is emulated: more rows would take seconds to say the same."""
_WIDTH, _INNER = 256, 512
_READ, _PACK, _FEW = 200, 2048, 64
_LAYERS = 4

Ratio = Annotated[float, Meta(gt=0, le=1000)]


@dataclass(frozen=True, kw_only=True)
class Gains:
    """How many times as fast as in float32 each kind of work is in bfloat16.

    Attributes:
        training: a layer of a pack of 2,048 tokens, forward and backward, under autocast.
        prefill: the products of 200 tokens that are read.
        token: those of one token that is written.
    """

    training: Ratio
    prefill: Ratio
    token: Ratio


def gains() -> Gains:
    """Return what is kept of this machine, or measure it, in half a second, and keep it.

    A kept file that is damaged is measured again, and where nothing can be kept each process measures.
    """
    return _gains(torch.get_num_threads())


@lru_cache(maxsize=8)
def _gains(threads: int) -> Gains:
    try:
        path = kept_at()
        with Lock(path.parent / LOCK_NAME, wait=True):  # of many processes that start together one measures
            return _kept(path) or _measured(path)
    except (RigError, OSError):
        return measure()


def _kept(path: Path) -> Gains | None:
    try:
        return validated(load_json(path, "remove it"), Gains, path, "remove it", RigError)
    except RigError:
        return None


def _measured(path: Path) -> Gains:
    found = measure()
    with suppress(RigError, OSError):
        write_json(path, asdict(found))
    return found


def kept_at() -> Path:
    """Return the file of this machine's gains; its name depends on all that they were measured with.

    Raises:
        RigError: there is no cache's folder.
    """
    limits = {name: value for name, value in os.environ.items() if name.startswith(("ONEDNN_", "DNNL_", "MKL_"))}
    capability = torch.backends.cpu.get_cpu_capability()
    parts = (hardware()["cpu"], capability, torch.__version__, torch.get_num_threads(), sorted(limits.items()))
    return note_path("precision", *parts, suffix=".json")


def measure() -> Gains:
    """Time each kind of work in both, in turns, and return the ratios of the quickest rounds."""
    few = _gain(_products(_FEW), rounds=10)
    if few < _HOPELESS:
        return Gains(training=few, prefill=few, token=few)
    return Gains(
        training=_gain(_layer(_PACK), rounds=2),
        prefill=_gain(_products(_READ), rounds=8),
        token=_gain(_products(1), rounds=20),
    )


def _gain(work: Callable[[torch.dtype], None], rounds: int) -> float:
    """Return how many times as fast work is in bfloat16, by its quickest rounds, which others delay the least."""
    alone = torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter  # a thread's own time says nothing of other threads
    taken: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for counts in [False] + [True] * rounds:
        for dtype, seconds in taken.items():
            started = clock()
            work(dtype)
            if counts:
                seconds.append(clock() - started)
    return min(taken[torch.float32]) / min(taken[torch.bfloat16])


def _products(rows: int) -> Callable[[torch.dtype], None]:
    """Return what multiplies so many tokens by matrices, stored in the dtype and laid as the engine does."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(_INNER * 2, _WIDTH), (_WIDTH, _INNER)] * _LAYERS
    wide = [torch.randn(*shape, generator=generator) for shape in shapes]
    weights = {
        torch.float32: [weight.t().contiguous().t() for weight in wide],
        torch.bfloat16: [weight.bfloat16() for weight in wide],
    }
    inputs = {dtype: [torch.ones(rows, weight.shape[1], dtype=dtype) for weight in wide] for dtype in weights}

    @torch.inference_mode()
    def work(dtype: torch.dtype) -> None:
        for x, weight in zip(inputs[dtype], weights[dtype], strict=True):
            F.linear(x, weight)

    return work


def _layer(rows: int) -> Callable[[torch.dtype], None]:
    """Return what takes so many tokens through a gated layer and back, as a training step does."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, _WIDTH, generator=generator).requires_grad_()
    up = torch.randn(_INNER, _WIDTH, generator=generator).requires_grad_()
    down = torch.randn(_WIDTH, _INNER // 2, generator=generator).requires_grad_()

    def work(dtype: torch.dtype) -> None:
        with torch.enable_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            gate, value = F.linear(x, up).chunk(2, dim=-1)
            out: Tensor = F.linear(F.silu(gate) * value, down)
        torch.autograd.grad(out.float().sum(), (x, up, down))

    return work
