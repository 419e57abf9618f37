"""First weights, from a seed of their own: the same seed gives the same network, whatever ran before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

STANDARD_DEVIATION = 0.02
_LONGEST_WAVE = 100.0
"""Patches per radian of the slowest wave: even places tens of patches apart differ in it."""


@contextmanager
def unfilled() -> Iterator[None]:
    """Let modules that are made within the block have shapes and no weights, on the meta device.

    Torch would fill them all the same, and for what has no memory it imports its compiler for that: a second of every
    process.
    """
    with torch.device("meta"), _WithoutFilling():
        yield


class _WithoutFilling(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `func`, unless it is one of those that fill a tensor."""
        given = dict(kwargs or {})
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def initialise(root: nn.Module, seed: int) -> None:
    """Fill every parameter of `root` (its tensors may be uninitialised).

    Norms start as the identity and biases at zero. Matrices are normal, scaled by their fan-in (0.022 at Janus' width
    of 2048, where 0.02 is usual), those that write into the decoder's residual stream also by the square root of how
    many do. Code vectors are spread over the sphere. A patch's place starts as sines and cosines of its row and
    column, as large as what it shows: with small random places a small network takes long to learn what is where.
    """
    generator = torch.Generator().manual_seed(seed)
    depth = sum(name.endswith(("o_proj", "down_proj")) for name, _ in root.named_modules())
    with torch.no_grad():
        for name, module in root.named_modules():
            if isinstance(module, nn.GroupNorm | nn.LayerNorm) or hasattr(module, "eps"):
                module.weight.fill_(1.0)
            elif isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
                module.weight.normal_(0.0, _deviation(name, module, depth), generator=generator)
                if name.endswith("position_embedding"):
                    module.weight.copy_(_places(*module.weight.shape))
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                bias.zero_()


def _deviation(name: str, module: nn.Linear | nn.Conv2d | nn.Embedding, depth: int) -> float:
    if name.endswith(("quantize.embedding", "generation_embeddings")):
        return 1.0
    if isinstance(module, nn.Embedding) or name.endswith(("lm_head", "vision_head")):
        return STANDARD_DEVIATION  # a head that starts small predicts nothing in particular
    scaled = 1.0 / math.sqrt(module.weight[0].numel())
    return scaled / math.sqrt(depth) if name.endswith(("o_proj", "down_proj")) else scaled


def _places(count: int, width: int) -> torch.Tensor:
    """Return [count, width]: sines and cosines of the column, then of the row, of each patch of a square image."""
    side, quarter = math.isqrt(count), -(-width // 4)
    rates = _LONGEST_WAVE ** -(torch.arange(quarter) / quarter)
    rows, columns = torch.arange(count).div(side, rounding_mode="floor"), torch.arange(count) % side
    waves = [function(at[:, None] * rates) for at in (columns, rows) for function in (torch.sin, torch.cos)]
    return torch.cat(waves, 1)[:, :width]
