"""Our network is transformers' Janus: the same names, and the same numbers from the same weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rig.dialogue import Kind, TokenSequence
from rig.errors import CheckpointError
from rig.model import PRESETS, RIG, DecoderConfig, RIGConfig, VisionConfig, VQConfig, frames_to_pixels, load, pack, save

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

transformers = pytest.importorskip("transformers")

CONFIG = RIGConfig(
    decoder=DecoderConfig(
        vocab_size=96,
        hidden_size=48,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=16,
        intermediate_size=80,
        rope_theta=500.0,
    ),
    vision=VisionConfig(image_size=32, patch_size=8, hidden_size=24, num_layers=2, num_heads=2, mlp_ratio=3.0),
    vq=VQConfig(image_size=32, codebook_size=64, latent_channels=16, base_channels=32, channel_multiplier=(1, 1, 2, 2)),
)
PLACEHOLDER = 95


def build_oracle(config):
    torch.manual_seed(0)
    oracle = transformers.JanusForConditionalGeneration(
        transformers.JanusConfig.from_dict({**config.to_json(), "image_token_id": PLACEHOLDER})
    )
    for parameter in oracle.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return oracle.eval()


@pytest.fixture(scope="module")
def oracle():
    return build_oracle(CONFIG)


@pytest.fixture(scope="module")
def ours(oracle):
    model = RIG(CONFIG, seed=None)
    model.load_state_dict(oracle.state_dict(), strict=True, assign=True)
    return model.eval()


def frames(count=2, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8))


def sequence(ids, kinds, positions=None, images=()):
    """A document in which every token after the first is a target."""
    length = len(ids)
    return TokenSequence(
        ids=np.asarray(ids, np.int32),
        kinds=np.asarray(kinds, np.uint8),
        roles=np.zeros(length, np.uint8),
        targets=np.arange(length) > 0,
        positions=np.arange(length, dtype=np.int32) if positions is None else np.asarray(positions, np.int32),
        frames=tuple(images),
    )


def same(found, expected):
    assert expected.abs().max() > 0.1, "the oracle is almost zero everywhere; this would compare nothing"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


@torch.no_grad()
def test_state_dicts_have_the_same_keys_and_shapes(ours, oracle):
    expected = {name: tuple(value.shape) for name, value in oracle.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == expected


def test_the_full_shapes_are_those_of_janus():
    config = PRESETS.get("janus-1b")
    with torch.device("meta"):
        oracle = transformers.JanusForConditionalGeneration(transformers.JanusConfig.from_dict(config.to_json()))
    expected = {name: tuple(value.shape) for name, value in oracle.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in RIG(config, seed=None).state_dict().items()} == expected


@torch.no_grad()
def test_vision_features_and_aligner(ours, oracle):
    pixels = frames_to_pixels(frames())
    expected = oracle.model.get_image_features(pixels)
    same(ours.model.vision_model(pixels), expected.last_hidden_state)
    same(ours.read_images(frames()), expected.pooler_output)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 7])
def test_text_logits_from_explicit_positions(ours, oracle, stride):
    ids = np.random.default_rng(1).integers(0, 90, 20)
    positions = np.arange(20) * stride + np.arange(20) // 5
    expected = oracle(input_ids=torch.tensor(ids)[None], position_ids=torch.tensor(positions)[None]).logits[0, :-1]
    found = ours(pack([sequence(ids, np.full(20, Kind.TEXT), positions)])).text_logits
    same(found, expected)


@torch.no_grad()
def test_text_logits_after_a_read_image(ours, oracle):
    random = np.random.default_rng(2)
    before, after = random.integers(0, 90, 5), random.integers(0, 90, 9)
    ids = np.concatenate([before, np.full(16, PLACEHOLDER), after])
    kinds = np.repeat([Kind.TEXT, Kind.READ, Kind.TEXT], [5, 16, 9])
    image = frames(1)
    expected = oracle(input_ids=torch.tensor(ids)[None], pixel_values=frames_to_pixels(image)).logits[0]
    found = ours(pack([sequence(ids, kinds, images=image.numpy())])).text_logits
    rows = np.flatnonzero(kinds == Kind.TEXT)[1:] - 1
    same(found, expected[rows])


@torch.no_grad()
def test_code_logits_after_text(ours, oracle):
    random = np.random.default_rng(3)
    text, codes = random.integers(0, 90, 6), random.integers(0, 64, 16)
    embedded = torch.cat(
        [
            oracle.get_input_embeddings()(torch.tensor(text)),
            oracle.prepare_embeddings_for_image_generation(torch.tensor(codes)),
        ]
    )
    hidden = oracle.model.language_model(inputs_embeds=embedded[None], use_cache=False).last_hidden_state[0]
    expected = oracle.model.generation_head(hidden[5:-1])
    batch = pack([sequence(np.concatenate([text, codes]), np.repeat([Kind.TEXT, Kind.CODE], [6, 16]))])
    same(ours(batch).code_logits, expected)
    assert batch.code_targets.tolist() == codes.tolist()


@torch.no_grad()
def test_vq_encoder_before_quantization_and_decoder_after(ours, oracle):
    pixels = frames_to_pixels(frames())
    vq = oracle.model.vqmodel
    same(ours.model.vqmodel.latents(pixels).movedim(-1, 1), vq.quant_conv(vq.encoder(pixels)))
    codes = torch.from_numpy(np.random.default_rng(4).integers(0, 64, (2, 16)))
    same(ours.model.vqmodel.decode_codes(codes), vq.decode(codes))


@torch.no_grad()
def test_transformers_checkpoints_load_and_ours_open_in_transformers(ours, oracle, tmp_path):
    oracle.config.save_pretrained(tmp_path / "theirs")
    save_file(oracle.state_dict(), tmp_path / "theirs" / "model.safetensors")
    loaded = load(tmp_path / "theirs")
    assert loaded.config == CONFIG
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in ours.state_dict().items())

    save(ours, tmp_path / "ours")
    opened, notes = transformers.JanusForConditionalGeneration.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not notes["missing_keys"]
    assert not notes["unexpected_keys"]
    ids = torch.arange(12)[None]
    same(opened.eval()(input_ids=ids).logits, oracle(input_ids=ids).logits)


@pytest.mark.parametrize(("key", "value"), [("use_qk_norm", True), ("num_channels", 1), ("hidden_act", "relu")])
def test_what_the_network_does_not_have_is_refused(key, value):
    data = CONFIG.to_json()
    data["vision_config"][key] = value
    with pytest.raises(CheckpointError, match=f"vision_config.{key}"):
        RIGConfig.from_json(json.loads(json.dumps(data)))
