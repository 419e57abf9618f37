"""Crafter's frames, drawn quicker: the same pixels, and the same numbers drawn from the world's random stream.

Crafter reads its textures anew for every world, asks for each cell of the ground by itself, goes through all creatures
of the world, draws an inventory anew that seldom changes, and forgets the shade of the night where there are more than
ten worlds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from crafter import constants
from crafter import engine as crafter_engine
from numpy.typing import NDArray

from rig.records import Frame

_OUTSIDE = 127
"""The grey of what lies beyond the world's edge."""


@lru_cache(maxsize=1)
def textures() -> Any:
    """Return Crafter's textures, read once in a process; nothing writes to them."""
    return crafter_engine.Textures(constants.root / "assets")


class LocalView(crafter_engine.LocalView):
    """The map around the player."""

    def __call__(self, player: Any, unit: NDArray[np.int64]) -> NDArray:
        """Return what is in view, [9 * 16, 7 * 16, 3], columns first."""
        self._unit, self._center = np.array(unit), np.array(player.pos)
        canvas, present = self._ground(int(unit[0]), int(unit[1]))
        for index in present:
            creature = self._world._objects[index]
            place = (creature.pos - self._center + self._offset) * unit
            crafter_engine._draw_alpha(canvas, place, self._textures.get(creature.texture, unit))
        canvas = self._light(canvas, self._world.daylight)
        return self._sleep(canvas) if player.sleeping else canvas

    def _ground(self, width: int, height: int) -> tuple[Frame, list[int]]:
        """Return the ground in view, and the numbers of the creatures on it in the order in which they came to be."""
        world = self._world
        start, end = self._center - self._offset, self._center - self._offset + self._grid
        low, high = np.maximum(start, 0), np.minimum(end, self._area)
        seen = (slice(low[0], high[0]), slice(low[1], high[1]))
        tiles = _tiles(self._textures, tuple(world._mat_names.items()), width, height)
        numbers = np.full(tuple(self._grid), len(tiles) - 1)
        numbers[low[0] - start[0] : high[0] - start[0], low[1] - start[1] : high[1] - start[1]] = world._mat_map[seen]
        canvas = tiles[numbers].swapaxes(1, 2).reshape(self._grid[0] * width, self._grid[1] * height, 3)
        present = world._obj_map[seen]
        return canvas, np.sort(present[present > 0]).tolist()

    def _vignette(self, shape: tuple[int, ...], stddev: float) -> NDArray:
        return _shade(shape[:2], stddev)


class ItemView(crafter_engine.ItemView):
    """The inventory."""

    def __call__(self, inventory: Mapping[str, int], unit: Sequence[int] | NDArray[np.int64]) -> NDArray:
        """Return the inventory as it is drawn, [9 * 16, 2 * 16, 3], columns first, not to be written to."""
        return _inventory(tuple(inventory.items()), (int(unit[0]), int(unit[1])), tuple(self._grid.tolist()))


@lru_cache(maxsize=512)
def _inventory(items: tuple[tuple[str, int], ...], unit: tuple[int, int], grid: tuple[int, int]) -> NDArray:
    canvas = crafter_engine.ItemView(textures(), grid)(dict(items), unit)
    canvas.setflags(write=False)
    return canvas


@lru_cache(maxsize=4)
def _tiles(textures: Any, names: tuple[tuple[int, str | None], ...], width: int, height: int) -> Frame:
    """Return the tiles of all materials by their numbers, and last that of the outside."""
    tiles = [textures.get(name, (width, height))[..., :3] for _, name in names]
    return np.stack([*tiles, np.full((width, height, 3), _OUTSIDE, np.uint8)])


@lru_cache(maxsize=4)
def _shade(shape: tuple[int, int], stddev: float) -> NDArray:
    xs, ys = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]))
    return 1 - np.exp(-0.5 * (xs**2 + ys**2) / (stddev**2)).T
