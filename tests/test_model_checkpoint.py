"""Checkpoints come back as they were, and a broken one is named with what is wrong and what to do."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from rig.errors import CheckpointError, RigError
from rig.model import (
    PRESETS,
    RIG,
    DecoderConfig,
    RIGConfig,
    VisionConfig,
    VQConfig,
    VQModel,
    load,
    load_vq,
    read_config,
    save,
    save_weights,
)
from rig.model.config_json import config_from_json, config_to_json
from rig.model.weights import find_tensors

CONFIG = PRESETS.get("debug")


@pytest.fixture
def folder(tmp_path):
    save(RIG(CONFIG, seed=1), tmp_path / "model")
    return tmp_path / "model"


def test_round_trip(folder):
    model, original = load(folder), RIG(CONFIG, seed=1)
    assert model.config == CONFIG
    assert not model.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in original.state_dict().items())
    assert model.trainable_parameters().keys() == original.trainable_parameters().keys()
    assert all(parameter.requires_grad for parameter in model.trainable_parameters().values())
    assert not any(parameter.requires_grad for parameter in model.model.vqmodel.parameters())
    assert load(folder, dtype=torch.bfloat16).dtype == torch.bfloat16
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_weights_may_be_read_by_whoever_may_read_the_rest(tmp_path, mask):
    """On a shared disk another one's agent is opened, and a server runs as another user than who trained."""
    before = os.umask(mask)
    try:
        save(RIG(CONFIG, seed=1), tmp_path / "model")
        save_weights(VQModel(CONFIG.vq), tmp_path / "model" / "vq.safetensors")
    finally:
        os.umask(before)
    rights = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()}
    assert rights == dict.fromkeys(("config.json", "model.safetensors", "vq.safetensors"), 0o666 & ~mask)


def test_a_network_that_is_about_to_be_loaded_is_not_filled_before(folder, monkeypatch):
    """On the meta device that would import torch's compiler."""

    def filled(*_, **__):
        raise AssertionError("a module filled its weights")

    for name in ("_no_grad_normal_", "_no_grad_uniform_"):
        monkeypatch.setattr(f"torch.nn.init.{name}", filled)
    monkeypatch.setattr("torch.Tensor.uniform_", filled)
    assert load(folder).config == CONFIG
    assert load_vq(folder).config == CONFIG.vq


@pytest.mark.parametrize("name", PRESETS.names())
def test_config_json_holds_every_field(name):
    config = replace(PRESETS.get(name), image_alignment=64)
    config = replace(config, vq=replace(config.vq, image_size=config.vq.image_size * 2, commitment=0.5))
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


