"""The sizes of the network, one frozen dataclass per component; `rig.model.config_json` has their form in a file.

No torch is imported here, so that reading a checkpoint's sizes does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rig.dialogue import Layout
from rig.errors import RigError
from rig.validation import Meta, check_fields

Width = Annotated[int, Meta(ge=1, le=1 << 18)]
Depth = Annotated[int, Meta(ge=1, le=1024)]
Layers = Annotated[int, Meta(ge=1, le=64)]
Side = Annotated[int, Meta(ge=1, le=1 << 14)]
Vocabulary = Annotated[int, Meta(ge=1, le=1 << 24)]
Positions = Annotated[int, Meta(ge=1, le=1 << 30)]
Epsilon = Annotated[float, Meta(gt=0, le=1)]
"""Bounds that no network that fits a machine comes near; the tensors of a checkpoint say the rest."""

STEM_GROUPS = 8
"""Groups of the norms in a tower's stem."""


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The LLaMA-style decoder that models the sequence.

    Attributes:
        vocab_size: text tokens; the tokenizer's size overrides a preset's.
        hidden_size: width D of the residual stream.
        num_layers: decoder layers.
        num_heads: query heads.
        num_kv_heads: key and value heads; each serves `num_heads // num_kv_heads` query heads.
        head_dim: width of one head.
        intermediate_size: width of the SwiGLU.
        max_positions: positions the model is meant for; kept for transformers, not enforced.
        rope_theta: base of the rotary frequencies.
        rms_norm_eps: epsilon of every RMSNorm.
    """

    vocab_size: Vocabulary
    hidden_size: Width
    num_layers: Depth
    num_heads: Depth
    num_kv_heads: Depth
    head_dim: Width
    intermediate_size: Width
    max_positions: Positions = 16384
    rope_theta: Annotated[float, Meta(ge=1, le=1e12)] = 10_000.0
    rms_norm_eps: Epsilon = 1e-6

    def __post_init__(self) -> None:
        check_fields(self)
        if self.num_heads % self.num_kv_heads:
            raise RigError(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if self.head_dim % 2:
            raise RigError(f"head_dim {self.head_dim} is odd; rotary positions turn its halves")


@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """The SigLIP tower that reads images, and the MLP that brings its features to the decoder's width.

    Attributes:
        image_size: side of the square frames it reads, in pixels.
        patch_size: side of a patch, in pixels.
        hidden_size: width of the tower.
        num_layers: encoder layers.
        num_heads: attention heads.
        mlp_ratio: width of the MLP over the tower's width.
        layer_norm_eps: epsilon of every LayerNorm.
        aligner_layers: linear layers of the aligner.
        stem: channels of the convolutions through which pixels become patches (Xiao et al. 2021, arXiv 2106.14881), the
            first over blocks of pixels, each further one and the patches' own of half the side; none: as SigLIP's.
    """

    image_size: Side
    patch_size: Side = 16
    hidden_size: Width
    num_layers: Depth
    num_heads: Depth
    mlp_ratio: Annotated[float, Meta(gt=0, le=64)] = 4.0
    layer_norm_eps: Epsilon = 1e-6
    aligner_layers: Layers = 2
    stem: Annotated[tuple[Width, ...], Meta(max_length=8)] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if self.patch_size % 2 ** len(self.stem):
            raise RigError(f"patch_size {self.patch_size} cannot be halved for each of stem {list(self.stem)}")
        if any(channels % STEM_GROUPS for channels in self.stem):
            raise RigError(f"stem {list(self.stem)} has channels that are not a multiple of {STEM_GROUPS}")
        if self.image_size % self.patch_size:
            raise RigError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        if self.hidden_size % self.num_heads:
            raise RigError(f"vision hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}")
        if self.hidden_size * self.mlp_ratio < 1:
            raise RigError(f"mlp_ratio {self.mlp_ratio} leaves nothing of a width of {self.hidden_size}")

    @property
    def num_tokens(self) -> int:
        """Features of one image."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True, kw_only=True)
