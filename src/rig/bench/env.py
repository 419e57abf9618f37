"""`rig bench env`: ticks a second of Minetest in lock-step, with and without a frame, and seconds of a reset.

Worlds run as Gymnasium's vector environments run them: each in a process of its own, all of them a tick at a time, with
frames in shared memory. One world is measured in the same way.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gymnasium.vector import AsyncVectorEnv
from tqdm import tqdm

from rig.bench.config import EnvBench
from rig.envs.minetest import MinetestConfig, MinetestEnv
from rig.errors import RigError

Action = dict[str, Any]

_WARMUP = 20
"""Ticks before the clock starts."""


def bench_env(config: EnvBench) -> dict[str, Any]:
    """Run the benchmark; return one entry for each frame size and number of worlds, and how busy the machine was.

    Raises:
        RigError: a size is not written as WIDTHxHEIGHT.
        MissingDependencyError: the engine is not installed.
    """
    cells = [(size, worlds) for size in config.sizes for worlds in config.worlds]
    worlds = {size: _world(size, config) for size in config.sizes}
    load = os.getloadavg()[0]
    entries = [_measure(config, worlds[size], count) for size, count in tqdm(cells, disable=None)]
    return {"load_before": load, "entries": entries}


def _world(size: str, config: EnvBench) -> MinetestConfig:
    width, height = _size("--sizes", size)
    across, down = _size("--display", config.display)
    return MinetestConfig(
        width=width, height=height, display_width=across, display_height=down, view_range=config.view_range
    )


def _size(flag: str, size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise RigError(f"{flag} {size!r} is no size; write WIDTHxHEIGHT, as in 640x360")
    return int(width), int(height)


def _measure(config: EnvBench, world: MinetestConfig, count: int) -> dict[str, Any]:
    vector = AsyncVectorEnv([partial(MinetestEnv, world)] * count, shared_memory=True)
    reset = partial(vector.reset, seed=config.seed)
    act = _turn if config.turn else _walk
    try:
        resets = [_seconds(reset) for _ in range(config.rounds)]
        _drive(partial(_step, vector, act), _WARMUP)
        stepped = [_drive(partial(_step, vector, act), config.ticks) for _ in range(config.rounds)]
        memory = sum(_memory(process.pid or 0) for process in vector.processes) / count
        reset()
        glided = [_drive(partial(_glide, vector, act, config.seed), config.ticks) for _ in range(config.rounds)]
    except BaseException:
        vector.close(terminate=True)
        raise
    vector.close()
    each = sorted(1000 * seconds for some in stepped for seconds in some)
    return {
        "size": f"{world.width}x{world.height}",
        "worlds": count,
        "seeds": [config.seed + index for index in range(count)],
        "steps_per_second": _speed(stepped, count),
        "milliseconds": {"median": statistics.median(each), "p99": each[int(0.99 * len(each))], "max": each[-1]},
        "glides_per_second": _speed(glided, count),
        "reset_seconds": statistics.median(resets),
        "rounds": {
            "steps_per_second": [_speed([some], count) for some in stepped],
            "glides_per_second": [_speed([some], count) for some in glided],
            "reset_seconds": resets,
        },
        "megabytes_per_world": memory / 1e6,
    }


def _drive(tick: Callable[[int], object], ticks: int) -> list[float]:
    """Let `ticks` pass in all worlds; return the seconds of each."""
    return [_seconds(partial(tick, number)) for number in range(ticks)]


def _speed(rounds: list[list[float]], count: int) -> float:
    """Return ticks a second of `count` worlds together, in the middle round."""
    return statistics.median(count * len(some) / sum(some) for some in rounds)


def _walk(number: int) -> Action:
    """Return the walk's action: ahead, now and then a jump, and a turn to either side by up to 15 degrees."""
    return {"forward": 1, "jump": int(number % 3 == 0), "camera": (0, 5 * (number % 7 - 3))}


def _turn(number: int) -> Action:
    """Return a turn by 5 degrees."""
    return {"camera": (0, 5)}


def _step(vector: AsyncVectorEnv, act: Callable[[int], Action], number: int) -> None:
    vector.step([act(number)] * vector.num_envs)


def _glide(vector: AsyncVectorEnv, act: Callable[[int], Action], seed: int, number: int) -> None:
    if any(terminated or truncated for _, terminated, truncated in vector.call("step_without_render", act(number))):
        vector.reset(seed=seed)


def _memory(process: int) -> int:
    """Return the resident bytes of a process and of all that it has started; 0 where there is none."""
    folder = Path(f"/proc/{process}")
    if not folder.exists():
        return 0
    resident = int((folder / "statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident + sum(
        map(_memory, map(int, (folder / f"task/{process}/children").read_text(encoding="utf-8").split()))
    )


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started
