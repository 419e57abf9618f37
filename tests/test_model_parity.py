"""Our network is transformers' Janus: the same names, and the same numbers from the same weights.

`make parity` runs this file once more with an older transformers, which it names in RIG_TRANSFORMERS.
"""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rig.dialogue import Kind, TokenSequence
from rig.errors import CheckpointError, RigError
from rig.model import (
    PRESETS,
    RIG,
    DecoderConfig,
    RIGConfig,
    VisionConfig,
    VQConfig,
    fit_frame,
    frames_to_pixels,
    load,
    pack,
    save,
    unfit_frame,
)
from rig.model.config_json import config_from_json, config_to_json
from rig.model.initial import _WithoutFilling

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
FULL = PRESETS.get("janus-1b")
WIDE = replace(
    FULL,
    decoder=replace(FULL.decoder, num_layers=2, vocab_size=512),
    vision=replace(FULL.vision, num_layers=2, image_size=96),
    vq=replace(FULL.vq, image_size=96),
)
"""Every width of Janus-1.3B, two layers deep; a sixteenth of its pixels and few of its words, to be quick."""


def build_oracle(config, spread=None):
    """Return transformers' Janus with random weights: normal ones, or even ones scaled by their fan-in to `spread`."""
    torch.manual_seed(0)
    data = {**config_to_json(config), "image_token_id": config.decoder.vocab_size - 1}
    with _WithoutFilling():  # every one is filled below
        oracle = transformers.JanusForConditionalGeneration(transformers.JanusConfig.from_dict(data))
    for parameter in oracle.parameters():
        if spread is None:
            torch.nn.init.normal_(parameter, std=0.2)
        else:
            bound = spread / parameter[0].numel() ** 0.5
            torch.nn.init.uniform_(parameter, -bound, bound)
    return oracle.eval()


def ours_of(oracle, config):
    """Return our network over the oracle's own weights."""
    model = RIG(config, seed=None)
    model.load_state_dict(oracle.state_dict(), strict=True, assign=True)
    return model.eval()


@pytest.fixture(scope="module")
def oracle():
    return build_oracle(CONFIG)


@pytest.fixture(scope="module")
def ours(oracle):
    return ours_of(oracle, CONFIG)


def frames(count=2, seed=0, size=32):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def sequence(ids, kinds, positions=None, images=()):
    """A document in which every token after the first is a target."""
    length = len(ids)
    return TokenSequence(
        ids=np.asarray(ids, np.int32),
        kinds=np.asarray(kinds, np.uint8),
        roles=np.zeros(length, np.uint8),
        weights=(np.arange(length) > 0).astype(np.float32),
        positions=np.arange(length, dtype=np.int32) if positions is None else np.asarray(positions, np.int32),
        frames=tuple(images),
    )


def same(found, expected):
    """Two ways to sum the same numbers in float32 differ by rounding alone: little beside the largest of them."""
    largest = expected.abs().max()
    assert largest > 0.1, "the oracle is almost zero everywhere; this would compare nothing"
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5 * float(largest))


def test_the_version_that_was_asked_for_is_the_one_imported(capsys):
    with capsys.disabled():
        print(f"\nparity with transformers {transformers.__version__} from {os.path.dirname(transformers.__file__)}")
    assert transformers.__version__ == os.environ.get("RIG_TRANSFORMERS", transformers.__version__)


