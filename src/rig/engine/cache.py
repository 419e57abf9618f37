"""Keys and values of every token that rows have run, in one block of memory.

L: layers, S: slots (one row each), C: capacity of a slot in tokens, K: key and value heads, d: head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rig.model.config import DecoderConfig

PAGE = 256
"""Tokens of a page, as which the flash kernel reads the cache on a GPU; there a slot has whole ones."""


class KVCache:
    """The block [L, S, C, 2 K, d]: of each token the keys, then the values.

    What lies beyond a row's last token is masked wherever it is read, and finite: zeros, or what an earlier row left.

    Args:
        config: the decoder's sizes.
        slots: S.
        capacity: tokens that a slot holds at the least.
        like: a tensor of the dtype and on the device to use.
    """

    def __init__(self, config: DecoderConfig, slots: int, capacity: int, *, like: Tensor) -> None:
        self._heads = config.num_kv_heads
        columns = -(-capacity // PAGE) * PAGE if like.is_cuda else capacity
        self.block = like.new_zeros((config.num_layers, slots, columns, 2 * config.num_kv_heads, config.head_dim))

    @property
    def slots(self) -> int:
        """S."""
        return self.block.shape[1]

    @property
    def capacity(self) -> int:
        """C."""
        return self.block.shape[2]

    def write(self, layer: int, where_T: Tensor, joined: Tensor) -> None:
        """Keep the keys and values [T, 2 K, d] of tokens at the places slot · C + column."""
        self.block[layer].flatten(0, 1).index_copy_(0, where_T, joined)

    def read(self, layer: int, slots: slice, extent: int) -> tuple[Tensor, Tensor]:
        """Return views of the keys and the values, each [slots, K, extent, d], of the first `extent` columns."""
        joined = self.block[layer, slots, :extent].transpose(1, 2)
        return joined[:, : self._heads], joined[:, self._heads :]

    def copy(self, source: int, target: int, length: int) -> None:
        """Give a slot the first `length` columns of another."""
        self.block[:, target, :length] = self.block[:, source, :length]

    def grow(self, slots: int) -> None:
        """Append empty slots, so that there are `slots`."""
        layers, old, *rest = self.block.shape
        self.block = torch.cat([self.block, self.block.new_zeros((layers, slots - old, *rest))], 1)
