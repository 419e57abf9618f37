"""What is promised of rounding: the shipped agent's float32 logits in any company; equal pixels of equal codes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from choices import ROUNDING, clearly

from rig.actions import NOOP
from rig.agents import Lookahead, PolicyConfig, build_policy
from rig.agents.checkpoint import AgentCheckpoint
from rig.engine import Engine, writing
from rig.envs import Split, make_world
from rig.records import Observation

SHIPPED = Path(__file__).parent.parent / "checkpoints" / "rig-crafter-small"
TASKS = ("collect_wood/manual", "place_table/tool", "explore/manual", "collect_stone/tool")


@pytest.fixture(scope="module")
def shipped():
    return AgentCheckpoint.load(SHIPPED).for_running("float32")


@pytest.fixture(scope="module")
def observations():
    return [observed(*name.split("/")) for name in TASKS]


def observed(task, setting):
    world = make_world("crafter")
    (seed,) = world.episode_seeds(world.tasks[task], setting, Split.VALIDATION, 1)
    frame, _ = world.reset(seed=seed, options={"task": task, "setting": setting})
    return Observation(frame=frame, instruction=world.task.instruction, previous_action=NOOP)


def test_logits_in_company_are_those_alone_within_the_stated_bound(shipped, observations, monkeypatch):
    policy, seen = build_policy(shipped, PolicyConfig(prompt_format=shipped.prompt_format)), []
    draw = writing.draw
    monkeypatch.setattr(writing, "draw", lambda logits, *rest: (seen.append(logits.clone()), draw(logits, *rest))[1])
    together = policy.decide(observations, range(4))
    first = seen[0]
    assert len(first) == len(observations)
    for row, observation in enumerate(observations):
        seen.clear()
        alone = policy.decide([observation], [row])[0]
        allowed = torch.isfinite(first[row])
        assert allowed.sum() > 100
        torch.testing.assert_close(seen[0][0][allowed], first[row][allowed], atol=ROUNDING, rtol=0)
        assert alone.thought
        assert together[row].thought


def test_clear_decisions_of_the_shipped_agent_are_the_same_in_any_company(shipped, observations):
    policy = build_policy(shipped, PolicyConfig(prompt_format=shipped.prompt_format, planner=Lookahead()))
    seed, together = clearly(lambda seed: policy.decide(observations, range(seed, seed + 4)))
    (alone,) = policy.decide(observations[1:2], [seed + 1])
    assert (alone.thought, alone.action) == (together[1].thought, together[1].action)
    assert np.array_equal(alone.dreams[0].codes, together[1].dreams[0].codes)
    assert np.array_equal(alone.dreams[0].frame, together[1].dreams[0].frame)


def test_equal_codes_are_equal_pixels_and_equal_frames_equal_codes_whatever_shares_the_call(shipped, observations):
    engine = Engine(shipped.model, capacity=8)
    frames = np.stack([observation.frame for observation in observations])
    codes = engine.encode_images(frames)
    for row in range(len(frames)):
        assert np.array_equal(engine.encode_images(frames[row:]), codes[row:])
        assert np.array_equal(engine.decode_images(codes[row:]), engine.decode_images(codes)[row:])
