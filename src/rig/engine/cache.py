"""Keys and values of every token that a session has run, in one preallocated block of memory.

L: layers, R: rows, K: key and value heads, C: capacity in tokens, d: head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rig.model.config import DecoderConfig


class KVCache:
    """The block [L, 2, R, K, C, d], cleared column by column as it comes into use.

    Rows of different lengths are read up to the longest; what lies beyond a row's own length is masked, and must only
    be finite. So whoever writes columns clears up to them first: clearing later would wipe them out.
    """

    def __init__(self, block: Tensor, *, cleared: int = 0) -> None:
        self.block = block
        self._cleared = cleared

    @staticmethod
    def allocate(config: DecoderConfig, rows: int, capacity: int, *, like: Tensor) -> KVCache:
        """Return an empty cache in the dtype and on the device of `like`."""
        shape = (config.num_layers, 2, rows, config.num_kv_heads, capacity, config.head_dim)
        return KVCache(like.new_empty(shape))

    def layer(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the keys and the values of a layer, each [R, K, C, d], as views."""
        return self.block[index, 0], self.block[index, 1]

    def clear_to(self, length: int) -> None:
        """Make the first `length` columns readable in every row."""
        if length > self._cleared:
            self.block[..., self._cleared : length, :].zero_()
            self._cleared = length

    def add_rows(self, sources: Sequence[int], length: int) -> None:
        """Append one row per source, with the source's first `length` columns."""
        layers, two, rows, *rest = self.block.shape
        block = self.block.new_empty((layers, two, rows + len(sources), *rest))
        block[:, :, :rows, :, : self._cleared] = self.block[..., : self._cleared, :]
        block[:, :, rows:, :, :length] = self.block[:, :, list(sources), :, :length]
        block[:, :, rows:, :, length : self._cleared] = 0
        self.block = block

    def view(self, rows: Sequence[int], length: int) -> KVCache:
        """Return adjacent rows as a cache that shares this one's memory and may use the first `length` columns."""
        self.clear_to(length)
        return KVCache(self.block[:, :, rows[0] : rows[-1] + 1], cleared=self._cleared)

    def copy(self, rows: Sequence[int], length: int, capacity: int) -> KVCache:
        """Return a cache of `capacity` columns with a copy of the first `length` of these rows, the rest cleared."""
        layers, two, _, heads, _, width = self.block.shape
        block = self.block.new_empty((layers, two, len(rows), heads, capacity, width))
        for target, source in enumerate(rows):
            block[:, :, target, :, :length] = self.block[:, :, source, :, :length]
        block[..., length:, :] = 0
        return KVCache(block, cleared=capacity)

    def put(self, row: int, start: int, stop: int, source: KVCache, source_row: int) -> None:
        """Take the columns from `start` to `stop` of a row from another cache's row."""
        self.clear_to(stop)
        self.block[:, :, row, :, start:stop] = source.block[:, :, source_row, :, start:stop]


def is_adjacent(rows: Sequence[int]) -> bool:
    """Return True where `rows` ascend by one: then they can be viewed without a copy."""
    return all(row == rows[0] + offset for offset, row in enumerate(rows))


def lower_triangle(queries: int, keys: int, device: torch.device) -> Tensor | None:
    """Return which keys each of the last `queries` tokens may see, bool [queries, keys]; None where plainly causal."""
    if queries == keys:
        return None
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
