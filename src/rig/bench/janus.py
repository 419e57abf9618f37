"""The same network twice, ours and transformers', from the same weights: the two sides of a benchmark."""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import torch

from rig.model import RIG, RIGConfig, save
from rig.registry import require


def expressible(config: RIGConfig) -> RIGConfig:
    """Return the nearest sizes that transformers' Janus can have: one grid, a convolutional tokenizer, plain positions.

    The decoder stays as it is, and so do the tower behind its patches and the number of codes.
    """
    vq, grid = config.vq, config.vision.image_size // config.vision.patch_size
    plain = vq.space_to_depth == 1 and not vq.patch_local and vq.grid == grid and vq.norm_groups == 32
    if not plain:
        levels = (config.vision.image_size // grid).bit_length()
        vq = replace(
            vq,
            image_size=config.vision.image_size,
            latent_channels=64,
            base_channels=32,
            channel_multiplier=(1,) * levels,
            space_to_depth=1,
            kernel_size=3,
            norm_groups=32,
        )
    return replace(config, vision=replace(config.vision, stem=()), vq=vq, image_alignment=1, image_stride=1)


def both(config: RIGConfig, device: torch.device, dtype: torch.dtype, *, seed: int = 0) -> tuple[RIG, Any]:
    """Return our network and transformers' `JanusForConditionalGeneration`, of the same random weights.

    Args:
        config: sizes that transformers can have (`expressible`).
        device: where both are.
        dtype: what both compute in.
        seed: of the weights.

    Raises:
        MissingDependencyError: transformers is not installed.
    """
    janus = transformers()
    ours = RIG(config, seed=seed).eval().to(dtype)
    with TemporaryDirectory() as folder:
        save(ours, folder)
        theirs = janus.JanusForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
    theirs.config.image_token_id = theirs.model.config.image_token_id = config.decoder.vocab_size - 1
    return ours.to(device), theirs.to(device)


def transformers() -> Any:
    """Return transformers, told to be quiet.

    Raises:
        MissingDependencyError: it is not installed.
    """
    module: Any = require("transformers", "bench")
    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    return module
