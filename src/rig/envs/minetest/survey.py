"""The spots of a world where tasks can begin, found once for each seed and kept on the disk.

An engine of its own looks: first at what the generator promises, which costs nothing, then area by area at what it has
generated, until every task has a choice of spots. The episodes' engines enter at a spot and never see the search, so
that they are the same whether it was kept or made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from rig.envs.minetest.config import MinetestConfig
from rig.envs.minetest.env import MinetestEnv
from rig.envs.minetest.places import FOREST, PLAINS, Place, Spot
from rig.envs.minetest.prerequisites import VERSION
from rig.envs.minetest.tasks import DISTANCE, TASKS
from rig.errors import RigError
from rig.machine import cache_root
from rig.storage import atomic_file
from rig.validation import parse_json, validated

_BIOMES = {FOREST: ("deciduous_forest", "coniferous_forest"), PLAINS: ("grassland",)}
_SCOUT = {"spacing": 64, "rings": 24, "most": 8}
"""A grid of places that are asked for their biome, and areas that are looked at, at the most."""

_LOW, _HIGH, _WIDE = -16, 24, 40
_SPOTS = {"margin": 28, "spacing": 6, "roam": DISTANCE + 2}
"""Spots lie in the middle of an area, so that all that matters to them is generated."""

_LOWEST = 2
"""Above the water, and no cave."""

_CHOICE = 4
"""Spots that each start should have to choose from."""

_WORLD = MinetestConfig(width=16, height=16, view_range=20)


@lru_cache(maxsize=4096)
def spots_of(seed: int) -> tuple[Spot, ...]:
    """Return the spots of the world of `seed`: from the disk, or after a search of a few seconds.

    Raises:
        SimulatorError: the engine failed.
        MissingDependencyError: something that it needs is not installed.
    """
    file = cache_root() / "minetest" / "spots" / _key() / f"{seed}.json"
    found = _kept(file)
    if found is None:
        found = tuple(_search(seed))
        with atomic_file(file) as new:
            new.write_text(json.dumps([asdict(spot) for spot in found]), encoding="utf-8")
    return found


def _kept(file: Path) -> tuple[Spot, ...] | None:
    """Return the spots in `file`; None where it is not there, or spoilt: it is only kept to spare a search."""
    if not file.exists():
        return None
    try:
        return validated(parse_json(file.read_bytes(), file, ""), tuple[Spot, ...], file, "")
    except RigError:
        return None


@lru_cache(maxsize=1)
def _key() -> str:
    """Name what the spots depend on."""
    mod = (Path(__file__).with_name("mod") / "survey.lua").read_bytes()
    parts = (VERSION, _BIOMES, _SCOUT, _LOW, _HIGH, _WIDE, _SPOTS, _LOWEST, _CHOICE, asdict(_WORLD), _needs_as_text())
    return hashlib.sha256(mod + repr(parts).encode()).hexdigest()[:16]


def _needs_as_text() -> list[str]:
    return [f"{task.name}/{setting}: {task.start(setting)}" for task, setting in TASKS.variants()]


def _search(seed: int) -> list[Spot]:
    env = MinetestEnv(_WORLD)
    try:
        env.reset(seed=seed)
        return [spot for area in _BIOMES for spot in _search_area(env, area)]
    finally:
        env.close()


def _search_area(env: MinetestEnv, area: str) -> list[Spot]:
    found: list[Spot] = []
    starts = [start for start in _starts() if start.area == area]
    for middle in env.command({"name": "scout", "biomes": _BIOMES[area], **_SCOUT})[0]:
        found += _look_around(env, area, [round(value) for value in middle])
        if all(sum(map(start.fits, found)) >= _CHOICE for start in starts):
            break
    return found


def _starts() -> Iterator[Place]:
    for task, setting in TASKS.variants():
        start = task.start(setting)
        assert isinstance(start, Place)
        yield start


def _look_around(env: MinetestEnv, area: str, middle: list[int]) -> Iterator[Spot]:
    x, y, z = middle
    box = {"low": [x - _WIDE, y + _LOW, z - _WIDE], "high": [x + _WIDE, y + _HIGH, z + _WIDE]}
    env.command({"name": "generate", **box})
    while not env.command({"name": "is_generated"})[0]:
        pass
    facts: Iterable[dict[str, Any]] = env.command({"name": "spots", **box, **_SPOTS})[0] or ()
    return (spot for spot in (_spot({**one, "area": area}) for one in facts) if spot.at[1] >= _LOWEST)


def _spot(facts: dict[str, Any]) -> Spot:
    numbers = {name: int(facts[name]) for name in ("tree", "grass", "dirt", "soft", "firm", "air")}
    at = (int(facts["at"][0]), int(facts["at"][1]), int(facts["at"][2]))
    return Spot(area=facts["area"], at=at, soil=facts["soil"], far=tuple(map(int, facts["far"] or ())), **numbers)
