"""The parts of the network by name, and how each is learned: whole, by LoRA, or not at all.

LoRA is here in 30 lines, and not peft's: a layer keeps its own names beside two new ones, so heads, saved states and
checkpoints go on reading `weight`, and merging is one sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rig.errors import RigError
from rig.model.rig import RIG
from rig.registry import unknown_name

PARTS = {
    "vision": ("model.vision_model.",),
    "aligner": ("model.aligner.",),
    "embeddings": ("model.language_model.embed_tokens.",),
    "codes": ("model.generation_embeddings.", "model.generation_aligner."),
    "decoder": ("model.language_model.layers.", "model.language_model.norm."),
    "heads": ("lm_head.", "model.generation_head."),
}
"""Part -> what the names of its parameters begin with. The VQ tokenizer is none: it is always frozen."""

_DOWN, _UP = "lora_down", "lora_up"


class LoRALinear(nn.Linear):
    """A frozen linear layer and a learned low-rank one beside it, which begins at zero.

    Args:
        linear: the layer; its weights are shared, and frozen.
        rank: of what is learned.
        generator: of its first weights.
    """

    def __init__(self, linear: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias = linear.weight.requires_grad_(False), linear.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)
        down = torch.randn(rank, linear.in_features, generator=generator) / math.sqrt(linear.in_features)
        self.lora_down = nn.Parameter(down.to(self.weight))
        self.lora_up = nn.Parameter(self.weight.new_zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., out] of [..., in]."""
        return super().forward(x) + F.linear(F.linear(x, self.lora_down), self.lora_up)


def part_of(name: str) -> str:
    """Return the part that a parameter belongs to; "" for the tokenizer's."""
    return next((part for part, starts in PARTS.items() if name.startswith(starts)), "")


def freeze(model: RIG, parts: Sequence[str]) -> None:
    """Freeze parts of a network.

    Raises:
        UnknownNameError: there is no such part.
        RigError: nothing is left to learn.
    """
    _check(parts)
    for name, value in model.named_parameters():
        if part_of(name) in parts:
            value.requires_grad_(False)
    if not model.trainable_parameters():
        raise RigError(f"all of {', '.join(parts)} frozen, nothing is left to learn; leave one part out")


def add_lora(model: RIG, parts: Sequence[str], rank: int, seed: int) -> None:
    """Freeze parts of a network and put a low-rank layer beside each of their linear layers.

    Args:
        model: the network.
        parts: names of `PARTS`.
        rank: of the layers.
        seed: of their first weights.

    Raises:
        UnknownNameError: there is no such part.
        RigError: a part has no linear layers, or the rank is not positive.
    """
    _check(parts)
    if parts and rank < 1:
        raise RigError(f"--lora-rank {rank}: at least 1")
    generator = torch.Generator().manual_seed(seed)
    for part in dict.fromkeys(parts):
        found = [name for name, module in model.named_modules() if _is_of(name, module, part)]
        if not found:
            raise RigError(f"the part {part!r} has no linear layers for --lora; --freeze it, or learn it whole")
        for name in found:
            owner, _, last = name.rpartition(".")
            linear = model.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            setattr(model.get_submodule(owner), last, LoRALinear(linear, rank, generator))
        for name, value in model.named_parameters():
            if part_of(name) == part and not name.endswith((_DOWN, _UP)):
                value.requires_grad_(False)


def merged_weight(linear: nn.Linear) -> Tensor:
    """Return the weight [out, in] with which `linear` computes."""
    return linear.weight + linear.lora_up @ linear.lora_down if isinstance(linear, LoRALinear) else linear.weight


def merged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a network by name, with low-rank layers added to those beside which they were learned."""
    plain = {name: value for name, value in tensors.items() if not name.endswith((_DOWN, _UP))}
    for name, up in tensors.items():
        if name.endswith(_UP):
            owner = name.removesuffix(_UP)
            plain[f"{owner}weight"] = plain[f"{owner}weight"] + up @ tensors[f"{owner}{_DOWN}"]
    return plain


def _is_of(name: str, module: nn.Module, part: str) -> bool:
    return isinstance(module, nn.Linear) and part_of(f"{name}.") == part


def _check(parts: Sequence[str]) -> None:
    for part in parts:
        if part not in PARTS:
            raise unknown_name("part of the network", part, PARTS)
