"""Small real things for tests: a taught dataset, tokenizers and an agent, made once per test session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rig.actions import NOOP
from rig.agents.checkpoint import AgentCheckpoint
from rig.data import Dataset
from rig.envs import World
from rig.envs.crafter.world import CrafterWorld
from rig.envs.rollout import Episode
from rig.model import PRESETS
from rig.records import Frame, Step, Trajectory
from rig.stages import BranchConfig, CollectConfig, ReasonConfig, collect, reason
from rig.train import AgentTraining, DataPart, TokenizerTraining, TrainingConfig, train_agent, train_tokenizers
from rig.train.runs import Run

TASKS = ("collect_wood/manual", "place_table/tool")
QUICK = TrainingConfig(steps=4, batch_size=4, compile=False, log_every=2, save_every=2, preview_every=4)


def make_data(root: Path, episodes: int = 4) -> Path:
    """Collect and annotate a few episodes; return the S2 dataset's folder."""
    collect(CollectConfig(tasks=TASKS, episodes=episodes), root / "s1")
    reason(root / "s1", ReasonConfig(), root / "s2")
    return root / "s2"


def make_tokenizers(root: Path, data: Path) -> Path:
    """Train debug tokenizers for a few steps; return their folder."""
    config = TokenizerTraining(
        model=PRESETS.get("debug").vq, steps=12, batch_size=2, held_out=4, save_every=6, log_every=2
    )
    train_tokenizers(Dataset(data), config, root / "tokenizers", vocabulary_size=512)
    return root / "tokenizers"


def agent_training(data: Path, tokenizers: Path, **changes: object) -> AgentTraining:
    """Return a configuration that trains a debug agent in seconds."""
    config = AgentTraining(
        preset="debug", tokenizers=str(tokenizers), parts=(DataPart(data=str(data)),), training=QUICK
    )
    return replace(config, **changes)


def make_agent(root: Path, data: Path, tokenizers: Path) -> Path:
    """Train a debug agent; return its folder."""
    return train_agent(agent_training(data, tokenizers), root / "basic")


def make_lively_agent(agent: Path, folder: Path) -> Path:
    """Write to `folder` an untrained agent whose dreams differ: louder weights let what stands far back be heard."""
    checkpoint = AgentCheckpoint.load(agent)
    with torch.no_grad():
        for name, weight in checkpoint.model.named_parameters():
            if "language_model.layers" in name and weight.ndim == 2:
                weight.mul_(3)
            if "vision_head" in name:
                weight.mul_(30)
    checkpoint.save(folder)
    return folder


def live_up_to(step: Step, world: World, trajectory: Trajectory) -> Frame:
    """Do what was executed before a step of an episode, as the step itself has it; return the frame that it led to."""
    frame, _ = Episode(task=trajectory.task, setting=trajectory.setting, seed=trajectory.seed).begin(world)
    *done, start = step.executed
    assert start == NOOP, "the start is known: the episode is a short one"
    for action in reversed(done):
        frame = world.act(action)[0]
    return frame


def fail_engine(monkeypatch: pytest.MonkeyPatch, episode: Trajectory, failures: int) -> list[int]:
    """Have the engine fail so often at the third step of an episode; return, as [count], how often it still will."""
    step, left = CrafterWorld.step, [failures]

    def failing(world: CrafterWorld, native: int) -> tuple:
        frame, reward, terminated, truncated, info = step(world, native)
        if left[0] and world.engine.time == 3 and (world.task.name, world.seed) == (episode.task, episode.seed):
            left[0] -= 1
            return frame, reward, False, True, {**info, "engine_failed": "it ended"}
        return frame, reward, terminated, truncated, info

    monkeypatch.setattr(CrafterWorld, "step", failing)
    return left


def branch_config(agent: Path, **changes: object) -> BranchConfig:
    """Return a configuration that branches in a few states of short episodes of an untrained agent."""
    config = BranchConfig(
        agent=str(agent),
        tasks=("place_table/tool",),
        episodes=2,
        skip=4,
        states=3,
        plans=3,
        dreams=2,
        temperature=1.0,
        most_steps=6,
        dtype="float32",
    )
    return replace(config, **changes)


@contextmanager
def interrupted_at_a_save(step: int | None = None) -> Iterator[None]:
    """Interrupt the training in the block behind its first saved state, or that of `step`; it must come so far."""
    original = Run.save_state

    def save_then_die(self, state):
        original(self, state)
        if step in (None, int(state["step"])):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_state", save_then_die)
        with pytest.raises(KeyboardInterrupt):
            yield
