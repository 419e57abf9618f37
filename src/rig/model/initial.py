"""First weights, from a seed of their own: the same seed gives the same network, whatever ran before."""

from __future__ import annotations

import math

import torch
from torch import nn

STANDARD_DEVIATION = 0.02


def initialise(root: nn.Module, seed: int) -> None:
    """Fill every parameter of `root` (its tensors may be uninitialised).

    Norms start as the identity and biases at zero. Convolutions and the few layers that read 8-wide code vectors are
    scaled by their fan-in; other matrices are normal(0, 0.02), those that write into the decoder's residual stream
    divided by the square root of how many do. Code vectors are spread over the sphere.
    """
    generator = torch.Generator().manual_seed(seed)
    depth = sum(name.endswith(("o_proj", "down_proj")) for name, _ in root.named_modules())
    with torch.no_grad():
        for name, module in root.named_modules():
            if isinstance(module, nn.GroupNorm | nn.LayerNorm) or hasattr(module, "eps"):
                module.weight.fill_(1.0)
            elif isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
                module.weight.normal_(0.0, _deviation(name, module, depth), generator=generator)
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                bias.zero_()


def _deviation(name: str, module: nn.Linear | nn.Conv2d | nn.Embedding, depth: int) -> float:
    leaf = name.rpartition(".")[2]
    if name.endswith(("quantize.embedding", "generation_embeddings")):
        return 1.0
    if name.endswith("generation_aligner.fc1") or (isinstance(module, nn.Conv2d) and leaf != "patch_embedding"):
        return 1.0 / math.sqrt(module.weight[0].numel())
    if leaf in ("o_proj", "down_proj"):
        return STANDARD_DEVIATION / math.sqrt(depth)
    return STANDARD_DEVIATION
