"""Episodes played in several processes: on a CPU, few worlds keep one core busy and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from tqdm import tqdm

from rig.envs import make_world
from rig.envs.rollout import Played
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import environment_of
from rig.evaluate.ways import play_ways
from rig.machine import usable_cores
from rig.model import best_device
from rig.model.runtime import threads_of
from rig.workers import Workers

_MOST_WORKERS = 4

Work = Mapping[str, EmbodiedConfig]
"""Ways to play the same tasks, by name."""


def play_in_parallel(kinds: Mapping[str, EmbodiedConfig]) -> dict[str, list[Played]]:
    """Play the episodes of each of `kinds`, tasks and settings shared out over processes, and show a bar.

    Each process plays its tasks and settings of all kinds, as `play_ways` does. In float32 the episodes are the same
    as in one process.

    Args:
        kinds: ways to play the same tasks of the same world, by name.

    Raises:
        RigError: as `play_ways`.
    """
    shares = _shares(next(iter(kinds.values())))
    works = [{name: replace(config, tasks=share) for name, config in kinds.items()} for share in shares]
    played: dict[str, list[Played]] = {name: [] for name in kinds}
    count = sum(map(len, shares)) * sum(config.episodes for config in kinds.values())
    threads = max(1, usable_cores() // len(works)) if len(works) > 1 else None
    with (
        tqdm(total=count, desc="play", unit="episode") as bar,
        Workers(partial(threads_of, threads), len(works)) as crew,
    ):
        for name, episode in crew.each(_play, works, _name_of):
            played[name].append(episode)
            bar.update()
    return played


def _shares(config: EmbodiedConfig) -> list[tuple[str, ...]]:
    """Return the tasks and settings of one process each, long and short ones dealt out evenly."""
    tasks = make_world(environment_of(config)).tasks
    cells = sorted(tasks.variants(config.tasks), key=lambda cell: -cell[0].start(cell[1]).limit)
    workers = min(usable_cores(), _MOST_WORKERS, len(cells)) if best_device().type == "cpu" else 1
    names = [f"{task.name}/{setting}" for task, setting in cells]
    return [tuple(names[first::workers]) for first in range(workers)]


def _play(state: None, work: Work) -> Iterator[tuple[str, Played]]:
    yield from play_ways(work)


def _name_of(work: Work) -> str:
    return f"the episodes of {', '.join(next(iter(work.values())).tasks)}"
