"""Actors for rollouts: a policy from a checkpoint, or a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rig.bundle import Bundle
from rig.engine import Engine
from rig.envs import World
from rig.policy import Policy, PolicyConfig
from rig.records import Decision, Observation
from rig.teachers import Teacher


class PolicyActor:
    """A policy as an actor; it sees observations only."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def decide(
        self, worlds: Sequence[World], observations: Sequence[Observation], seeds: Sequence[int]
    ) -> list[Decision]:
        """Return the policy's decisions."""
        return self.policy.decide(observations, seeds)


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
