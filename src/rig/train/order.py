"""In what order items are learned: a new random one each epoch, the same for the same seed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def nth_batch(number: int, size: int, count: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """Return which of `count` items batch `number` holds: `size` of them, or all where they are fewer.

    What is left at the end of an epoch, less than a batch, is left out of it.
    """
    epoch, index = divmod(number, max(1, count // max(1, size)))
    return shuffled(count, (*seed, epoch))[index * size : (index + 1) * size]


@lru_cache(maxsize=32)
def shuffled(count: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the numbers below `count` in the order of this seed; it is kept, so do not write to it."""
    return np.random.default_rng(seed).permutation(count)
