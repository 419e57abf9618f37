"""Frames shown another way whenever they are learned from: mirrored, moved by whole patches, lit otherwise.

Episodes hold long runs of frames that hardly differ. A tower that is shown the same ones again and again learns them by
heart; moved, each shows its things in other places, and their labels move along. What the screen itself draws, items
and the hand, stays where it is: it is drawn nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

UNKNOWN = -100
"""The label of a patch that shows a part of the display where the display is not; losses leave it out."""

_CHANCE = 0.5
"""Of a frame to be mirrored, and to be moved."""

_FARTHEST = (1 / 8, 3 / 8)
"""How far it is moved at the most, down and to the right, as shares of the frame."""

_CONTRAST, _BRIGHTNESS = (0.7, 1.15), 12.0
"""By what levels are multiplied, and what is added to or taken from them at the most."""


def augmented(
    frames: NDArray[np.uint8], labels: NDArray[np.int64], display: Collection[int], seed: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return frames and their labels as they are shown this once.

    Args:
        frames: [B, H, W, 3].
        labels: [B, N] of their N patches, row by row.
        display: which patches the display covers; they stay as they are, but for the light.
        seed: of what is drawn; the same gives the same.
    """
    generator = np.random.default_rng(seed)
    grid = math.isqrt(labels.shape[1])
    side = frames.shape[1] // grid
    fixed = np.isin(np.arange(grid**2), list(display)).reshape(grid, grid)
    fixed_pixels = np.kron(fixed, np.ones((side, side), bool))
    shown, told = frames.copy(), labels.reshape(-1, grid, grid).copy()
    for frame, label in zip(shown, told, strict=True):
        way = _Way.drawn(generator, grid)
        frame[:] = _lit(np.where(fixed_pixels[..., None], frame, way.moved(frame, side)), generator)
        label[:] = np.where(fixed, label, np.where(way.moved(fixed, 1), UNKNOWN, way.moved(label, 1)))
    return shown, told.reshape(labels.shape)


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How one frame is moved: mirrored, then down and to the right by whole patches; what leaves comes in again."""

    mirrored: bool
    down: int
    right: int

    @staticmethod
    def drawn(generator: np.random.Generator, grid: int) -> _Way:
        """Draw one for a frame of `grid` patches a side."""
        mirrored, moved = generator.random(2) < _CHANCE
        down, right = (generator.integers(-most, most + 1) for most in (int(share * grid) for share in _FARTHEST))
        return _Way(mirrored=bool(mirrored), down=int(down) if moved else 0, right=int(right) if moved else 0)

    def moved(self, values: NDArray[T], side: int) -> NDArray[T]:
        """Return [H, W, ...] moved, where a patch is `side` long."""
        turned = values[:, ::-1] if self.mirrored else values
        return np.roll(turned, (self.down * side, self.right * side), (0, 1))


def _lit(frame: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    levels = frame * generator.uniform(*_CONTRAST) + generator.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    return np.clip(levels, 0, 255).astype(np.uint8)
