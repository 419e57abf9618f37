"""Reads frames back into grid cells, so that a dream can be compared with the truth cell by cell.

Every cell of a Crafter frame is one of few pictures: a material, with or without a creature on it, or an item with a
count. A cell is read as the picture nearest to it in pixels, under the light of the hour. On frames of the engine
itself this is right for every cell by day (a test says so); by night the expected noise stands in for the drawn one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter.facts import COLUMNS, HALF, OUTSIDE, ROWS, View
from rig.envs.crafter.simulator import CELL, VIEW, CrafterSimulator, constants
from rig.records import Frame

Labels = NDArray[np.int16]
"""One label a cell, int16 [9 rows, 9 columns]: seven rows of map over two of inventory."""

_GROUND = ("grass", "sand", "path")
_PLAYER = ("player-left", "player-right", "player-up", "player-down", "player-sleep")
_ARROWS = ("arrow-left", "arrow-right", "arrow-up", "arrow-down")
_ITEM_ROWS = VIEW[1] - ROWS
_MAX_COUNT = 9
_MEAN_NOISE = (32 + 127) / 2
_FACING = {(-1, 0): "player-left", (1, 0): "player-right", (0, -1): "player-up", (0, 1): "player-down"}


def _pictures() -> list[tuple[str, str]]:
    """Return (material, texture on it or "") of everything a map cell can show."""
    materials = [*constants.materials, OUTSIDE]
    walkers = [(ground, texture) for texture in ("cow", "zombie", "skeleton", *_PLAYER) for ground in _GROUND]
    arrows = [(ground, texture) for texture in _ARROWS for ground in (*_GROUND, "water", "lava")]
    plants = [("grass", "sapling"), ("grass", "plant"), ("grass", "plant-ripe")]
    return [*((material, "") for material in materials), *walkers, *arrows, *plants]


class CrafterCells:
    """Labels of the cells of frames, read from pixels or taken from the engine's facts."""

    rows, columns = VIEW[1], VIEW[0]

    def __init__(self) -> None:
        self._engine = CrafterSimulator()
        self._names = _pictures()
        self._index = {name: index for index, name in enumerate(self._names)}
        self._at_hour = lru_cache(maxsize=512)(self._map_pictures)
        self._items = self._item_pictures()

    def truth(self, facts: Mapping[str, Any]) -> Labels:
        """Return the labels that the engine's facts give."""
        labels = np.zeros((self.rows, self.columns), np.int16)
        textures = {tuple(creature["at"]): creature["texture"] for creature in facts["creatures"]}
        textures[0, 0] = "player-sleep" if facts["sleeping"] else _FACING[tuple(facts["facing"])]
        view = View(facts)
        for row in range(ROWS):
            for column in range(COLUMNS):
                at = (column - HALF[0], row - HALF[1])
                labels[row, column] = self._index.get((view.material(at), textures.get(at, "")), -1)
        for index, item in enumerate(constants.items):
            labels[ROWS + index // COLUMNS, index % COLUMNS] = facts["inventory"].get(item, 0)
        return labels

    def read(self, frames: Sequence[Frame] | NDArray[np.uint8], facts: Sequence[Mapping[str, Any]]) -> Labels:
        """Return the labels read from `frames`, int16 [N, 9, 9].

        Args:
            frames: uint8 [N, 144, 144, 3].
            facts: of the states that the frames show or should show; only the hour and sleep are used, for the light.
        """
        return np.stack([self._read_one(frame, fact) for frame, fact in zip(frames, facts, strict=True)])

    def _read_one(self, frame: Frame, facts: Mapping[str, Any]) -> Labels:
        cells = frame.reshape(self.rows, CELL, self.columns, CELL, 3).swapaxes(1, 2)
        flat = cells.reshape(self.rows, self.columns, -1).astype(np.float32)
        pictures = self._at_hour(round(float(facts["daylight"]), 4), bool(facts["sleeping"]))
        seen = flat[:ROWS].reshape(ROWS * COLUMNS, -1)
        if len(pictures) == 1:
            nearest = _nearest(seen, pictures[0])
        else:
            nearest = np.array([_nearest(cell[None], here)[0] for cell, here in zip(seen, pictures, strict=True)])
        held = flat[ROWS:].reshape(_ITEM_ROWS * COLUMNS, -1)
        counts = [_nearest(cell[None], here)[0] for cell, here in zip(held, self._items, strict=True)]
        labels = np.concatenate([nearest, counts]).astype(np.int16)
        return labels.reshape(self.rows, self.columns)

    def _map_pictures(self, daylight: float, sleeping: bool) -> NDArray[np.float32]:
        """Return the pictures under this light: [1, P, D] by day; by night, which is darker at the rim, [63, P, D]."""
        tiles = [self._tile(*name) for name in self._names]
        if daylight >= 0.5:
            lit = self._lit(np.concatenate(tiles, axis=0), daylight, sleeping)
            return _as_rows(np.stack(np.split(lit, len(tiles), axis=0)))[None]
        whole = [self._lit(np.tile(tile, (COLUMNS, ROWS, 1)), daylight, sleeping) for tile in tiles]
        grids = np.stack(whole).reshape(len(tiles), COLUMNS, CELL, ROWS, CELL, 3)
        return np.stack([_as_rows(grids[:, x, :, y]) for y in range(ROWS) for x in range(COLUMNS)])

    def _tile(self, material: str, texture: str) -> NDArray[np.uint8]:
        """Return a cell's picture in full light, [x, y, 3] as Crafter draws."""
        textures = self._engine._textures
        canvas = np.full((CELL, CELL, 3), 127, np.uint8)
        if material != OUTSIDE:
            canvas[:] = textures.get(material, (CELL, CELL))[..., :3]
        if texture:
            _blend(canvas, textures.get(texture, (CELL, CELL)))
        return canvas

    def _lit(self, canvas: NDArray[np.uint8], daylight: float, sleeping: bool) -> NDArray[np.uint8]:
        view = self._engine._local_view
        kept = view._world
        mean = SimpleNamespace(uniform=lambda low, high, shape: np.full(shape, _MEAN_NOISE))
        view._world = SimpleNamespace(random=mean)
        try:
            lit = view._light(canvas, daylight)
            return (view._sleep(lit) if sleeping else lit).astype(np.uint8)
        finally:
            view._world = kept

    def _item_pictures(self) -> list[NDArray[np.float32]]:
        """Return, for each inventory cell, its pictures by count, [10, D]; cells without an item are always empty."""
        names = list(constants.items)
        pictures = []
        for index in range(_ITEM_ROWS * COLUMNS):
            counts = range(_MAX_COUNT + 1) if index < len(names) else range(1)
            column, row = index % COLUMNS, index // COLUMNS
            box = np.s_[column * CELL : (column + 1) * CELL, row * CELL : (row + 1) * CELL]
            drawn = [
                self._engine._item_view(
                    {name: n if name == names[min(index, len(names) - 1)] else 0 for name in names}, (CELL, CELL)
                )[box]
                for n in counts
            ]
            pictures.append(_as_rows(np.stack(drawn)))
        return pictures


def _nearest(cells: NDArray[np.float32], pictures: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each of cells [N, D] the index of the nearest of pictures [P, D]."""
    return np.argmin((pictures**2).sum(1) - 2 * cells @ pictures.T, axis=1)


def _as_rows(tiles: NDArray) -> NDArray[np.float32]:
    """Return tiles [P, x, y, 3] as float rows [P, D] in the order of a frame's pixels."""
    return tiles.swapaxes(1, 2).reshape(len(tiles), -1).astype(np.float32)


def _blend(canvas: NDArray[np.uint8], texture: NDArray[np.uint8]) -> None:
    if texture.shape[-1] == 4:
        alpha = texture[..., 3:].astype(np.float32) / 255
        blended = alpha * (texture[..., :3].astype(np.float32) / 255) + (1 - alpha) * (canvas.astype(np.float32) / 255)
        canvas[:] = (255 * blended).astype(np.uint8)
    else:
        canvas[:] = texture
