"""The network that training begins with, fresh or from a folder, and what of it learns."""

from __future__ import annotations

from dataclasses import replace

import torch

from rig.agents.checkpoint import load_network
from rig.dialogue import TextTokenizer
from rig.errors import RigError
from rig.model import PRESETS, RIG, RIGConfig, read_config
from rig.model.parts import add_lora, freeze
from rig.train.config import AgentTraining
from rig.train.tokenizers import Tokenizers, vq_hash
from rig.train.vision import load_vision


def build_network(config: AgentTraining, tokenizers: Tokenizers, *, whole: bool = True) -> RIG:
    """Return the network that training begins with, on the CPU.

    Args:
        config: what is trained.
        tokenizers: what it is trained with.
        whole: with its weights; else its shapes alone, on the meta device, where another process has the weights.

    Raises:
        RigError: what is asked for does not go together.
        CheckpointError: the folder to begin from cannot be used.
    """
    if config.start and config.vision:
        raise RigError(f"{config.start} brings a vision tower of its own; give --start or --vision, not both")
    if not whole:
        model = RIG(_sizes(config, tokenizers), seed=None)
    else:
        model = _loaded(config, tokenizers) if config.start else _fresh(config, tokenizers)
    if config.image_stride:
        model.config = replace(model.config, image_stride=config.image_stride)
    _choose_what_learns(model, config)
    return model


def _sizes(config: AgentTraining, tokenizers: Tokenizers) -> RIGConfig:
    if config.start:
        return read_config(config.start)
    preset = PRESETS.get(config.preset)
    if tokenizers.vq.config.image_size != preset.vision.image_size:
        raise RigError(
            f"{config.tokenizers} code frames of {tokenizers.vq.config.image_size} pixels a side, and preset "
            f"{config.preset!r} reads {preset.vision.image_size}; give tokenizers of that preset"
        )
    decoder = replace(preset.decoder, vocab_size=len(tokenizers.text))
    return replace(preset, decoder=decoder, vq=tokenizers.vq.config)


def _loaded(config: AgentTraining, tokenizers: Tokenizers) -> RIG:
    model, text = load_network(config.start, dtype=torch.float32)
    if text.pieces != tokenizers.text.pieces or vq_hash(model.model.vqmodel) != tokenizers.hash:
        raise RigError(
            f"{config.start} was trained with other tokenizers than {config.tokenizers}; give those, or begin with "
            f"fresh weights"
        )
    return model


def _fresh(config: AgentTraining, tokenizers: Tokenizers) -> RIG:
    model = RIG(_sizes(config, tokenizers), seed=config.model_seed)
    model.model.vqmodel.load_state_dict(tokenizers.vq.state_dict())
    _compose_terms(model, tokenizers.text)
    if config.vision:
        model.model.vision_model.load_state_dict(load_vision(config.vision, model.config.vision))
    return model


def _choose_what_learns(model: RIG, config: AgentTraining) -> None:
    if both := sorted({*config.freeze} & {*config.lora}):
        raise RigError(f"{', '.join(both)}: LoRA freezes what it learns beside; name a part in --freeze or in --lora")
    add_lora(model, config.lora, config.lora_rank, config.model_seed)
    freeze(model, config.freeze)


def _compose_terms(model: RIG, tokenizer: TextTokenizer) -> None:
    """Add to each term's first embeddings those of its parts: "2 left and 1 up" begins near "2 left" and "left".

    What is learned of one is then learned of its kin; from embeddings that have nothing in common, a table of terms is
    learned entry by entry.
    """
    with torch.no_grad():
        for weight in (model.model.language_model.embed_tokens.weight, model.lm_head.weight):
            for index, parts in tokenizer.terms.items():
                weight[index] += weight[parts].sum(0)
