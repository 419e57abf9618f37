"""Complete named configurations; a plug-in adds its own under the entry point `rig.presets`.

`debug` and `small` read and write 144×144 frames whose 16×16 cells are both one patch and one code: 81 of each.
"""

from __future__ import annotations

from dataclasses import replace

from rig.model.config import DecoderConfig, RIGConfig, VisionConfig, VQConfig
from rig.registry import Registry

DEBUG = RIGConfig(
    decoder=DecoderConfig(
        vocab_size=512,
        hidden_size=64,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=32,
        intermediate_size=128,
    ),
    vision=VisionConfig(image_size=144, hidden_size=32, num_layers=1, num_heads=2),
    vq=VQConfig(
        image_size=144,
        codebook_size=64,
        latent_channels=32,
        base_channels=32,
        channel_multiplier=(1,),
        num_res_blocks=1,
        space_to_depth=16,
    ),
    image_alignment=256,
)
"""Everything in miniature; trains and plays in seconds."""

SMALL = RIGConfig(
    decoder=DecoderConfig(
        vocab_size=1024,
        hidden_size=256,
        num_layers=4,
        num_heads=4,
        num_kv_heads=2,
        head_dim=64,
        intermediate_size=704,
    ),
    vision=VisionConfig(image_size=144, hidden_size=192, num_layers=2, num_heads=3),
    vq=VQConfig(
        image_size=144,
        codebook_size=1024,
        code_dim=64,
        latent_channels=256,
        base_channels=256,
        channel_multiplier=(1,),
        num_res_blocks=1,
        space_to_depth=16,
        kernel_size=1,
    ),
    image_alignment=256,
)
"""What a CPU trains in an hour: 5.1 M parameters that learn, and a VQ tokenizer of 1.6 M, cell by cell."""

DEBUG_128 = replace(
    DEBUG,
    vision=replace(DEBUG.vision, image_size=128, stem=(8, 16)),
    vq=replace(DEBUG.vq, image_size=128),
)
"""`debug` for frames of 128×128."""

SMALL_128 = replace(
    SMALL,
    vision=replace(SMALL.vision, image_size=128, stem=(64, 128)),
    vq=replace(SMALL.vq, image_size=128),
)
"""`small` for frames of 128×128, of which 64 patches are read and 64 codes written.

A cell of Crafter is a picture that fills its patch; what a patch of a world in perspective shows lies anywhere in it.
"""

JANUS_1B = RIGConfig(
    decoder=DecoderConfig(
        vocab_size=102400,
        hidden_size=2048,
        num_layers=24,
        num_heads=16,
        num_kv_heads=16,
        head_dim=128,
        intermediate_size=5632,
    ),
    vision=VisionConfig(image_size=384, hidden_size=1024, num_layers=24, num_heads=16),
    vq=VQConfig(image_size=384, codebook_size=16384),
)
"""The shapes of Janus-1.3B and Janus-Pro-1B: 2.08 B parameters."""

PRESETS: Registry[RIGConfig] = Registry("preset", "rig.presets")
PRESETS.add("debug", DEBUG)
PRESETS.add("small", SMALL)
PRESETS.add("debug-128", DEBUG_128)
PRESETS.add("small-128", SMALL_128)
PRESETS.add("janus-1b", JANUS_1B)
