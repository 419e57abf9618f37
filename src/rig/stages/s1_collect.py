"""S1: frame-action pairs from a capable teacher.

Now and then a burst of slips of the hand (`World.slip`) pushes the episode off the teacher's path, and the teacher
finds back: the dataset then shows how to recover, and what wrong actions lead to. Noise is marked (`Step.actor`): it is
dreamed about in training, never imitated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

import numpy as np

from rig.actions import NOOP
from rig.data import Dataset, DatasetInfo
from rig.envs import World, make_world
from rig.envs.rollout import Episode, trajectory_of
from rig.envs.seeds import Split
from rig.records import NOISE, TEACHER, Lineage, Step, Trajectory
from rig.stages.base import Opening, episodes_in_turn, run_stage
from rig.stages.config import CollectConfig
from rig.teachers import TEACHERS, Teacher


def collect(config: CollectConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Let the teacher play, and write its episodes to the dataset `out`.

    Raises:
        UnknownNameError: no such world, teacher, task or setting.
        DatasetError: `out` holds a dataset and `opening` does not allow to touch it.
    """
    world = make_world(config.environment)
    teacher = TEACHERS.get(config.teacher)()
    cells = world.tasks.cells(config.tasks)
    episodes = episodes_in_turn(world, cells, Split.TRAIN, episodes=config.episodes, skip=config.skip)
    info = DatasetInfo(
        name=Path(out).name,
        stage="s1",
        environment=config.environment,
        action_space=world.actions,
        frame_size=world.observation_space.shape[:2],  # type: ignore[index, arg-type]
        config={**asdict(config), "tasks": list(config.tasks)},
    )

    def make(pieces: Iterable[Episode]) -> Iterator[Trajectory]:
        for episode in pieces:
            yield teach(world, teacher, episode, config)

    return run_stage(out, info, episodes, lambda episode: episode.id, make, opening or Opening())


def teach(world: World, teacher: Teacher, episode: Episode, config: CollectConfig) -> Trajectory:
    """Return one episode of the teacher, with the configured noise."""
    frame, info = episode.begin(world)
    random = np.random.default_rng([config.seed, crc32(episode.id.encode())])
    steps: list[Step] = []
    left, ended = 0, False
    while not ended:
        facts = info["privileged"]
        if not left and random.random() < config.noise:
            left = int(random.integers(1, config.burst + 1))
        action = world.slip(random) if left else teacher.act(world)
        following, reward, terminated, truncated, info = world.act(action)
        steps.append(
            Step(
                index=len(steps),
                frame=frame,
                instruction=world.task.instruction,
                previous_action=steps[-1].action if steps else NOOP,
                action=action,
                next_frame=following,
                actor=NOISE if left else TEACHER,
                reward=reward,
                privileged=facts,
            )
        )
        frame, ended, left = following, terminated or truncated, max(0, left - 1)
    return trajectory_of(world, episode, steps, Lineage(stage="s1", actor=teacher.name))
