"""DeepSeek's own layout of a Janus (`model_type: multi_modality`), told in transformers' names.

Its configuration names its parts ("siglip_large_patch16_384", "VQ-16") and gives few sizes. Its SigLIP holds queries,
keys and values in one tensor, and an attention pool that Janus never uses; its quantizer counts the codes in use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rig.errors import CheckpointError
from rig.model.weights import StoredTensor

TOWERS: dict[str, dict[str, Any]] = {
    "siglip_large_patch16_384": {
        "image_size": 384,
        "patch_size": 16,
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "mlp_ratio": 4.0,
    }
}
"""`vision_config.params.model_name` to the sizes of the tower that every published Janus has."""

TOKENIZERS: dict[str, dict[str, Any]] = {
    "VQ-16": {
        "latent_channels": 256,
        "base_channels": 128,
        "channel_multiplier": [1, 1, 2, 2, 4],
        "num_res_blocks": 2,
    }
}
"""`gen_vision_config.cls` to the sizes of the VQ tokenizer."""

_TOWER, _LAYER = r"vision_model\.vision_tower\.", r"vision_model\.vision_tower\.blocks\.(\d+)\."
_VQ = r"gen_vision_model\."
_OUR_TOWER, _OUR_LAYER = "model.vision_model.", r"model.vision_model.encoder.layers.\1."
_FUSED = "qkv_proj"

RENAMES: tuple[tuple[str, str], ...] = (
    (r"language_model\.model\.(.+)", r"model.language_model.\1"),
    (r"language_model\.lm_head\.(.+)", r"lm_head.\1"),
    (_TOWER + r"patch_embed\.proj\.(.+)", _OUR_TOWER + r"embeddings.patch_embedding.\1"),
    (_TOWER + r"pos_embed", _OUR_TOWER + r"embeddings.position_embedding.weight"),
    (_TOWER + r"norm\.(.+)", _OUR_TOWER + r"post_layernorm.\1"),
    (_LAYER + r"norm([12])\.(.+)", _OUR_LAYER + r"layer_norm\2.\3"),
    (_LAYER + r"attn\.qkv\.(.+)", _OUR_LAYER + rf"self_attn.{_FUSED}.\2"),
    (_LAYER + r"attn\.proj\.(.+)", _OUR_LAYER + r"self_attn.projection_layer.\2"),
    (_LAYER + r"mlp\.(.+)", _OUR_LAYER + r"mlp.\2"),
    (r"aligner\.layers\.0\.(.+)", r"model.aligner.fc1.\1"),
    (r"aligner\.layers\.2\.(.+)", r"model.aligner.hidden_layers.0.\1"),
    (r"gen_aligner\.layers\.0\.(.+)", r"model.generation_aligner.fc1.\1"),
    (r"gen_aligner\.layers\.2\.(.+)", r"model.generation_aligner.hidden_layers.0.\1"),
    (r"gen_embed\.(.+)", r"model.generation_embeddings.\1"),
    (r"gen_head\.output_mlp_projector\.(.+)", r"model.generation_head.proj_out.\1"),
    (r"gen_head\.vision_head\.(.+)", r"model.generation_head.vision_head.\1"),
    (_VQ + r"encoder\.conv_blocks\.(\d+)\.res\.(.+)", r"model.vqmodel.encoder.down.\1.block.\2"),
    (_VQ + r"encoder\.conv_blocks\.(\d+)\.(.+)", r"model.vqmodel.encoder.down.\1.\2"),
    (_VQ + r"decoder\.conv_blocks\.(\d+)\.res\.(.+)", r"model.vqmodel.decoder.up.\1.block.\2"),
    (_VQ + r"decoder\.conv_blocks\.(\d+)\.(.+)", r"model.vqmodel.decoder.up.\1.\2"),
    (_VQ + r"(encoder|decoder)\.mid\.0\.(.+)", r"model.vqmodel.\1.mid.block_1.\2"),
    (_VQ + r"(encoder|decoder)\.mid\.1\.(.+)", r"model.vqmodel.\1.mid.attn_1.\2"),
    (_VQ + r"(encoder|decoder)\.mid\.2\.(.+)", r"model.vqmodel.\1.mid.block_2.\2"),
    (_VQ + r"(.+)", r"model.vqmodel.\1"),
)
"""DeepSeek's names to transformers'; the first pattern that matches a whole name counts."""

DROPPED = (
    _TOWER + r"attn_pool\..+",
    _VQ + r"quantize\.codebook_used",
    r"language_model\.model\.(.+\.)?rotary_emb\.inv_freq",
)
"""What no Janus computes with, or computes anew."""


def rename(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return the tensors under transformers' names and in its shapes; names that no rule knows stay as they are."""
    found: dict[str, StoredTensor] = {}
    for name, stored in tensors.items():
        if any(re.fullmatch(pattern, name) for pattern in DROPPED):
            continue
        ours = _renamed(name)
        if _FUSED in ours:
            found |= {ours.replace(_FUSED, f"{part}_proj"): third for part, third in _split(name, stored)}
        elif name.endswith(".pos_embed") and stored.shape[:1] == (1,):
            found[ours] = replace(stored, shape=stored.shape[1:])
        else:
            found[ours] = stored
    return found


