"""S1: frame-action pairs from a capable teacher.

Now and then a burst of random keys (`World.random_action`) pushes the episode off the teacher's path, and the teacher
finds back: the dataset then shows how to recover, and what wrong actions lead to. Noise is marked (`Step.actor`): it is
dreamed about in training, never imitated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np

from rig.actions import NOOP
from rig.annotators.kit import build_teacher, with_kit
from rig.cluster import HERE, Cluster, Crew, crew
from rig.data import Dataset, DatasetInfo
from rig.envs import Task, World, make_world
from rig.envs.rollout import ATTEMPTS, Episode, given_up, trajectory_of
from rig.envs.seeds import Split
from rig.envs.spool import StepSpool
from rig.errors import SimulatorError
from rig.records import NOISE, TEACHER, Lineage, Step, Trajectory, remembered
from rig.stages.base import Opening, episodes_in_turn, run_stage
from rig.stages.config import CollectConfig
from rig.teachers import Teacher

R = TypeVar("R")


def collect(
    config: CollectConfig,
    out: Path | str,
    opening: Opening | None = None,
    *,
    workers: int = 1,
    cluster: Cluster = HERE,
) -> Dataset:
    """Let the teacher play, and write its episodes to the dataset `out`.

    Args:
        config: what to collect.
        out: the dataset's folder.
        opening: how to treat what is there.
        workers: processes that look for worlds and play in them; the dataset is the same for any number.
        cluster: where they are.

    Raises:
        UnknownNameError: no such world, teacher, task or setting.
        RigError: no teacher is named, and the world's kit has none.
        DatasetError: `out` holds a dataset and `opening` does not allow to touch it.
        SimulatorError: an engine failed in an episode again and again.
        RigError: a worker died.
    """
    world = make_world(config.environment)
    config = with_kit(replace(config, noise=config.slips), config.environment)
    build_teacher(config.teacher, config.teacher_config)  # what is wrong with it is said before worlds are looked for
    with crew(partial(classroom, config), workers, cluster) as hands:
        episodes = training_episodes(config, world, hands)
        return run_stage(out, info_of(config, world, out), episodes, id_of, partial(_play, hands), opening or Opening())


def training_episodes(config: CollectConfig, world: World, hands: Crew[Classroom]) -> list[Episode]:
    """Return the episodes to play, in worlds that the crew looks for.

    Raises:
        RigError: no episode is asked for.
        UnknownNameError: no such task or setting.
    """
    cells, look = world.tasks.variants(config.tasks), partial(_look, hands)
    return episodes_in_turn(world, cells, Split.TRAIN, episodes=config.episodes, skip=config.skip, look=look)


def info_of(config: CollectConfig, world: World, out: Path | str) -> DatasetInfo:
    """Return what a dataset of S1 says of itself."""
    said = asdict(config) | {"tasks": list(config.tasks)}
    if not config.teacher_config:  # as it was said before teachers could be configured
        del said["teacher_config"]
    return DatasetInfo(
        name=Path(out).name,
        stage="s1",
        environment=config.environment,
        action_space=world.actions,
        frame_size=world.observation_space.shape[:2],  # type: ignore[index, arg-type]
        config=said,
    )


@dataclass
class Classroom:
    """A world, and who plays in it."""

    config: CollectConfig
    world: World
    teacher: Teacher


@contextmanager
def classroom(config: CollectConfig) -> Iterator[Classroom]:
    """Open a world with its teacher, and close it."""
    world = make_world(config.environment)
    try:
        yield Classroom(config, world, build_teacher(config.teacher, config.teacher_config))
    finally:
        world.close()


def _look(hands: Crew[Classroom], task: Task, setting: str, seeds: Sequence[int]) -> Iterator[bool]:
    starts = [Episode(task=task.name, setting=setting, seed=seed) for seed in seeds]
    return hands.map(partial(patiently, _is_solvable), starts, _name_of)


def _play(hands: Crew[Classroom], episodes: Iterable[Episode]) -> Iterator[Trajectory]:
    return hands.map(partial(patiently, _taught), episodes, _name_of)


def _is_solvable(room: Classroom, episode: Episode) -> bool:
    return room.world.solvable(room.world.tasks[episode.task], episode.setting, episode.seed)


def _taught(room: Classroom, episode: Episode) -> Trajectory:
    return teach(room.world, room.teacher, episode, room.config)


def patiently(job: Callable[[Classroom, Episode], R], room: Classroom, episode: Episode) -> R:
    """Return what comes of a job; where the engine fails, it begins anew.

    Raises:
        SimulatorError: the engine failed in every attempt.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return job(room, episode)
        except SimulatorError as error:
            if attempt == ATTEMPTS:
                raise given_up(episode, error) from error
            room.teacher = build_teacher(room.config.teacher, room.config.teacher_config)  # it may remember
    raise AssertionError("there is at least one attempt")


def id_of(episode: Episode) -> str:
    """Return what a trajectory of this episode is called."""
    return episode.id


def _name_of(episode: Episode) -> str:
    return f"the episode {episode.id}"


def teach(world: World, teacher: Teacher, episode: Episode, config: CollectConfig) -> Trajectory:
    """Return one episode of the teacher, with the configured noise.

    Raises:
        SimulatorError: the world's engine failed.
    """
    frame, info = episode.begin(world)
    random = np.random.default_rng([config.seed, crc32(episode.id.encode())])
    steps = StepSpool()
    left, ended = 0, False
    while not ended:
        facts = info["privileged"]
        if not left and random.random() < config.slips:
            left = int(random.integers(1, config.burst + 1))
        action = world.random_action(random) if left else teacher.act(world)
        following, reward, terminated, truncated, info = world.act(action)
        before = steps[-1] if steps else None
        steps.append(
            Step(
                index=len(steps),
                frame=frame,
                instruction=world.task.instruction,
                previous_action=before.action if before else NOOP,
                earlier_actions=remembered(before.previous_action, before.earlier_actions) if before else (),
                action=action,
                next_frame=following,
                actor=NOISE if left else TEACHER,
                reward=reward,
                privileged=facts,
            )
        )
        frame, ended, left = following, terminated or truncated, max(0, left - 1)
    return trajectory_of(world, episode, steps, Lineage(stage="s1", actor=teacher.name))
