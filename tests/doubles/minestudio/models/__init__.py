"""A strict double of `minestudio.models`: policies that do what config.json tells them, "text" -> keys and a turn."""

import json
from pathlib import Path

import numpy as np
import torch
from fake_minecraft import refuse
from huggingface_hub import try_to_load_from_cache

from minestudio.utils.vpt_lib.action_mapping import CameraHierarchicalMapping
from minestudio.utils.vpt_lib.actions import ALL, ActionTransformer


class _Policy(torch.nn.Module):
    kind = ""

    def __init__(self, does):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.does, self.texts = does, []

    @classmethod
    def from_pretrained(cls, name, **kwargs):
        refuse(not Path(name).is_dir(), f"{name} would be downloaded")
        told = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
        if told["kind"] != cls.kind:
            raise TypeError(f"these are weights of {told['kind']}")
        return cls(told["does"])

    @property
    def device(self):
        return self.weight.device

    def get_action(self, input, state_in, deterministic=False, input_shape="BT*"):
        refuse(self.training, "the policy was not put into its evaluation mode")
        image = input["image"]
        refuse(input_shape == "BT*" and tuple(image.shape) != (1, 1, 128, 128, 3), f"an image of {tuple(image.shape)}")
        refuse(image.dtype != torch.uint8, f"an image of {image.dtype}")
        text = self._asked(input)
        seen, before = state_in or (torch.zeros(1), text)
        refuse(before != text, "the state is another episode's")
        keys, turn = self.does[text]
        action = {name: np.array([int(name in keys)]) for name in ALL} | {"camera": np.array([turn])}
        factored = ActionTransformer(10, 2, "mu_law", 10.0).env2policy(action)
        joint = CameraHierarchicalMapping().from_factored(factored)
        return {name: torch.from_numpy(value)[None] for name, value in joint.items()}, (seen + 1, text)

    def _asked(self, input):
        return ""


class VPTPolicy(_Policy):
    kind = "vpt"


class SteveOnePolicy(_Policy):
    kind = "steve1"

    def prepare_condition(self, instruction, deterministic=False):
        refuse(set(instruction) != {"cond_scale", "text"}, f"the instruction has {sorted(instruction)}")
        known = try_to_load_from_cache("openai/clip-vit-base-patch16", "tokenizer.json")
        refuse(not isinstance(known, str), "the tokenizer of the text would be downloaded")
        self.texts.append(instruction["text"])
        drawn = torch.rand(1, 512)
        drawn[0, 0] = len(self.texts) - 1
        return {"cond_scale": instruction["cond_scale"], "mineclip_embeds": drawn}

    def _asked(self, input):
        condition = input["condition"]
        refuse("mineclip_embeds" not in condition, "the text would be encoded, and drawn, anew in each tick")
        refuse(condition["mineclip_embeds"].shape != (1, 512), "the encoded text has another shape")
        refuse(not isinstance(condition["cond_scale"], float), "the scale is no number")
        return self.texts[int(condition["mineclip_embeds"][0, 0])]