def translate(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return transformers' `config.json` for DeepSeek's; `where` names it in errors.

    Raises:
        CheckpointError: it describes no Janus, or one of other parts than are known.
    """
    vision, vq, aligner, codes = (
        _part(data, name, where)
        for name in ("vision_config", "gen_vision_config", "aligner_config", "gen_aligner_config")
    )
    for name, part in (("aligner_config", aligner), ("gen_aligner_config", codes)):
        if part["params"].get("projector_type", "mlp_gelu") != "mlp_gelu" or part["params"].get("depth", 2) != 2:
            raise CheckpointError(
                f"{where}: {name} is {part['params']}; this network has two layers with GELU built in"
            )
    tower = _known(TOWERS, vision["params"].get("model_name"), f"{where}: vision_config.params.model_name")
    sizes = _known(TOKENIZERS, vq.get("cls"), f"{where}: gen_vision_config.cls")
    codebook = {"num_embeddings": "image_token_size", "embed_dim": "n_embed"}
    return {
        "model_type": "janus",
        "text_config": _section(data, "language_config", where),
        "vision_config": {**tower, "image_size": vision["params"].get("image_size", tower["image_size"])},
        "vq_config": {**sizes, **{ours: vq["params"][key] for ours, key in codebook.items() if key in vq["params"]}},
    }


def _renamed(name: str) -> str:
    for pattern, ours in RENAMES:
        if found := re.fullmatch(pattern, name):
            return found.expand(ours)
    return name


def _split(name: str, stored: StoredTensor) -> list[tuple[str, StoredTensor]]:
    if not stored.shape or stored.shape[0] % 3:
        raise CheckpointError(
            f"{stored.path}: {name} of shape {list(stored.shape)} cannot be split into queries, keys and values"
        )
    return list(zip("qkv", stored.thirds(), strict=True))


def _section(data: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    section = data.get(name)
    if not isinstance(section, Mapping):
        raise CheckpointError(
            f"{where} has no {name}: it describes a 'multi_modality' model, but not a Janus that reads and writes "
            "images by tokens"
        )
    return dict(section)


def _part(data: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    part = _section(data, name, where)
    return {**part, "params": _section(part, "params", f"{where}: {name}") if "params" in part else {}}


def _known(table: Mapping[str, dict[str, Any]], name: Any, where: str) -> dict[str, Any]:
    if not isinstance(name, str) or name not in table:
        raise CheckpointError(f"{where} is {name!r}; what is known is {', '.join(table)}")
    return table[name]
