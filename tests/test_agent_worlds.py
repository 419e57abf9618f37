"""An agent plays in a world of its own keys, or not at all."""

import json
import shutil

import gymnasium as gym
import numpy as np
import pytest

from rig.agents import refuse_other_world
from rig.bench.config import PolicyBench
from rig.bench.policy import bench_policy
from rig.cli.main import main
from rig.data import Dataset
from rig.envs import make_world
from rig.errors import CheckpointError, RigError
from rig.evaluate.config import EmbodiedConfig, ImaginationConfig, ReviewsConfig
from rig.evaluate.embodied import evaluate_embodied
from rig.evaluate.imagination import evaluate_imagination
from rig.evaluate.reviews import evaluate_reviews
from rig.stages import AlignConfig, LookaheadConfig, align, review


@pytest.fixture
def other(made, tmp_path):
    """An agent of Crafter's that was trained with other keys than the world has today."""
    folder = shutil.copytree(made.agent, tmp_path / "agent")
    about = json.loads((folder / "agent.json").read_text())
    about["action_space"]["keys"].remove("sleep")
    (folder / "agent.json").write_text(json.dumps(about))
    return str(folder)


@pytest.mark.parametrize("verb", ["eval", "play", "demo"])
def test_the_agent_of_one_world_is_refused_in_another(made, tmp_path, capsys, verb):
    words = [verb, "--agent", str(made.agent), "--environment", "minetest", "--tasks", "collect_wood"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "agent is an agent for 'crafter' (16 keys: move_left, " in told
    assert "the world 'minetest' takes other actions (21 keys: forward, " in told
    assert "play it in 'crafter', or take an agent for 'minetest'" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda agent, out: evaluate_embodied(EmbodiedConfig(agent=agent), out),
        lambda agent, out: evaluate_imagination(ImaginationConfig(agent=agent), out),
        lambda agent, out: review(LookaheadConfig(agent=agent), out),
        lambda agent, out: align(AlignConfig(agent=agent), out),
        lambda agent, out: bench_policy(PolicyBench(agent=agent)),
    ],
    ids=["eval", "imagine", "review", "align", "bench"],
)
def test_an_agent_of_other_keys_is_refused_before_anything_begins(other, tmp_path, use):
    with pytest.raises(
        CheckpointError, match=r"agent for 'crafter' \(15 keys.*\(16 keys.*keys have changed.*train one"
    ):
        use(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reviews_of_other_keys_are_refused(other, made, tmp_path):
    with pytest.raises(RigError, match=r"s2 holds actions of other keys \(16 keys.*\(15 keys"):
        evaluate_reviews(ReviewsConfig(agent=other, data=(str(made.data),)), tmp_path / "out")
    assert Dataset(made.data).info.action_space.is_like(make_world("crafter").actions)


@pytest.mark.parametrize(
    "seen",
    [
        gym.spaces.Box(0, 1, (64, 64, 3), np.float32),
        gym.spaces.Box(0, 255, (64, 64), np.uint8),
        gym.spaces.Box(0, 255, (64, 64, 4), np.uint8),
        gym.spaces.Dict({"pov": gym.spaces.Box(0, 255, (64, 64, 3), np.uint8)}),
        gym.spaces.Discrete(3),
    ],
)
def test_a_world_without_frames_is_refused(seen):
    world = make_world("crafter")
    refuse_other_world(world, world.actions, "crafter", "runs/agent")
    world.observation_space = seen
    with pytest.raises(CheckpointError, match=r"runs/agent reads frames uint8 .*'crafter' shows .*; wrap it"):
        refuse_other_world(world, world.actions, "crafter", "runs/agent")


def test_a_world_of_the_same_keys_by_another_name_is_played():
    world = make_world("crafter")
    world.name = "crafter-at-night"
    refuse_other_world(world, world.actions, "crafter", "runs/agent")