class VQConfig:
    """The VQ tokenizer through which images are written, and the MLP that embeds its codes for the decoder.

    Attributes:
        image_size: side of the square frames, in pixels.
        codebook_size: number of codes; they are stored as uint16.
        code_dim: width of a code.
        latent_channels: channels between the convolutions and the code.
        base_channels: channels of the first level.
        channel_multiplier: channels of every level over `base_channels`; each level after the first halves the side.
        num_res_blocks: residual blocks of a level in the encoder; the decoder has one more.
        aligner_layers: linear layers of the MLP that embeds codes.
        space_to_depth: side of the pixel blocks that are folded into channels before the first convolution (Janus: 1).
        kernel_size: 3, or 1 for a patch-local tokenizer: every cell is coded from its own pixels alone, without
            attention and with normalisation over each cell's own channels.
        norm_groups: groups of every GroupNorm (Janus: 32); a patch-local tokenizer has none.
        commitment: weight of the commitment loss.
    """

    image_size: Side
    codebook_size: Annotated[int, Meta(ge=1, le=1 << 16)]
    code_dim: Width = 8
    latent_channels: Width = 256
    base_channels: Width = 128
    channel_multiplier: Annotated[tuple[Layers, ...], Meta(min_length=1, max_length=10)] = (1, 1, 2, 2, 4)
    num_res_blocks: Layers = 2
    aligner_layers: Layers = 2
    space_to_depth: Annotated[int, Meta(ge=1, le=64)] = 1
    kernel_size: Literal[1, 3] = 3
    norm_groups: Width = 32
    commitment: Annotated[float, Meta(ge=0, le=1e6)] = 0.25

    def __post_init__(self) -> None:
        check_fields(self)
        if self.patch_local and len(self.channel_multiplier) > 1:
            raise RigError(
                f"kernel_size {self.kernel_size} with {len(self.channel_multiplier)} levels; it is 3, or 1 with a "
                "single level (resizing needs neighbours)"
            )
        if self.image_size % self.downsampling:
            raise RigError(f"image_size {self.image_size} is not a multiple of the downsampling {self.downsampling}")
        if self.base_channels % self.norm_groups:
            raise RigError(f"base_channels {self.base_channels} is not a multiple of norm_groups {self.norm_groups}")

    @property
    def patch_local(self) -> bool:
        """True where a code depends on its own cell's pixels only."""
        return self.kernel_size == 1

    @property
    def downsampling(self) -> int:
        """Side of the pixel block that one code stands for."""
        return self.space_to_depth * 2 ** (len(self.channel_multiplier) - 1)

    @property
    def grid(self) -> int:
        """Codes along one side of an image."""
        return self.image_size // self.downsampling

    @property
    def num_tokens(self) -> int:
        """Codes of one image."""
        return self.grid**2


@dataclass(frozen=True, kw_only=True)
class RIGConfig:
    """The whole network.

    Attributes:
        decoder: the sequence model.
        vision: the tower that reads images.
        vq: the tokenizer that writes them; its grid need not equal the tower's.
        image_alignment: positions at whose multiples images start; see `rig.dialogue.Layout`.
        image_stride: codes that one pass of the decoder writes; see `rig.dialogue.Layout`.
    """

    decoder: DecoderConfig
    vision: VisionConfig
    vq: VQConfig
    image_alignment: Annotated[int, Meta(ge=1, le=1 << 16)] = 1
    image_stride: Positions = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if not 1 <= self.image_stride <= self.vq.num_tokens:
            raise RigError(
                f"image_stride {self.image_stride} is not between 1 and the {self.vq.num_tokens} of an image"
            )
        tokens, room = max(self.vision.num_tokens, self.vq.num_tokens), self.decoder.max_positions
        if tokens > room:
            raise RigError(f"an image of {tokens} tokens does not fit into max_positions {room}")

    @property
    def layout(self) -> Layout:
        """The sizes of images in tokens, as the dialogue needs them."""
        return Layout(
            read_tokens=self.vision.num_tokens,
            write_tokens=self.vq.num_tokens,
            image_alignment=self.image_alignment,
            write_stride=self.image_stride,
        )
