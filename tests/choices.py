"""Choices that rounding cannot change, for tests which compare what a network writes in one company and in another.

Kernels add in other orders in other shapes and on other processors, so two ways to the same logits differ by rounding,
and a choice between two tokens that are as near as that may fall either way. Such tests compare choices of which none
was narrow; `clearly` looks for them among seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pytest
import torch

from rig.engine import writing
from rig.engine.sampling import _kept

T = TypeVar("T")

ROUNDING = 2e-5
"""What float32 logits of one context may differ by between passes: docs/architecture.md promises no more."""


@dataclass
class Watched:
    """The narrowest choice so far: how far logits would have to move, in nats, to make another of it."""

    narrowest: float = float("inf")

    @property
    def are_clear(self) -> bool:
        """Whether rounding could have changed none."""
        return self.narrowest > ROUNDING


@contextmanager
def watched_choices() -> Iterator[Watched]:
    """Watch every token and code that the engine draws within the block."""
    watched, draw = Watched(), writing.draw

    def watching(logits, sampler, numbers):
        tokens = draw(logits, sampler, numbers)
        watched.narrowest = min(watched.narrowest, float(margins(logits, sampler, numbers, tokens).min()))
        return tokens

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "draw", watching)
        yield watched


def margins(logits, sampler, numbers, tokens):
    """Return by how much logits [R, V] would have to change for another token to be drawn, [R].

    Where every logit moves by at most d, a difference of two moves by 2 d, and a cumulative probability by at most
    d / (2 temperature).
    """
    assert sampler.top_p == 1, "what top_p keeps can be narrow too"
    if sampler.temperature == 0:
        return _gaps(logits.float(), 1)
    kept = _kept(logits.float() / sampler.temperature, sampler)
    shares = kept.softmax(-1).double().cumsum(-1)
    last = shares.shape[-1] - 1
    starts = shares.gather(-1, (tokens - 1).clamp(min=0)[:, None])[:, 0].masked_fill(tokens == 0, -torch.inf)
    ends = shares.gather(-1, tokens[:, None])[:, 0].masked_fill(tokens == last, torch.inf)
    levels = torch.from_numpy(np.asarray(numbers))
    found = torch.minimum(levels - starts, ends - levels) * 2 * sampler.temperature
    return torch.minimum(found, _gaps(logits.float(), sampler.top_k)) if sampler.top_k else found


def _gaps(logits, kept):
    """Return half of how far the last of the `kept` likeliest lies from the next, [R]."""
    best = logits.topk(kept + 1).values
    return (best[:, kept - 1] - best[:, kept]) / 2


def clearly(run: Callable[[int], T], seeds: Iterable[int] = range(30)) -> tuple[int, T]:
    """Return the first seed of whose choices in `run(seed)` none is narrow, and what it returned.

    Raises:
        AssertionError: there is no such seed.
    """
    found = []
    for seed in seeds:
        with watched_choices() as watched:
            result = run(seed)
        if watched.are_clear:
            return seed, result
        found.append(watched.narrowest)
    raise AssertionError(f"every seed has a choice that rounding could change: {found}")
