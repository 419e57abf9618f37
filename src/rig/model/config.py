"""The sizes of the network, one frozen dataclass per component, and their form in `config.json`.

`config.json` is transformers' `JanusConfig` with one more section, `"rig"`, for what Janus has no field for. No torch
is imported here, so that reading a checkpoint's sizes does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_type_hints

from rig.dialogue import Layout
from rig.errors import CheckpointError, RigError
from rig.validation import Meta, check_fields, fitting, refuse_unknown, shown

Width = Annotated[int, Meta(ge=1, le=1 << 18)]
Depth = Annotated[int, Meta(ge=1, le=1024)]
Layers = Annotated[int, Meta(ge=1, le=64)]
Side = Annotated[int, Meta(ge=1, le=1 << 14)]
Vocabulary = Annotated[int, Meta(ge=1, le=1 << 24)]
Positions = Annotated[int, Meta(ge=1, le=1 << 30)]
Epsilon = Annotated[float, Meta(gt=0, le=1)]
"""Bounds that no network that fits a machine comes near; the tensors of a checkpoint say the rest."""


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
    """

    image_size: Side
    patch_size: Side = 16
    hidden_size: Width
    num_layers: Depth
    num_heads: Depth
    mlp_ratio: Annotated[float, Meta(gt=0, le=64)] = 4.0
    layer_norm_eps: Epsilon = 1e-6
    aligner_layers: Layers = 2

    def __post_init__(self) -> None:
        check_fields(self)
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

    def to_json(self) -> dict[str, Any]:
        """Return the content of `config.json`."""
        width = self.decoder.hidden_size
        return {
            "architectures": ["JanusForConditionalGeneration"],
            "model_type": "janus",
            "tie_word_embeddings": False,
            "text_config": {"model_type": "llama", **_write(self.decoder, _DECODER_KEYS), "tie_word_embeddings": False},
            "vision_config": {
                "model_type": "janus_vision_model",
                **_write(self.vision, _VISION_KEYS),
                "num_image_tokens": self.vision.num_tokens,
                "projection_dim": width,
            },
            "vq_config": {
                "model_type": "janus_vqgan",
                **_write(self.vq, _VQ_KEYS),
                "num_patches": self.vq.grid,
                "projection_dim": width,
                "image_token_embed_dim": width,
            },
            "rig": {
                **_write(self, _RIG_KEYS),
                "vq": _write(self.vq, _RIG_VQ_KEYS),
            },
        }

    @staticmethod
    def from_json(data: Any, where: str = "config.json") -> RIGConfig:
        """Return the configuration that `config.json` holds, ours or transformers'; `where` names it in errors.

        Raises:
            CheckpointError: it is not a Janus configuration, or asks for something that this network does not have.
        """
        if not isinstance(data, Mapping) or data.get("model_type") != "janus":
            found = data.get("model_type") if isinstance(data, Mapping) else type(data).__name__
            fix = "bring it in with `rig import-janus`" if found == DEEPSEEK_TYPE else "is this a RIG checkpoint?"
            raise CheckpointError(f"{where} describes {shown(found)}, not a 'janus' model; {fix}")
        text, vision, vq, rig = (
            _section(data, name, where) for name in ("text_config", "vision_config", "vq_config", "rig")
        )
        rope = _section(text, "rope_parameters", where)
        text |= {key: rope[key] for key in ("rope_theta", "rope_type") if key in rope}
        _refuse_unlike_ours(text, vision, vq, rig, where)
        text = _llama_defaults(text)
        _refuse_other(text, _DECODER_FIXED, f"{where}: text_config")
        _refuse_other(vision, _VISION_FIXED, f"{where}: vision_config")
        _refuse_other(vq, _VQ_FIXED, f"{where}: vq_config")
        vision_values = _read(VisionConfig, _JANUS_VISION | vision, _VISION_KEYS, f"{where}: vision_config")
        vq_values = _read(VQConfig, _JANUS_VQ | vq, _VQ_KEYS, f"{where}: vq_config")
        ours = _read(VQConfig, _section(rig, "vq", where), _RIG_VQ_KEYS, f"{where}: rig.vq")
        try:
            tower = VisionConfig(**vision_values)
            return RIGConfig(
                decoder=DecoderConfig(**_read(DecoderConfig, text, _DECODER_KEYS, f"{where}: text_config")),
                vision=tower,
                vq=VQConfig(**{"image_size": _written_size(tower, vq_values), **vq_values, **ours}),
                **_read(RIGConfig, rig, _RIG_KEYS, f"{where}: rig"),
            )
        except CheckpointError:
            raise
        except (RigError, TypeError, ValueError) as error:
            raise CheckpointError(f"{where}: {error}") from error


