"""Actors for rollouts: a policy from a checkpoint, or a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig.actions import Action
from rig.bundle import Bundle
from rig.engine import Engine
from rig.envs import World
from rig.policy import Policy, PolicyConfig
from rig.records import Decision, Frame, Observation
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

    def decide(
        self, worlds: Sequence[World], observations: Sequence[Observation], seeds: Sequence[int]
    ) -> list[Decision]:
        """Return the policy's decisions."""
        if self._foreseen_in is None:
            return self.policy.decide(observations, seeds)
        return self.policy.decide(observations, seeds, EngineForesight(self._foreseen_in, worlds))


class EngineForesight:
    """What the engine shows after actions, tried in copies of worlds; where an episode ends, its last frame stays.

    Args:
        world: where the copies take their steps, one after the other; none of `worlds`.
        worlds: what is copied, as it stands now.
    """

    def __init__(self, world: World, worlds: Sequence[World]) -> None:
        self._world = world
        self._states = [copied.save() for copied in worlds]
        self._last: dict[int, Frame] = {}

    def follow(self, actions: Sequence[Action]) -> list[Frame]:
        """Return the frames after one more action in each copy."""
        return [self._step(number, action) for number, action in enumerate(actions)]

    def _step(self, number: int, action: Action) -> Frame:
        if number in self._last:
            return self._last[number]
        self._world.load(self._states[number])
        frame, _, terminated, truncated, _ = self._world.act(action)
        self._states[number] = self._world.save()
        if terminated or truncated:
            self._last[number] = frame
        return frame


class TeacherActor:
    """A teacher as an actor; it sees the worlds."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher

    def decide(
        self, worlds: Sequence[World], observations: Sequence[Observation], seeds: Sequence[int]
    ) -> list[Decision]:
        """Return the teacher's decisions."""
        return [Decision(action=self.teacher.act(world)) for world in worlds]


def build_policy(bundle: Bundle, config: PolicyConfig, *, dreams_ahead: int = 0) -> Policy:
    """Return the policy of a trained agent, with room for `dreams_ahead` dreams beside those of `config`."""
    encoder = bundle.encoder
    dreams = max(config.dreams, dreams_ahead, int(config.imagine)) if config.form.dream else config.dreams
    capacity = replace(config, dreams=dreams).capacity(encoder.layout)
    return Policy(Engine(bundle.model, capacity=capacity), encoder, bundle.space, config)


def agent_name(folder: Path | str) -> str:
    """Return the name of an agent for lineage: its folder and the first digits of its weights' hash."""
    from rig.storage import sha256_file

    folder = Path(folder)
    return f"{folder.parent.name}/{folder.name}@{sha256_file(folder / 'model.safetensors')[:8]}"
