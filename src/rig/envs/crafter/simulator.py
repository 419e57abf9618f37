"""Crafter's own engine, made exactly repeatable.

Four things keep Crafter 1.8.3 from replaying exactly or quickly, and are mended here without touching its rules:

* it keeps the creatures of a chunk in a `set`, whose order follows memory addresses, and despawns one by its index in
  that order: the same seed gives different worlds from run to run. Chunks keep insertion order here;
* the noise of night frames is drawn from the world's own random stream, so a replay must draw every frame that was
  drawn before, and one that skips drawing is another world. `step` always draws; `step_without_render` never does and
  says so;
* it reads its textures for each world and draws the ground cell by cell, which `drawing` does quicker;
* generating a world takes about a second, most of it noise functions in Python. They are compiled (`noise`), and the
  generated state is kept on disk (under `$RIG_CACHE` or `~/.cache/rig`), as plain arrays that cannot execute anything.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rig.envs.crafter import noise
from rig.machine import cache_root
from rig.records import Frame
from rig.registry import require
from rig.storage import atomic_file

noise.load()  # before crafter does
require("crafter", "crafter")

import crafter  # noqa: E402
from crafter import constants, objects, worldgen  # noqa: E402

from rig.envs.crafter import drawing  # noqa: E402

AREA = (64, 64)
VIEW = (9, 9)
CELL = 16
SIZE = (VIEW[0] * CELL, VIEW[1] * CELL)
_ITEM_ROWS = -(-len(constants.items) // VIEW[0])
_FORMAT = 1

Creature = crafter.objects.Object
_CREATURES: tuple[type, ...] = (objects.Cow, objects.Zombie, objects.Skeleton)


class _OrderedSet:
    """The part of `set` that Crafter's chunks use, in insertion order."""

    def __init__(self) -> None:
        self._items: dict[Any, None] = {}

    def add(self, item: Any) -> None:
        self._items[item] = None

    def remove(self, item: Any) -> None:
        del self._items[item]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


@contextmanager
def _replaced(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


class CrafterSimulator(crafter.Env):
    """A Crafter world at 144×144 pixels: one grid cell is one 16×16 patch, 9×7 cells of map over 9×2 of inventory."""

    def __init__(self) -> None:
        loaded = drawing.textures()
        with _replaced(crafter.engine, "Textures", lambda _: loaded):
            super().__init__(area=AREA, view=VIEW, size=SIZE, length=0, seed=0)
        self._local_view = drawing.LocalView(self._world, self._textures, (VIEW[0], VIEW[1] - _ITEM_ROWS))
        self._item_view = drawing.ItemView(self._textures, (VIEW[0], _ITEM_ROWS))

    @property
    def world(self) -> Any:
        """The map, its creatures and its random stream."""
        return self._world

    @property
    def player(self) -> Any:
        """The player: position, facing, inventory and achievements."""
        return self._player

    @property
    def time(self) -> int:
        """Steps since the start; it sets the daylight."""
        return self._step

    def begin(self, seed: int) -> None:
        """Go to the first state of the world of `seed`, with the player in its centre."""
        state = _generated(seed)
        self._step = 0
        self._world.reset(seed=seed)
        self._world._chunks = collections.defaultdict(_OrderedSet)
        self._update_time()
        self._player = objects.Player(self._world, (AREA[0] // 2, AREA[1] // 2))
        self._world.add(self._player)
        self._world._mat_map[:] = state["materials"]
        for kind, x, y in state["creatures"]:
            cls = _CREATURES[kind]
            arguments = (self._player,) if cls is not objects.Cow else ()
            self._world.add(cls(self._world, (x, y), *arguments))
        self._world.random.set_state(("MT19937", state["key"], int(state["position"]), 0, 0.0))
        self._last_health = self._player.health
        self._unlocked: set[str] = set()

    def place_player(self, position: tuple[int, int], facing: tuple[int, int], inventory: dict[str, int]) -> None:
        """Put the player on a free cell, looking along `facing`, with `inventory` on top of the defaults."""
        if position != tuple(self._player.pos):
            self._world.move(self._player, position)
        self._player.facing = facing
        self._player.inventory.update(inventory)

    def step_without_render(self, action: int) -> None:
        """Step without drawing a frame: for plans and forks whose frames nobody looks at.

        By night the random stream then differs from that of `step`, which draws.
        """
        self._obs = lambda: None
        try:
            self.step(action)
        finally:
            del self._obs

    def save(self) -> bytes:
        """Return the whole state, random stream included."""
        return pickle.dumps((self._world, self._player, self._step, self._last_health, self._unlocked))

    def load(self, state: bytes) -> None:
        """Go back to a state that `save` returned in this process."""
        self._world, self._player, self._step, self._last_health, self._unlocked = pickle.loads(state)
        self._local_view._world = self._world
        self._sem_view._world = self._world


@lru_cache(maxsize=512)
def _generated(seed: int) -> dict[str, NDArray]:
    """Return the generated world of `seed`: materials, creatures and the random stream behind them."""
    path = _cache_folder() / f"{seed}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(stored)
        except (OSError, ValueError, EOFError, BadZipFile):
            path.unlink(missing_ok=True)  # a file cut short by a kill: generate it again
    state = _generate(seed)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **state)  # type: ignore[arg-type]
    return state


def _generate(seed: int) -> dict[str, NDArray]:
    engine = crafter.engine.World(AREA, constants.materials, (12, 12))
    engine.reset(seed=seed)
    player = objects.Player(engine, (AREA[0] // 2, AREA[1] // 2))
    engine.add(player)
    worldgen.opensimplex = noise.compiled()
    worldgen.generate_world(engine, player)
    kinds = {cls: index for index, cls in enumerate(_CREATURES)}
    creatures = [(kinds[type(found)], *found.pos) for found in engine.objects if found is not player]
    _, key, position, _, _ = engine.random.get_state()
    return {
        "materials": engine._mat_map,
        "creatures": np.array(creatures, np.int64).reshape(-1, 3),
        "key": key,
        "position": np.array(position),
    }


def _cache_folder() -> Path:
    return cache_root() / f"crafter-worlds-{_FORMAT}"


def frame_of(engine: CrafterSimulator) -> Frame:
    """Draw the current frame, uint8 [144, 144, 3]; by night this draws from the world's random stream."""
    return engine.render().astype(np.uint8)