DEEPSEEK_TYPE = "multi_modality"
"""What DeepSeek's own `config.json` of a Janus calls itself."""

_DECODER_KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "intermediate_size": "intermediate_size",
    "max_positions": "max_position_embeddings",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "rms_norm_eps",
}
_VISION_KEYS = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_ratio": "mlp_ratio",
    "layer_norm_eps": "layer_norm_eps",
    "aligner_layers": "depth",
}
_VQ_KEYS = {
    "codebook_size": "num_embeddings",
    "code_dim": "embed_dim",
    "latent_channels": "latent_channels",
    "base_channels": "base_channels",
    "channel_multiplier": "channel_multiplier",
    "num_res_blocks": "num_res_blocks",
    "aligner_layers": "num_hidden_layers",
}
_RIG_VQ_KEYS = {name: name for name in ("image_size", "space_to_depth", "kernel_size", "norm_groups", "commitment")}
_RIG_KEYS = {name: name for name in ("image_alignment", "image_stride")}
"""Our field names to transformers' keys; what Janus has no key for stands under `"rig"`."""

_JANUS_VISION = {"image_size": 384, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
_JANUS_VQ = {"num_embeddings": 16384}
"""Transformers' defaults where ours has none: it leaves out of `config.json` what equals its own default."""

_DECODER_FIXED = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_type": "default",
    "rope_scaling": None,
}
_VISION_FIXED = {"hidden_act": "gelu", "attention_bias": True, "use_qk_norm": False, "num_channels": 3}
_VQ_FIXED = {"hidden_act": "gelu", "double_latent": False, "in_channels": 3, "out_channels": 3}
"""Switches of transformers' classes that no Janus sets; ours has the value given here built in."""


def _written_size(tower: VisionConfig, vq_values: Mapping[str, Any]) -> int:
    """Return the side of the images that a Janus writes: as many codes as its tower has patches, each decoded."""
    halvings = len(vq_values.get("channel_multiplier", VQConfig.channel_multiplier)) - 1
    return tower.image_size // tower.patch_size * 2**halvings


def _llama_defaults(text: Mapping[str, Any]) -> dict[str, Any]:
    """Return `text` with what transformers leaves out where it equals its defaults; nonsense is left to be refused."""
    given = {key: value for key, value in text.items() if value is not None}
    filled = {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 11008,
        "max_position_embeddings": 2048,
        **given,
    }
    width, heads = filled["hidden_size"], filled["num_attention_heads"]
    whole = isinstance(width, int) and isinstance(heads, int) and heads > 0
    return {"num_key_value_heads": heads, "head_dim": width // heads if whole else 0, **filled}


def _write(config: Any, keys: Mapping[str, str]) -> dict[str, Any]:
    values = {key: getattr(config, name) for name, key in keys.items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _read(kind: type, section: Mapping[str, Any], keys: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the fields of `kind` that `section` gives, each checked for its type and its bounds."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: fitting(section[key], hints[name], f"{where}.{key}", CheckpointError)
        for name, key in keys.items()
        if key in section
    }


def _section(data: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    section = data.get(name)
    if section is not None and not isinstance(section, Mapping):
        raise CheckpointError(f"{where}: {name} is {shown(section)}, where an object belongs")
    return dict(section or {})


def _refuse_unlike_ours(
    text: Mapping[str, Any], vision: Mapping[str, Any], vq: Mapping[str, Any], rig: Mapping[str, Any], where: str
) -> None:
    """Refuse a configuration of ours with a size too few or too many: transformers' defaults are not ours."""
    own_vq = _section(rig, "vq", where)
    refuse_unknown(rig, (*_RIG_KEYS, "vq"), f"{where}: rig", CheckpointError)
    refuse_unknown(own_vq, _RIG_VQ_KEYS, f"{where}: rig.vq", CheckpointError)
    sections = {
        "text_config": (text, _DECODER_KEYS),
        "vision_config": (vision, _VISION_KEYS),
        "vq_config": (vq, _VQ_KEYS),
    }
    sections |= {"rig": (rig, {"image_alignment": "image_alignment"}), "rig.vq": (own_vq, _RIG_VQ_KEYS)}
    for name, (section, keys) in sections.items() if rig else ():
        absent = [key for key in keys.values() if key not in section]
        if absent:
            raise CheckpointError(f"{where}: {name} lacks {', '.join(absent)}; restore it from a copy")


def _refuse_other(section: Mapping[str, Any], fixed: Mapping[str, Any], where: str) -> None:
    for key, built_in in fixed.items():
        if section.get(key, built_in) != built_in:
            raise CheckpointError(f"{where}.{key} is {shown(section[key])}; this network has {built_in!r} built in")