@torch.no_grad()
def test_state_dicts_have_the_same_keys_and_shapes(ours, oracle):
    expected = {name: tuple(value.shape) for name, value in oracle.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == expected


def test_the_full_shapes_are_those_of_janus():
    with torch.device("meta"):
        oracle = transformers.JanusForConditionalGeneration(transformers.JanusConfig.from_dict(config_to_json(FULL)))
    expected = {name: tuple(value.shape) for name, value in oracle.state_dict().items()}
    assert {name: tuple(value.shape) for name, value in RIG(FULL, seed=None).state_dict().items()} == expected


def check_vision(ours, oracle):
    seen = frames(size=ours.config.vision.image_size)
    expected = oracle.model.get_image_features(frames_to_pixels(seen))
    same(ours.model.vision_model(frames_to_pixels(seen)), expected.last_hidden_state)
    same(ours.read_images(seen), expected.pooler_output)


def check_vq(ours, oracle):
    """Latents, codes of a codebook on the unit sphere (elsewhere transformers chooses others than Janus), pixels."""
    theirs, vq = oracle.model.vqmodel, ours.model.vqmodel
    pixels = frames_to_pixels(frames(1, size=vq.config.image_size))
    latents = vq.latents(pixels)
    same(latents.movedim(-1, 1), theirs.quant_conv(theirs.encoder(pixels)))
    weight = theirs.quantize.embedding.weight
    kept = weight.clone()
    weight.copy_(torch.nn.functional.normalize(weight, dim=-1))
    codes, expected = vq.encode(pixels), theirs.encode(pixels).image_tokens.view(1, -1)
    likeness = (torch.nn.functional.normalize(latents.flatten(1, 2), dim=-1) @ weight.T)[0]
    cells = torch.arange(codes.shape[1])
    torch.testing.assert_close(likeness[cells, codes[0]], likeness[cells, expected[0]], rtol=0, atol=1e-5)
    assert (codes == expected).float().mean() > 0.98, "only ties may be broken otherwise"
    weight.copy_(kept)
    written = torch.from_numpy(np.random.default_rng(4).integers(0, vq.config.codebook_size, (1, vq.config.num_tokens)))
    same(vq.decode_codes(written), theirs.decode(written))


def check_sequence(ours, oracle):
    """Text, a read image, text, a written image, text: the heads of both agree at every one of its tokens."""
    random, config = np.random.default_rng(3), ours.config
    placeholder = config.decoder.vocab_size - 1
    text = [random.integers(0, placeholder, count) for count in (5, 9, 7)]
    codes = random.integers(0, config.vq.codebook_size, config.vq.num_tokens)
    parts = [text[0], np.full(config.vision.num_tokens, placeholder), text[1], codes, text[2]]
    kinds = np.repeat([Kind.TEXT, Kind.READ, Kind.TEXT, Kind.CODE, Kind.TEXT], list(map(len, parts)))
    image = frames(1, seed=5, size=config.vision.image_size)
    found = ours(pack([sequence(np.concatenate(parts), kinds, images=image.numpy())]))

    words = oracle.get_input_embeddings()
    read = oracle.model.get_image_features(frames_to_pixels(image)).pooler_output.flatten(0, -2)
    written = oracle.prepare_embeddings_for_image_generation(torch.tensor(codes))
    embedded = [words(torch.tensor(text[0])), read, words(torch.tensor(text[1])), written, words(torch.tensor(text[2]))]
    hidden = oracle.model.language_model(inputs_embeds=torch.cat(embedded)[None], use_cache=False).last_hidden_state[0]
    rows = {kind: torch.from_numpy(np.flatnonzero(kinds[1:] == kind)) for kind in (Kind.TEXT, Kind.CODE)}
    same(found.text_logits, oracle.lm_head(hidden[rows[Kind.TEXT]]))
    same(found.code_logits, oracle.model.generation_head(hidden[rows[Kind.CODE]]))


@torch.no_grad()
def test_vision_features_and_aligner(ours, oracle):
    check_vision(ours, oracle)


@torch.no_grad()
def test_vq_latents_codes_and_pixels(ours, oracle):
    check_vq(ours, oracle)


@torch.no_grad()
def test_interleaved_text_read_images_and_written_ones(ours, oracle):
    check_sequence(ours, oracle)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 7])
def test_text_logits_from_explicit_positions(ours, oracle, stride):
    ids = np.random.default_rng(1).integers(0, 90, 20)
    positions = np.arange(20) * stride + np.arange(20) // 5
    expected = oracle(input_ids=torch.tensor(ids)[None], position_ids=torch.tensor(positions)[None]).logits[0, :-1]
    found = ours(pack([sequence(ids, np.full(20, Kind.TEXT), positions)])).text_logits
    same(found, expected)


