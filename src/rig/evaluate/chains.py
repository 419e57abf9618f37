"""Chains of actions to dream about, taken from episodes of evaluation worlds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rig.actions import Action
from rig.agents import Policy, PolicyActor, PolicyConfig, build_policy, world_of
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators import Asked, Reasoner, answered, build_reasoner, seen_in
from rig.annotators.kit import with_kit
from rig.envs import WORLDS, Split, Task, World, make_world
from rig.envs.rollout import MOST_WORLDS, Episode, play
from rig.errors import RigError
from rig.evaluate.config import ImaginationConfig
from rig.records import Lineage, Step
from rig.stages.base import episodes_in_turn
from rig.stages.config import CollectConfig
from rig.stages.s1_collect import teach
from rig.teachers import TEACHERS

Cells = Sequence[tuple[Task, str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """Consecutive steps of an episode.

    Attributes:
        steps: `depth` steps to dream, and one more that tells what came of the last.
        episode: where they are from.
        before: the episode's actions before them.
    """

    steps: Sequence[Step]
    episode: Episode
    before: tuple[Action, ...]

    @property
    def depth(self) -> int:
        """The steps to dream."""
        return len(self.steps) - 1


def with_players(checkpoint: AgentCheckpoint, config: ImaginationConfig) -> ImaginationConfig:
    """Return `config` with the teacher and the Reasoner of the agent's world, where a teacher is to play.

    Raises:
        UnknownNameError: there is no such world.
        RigError: one of them is neither named nor in the world's kit.
    """
    WORLDS.get(checkpoint.environment)
    return with_kit(config, checkpoint.environment) if config.actions == "teacher" else config


def real_chains(checkpoint: AgentCheckpoint, config: ImaginationConfig) -> Iterator[Chain]:
    """Yield `chains` runs of `depth` + 1 consecutive steps, one per episode, cell after cell in turn.

    One per episode, so that the scores' intervals stand on independent chains; it begins anywhere in the episode.

    Raises:
        RigError: the tasks' episodes are too short for that, the agent has no room for what a task asks for, nobody is
            there to play them, or the Reasoner's configuration is not one of its.
        AnnotationError: the Reasoner had no answer for some steps.
    """
    config = with_players(checkpoint, config)
    world = world_of(checkpoint, config.agent)
    cells = world.tasks.variants(config.tasks)
    policy = build_policy(checkpoint, PolicyConfig(prompt_format=checkpoint.prompt_format))
    policy.check_tasks(world.tasks, config.tasks)
    if config.actions == "agent":
        yield from _chains(_played(world, cells, policy, config), len(cells), config)
        return
    with closing(build_reasoner(config.reasoner, config.reasoner_config, world.actions)) as reasoner:
        yield from _thought(reasoner, _chains(_taught(world, cells, config), len(cells), config))


def _thought(reasoner: Reasoner[Any], chains: Iterable[Chain]) -> Iterator[Chain]:
    """Yield the chains with the Reasoner's thoughts."""
    asked = (
        Asked(
            piece=chain,
            name=f"episode {chain.episode.id}",
            questions=[seen_in(step) for step in chain.steps],
            places=[f"step {step.index}" for step in chain.steps],
        )
        for chain in chains
    )
    for chain, thoughts in answered(reasoner, asked):
        steps = [replace(step, thought=thought) for step, thought in zip(chain.steps, thoughts, strict=True)]
        yield replace(chain, steps=steps)


def _chains(
    episodes: Iterable[tuple[Episode, Sequence[Step]]], cells: int, config: ImaginationConfig
) -> Iterator[Chain]:
    """Yield a chain of each episode that is long enough, until there are as many as are wanted."""
    made = 0
    for index, (episode, steps) in enumerate(episodes):
        if len(steps) <= config.depth:
            continue
        start = int(np.random.default_rng([episode.seed, index // cells]).integers(len(steps) - config.depth))
        some = steps[start : start + config.depth + 1]
        yield Chain(steps=some, episode=episode, before=tuple(step.action for step in steps[:start]))
        made += 1
        if made == config.chains:
            return
    raise RigError(f"these episodes hold {made} chains of {config.depth} steps; choose longer tasks or fewer chains")


def _taught(world: World, cells: Cells, config: ImaginationConfig) -> Iterator[tuple[Episode, Sequence[Step]]]:
    """Yield episodes of the teacher."""
    teacher = TEACHERS.get(config.teacher)()
    noisy = CollectConfig(environment=world.name, teacher=config.teacher, seed=1)
    for number in range(config.chains):
        for episode in episodes_in_turn(world, cells, Split[config.split.upper()], episodes=1, skip=number):
            yield episode, teach(world, teacher, episode, noisy).steps


def _played(
    world: World, cells: Cells, policy: Policy, config: ImaginationConfig
) -> Iterator[tuple[Episode, Sequence[Step]]]:
    """Yield episodes of the agent; as many are played side by side as a batch holds."""
    actor = PolicyActor(policy)
    lineage, batch = Lineage(stage="live", actor=config.agent), config.batch_size
    rounds = max(1, min(batch or MOST_WORLDS, config.chains) // len(cells))
    for first in range(0, config.chains, rounds):
        together = episodes_in_turn(world, cells, Split[config.split.upper()], episodes=rounds, skip=first)
        played = play(
            lambda: make_world(world.name),
            actor,
            together,
            batch_size=batch,
            most_steps=config.most_steps,
            lineage=lineage,
        )
        steps = {one.episode: one.trajectory.steps for one in played}
        yield from ((episode, steps[episode]) for episode in together)
