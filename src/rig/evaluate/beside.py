"""Episodes played in several processes: on a CPU, few worlds keep one core busy and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from queue import Empty, Queue

from tqdm import tqdm

from rig.envs import make_world
from rig.envs.rollout import Played
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import environment_of, play_config
from rig.machine import usable_cores

_MOST_WORKERS = 4


def play_beside(kinds: Mapping[str, EmbodiedConfig]) -> dict[str, list[Played]]:
    """Play the episodes of each of `kinds`, tasks and settings shared out over processes, and show a bar.

    Each process plays its tasks and settings of the first kind, then of the next. In float32 the episodes are the same
    as in one process.

    Args:
        kinds: ways to play the same tasks of the same world, by name.

    Raises:
        RigError: as `play_config`.
    """
    shares = _shares(next(iter(kinds.values())))
    works = [{name: replace(config, tasks=share) for name, config in kinds.items()} for share in shares]
    played: dict[str, list[Played]] = {name: [] for name in kinds}
    count = sum(map(len, shares)) * sum(config.episodes for config in kinds.values())
    with tqdm(total=count, desc="play", unit="episode") as bar:
        for name, episode in _all(works):
            played[name].append(episode)
            bar.update()
    return played


def _shares(config: EmbodiedConfig) -> list[tuple[str, ...]]:
    """Return the tasks and settings of one process each, long and short ones dealt out evenly."""
    from rig.model import best_device

    tasks = make_world(environment_of(config)).tasks
    cells = sorted(tasks.cells(config.tasks), key=lambda cell: -cell[0].start(cell[1]).limit)
    workers = min(usable_cores(), _MOST_WORKERS, len(cells)) if best_device().type == "cpu" else 1
    names = [f"{task.name}/{setting}" for task, setting in cells]
    return [tuple(names[first::workers]) for first in range(workers)]


def _all(works: Sequence[Mapping[str, EmbodiedConfig]]) -> Iterator[tuple[str, Played]]:
    if len(works) == 1:
        yield from _one_by_one(works[0])
        return
    context = get_context("spawn")  # forking a process whose torch has threads can hang
    with context.Manager() as manager, ProcessPoolExecutor(len(works), context) as pool:
        ended: Queue[tuple[str, Played]] = manager.Queue()
        threads = max(1, usable_cores() // len(works))
        futures = [pool.submit(_work, work, ended, threads) for work in works]
        yield from _as_they_end(futures, ended)


def _as_they_end(futures: list[Future[None]], ended: Queue[tuple[str, Played]]) -> Iterator[tuple[str, Played]]:
    while True:
        over = all(future.done() for future in futures)  # before the last look: what a process put is then there
        try:
            yield ended.get(timeout=0.5)
        except Empty:
            for future in futures:
                if future.done():
                    future.result()  # raises what the process died of
            if over:
                return


def _work(work: Mapping[str, EmbodiedConfig], ended: Queue[tuple[str, Played]], threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    for pair in _one_by_one(work):
        ended.put(pair)


def _one_by_one(work: Mapping[str, EmbodiedConfig]) -> Iterator[tuple[str, Played]]:
    for name, config in work.items():
        for played in play_config(config):
            yield name, played
