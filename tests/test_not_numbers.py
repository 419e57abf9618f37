"""An agent whose weights are finite, but so large that sums overflow, is refused; it does not play garbage."""

import numpy as np
import pytest
import torch
from engine_makers import CONFIG, TOKENIZER

from rig.actions import CRAFTER, NOOP
from rig.agents import Lookahead, PolicyConfig, build_policy
from rig.agents.checkpoint import AgentCheckpoint
from rig.dialogue import PromptFormat
from rig.engine import Sampler
from rig.errors import CheckpointError
from rig.model import RIG
from rig.records import Observation

OBSERVATION = Observation(frame=np.full((32, 32, 3), 99, np.uint8), instruction="collect wood", previous_action=NOOP)


def decide(part, largest=None, temperature=0.0):
    model = RIG(CONFIG, seed=0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if part in name and largest and value.any():
                value.div_(value.abs().max()).mul_(largest)
                assert value.isfinite().all()
    about = {"prompt_format": PromptFormat(), "space": CRAFTER, "environment": "crafter"}
    checkpoint = AgentCheckpoint(model=model, tokenizer=TOKENIZER, **about)
    text = Sampler(temperature=temperature)
    policy = build_policy(
        checkpoint, PolicyConfig(prompt_format=PromptFormat(), planner=Lookahead(), thought_tokens=2, text=text)
    )
    return policy.decide([OBSERVATION, OBSERVATION], [0, 1])


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("embed_tokens", "hidden states"),
        ("self_attn.q_proj", "hidden states"),
        ("mlp.down_proj", "hidden states"),
        ("vision_model", "hidden states"),
        ("lm_head", "logits"),
        ("vision_head", "logits"),
        ("vqmodel.encoder", "codes of frames"),
        ("vqmodel.decoder", "images"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_enormous_weights_are_refused(part, what, temperature):
    with pytest.raises(CheckpointError, match=f"this agent's {what} are not numbers: its weights are, but so large"):
        decide(part, 3e38, temperature)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_weights_of_usual_size_are_not(temperature):
    assert len(decide("", None, temperature)) == 2