def test_reading_the_sizes_imports_no_torch(folder):
    code = "import sys; from rig.model import read_config; read_config(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_an_interrupted_save_leaves_the_old_checkpoint(folder, monkeypatch):
    before = load_file(folder / "model.safetensors")

    def cut(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", cut)
    with pytest.raises(KeyboardInterrupt):
        save(RIG(CONFIG, seed=2), folder)
    assert torch.equal(load(folder).state_dict()["lm_head.weight"], before["lm_head.weight"])
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_missing_files(folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere/config.json is missing; a checkpoint is a folder"):
        load(tmp_path / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model.safetensors is missing$"):
        load(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin beside it is a pickle.* refused"):
        load(folder)


def test_truncated_files(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"model.safetensors is cut short"):
        load(folder)
    weights.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model.safetensors is cut short"):
        load(folder)
    (folder / "config.json").write_text('{"model_type": ')
    with pytest.raises(CheckpointError, match=r"config.json is not JSON .*restore it from a copy"):
        read_config(folder)


def within(section, **changes):
    """Return what changes fields of a section of `config.json`, "rig.vq" for one within another."""

    def change(data):
        data = json.loads(json.dumps(data))
        place = data
        for part in section.split("."):
            place = place[part]
        place.update(changes)
        return data

    return change


def without(section, name):
    return lambda data: {**data, section: {key: value for key, value in data[section].items() if key != name}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: [], "describes 'list'"),
        (lambda data: {**data, "model_type": "llama"}, "describes 'llama', not a 'janus' model"),
        (lambda data: {**data, "vq_config": 3}, "vq_config is 3"),
        (lambda data: {**data, "rig": 0}, "rig is 0, where an object belongs"),
        (within("vision_config", patch_size="x"), "vision_config.patch_size is 'x'; expected `int`, got `str`"),
        (within("vision_config", patch_size=7), "not a multiple"),
        (within("vision_config", patch_size=0), "patch_size is 0; expected `int` >= 1"),
        (within("vision_config", mlp_ratio=0.001), "mlp_ratio 0.001 leaves nothing"),
        (within("vq_config", channel_multiplier=2), "channel_multiplier is 2; expected `array`"),
        (within("vq_config", channel_multiplier=[]), "channel_multiplier is .*length >= 1"),
        (within("vq_config", channel_multiplier=[0]), "channel_multiplier is .*>= 1"),
        (within("vq_config", num_embeddings=1 << 17), "num_embeddings is 131072; expected `int` <= 65536"),
        (within("text_config", num_attention_heads=0), "num_attention_heads is 0; expected `int` >= 1"),
        (within("text_config", num_key_value_heads=-1), "num_key_value_heads is -1; expected `int` >= 1"),
        (within("text_config", num_hidden_layers=10**9), "num_hidden_layers is 1000000000; expected `int` <= 1024"),
        (within("text_config", hidden_size=True), "hidden_size is True; expected `int`, got `bool`"),
        (within("text_config", rms_norm_eps="NaN"), "rms_norm_eps is 'NaN'; expected `float`, got `str`"),
        (within("text_config", rope_theta=-1), "rope_theta is -1; expected `float` >= 1"),
        (within("text_config", max_position_embeddings=80), "an image of 81 tokens does not fit into max_positions 80"),
        (within("rig", image_alignment=1.9), "rig.image_alignment is 1.9; expected `int`, got `float`"),
        (within("rig", image_alignment=0), "rig.image_alignment is 0; expected `int` >= 1"),
        (within("rig", image_stride=82), "image_stride 82 is not between 1 and the 81"),
        (within("rig", image_alinment=2), "rig has an unknown field 'image_alinment'. Did you mean 'image_alignment'"),
        (within("rig.vision", stem=[12]), r"stem \[12\] has channels that are not a multiple of 8"),
        (within("rig.vision", stem=[8] * 5), "patch_size 16 cannot be halved for each of stem"),
        (within("rig.vision", stem="big"), "rig.vision.stem is 'big'; expected `array`"),
        (within("rig.vision", steam=[]), "rig.vision has an unknown field 'steam'. Did you mean 'stem'"),
        (within("rig.vq", kernel_size=2), "rig.vq.kernel_size is 2; give one of 1, 3"),
        (within("rig.vq", norm_groups=5), "not a multiple of norm_groups 5"),
        (without("vision_config", "num_attention_heads"), "vision_config lacks num_attention_heads; restore it"),
        (without("rig", "image_alignment"), "rig lacks image_alignment; restore it"),
    ],
)
def test_foreign_configurations(folder, change, message):
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(change(data)))
    with pytest.raises(CheckpointError, match=f"config.json.*{message}"):
        read_config(folder)


@pytest.mark.parametrize("text", ["NaN", '{"model_type": "janus", "rig": {"image_alignment": 1e999}}', "[" * 100_000])
def test_a_configuration_that_is_not_strict_json(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config.json is not JSON .*; restore it"):
        read_config(folder)


def test_more_layers_than_there_are_tensors_are_refused_before_they_are_built(folder, monkeypatch):
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(within("text_config", num_hidden_layers=1000)(data)))
    monkeypatch.setattr("rig.model.rig.RIG.__init__", lambda self, *_, **__: pytest.fail("it was built"))
    with pytest.raises(CheckpointError, match=r"model.safetensors does not fit .* 1002 layers, and this \d+ tensors"):
        load(folder)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (DecoderConfig, {"num_layers": 0}),
        (DecoderConfig, {"num_kv_heads": 0}),
        (DecoderConfig, {"rope_theta": float("nan")}),
        (VisionConfig, {"image_size": "144"}),
        (VQConfig, {"channel_multiplier": 3}),
        (VQConfig, {"commitment": float("inf")}),
        (RIGConfig, {"image_alignment": 1.9}),
    ],
)
def test_a_component_refuses_nonsense_in_python_too(kind, changes):
    good = {DecoderConfig: CONFIG.decoder, VisionConfig: CONFIG.vision, VQConfig: CONFIG.vq, RIGConfig: CONFIG}[kind]
    with pytest.raises(RigError, match=rf"{kind.__name__}.{next(iter(changes))}"):
        replace(good, **changes)


def test_weights_that_are_no_numbers_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"][3, 5] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model.safetensors holds weights that are no numbers"):
        load(folder)


def write_header(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ([], "its header is a list, not an object"),
        (b"[" * 100_000, "its header is not JSON"),
        ({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, ">= 0"),
        ({"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}, "got `float`"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0.0, 4.0]}}, "got `float`"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, "length 2"),
        ({"a": {"dtype": [], "shape": [1], "data_offsets": [0, 4]}}, "Expected `str`"),
        ({"a": {"dtype": "F3", "shape": [1], "data_offsets": [0, 4]}}, "a is of the unknown type 'F3'"),
        ({"a": 3}, "Expected `object`"),
        ({"a": {"dtype": "F32", "shape": [10**18], "data_offsets": [0, 4 * 10**18]}}, "its header speaks of"),
        (
            {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"},
            "b stands at bytes .* not where the one before it ends",
        ),
    ],
)
def test_a_header_that_is_none(tmp_path, header, says):
    write_header(tmp_path / "model.safetensors", header, bytes(4))
    with pytest.raises(CheckpointError, match=f"model.safetensors is cut short or not a safetensors file: .*{says}"):
        find_tensors(tmp_path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 99_999_999])
def test_a_header_longer_than_its_file(tmp_path, length):
    (tmp_path / "model.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match=r"10 bytes cannot hold a header of"):
        find_tensors(tmp_path)


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ([], "holds a list, not an object"),
        ({}, "weight_map.*got `null`"),
        ({"weight_map": {"a": 3}}, "weight_map.*Expected `str`"),
        ({"weight_map": {"a": "../model.safetensors"}}, r"names the shard '\.\./model.safetensors', and shards stand"),
        ({"weight_map": {"a": ""}}, "names the shard ''"),
        ({"weight_map": {"a": "one.safetensors"}}, "one.safetensors is missing, which .* names; fetch it"),
    ],
)
def test_an_index_that_is_none(tmp_path, index, says):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=says):
        find_tensors(tmp_path)


def test_foreign_and_other_shaped_weights(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-1].clone()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 tensors of another shape, first lm_head.weight: \[511, 64\].*512"):
        load(folder)
    save_file({"other.weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks lm_head.weight, .* more; it has the unknown other.weight"):
        load(folder)
