"""Checkpoints come back as they were, and a broken one is named with what is wrong and what to do."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from rig.errors import CheckpointError
from rig.model import PRESETS, RIG, RIGConfig, load, read_config, save

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


@pytest.mark.parametrize("name", PRESETS.names())
def test_config_json_holds_every_field(name):
    config = replace(PRESETS.get(name), image_alignment=64)
    config = replace(config, vq=replace(config.vq, image_size=config.vq.image_size * 2, commitment=0.5))
    assert RIGConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


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
    with pytest.raises(CheckpointError, match=r"config.json cannot be read as JSON"):
        read_config(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: [], "describes 'list'"),
        (lambda data: {**data, "model_type": "llama"}, "describes 'llama', not a 'janus' model"),
        (lambda data: {**data, "vq_config": 3}, "vq_config is 3"),
        (lambda data: {**data, "vision_config": {"patch_size": "x"}}, "vision_config.patch_size is 'x'"),
        (lambda data: {**data, "vision_config": {**data["vision_config"], "patch_size": 7}}, "not a multiple"),
        (lambda data: {**data, "vq_config": {"channel_multiplier": 2}}, "a list of int"),
    ],
)
def test_foreign_configurations(folder, change, message):
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(change(data)))
    with pytest.raises(CheckpointError, match=message):
        read_config(folder)


def test_foreign_and_other_shaped_weights(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"][:-1].clone()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 tensors of another shape, first lm_head.weight: \[511, 64\].*512"):
        load(folder)
    save_file({"other.weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks lm_head.weight, .* more; it has the unknown other.weight"):
        load(folder)
