"""The sizes of the network in a file: `config.json`, read and written.

It is transformers' `JanusConfig` with one more section, `"rig"`, for what Janus has no field for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from rig.errors import CheckpointError, RigError
from rig.model.config import DecoderConfig, RIGConfig, VisionConfig, VQConfig
from rig.validation import fitting, refuse_unknown, shown

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
_RIG_VISION_KEYS = {"stem": "stem"}
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


def config_to_json(config: RIGConfig) -> dict[str, Any]:
    """Return the content of `config.json`."""
    width = config.decoder.hidden_size
    return {
        "architectures": ["JanusForConditionalGeneration"],
        "model_type": "janus",
        "tie_word_embeddings": False,
        "text_config": {"model_type": "llama", **_write(config.decoder, _DECODER_KEYS), "tie_word_embeddings": False},
        "vision_config": {
            "model_type": "janus_vision_model",
            **_write(config.vision, _VISION_KEYS),
            "num_image_tokens": config.vision.num_tokens,
            "projection_dim": width,
        },
        "vq_config": {
            "model_type": "janus_vqgan",
            **_write(config.vq, _VQ_KEYS),
            "num_patches": config.vq.grid,
            "projection_dim": width,
            "image_token_embed_dim": width,
        },
        "rig": {
            **_write(config, _RIG_KEYS),
            "vision": _write(config.vision, _RIG_VISION_KEYS),
            "vq": _write(config.vq, _RIG_VQ_KEYS),
        },
    }


def config_from_json(data: Any, where: str = "config.json") -> RIGConfig:
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
    vision_values |= _read(VisionConfig, _section(rig, "vision", where), _RIG_VISION_KEYS, f"{where}: rig.vision")
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
    refuse_unknown(rig, (*_RIG_KEYS, "vision", "vq"), f"{where}: rig", CheckpointError)
    refuse_unknown(_section(rig, "vision", where), _RIG_VISION_KEYS, f"{where}: rig.vision", CheckpointError)
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
