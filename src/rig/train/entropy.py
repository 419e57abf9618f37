"""Cross-entropy through a linear head that never holds the logits of all rows at once.

At Janus' vocabulary of 102,400 the logits of a pack are larger than all its activations together. Here a chunk of rows
goes through the head, gives its losses and, on the spot, its share of the gradients; then its logits are dropped. As
the weight of each row is known beforehand, nothing is computed twice: it costs what the plain way costs.

n: rows, D: width, V: vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from rig.model.parts import merged_weight

_LARGEST = 2**25
"""Logits of a chunk: 128 MiB of them in float32, and rows enough for matrices to multiply at full speed."""


def cross_entropy(
    hidden: Tensor, head: nn.Linear, targets: Tensor, weights: Tensor, *, largest: int = _LARGEST
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted sum of cross-entropies, and per row the cross-entropy and whether it was predicted right.

    Only the sum has a gradient. Matrices multiply in the dtype of autocast where it is on, everything else is float32.

    Args:
        hidden: [n, D], what the head reads.
        head: to the logits over V.
        targets: int64 [n].
        weights: float32 [n]: of each row in the sum, of any sign.
        largest: logits that may exist at a time; one row's always may.

    Returns:
        A scalar, float32 [n] and bool [n].
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    rows = max(1, largest // head.out_features)
    return _ChunkedCrossEntropy.apply(hidden, merged_weight(head), head.bias, targets, weights, rows, dtype)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """See `cross_entropy`; gradients are ready when forward ends, and backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
        rows: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        right = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        gradients = _Gradients(ctx, hidden, weight, bias)
        matrix = weight.to(dtype)
        offset = None if bias is None else bias.to(dtype)
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(targets), rows):
                chunk = slice(start, start + rows)
                read = hidden[chunk].to(dtype)
                logits = F.linear(read, matrix, offset).float()
                right[chunk] = logits.argmax(-1) == targets[chunk]
                losses[chunk] = _losses_(logits, targets[chunk])
                if gradients.wanted:
                    gradients.add(chunk, _slopes_(logits, targets[chunk], weights[chunk]).to(dtype), read, matrix)
        ctx.gradients = gradients.finished()
        ctx.mark_non_differentiable(losses, right)
        return (losses * weights).sum(), losses, right

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None
        assert gradients is not None, "the gradients of a loss are there once"
        return (*(None if value is None else value.mul_(slopes[0]) for value in gradients), None, None, None, None)


class _Gradients:
    """What a chunk after the other adds to the gradients that are asked for: those of hidden, weight and bias."""

    def __init__(self, ctx: FunctionCtx, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        of_hidden, of_weight, of_bias = ctx.needs_input_grad[:3]  # type: ignore[attr-defined]
        self.wanted = of_hidden or of_weight or of_bias
        self._dtypes = [None if value is None else value.dtype for value in (hidden, weight, bias)]
        self._hidden = torch.empty_like(hidden) if of_hidden else None
        # A sum over chunks, so in full precision.
        self._weight = torch.zeros_like(weight, dtype=torch.float32) if of_weight else None
        self._bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and of_bias else None

    def add(self, chunk: slice, slopes: Tensor, read: Tensor, matrix: Tensor) -> None:
        """Add the part of a chunk with `slopes` [rows, V] at its logits, which are those of `read` [rows, D]."""
        if self._hidden is not None:
            self._hidden[chunk] = slopes @ matrix
        if self._weight is not None:
            self._weight += slopes.T @ read
        if self._bias is not None:
            self._bias += slopes.sum(0)

    def finished(self) -> list[Tensor | None]:
        """Return the gradients in the dtypes of what they are of."""
        found = (self._hidden, self._weight, self._bias)
        return [None if value is None else value.to(dtype) for value, dtype in zip(found, self._dtypes, strict=True)]


def _losses_(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropies [rows] of `logits` [rows, V], which become logarithms of probabilities in place."""
    logits -= logits.logsumexp(-1, keepdim=True)
    return -logits.gather(-1, targets[:, None])[:, 0]


def _slopes_(logs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted slopes [rows, V] of the loss at the logits, in the place of `logs` of probabilities."""
    slopes = logs.exp_()
    slopes.scatter_add_(-1, targets[:, None], slopes.new_full((1, 1), -1.0).expand(len(targets), 1))
    return slopes.mul_(weights[:, None])
