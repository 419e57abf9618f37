"""What is kept of every token of rows, each at a place of one pool: its embedding, position, keys and values.

A row's tokens stand in pieces. The last piece is the row's own, with room up to the row's capacity; those before it
were run by the rows that it was forked from, and are theirs as well.

L: layers, N: places of the pool, K: key and value heads, d: head width, D: the decoder's width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from inspect import signature
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.model.config import DecoderConfig

PAGE = 256
"""Tokens of a page, as which the flash kernel reads the cache on a GPU."""


class Piece(NamedTuple):
    """The columns of a row from `start` to before `stop`, which stand in the pool from `at` on."""

    start: int
    stop: int
    at: int

    @property
    def size(self) -> int:
        """How many places it takes."""
        return self.stop - self.start

    @property
    def end(self) -> int:
        """The place behind its last."""
        return self.at + self.size

    def place(self, column: int) -> int:
        """Return where a column of the row stands."""
        return self.at + column - self.start


def cut(pieces: Sequence[Piece], start: int, stop: int) -> list[Piece]:
    """Return what of pieces holds the columns from `start` to before `stop`."""
    parts = ((piece, max(piece.start, start), min(piece.stop, stop)) for piece in pieces)
    return [Piece(first, end, piece.place(first)) for piece, first, end in parts if first < end]


class KVCache:
    """The pool: of each token the keys, then the values, in a block [L, N, 2 K, d], and what they are computed from.

    What stands at places that no token has taken is masked wherever it is read, and finite: zeros, or what an earlier
    row left.

    Args:
        config: the decoder's sizes.
        capacity: tokens that a row holds at the least.
        like: a tensor of the dtype and on the device to use.

    Attributes:
        page: rows rest on each other by so many tokens. On a GPU that has no kernel for pages it is a whole row, so
            that a fork is a copy there.
        columns: tokens that a row holds, whole pages.
        block: [L, N, 2 K, d].
        inputs: [N, D], the embeddings.
        positions: int64 [N].
    """

    def __init__(self, config: DecoderConfig, capacity: int, *, like: Tensor) -> None:
        self.is_paged = has_pages(like)
        self.page = PAGE if self.is_paged else 1 if like.device.type == "cpu" else capacity
        self.columns = -(-capacity // self.page) * self.page
        self.block = like.new_zeros((config.num_layers, 0, 2 * config.num_kv_heads, config.head_dim))
        self.inputs = like.new_zeros((0, config.hidden_size))
        self.positions: NDArray[np.int64] = np.zeros(0, np.int64)
        self._heads = config.num_kv_heads

    @property
    def places(self) -> int:
        """N."""
        return len(self.positions)

    @property
    def num_bytes(self) -> int:
        """The memory of the pool."""
        return self.block.nbytes + self.inputs.nbytes + self.positions.nbytes

    def write(self, layer: int, where_T: Tensor, joined: Tensor) -> None:
        """Keep the keys and values [T, 2 K, d] of tokens at their places."""
        self.block[layer].index_copy_(0, where_T, joined)

    def read(self, layer: int, at: int, extent: int, rows: int = 1, apart: int = 0) -> tuple[Tensor, Tensor]:
        """Return views of keys and values, each [rows, K, extent, d]: `extent` places from `at` on, each `apart`."""
        token, head = self.block.stride(1), self.block.stride(2)
        shape, strides = (rows, self._heads, extent, self.block.shape[3]), (apart * token, head, token, 1)
        first = layer * self.block.stride(0) + at * token
        keys = self.block.as_strided(shape, strides, first)
        return keys, self.block.as_strided(shape, strides, first + self._heads * head)

    def copy(self, source: int, target: int, count: int) -> None:
        """Give `count` places from `target` on what stands from `source` on."""
        there, here = slice(source, source + count), slice(target, target + count)
        self.block[:, here] = self.block[:, there]
        self.inputs[here] = self.inputs[there]
        self.positions[here] = self.positions[there]

    def room(self, taken: Iterable[Piece], size: int) -> int:
        """Return the first place from which on `size` places are free of `taken`, perhaps beyond the pool's end."""
        free = 0
        for piece in sorted(taken, key=lambda piece: piece.at):
            if piece.at - free >= size:
                break
            free = max(free, piece.end)
        return free

    def grow(self, places: int) -> None:
        """Let there be so many places; one that grows little by little grows by half, so as to be copied seldom."""
        if places > self.places:
            more = max(places, self.places * 3 // 2 // self.page * self.page) - self.places
            layers, _, *rest = self.block.shape
            self.block = torch.cat([self.block, self.block.new_zeros((layers, more, *rest))], 1)
            self.inputs = torch.cat([self.inputs, self.inputs.new_zeros((more, self.inputs.shape[1]))])
            self.positions = np.concatenate([self.positions, np.zeros(more, np.int64)])


def has_pages(like: Tensor) -> bool:
    """Return whether there is a kernel that reads a cache like this tensor as pages."""
    return like.is_cuda and like.dtype in (torch.float16, torch.bfloat16) and _reads_pages(like.device)


@lru_cache(maxsize=8)
def _reads_pages(device: torch.device) -> bool:
    try:
        varlen_attn = import_module("torch.nn.attention.varlen").varlen_attn
    except (ImportError, AttributeError):
        return False
    return "block_table" in signature(varlen_attn).parameters and torch.cuda.get_device_capability(device) >= (8, 0)
