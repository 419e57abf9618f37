"""`rig bench env`: ticks a second of Minetest in lock-step, with and without a frame, and seconds of a reset.

A thread for each world asks for its ticks, so that worlds run beside each other; they share nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tqdm import tqdm

from rig.bench.config import EnvBench
from rig.envs.minetest import MinetestConfig, MinetestEnv
from rig.errors import RigError

_WARMUP = 20
"""Ticks before the clock starts."""


def bench_env(config: EnvBench) -> dict[str, Any]:
    """Run the benchmark; return one entry for each frame size and number of worlds.

    Raises:
        RigError: a size is not written as WIDTHxHEIGHT.
        MissingDependencyError: the engine is not installed.
    """
    cells = [(size, worlds) for size in config.sizes for worlds in config.worlds]
    worlds = {size: _world(size, config) for size in config.sizes}
    return {"entries": [_measure(config, worlds[size], count) for size, count in tqdm(cells, disable=None)]}


def _world(size: str, config: EnvBench) -> MinetestConfig:
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise RigError(f"--sizes {size!r} is no size; write WIDTHxHEIGHT, as in 640x360")
    return MinetestConfig(width=int(width), height=int(height), view_range=config.view_range)


def _measure(config: EnvBench, world: MinetestConfig, count: int) -> dict[str, Any]:
    envs = [MinetestEnv(world) for _ in range(count)]
    try:
        resets = [_seconds(partial(env.reset, seed=config.seed + index)) for index, env in enumerate(envs)]
        _drive(envs, _step, _WARMUP)
        stepped = [_drive(envs, _step, config.ticks) for _ in range(config.rounds)]
        glided = [_drive(envs, _glide, config.ticks) for _ in range(config.rounds)]
    finally:
        for env in envs:
            env.close()
    each = sorted(milliseconds for _, some in stepped for milliseconds in some)
    return {
        "size": f"{world.width}x{world.height}",
        "worlds": count,
        "steps_per_second": statistics.median(speed for speed, _ in stepped),
        "milliseconds": {"median": statistics.median(each), "p99": each[int(0.99 * len(each))], "max": each[-1]},
        "glides_per_second": statistics.median(speed for speed, _ in glided),
        "reset_seconds": statistics.median(resets),
    }


def _drive(
    envs: Sequence[MinetestEnv], tick: Callable[[MinetestEnv, int], object], ticks: int
) -> tuple[float, list[float]]:
    """Let `ticks` pass in every world at once; return ticks a second of all together, and each one's milliseconds."""

    def play(env: MinetestEnv) -> list[float]:
        return [1000 * _seconds(partial(tick, env, number)) for number in range(ticks)]

    started = time.perf_counter()
    with ThreadPoolExecutor(len(envs)) as pool:
        each = [milliseconds for some in pool.map(play, envs) for milliseconds in some]
    return len(envs) * ticks / (time.perf_counter() - started), each


def _action(number: int) -> dict[str, Any]:
    """Return the walk's action: ahead, now and then a jump, and a turn to either side by up to 15 degrees."""
    return {"forward": 1, "jump": int(number % 3 == 0), "camera": (0, 5 * (number % 7 - 3))}


def _step(env: MinetestEnv, number: int) -> None:
    if any(env.step(_action(number))[2:4]):
        env.reset(seed=env.seed)


def _glide(env: MinetestEnv, number: int) -> None:
    if any(env.glide(_action(number))[1:]):
        env.reset(seed=env.seed)


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started
