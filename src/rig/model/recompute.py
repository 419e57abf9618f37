"""Layers that training may compute twice to save memory."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """A layer whose inside is kept for its gradients, or computed again for them.

    Attributes:
        recompute: whether training computes the layer a second time, in place of keeping what is inside it.
    """

    recompute = False

    def forward(self, *inputs: Any) -> Tensor:
        """Return the layer's output; see `compute`."""
        if self.recompute and self.training:
            return checkpoint(self.compute, *inputs, use_reentrant=False, preserve_rng_state=False)
        return self.compute(*inputs)

    def compute(self, *inputs: Any) -> Tensor:
        """Return the layer's output."""
        raise NotImplementedError
