"""Janus checkpoints in miniature: transformers' own, and the same weights under DeepSeek's names."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from rig.actions import CRAFTER
from rig.dialogue import TextTokenizer, prompt, train_bpe

VOCABULARY = 640
TOWER = {
    "image_size": 64,
    "patch_size": 16,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_ratio": 2.0,
}
VQ = {"latent_channels": 32, "base_channels": 32, "channel_multiplier": [1, 1, 1, 1, 2], "num_res_blocks": 1}
CODES = {"num_embeddings": 128, "embed_dim": 8}
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 4096,
}


def gapped_tokenizer() -> TextTokenizer:
    """Return a small tokenizer whose added tokens stand apart from the others and from each other, as in Janus."""
    atoms = [*prompt.LITERALS, *CRAFTER.keys, "noop"]
    trained = train_bpe(["1. The tree is near. 2. Go left."] * 3, vocabulary_size=400, atoms=atoms)
    data = json.loads(trained._literal.to_str())
    for number, token in enumerate(data["added_tokens"]):
        token["id"] = 500 + 2 * number
        data["model"]["vocab"][token["content"]] = token["id"]
    return TextTokenizer(Tokenizer.from_str(json.dumps(data)))


def janus(**changes: object) -> transformers.JanusForConditionalGeneration:
    """Return transformers' Janus with random weights."""
    torch.manual_seed(1)
    config = transformers.JanusConfig(
        text_config=transformers.LlamaConfig(**TEXT),
        vision_config=transformers.JanusVisionConfig(**TOWER, projection_dim=64, num_image_tokens=16),
        vq_config=transformers.JanusVQVAEConfig(**VQ, **CODES, projection_dim=64, image_token_embed_dim=64),
        **{"tie_word_embeddings": False, **changes},
    )
    model = transformers.JanusForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def save_janus(model: transformers.JanusForConditionalGeneration, folder: Path, **options: object) -> Path:
    """Write a checkpoint in transformers' layout."""
    model.save_pretrained(folder, **options)
    gapped_tokenizer().save(folder)
    return folder


def save_deepseek(model: transformers.JanusForConditionalGeneration, folder: Path) -> Path:
    """Write the same weights as DeepSeek does, with what it keeps besides: an attention pool and a count of codes."""
    folder.mkdir(parents=True)
    tensors = deepseek_tensors(model.state_dict(), TOWER["num_hidden_layers"])
    tensors["vision_model.vision_tower.attn_pool.kv.weight"] = torch.zeros(64, 32)
    tensors["vision_model.vision_tower.attn_pool.mlp.fc1.bias"] = torch.zeros(64)
    tensors["gen_vision_model.quantize.codebook_used"] = torch.zeros(65536)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(DEEPSEEK_CONFIG))
    gapped_tokenizer().save(folder)
    return folder


DEEPSEEK_CONFIG = {
    "architectures": ["MultiModalityCausalLM"],
    "model_type": "multi_modality",
    "aligner_config": {
        "cls": "MlpProjector",
        "model_type": "aligner",
        "params": {"depth": 2, "input_dim": 32, "n_embed": 64, "projector_type": "mlp_gelu"},
    },
    "gen_aligner_config": {
        "cls": "MlpProjector",
        "model_type": "gen_aligner",
        "params": {"depth": 2, "input_dim": 8, "n_embed": 64, "projector_type": "mlp_gelu"},
    },
    "gen_head_config": {
        "cls": "vision_head",
        "model_type": "gen_head",
        "params": {"image_token_embed": 64, "image_token_size": 128, "n_embed": 64},
    },
    "gen_vision_config": {
        "cls": "VQ-tiny",
        "model_type": "gen_vision",
        "params": {"image_token_size": 128, "n_embed": 8},
    },
    "language_config": {"model_type": "llama", "torch_dtype": "bfloat16", **TEXT},
    "vision_config": {
        "cls": "CLIPVisionTower",
        "model_type": "vision",
        "params": {"image_size": 64, "model_name": "siglip_tiny", "select_feature": "same", "select_layer": -1},
    },
}


def deepseek_tensors(state: dict[str, torch.Tensor], depth: int) -> dict[str, torch.Tensor]:
    """Return transformers' tensors as DeepSeek's modules hold them, part by part."""

    def under(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

    found = {f"language_model.model.{name}": value for name, value in under("model.language_model.").items()}
    found["language_model.lm_head.weight"] = state["lm_head.weight"]
    found["gen_embed.weight"] = state["model.generation_embeddings.weight"]
    for kind in ("weight", "bias"):
        for theirs, ours in (("aligner", "aligner"), ("gen_aligner", "generation_aligner")):
            found[f"{theirs}.layers.0.{kind}"] = state[f"model.{ours}.fc1.{kind}"]
            found[f"{theirs}.layers.2.{kind}"] = state[f"model.{ours}.hidden_layers.0.{kind}"]
        found[f"gen_head.output_mlp_projector.{kind}"] = state[f"model.generation_head.proj_out.{kind}"]
        found[f"gen_head.vision_head.{kind}"] = state[f"model.generation_head.vision_head.{kind}"]
    found |= {f"vision_model.vision_tower.{name}": value for name, value in tower(under("model.vision_model."), depth)}
    for name, value in under("model.vqmodel.").items():
        side, rest = name.partition(".")[::2]
        rest = rest.replace("mid.block_1", "mid.0").replace("mid.attn_1", "mid.1").replace("mid.block_2", "mid.2")
        if rest.startswith(("down.", "up.")):
            rest = "conv_blocks." + rest.partition(".")[2].replace(".block.", ".res.")
        found[f"gen_vision_model.{side}.{rest}"] = value
    return found


def tower(state: dict[str, torch.Tensor], depth: int):
    """Yield a SigLIP's tensors as timm's vision transformer names and shapes them."""
    yield "pos_embed", state["embeddings.position_embedding.weight"][None]
    for kind in ("weight", "bias"):
        yield f"patch_embed.proj.{kind}", state[f"embeddings.patch_embedding.{kind}"]
        yield f"norm.{kind}", state[f"post_layernorm.{kind}"]
        for layer in range(depth):
            theirs, ours = f"blocks.{layer}", f"encoder.layers.{layer}"
            fused = [state[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            yield f"{theirs}.attn.qkv.{kind}", torch.cat(fused)
            yield f"{theirs}.attn.proj.{kind}", state[f"{ours}.self_attn.projection_layer.{kind}"]
            for number in (1, 2):
                yield f"{theirs}.norm{number}.{kind}", state[f"{ours}.layer_norm{number}.{kind}"]
                yield f"{theirs}.mlp.fc{number}.{kind}", state[f"{ours}.mlp.fc{number}.{kind}"]
