"""Actors for rollouts: a policy from a checkpoint, or a teacher."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from rig.actions import ActionSpace
from rig.bundle import Bundle
from rig.engine import Engine
from rig.envs import World, make_world
from rig.envs.forks import EngineForesight
from rig.envs.rollout import Deciding
from rig.errors import CheckpointError
from rig.policy import Deciding as PolicyDeciding
from rig.policy import Policy, PolicyConfig
from rig.records import Decision, Observation
from rig.teachers import Teacher


class PolicyActor:
    """A policy as an actor; it sees observations only.

    Args:
        policy: who decides.
        foreseen_in: a world of the same kind to try actions in; where given, what they really lead to takes the place
            of the policy's dreams.
    """

    def __init__(self, policy: Policy, *, foreseen_in: World | None = None) -> None:
        self.policy = policy
        self._foreseen_in = foreseen_in

    def deciding(self, places: int) -> Deciding:
        """Return where the policy's decisions are made."""
        return _PolicyDeciding(self.policy.deciding(places), self._foreseen_in)


class _PolicyDeciding:
    def __init__(self, inner: PolicyDeciding, foreseen_in: World | None) -> None:
        self._inner, self._foreseen_in = inner, foreseen_in

    def submit(self, key: int, world: World, observation: Observation, seed: int) -> None:
        foresight = None if self._foreseen_in is None else EngineForesight(self._foreseen_in, world)
        self._inner.submit(key, observation, seed, foresight)

    def next(self) -> tuple[int, Decision]:
        return self._inner.next()


class TeacherActor:
    """A teacher as an actor; it sees the worlds."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def deciding(self, places: int) -> Deciding:
        """Return where the teacher's decisions are made: at once, one after the other."""
        return _TeacherDeciding(self.teacher)


class _TeacherDeciding:
    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._waiting: deque[tuple[int, World]] = deque()

    def submit(self, key: int, world: World, observation: Observation, seed: int) -> None:
        self._waiting.append((key, world))

    def next(self) -> tuple[int, Decision]:
        key, world = self._waiting.popleft()
        return key, Decision(action=self._teacher.act(world))


def world_of(bundle: Bundle, agent: object) -> World:
    """Build the world that an agent was trained for; `agent` names it in errors.

    Raises:
        UnknownNameError: there is no such world.
        CheckpointError: as of `refuse_other_world`.
    """
    world = make_world(bundle.environment)
    refuse_other_world(world, bundle.space, bundle.environment, agent)
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
    bundle: Bundle,
    config: PolicyConfig,
    *,
    dreams_ahead: int = 0,
    judge: Callable[[str], str | None] | None = None,
) -> Policy:
    """Return the policy of a trained agent, with room for `dreams_ahead` dreams beside those of `config`.

    A `judge` holds reviews to what they say; see `Policy`.
    """
    encoder = bundle.encoder
    dreams = max(config.dreams, dreams_ahead, int(config.imagine)) if config.form.dream else config.dreams
    capacity = replace(config, dreams=dreams).capacity(encoder, bundle.space)
    return Policy(Engine(bundle.model, capacity=capacity), encoder, bundle.space, config, judge)


def short_name(folder: Path | str) -> str:
    """Return what an agent is called: by its folder or, in the folder "agent" of a training run, by the run's."""
    folder = Path(folder).absolute()
    return folder.parent.name if folder.name == "agent" else folder.name


def agent_name(folder: Path | str) -> str:
    """Return the name of an agent for lineage: its folder and the first digits of its weights' hash."""
    from rig.storage import sha256_file

    folder = Path(folder)
    return f"{folder.parent.name}/{folder.name}@{sha256_file(folder / 'model.safetensors')[:8]}"
