"""Rows in lock step while they write: each has one token to be run, and gets the next one in return.

n: rows of the window, D: the decoder's width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.engine.cache import KVCache, is_adjacent
from rig.engine.forward import decode
from rig.model.decoder import Decoder

SHRINK_FROM = 8
"""Windows of fewer rows are not worth copying: a step then costs about the same with or without a row."""


class Window:
    """Some rows of a session's cache: a view of it where they are adjacent, else a copy that is settled at the end.

    Args:
        decoder: the decoder.
        home: the session's cache.
        rows: which of its rows.
        x: [n, D], embeddings of the tokens to be run.
        positions: [n], their positions.
        following: [n], the positions of the tokens after them.
        columns: [n], where the tokens to be run stand in their rows.
        ends: [n], the column that each row will not reach.
    """

    def __init__(
        self,
        decoder: Decoder,
        home: KVCache,
        rows: Sequence[int],
        *,
        x: Tensor,
        positions: NDArray[np.int64],
        following: NDArray[np.int64],
        columns: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> None:
        used, end = int(columns.max()), int(ends.max())
        self._decoder = decoder
        self._home = home
        self._is_view = is_adjacent(rows)
        self._cache = home.view(rows, end) if self._is_view else home.copy(rows, used, end)
        self._rows = list(rows)
        self._x = x
        self._positions = positions
        self._following = following
        self._columns = columns
        self._settled = columns.copy()
        self._ends = ends
        self.members = list(range(len(rows)))

    def run(self) -> Tensor:
        """Run the waiting token of every row and return the hidden states behind them, [n, D]."""
        return decode(self._decoder, self._cache, self._x, self._positions, self._columns)

    def push(self, slots: Sequence[int], x: Tensor) -> None:
        """Let the tokens embedded as `x` follow in these slots; another slot's token is run again, to no effect."""
        where = np.asarray(slots, np.int64)
        if len(where) == len(self.members):
            self._x = x
        else:
            self._x = self._x.index_copy(0, torch.from_numpy(where).to(x.device), x)
        self._positions[where] = self._following[where]
        self._following[where] += 1
        self._columns[where] += 1

    def shrink(self, slots: Sequence[int]) -> None:
        """Go on with these slots alone."""
        self.settle()
        where = np.asarray(slots, np.int64)
        columns, ends = self._columns[where], self._ends[where]
        self._cache = self._cache.copy(slots, int(columns.max()), int(ends.max()))
        self._is_view = False
        self._rows = [self._rows[slot] for slot in slots]
        self.members = [self.members[slot] for slot in slots]
        self._x = self._x[list(slots)]
        self._positions, self._following = self._positions[where], self._following[where]
        self._columns, self._settled, self._ends = columns, columns.copy(), ends

    def settle(self) -> None:
        """Bring the keys and values of the tokens run so far home."""
        if self._is_view:
            return
        for slot, row in enumerate(self._rows):
            self._home.put(row, int(self._settled[slot]), int(self._columns[slot]), self._cache, slot)
        self._settled = self._columns.copy()
