"""How many floating-point operations learning needs, by formula, and how many the device could do: what MFU compares.

A matrix of P weights costs 2P for each token forward, 2P for the gradient of what it reads, where something learns
below it, and 2P for its own, where it learns itself. Attention costs 4 × width for each pair of a token and one before
it, and twice that backward. What is computed a second time to save memory, and padding, count nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import nn

from rig.dialogue import Kind
from rig.model.batch import PackedBatch
from rig.model.parts import LoRALinear, part_of
from rig.model.rig import RIG
from rig.model.runtime import compute_dtype

PEAKS = {
    "B200": 2250e12,
    "GH200": 989e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX A6000": 155e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Part of a GPU's name -> its makers' dense bfloat16 operations a second; the first that fits is meant."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a pack asks of a network, in tokens.

    Attributes:
        documents: the lengths of the conversations.
        frames: images read.
        codes: tokens of written images, predicted or not.
        text_rows: text tokens predicted.
        code_rows: codes predicted.
    """

    documents: tuple[int, ...]
    frames: int
    codes: int
    text_rows: int
    code_rows: int

    @staticmethod
    def of(batch: PackedBatch, documents: int) -> Work:
        """Return the work of a pack whose first so many documents are conversations; the rest is padding."""
        return Work(
            documents=tuple(end - start for start, end in pairwise(batch.cu_seqlens[: documents + 1])),
            frames=len(batch.frames),
            codes=int((batch.kinds == Kind.CODE).sum()),
            text_rows=len(batch.text_rows),
            code_rows=len(batch.code_rows),
        )


class FlopCount:
    """The floating-point operations of learning with a network; what learns is settled when this is made."""

    def __init__(self, model: RIG) -> None:
        self._config = model.config
        learning = {part_of(name) for name in model.trainable_parameters()}
        low_ranks = {part_of(name) for name, module in model.named_modules() if isinstance(module, LoRALinear)}
        passes = _passes(learning, learning - low_ranks)
        self._passes = passes
        self._of_weights: dict[str, float] = {}
        side = model.config.vision.image_size
        for name, module in model.named_modules():
            if not isinstance(module, nn.Linear | nn.Conv2d) or not part_of(f"{name}."):
                continue
            group = _group(name)
            times: float = passes[part_of(f"{name}.")]
            cost = 2 * times * module.weight.numel()
            if isinstance(module, nn.Conv2d):
                if module.in_channels == 3:  # pixels have no gradient
                    cost = 2 * min(times, 2) * module.weight.numel()
                side //= module.stride[0]
                cost *= side**2 / model.config.vision.num_tokens
            if isinstance(module, LoRALinear):
                cost += 6 * (module.lora_down.numel() + module.lora_up.numel())
            self._of_weights[group] = self._of_weights.get(group, 0) + cost

    def matrices(self, work: Work) -> float:
        """Return the operations in weights."""
        read = work.frames * self._config.vision.num_tokens
        tokens: Mapping[str, int] = {
            "vision": read,
            "aligner": read,
            "codes": work.codes,
            "decoder": sum(work.documents),
            "text head": work.text_rows,
            "code head": work.code_rows,
        }
        return sum(cost * tokens[group] for group, cost in self._of_weights.items())

    def attention(self, work: Work) -> float:
        """Return the operations of attention: half of all pairs in the decoder, all of them in an image."""
        decoder, vision = self._config.decoder, self._config.vision
        pairs = sum(length**2 for length in work.documents) / 2
        own = 4 * decoder.num_layers * decoder.num_heads * decoder.head_dim * pairs
        seen = 4 * vision.num_layers * vision.hidden_size * vision.num_tokens**2 * work.frames
        return own * _forward_and_back(self._passes["decoder"]) + seen * _forward_and_back(self._passes["vision"])

    def __call__(self, work: Work) -> float:
        """Return the operations of learning from a pack."""
        return self.matrices(work) + self.attention(work)


@lru_cache(maxsize=8)
def peak_flops(device: torch.device) -> float | None:
    """Return the most operations a second of `device` in the dtype that it trains in, or None where that is not known.

    A GPU's is its makers' figure in bfloat16; a CPU's is measured once, as the best of a few products of matrices.
    """
    if device.type != "cuda":
        return _measured(device)
    if compute_dtype(device) != torch.bfloat16:
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def _measured(device: torch.device, size: int = 1024, rounds: int = 12) -> float:
    one, other = (torch.randn(size, size, device=device, dtype=compute_dtype(device)) for _ in range(2))
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        one @ other
        taken.append(time.perf_counter() - started)
    return 2 * size**3 / min(taken)


def _passes(learning: set[str], whole: set[str]) -> dict[str, int]:
    """Return how often each part's weights are multiplied: forward, for what it reads, for themselves.

    Args:
        learning: the parts in which something learns.
        whole: those of them whose own weights do.
    """
    below = {
        "vision": set(),
        "aligner": {"vision"},
        "codes": set(),
        "decoder": {"vision", "aligner", "codes", "embeddings"},
        "heads": {"vision", "aligner", "codes", "embeddings", "decoder"},
    }
    return {part: 3 if part in whole else 2 if learning & (others | {part}) else 1 for part, others in below.items()}


def _forward_and_back(passes: int) -> int:
    return 3 if passes > 1 else 1


def _group(name: str) -> str:
    if part_of(f"{name}.") != "heads":
        return part_of(f"{name}.")
    return "text head" if name == "lm_head" else "code head"
