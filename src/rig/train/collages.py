"""Batches in which rare cells come as often as common ones, for tokenizers that code every cell by itself.

Most cells of a game's frames show a few pictures (grass, an empty slot), and a tokenizer trained on frames as they are
hardly ever sees the rest. Where no cell sees its neighbours, cells may be put together anew: a collage draws them
evenly from the distinct cells of all frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CHUNK = 512


class Collages:
    """Draws images made of distinct cells.

    Args:
        frames: uint8 [N, H, W, 3] to take cells from.
        cell: side of a cell in pixels.
        limit: distinct cells kept, an even choice where there are more.
        seed: of that choice.
    """

    def __init__(self, frames: NDArray[np.uint8], cell: int, *, limit: int = 65_536, seed: int = 0) -> None:
        self._cell = cell
        self._rows, self._columns = frames.shape[1] // cell, frames.shape[2] // cell
        self.cells = _distinct_cells(frames, cell)
        if len(self.cells) > limit:
            self.cells = self.cells[np.random.default_rng(seed).choice(len(self.cells), limit, replace=False)]

    def draw(self, count: int, random: np.random.Generator) -> NDArray[np.uint8]:
        """Return `count` collages, uint8 [count, H, W, 3]."""
        chosen = self.cells[random.integers(0, len(self.cells), (count, self._rows, self._columns))]
        return chosen.swapaxes(2, 3).reshape(count, self._rows * self._cell, self._columns * self._cell, 3)


def _distinct_cells(frames: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """Return the distinct cells, uint8 [n, cell, cell, 3], in the order in which they first appear."""
    seen: dict[int, NDArray[np.uint8]] = {}
    words = cell * cell * 3 // 8
    mix = np.random.default_rng(0).integers(1, 1 << 63, words, dtype=np.uint64) | np.uint64(1)
    for start in range(0, len(frames), _CHUNK):
        part = frames[start : start + _CHUNK]
        count, height, width, _ = part.shape
        cells = part.reshape(count, height // cell, cell, width // cell, cell, 3).swapaxes(2, 3)
        flat = np.ascontiguousarray(cells).reshape(-1, cell * cell * 3)
        keys, first = np.unique(flat.view(np.uint64)[:, :words] @ mix, return_index=True)
        for key, index in zip(keys.tolist(), first, strict=True):
            if key not in seen:
                seen[key] = flat[index].reshape(cell, cell, 3).copy()
    return np.stack(list(seen.values()))
