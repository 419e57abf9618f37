"""AdamW with a cosine schedule, and the gradient step both trainers take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from rig.train.config import OptimiserConfig


def learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """Return the rate of step `step` (from 0) of `steps`; a tenth of them at the most is warm-up."""
    warm = min(1.0, (step + 1) / max(1, min(config.warmup, steps // 10)))
    progress = min(1.0, step / max(1, steps))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * warm * (config.final_fraction + (1 - config.final_fraction) * cosine)


def build_optimiser(parameters: Mapping[str, nn.Parameter], config: OptimiserConfig) -> torch.optim.AdamW:
    """Return AdamW over `parameters` in two groups, decayed and not."""
    named = sorted(parameters.items())
    groups = [
        {"params": [value for _, value in named if value.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [value for _, value in named if value.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def take_step(optimiser: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], rate: float, clip: float) -> Tensor:
    """Clip the gradients, step at `rate`, clear them; return the gradient's norm before clipping."""
    norm = nn.utils.clip_grad_norm_(list(parameters), clip)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return norm
