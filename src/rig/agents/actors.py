"""Actors for rollouts: a policy from a checkpoint, or a teacher."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rig.actions import ActionSpace
from rig.agents.checkpoint import AgentCheckpoint
from rig.agents.policy import Policy, PolicyConfig
from rig.engine import Engine
from rig.envs import World, make_world
from rig.envs.rollout import Deciding, PrivilegedDeciding
from rig.errors import CheckpointError
from rig.hub import repository_of
from rig.records import Decision, Observation
from rig.teachers import Teacher


class PolicyActor:
    """A policy as an actor; it sees observations only.

    Args:
        policy: who decides.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def deciding(self, places: int) -> Deciding:
        """Return where the policy's decisions are made."""
        return self.policy.deciding(places)


class TeacherActor:
    """A teacher as an actor; it sees the worlds."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def deciding(self, places: int) -> PrivilegedDeciding:
        """Return where the teacher's decisions are made: at once, one after the other."""
        return _TeacherDeciding(self.teacher)


class _TeacherDeciding:
    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._worlds: dict[int, World] = {}
        self._waiting: deque[int] = deque()

    def see(self, key: int, world: World) -> None:
        self._worlds[key] = world

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        self._waiting.append(key)

    def next(self) -> tuple[int, Decision]:
        key = self._waiting.popleft()
        return key, Decision(action=self._teacher.act(self._worlds.pop(key)))


def world_of(checkpoint: AgentCheckpoint, agent: object) -> World:
    """Build the world that an agent was trained for; `agent` names it in errors.

    Raises:
        UnknownNameError: there is no such world.
        CheckpointError: as of `refuse_other_world`.
    """
    world = make_world(checkpoint.environment)
    refuse_other_world(world, checkpoint.space, checkpoint.environment, agent)
    return world


def refuse_other_world(world: World, space: ActionSpace, environment: str, agent: object) -> None:
    """Refuse to have an agent play in a world whose keys it does not press, or whose frames it cannot read.

    Args:
        world: where it is to play.
        space: the action space that it was trained in.
        environment: the world that it was trained for.
        agent: its name, for the message.

    Raises:
        CheckpointError: it cannot play there.
    """
    if not space.is_like(world.actions):
        fix = (
            f"play it in {environment!r}, or take an agent for {world.name!r}"
            if world.name != environment
            else "the world's keys have changed since it was trained; train one anew"
        )
        raise CheckpointError(
            f"{agent} is an agent for {environment!r} ({space.described}), and the world {world.name!r} takes other "
            f"actions ({world.actions.described}); {fix}"
        )
    seen = world.observation_space
    if getattr(seen, "dtype", None) != np.uint8 or len(shape := seen.shape or ()) != 3 or shape[-1] != 3:
        raise CheckpointError(
            f"{agent} reads frames uint8 [height, width, 3], and the world {world.name!r} shows {seen}; wrap it so "
            "that it shows such frames"
        )


def build_policy(
    checkpoint: AgentCheckpoint,
    config: PolicyConfig,
    *,
    dreams_ahead: int = 0,
    verdict_of: Callable[[str], str | None] | None = None,
) -> Policy:
    """Return the policy of a trained agent, with room for `dreams_ahead` dreams where its planner needs fewer.

    `verdict_of` holds reviews to what they say; see `Policy`.
    """
    encoder = checkpoint.encoder
    dreams = max(config.planner.dreams, dreams_ahead if config.prompt_format.dream else 0)
    capacity = config.capacity(encoder, checkpoint.space, dreams=dreams)
    return Policy(Engine(checkpoint.model, capacity=capacity), encoder, checkpoint.space, config, verdict_of)


def short_name(folder: Path | str) -> str:
    """Return what an agent is called: by its repository on a hub, its folder or, where that is "agent", its run."""
    if (fetched := repository_of(folder)) is not None:
        return fetched.repository.partition("/")[2]
    folder = Path(folder).absolute()
    return folder.parent.name if folder.name == "agent" else folder.name


def agent_name(folder: Path | str) -> str:
    """Return the name of an agent for lineage: its folder or repository, and the first digits of its weights' hash."""
    from rig.storage import sha256_file

    folder, fetched = Path(folder), repository_of(folder)
    name = fetched.repository if fetched else f"{folder.parent.name}/{folder.name}"
    return f"{name}@{sha256_file(folder / 'model.safetensors')[:8]}"
