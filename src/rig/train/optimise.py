"""AdamW with a cosine schedule, and the gradient step both trainers take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from rig.train.config import OptimiserConfig


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """Return the rate of step `step` (from 0) of `steps`; a tenth of them at the most is warm-up."""
    warm = min(1.0, (step + 1) / max(1, min(config.warmup, steps // 10)))
    progress = min(1.0, step / max(1, steps))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * warm * (config.final_fraction + (1 - config.final_fraction) * cosine)


def leg_of(step: int, ends: Sequence[int]) -> tuple[int, int]:
    """Return where the leg of step `step` (from 0) begins and ends, of a run whose legs end at `ends`, ascending.

    A step behind the last end belongs to the last leg.
    """
    end = next((end for end in ends if step < end), ends[-1])
    return max((before for before in ends if before < end), default=0), end


def build_optimiser(parameters: Mapping[str, nn.Parameter], config: OptimiserConfig) -> torch.optim.AdamW:
    """Return AdamW over `parameters` in two groups, decayed and not, with its averages in place for a saved state."""
    named = sorted(parameters.items())
    groups = [
        {"params": [value for _, value in named if value.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [value for _, value in named if value.ndim < 2], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)
    for value in parameters.values():
        optimiser.state[value] = {
            "step": torch.zeros((), device=value.device),
            "exp_avg": torch.zeros_like(value),
            "exp_avg_sq": torch.zeros_like(value),
        }
    return optimiser


def learned_tensors(parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return `parameters` and what `optimiser` remembers of them, by name: the tensors themselves, not copies."""
    tensors = {f"model.{name}": value.detach() for name, value in parameters.items()}
    for name, value in parameters.items():
        tensors |= {f"optimiser.{slot}.{name}": tensor for slot, tensor in optimiser.state[value].items()}
    return tensors


def take_step(optimiser: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], rate: float, clip: float) -> Tensor:
    """Clip the gradients, step at `rate`, clear them; return the gradient's norm before clipping."""
    moved = [value for value in parameters if value.grad is not None]
    norm = nn.utils.get_total_norm([value.grad for value in moved if value.grad is not None])
    norm = norm.full_tensor() if isinstance(norm, DTensor) else norm  # of shards: every process adds its own
    nn.utils.clip_grads_with_norm_(moved, clip, norm)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return norm
