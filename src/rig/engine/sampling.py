"""How the next token is drawn from logits.

A draw inverts the cumulative distribution at one uniform number per token, so that a row's tokens follow from its own
logits and its own generator, whoever shares its batch, and however many of them are drawn at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.errors import RigError
from rig.model.runtime import refuse_not_numbers


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """The distribution that tokens are drawn from.

    Attributes:
        temperature: divides the logits; 0 takes the likeliest token.
        top_k: keep this many of the likeliest tokens (and what ties with the last of them); 0 keeps all.
        top_p: keep the fewest of the likeliest tokens that together reach this probability; 1 keeps all.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (self.temperature >= 0 and self.top_k >= 0 and 0 < self.top_p <= 1):
            raise RigError(f"{self} cannot be drawn from; temperature >= 0, top_k >= 0 and 0 < top_p <= 1")

    def numbers(self, generator: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return the uniform numbers [count] at which so many tokens are drawn; the likeliest token needs none."""
        return np.zeros(count) if self.temperature == 0 else generator.random(count)


GREEDY = Sampler(temperature=0.0)


def draw(logits: Tensor, sampler: Sampler, numbers: NDArray[np.float64]) -> Tensor:
    """Return one token per row, int64 [R], of logits [R, V], at the uniform numbers [R] of `Sampler.numbers`.

    A token whose logit is -inf is never drawn; each row has at least one other.

    Raises:
        CheckpointError: a row has none, or its logits are no numbers.
    """
    if sampler.temperature == 0:
        tokens = logits.argmax(-1)
        # One number a row tells: what is no number is taken for the greatest.
        refuse_not_numbers(logits.gather(-1, tokens[:, None]), "logits")
        return tokens
    return _invert(_kept(logits.float() / sampler.temperature, sampler), numbers)


def log_probs(logits: Tensor, sampler: Sampler, tokens: Tensor) -> Tensor:
    """Return how likely tokens int64 [R] were where they were drawn from logits [R, V], float32 [R].

    The likeliest token is taken with certainty; what is returned for it is its share at temperature 1, which says how
    sure the model was.
    """
    logits = logits.float() if sampler.temperature == 0 else _kept(logits.float() / sampler.temperature, sampler)
    return logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]


def entropy(logits: Tensor) -> Tensor:
    """Return the entropy of each row's distribution in nats, float32 [R], of logits [R, V]."""
    each: Tensor = torch.special.entr(logits.float().softmax(-1))
    return each.sum(-1)


def _kept(logits: Tensor, sampler: Sampler) -> Tensor:
    if 0 < sampler.top_k < logits.shape[-1]:
        threshold = logits.topk(sampler.top_k).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, -torch.inf)
    if sampler.top_p < 1:
        ordered, order = logits.sort(descending=True)
        shares = ordered.softmax(-1)
        beyond = shares.cumsum(-1) - shares >= sampler.top_p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)
    return logits


def _invert(logits: Tensor, numbers: NDArray[np.float64]) -> Tensor:
    """Return the first token at which the cumulative distribution exceeds its row's number.

    Scaled to end at exactly 1, it only ever exceeds a number below 1 where it jumps: at a token of some probability.
    """
    cumulative = logits.softmax(-1).double().cumsum(-1)
    total = cumulative[:, -1:].clone()
    refuse_not_numbers(total, "logits")  # which a single logit that is none makes it, or a row without any
    cumulative /= total
    levels = torch.from_numpy(numbers).to(cumulative.device)
    return torch.searchsorted(cumulative, levels[:, None], right=True)[:, 0]