@torch.no_grad()
def test_text_logits_after_a_read_image_by_transformers_own_forward(ours, oracle):
    random = np.random.default_rng(2)
    before, after = random.integers(0, 90, 5), random.integers(0, 90, 9)
    ids = np.concatenate([before, np.full(16, CONFIG.decoder.vocab_size - 1), after])
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
def test_a_janus_of_full_width():
    oracle = build_oracle(WIDE, spread=1.7)
    ours = ours_of(oracle, WIDE)
    widths = {ours.model.language_model.norm.weight.numel(), ours.model.vision_model.post_layernorm.weight.numel()}
    assert widths == {2048, 1024}
    check_vision(ours, oracle)
    check_sequence(ours, oracle)
    check_vq(ours, oracle)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(360, 640, 384), (144, 144, 384), (144, 144, 48), (90, 37, 64), (5, 300, 64), (31, 32, 32), (32, 32, 32)],
)
def test_frames_are_brought_to_size_as_janus_own_processor_does(height, width, size):
    from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil

    frame = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    processor = JanusImageProcessorPil(size={"height": size, "width": size}, **half)
    expected = processor(frame, return_tensors="pt")["pixel_values"]
    fitted = fit_frame(frame, size)
    assert fitted.shape == (size, size, 3)
    torch.testing.assert_close(frames_to_pixels(torch.from_numpy(fitted.copy())[None]), expected, rtol=0, atol=1e-6)


def test_a_frame_of_the_models_size_is_not_touched_and_what_is_no_frame_is_named():
    frame = frames(1).numpy()[0]
    assert fit_frame(frame, 32) is frame
    for wrong in (frame[..., :1], frame.astype(np.float32), frame[0], frame[:0]):
        with pytest.raises(RigError, match=r"a frame is uint8 \[height, width, 3\]"):
            fit_frame(wrong, 48)


@pytest.mark.parametrize(("height", "width"), [(36, 64), (64, 36), (18, 18), (64, 64)])
def test_a_fitted_frame_is_found_again_where_it_was_put(height, width):
    flat = np.random.default_rng(0).integers(0, 256, 3, dtype=np.uint8)
    frame = np.full((height, width, 3), flat)
    fitted = fit_frame(frame, 64)
    assert (fitted == 127).all(-1).sum() == 64 * (64 - 64 * min(height, width) // max(height, width))
    assert np.array_equal(unfit_frame(fitted, height, width), frame)
    assert np.array_equal(unfit_frame(fit_frame(frame, 128), height, width), frame)


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


@torch.no_grad()
def test_a_written_image_has_as_many_codes_as_a_read_one_has_patches_whatever_their_sizes_in_pixels():
    """Janus says how large an image is that is read; one that is written follows from how often its codes double."""
    data = config_to_json(CONFIG)
    del data["rig"]
    data["vq_config"]["channel_multiplier"] = [1, 2]
    oracle = transformers.JanusForConditionalGeneration(transformers.JanusConfig.from_dict(data)).eval()
    config = config_from_json(data)
    assert (config.vision.image_size, config.vq.image_size) == (32, 8)
    assert config.vision.num_tokens == config.vq.num_tokens == 16
    codes = torch.arange(16)[None]
    same(ours_of(oracle, config).model.vqmodel.decode_codes(codes), oracle.model.vqmodel.decode(codes))


@torch.no_grad()
def test_what_is_read_and_what_is_written_may_have_other_grids_and_sizes(tmp_path):
    config = replace(
        CONFIG,
        vision=replace(CONFIG.vision, image_size=24),
        vq=replace(CONFIG.vq, image_size=48),
    )
    save(RIG(config, seed=0), tmp_path)
    model = load(tmp_path)
    assert model.config == config
    assert (config.layout.read_tokens, config.layout.write_tokens) == (9, 36)
    kinds = np.repeat([Kind.TEXT, Kind.READ, Kind.CODE], [2, 9, 36])
    image = frames(1, size=24).numpy()
    out = model(pack([sequence(np.arange(47) % 64, kinds, images=image)]))
    assert out.code_logits.shape == (36, 64)
    assert model.model.vqmodel.encode_frames(image).shape == (1, 36)


@pytest.mark.parametrize(("key", "value"), [("use_qk_norm", True), ("num_channels", 1), ("hidden_act", "relu")])
def test_what_the_network_does_not_have_is_refused(key, value):
    data = config_to_json(CONFIG)
    data["vision_config"][key] = value
    with pytest.raises(CheckpointError, match=f"vision_config.{key}"):
        config_from_json(json.loads(json.dumps(data)))
