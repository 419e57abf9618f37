"""Both contenders learn the same from the same samples, so their times compare; the command says who took what."""

import json
import sys

import pytest
import torch

from rig.bench.train import IGNORED, Packed, Padded, TrainBench, UnderTrainer, bench_training, draw_packs, pad
from rig.cli.main import main
from rig.errors import MissingDependencyError
from rig.model import PRESETS

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

CONFIG = TrainBench(preset="debug", pack_tokens=1024, steps=2, rounds=1)


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    monkeypatch.setattr("rig.bench.train.compute_dtype", lambda _: torch.float32)


def test_samples_are_as_described_and_fill_packs():
    packs = draw_packs(CONFIG)
    assert len(packs) == CONFIG.steps
    for samples in packs:
        assert 1024 - 81 - 81 - 250 <= sum(map(len, samples)) <= 1024
    sample = packs[0][0]
    assert sample.targets.sum() > 81
    assert len({len(sample) for samples in packs for sample in samples}) > 2, "lengths differ, or nothing is padded"
    assert pad(packs[0])["labels"].ne(IGNORED).sum() == sum(int(sample.targets.sum()) for sample in packs[0])


def test_both_have_the_same_loss_and_learn_the_same():
    packs = draw_packs(CONFIG)
    ours, theirs = Packed(CONFIG, packs, compiled=False), Padded(CONFIG).train()
    torch.testing.assert_close(ours.loss(packs[0]), theirs(**pad(packs[0]))["loss"], rtol=1e-5, atol=1e-5)
    trained = UnderTrainer(CONFIG, packs)
    name = "model.language_model.layers.1.mlp.down_proj.weight"
    first = ours.model.state_dict()[name].clone()
    for contender in (ours, trained, ours, trained):
        contender()
    found, wanted = (model.state_dict()[name] - first for model in (ours.model, trained._trainer.model.janus))
    assert wanted.abs().max() > 1e-4
    # The order of the two packs of a round is Trainer's own.
    assert torch.nn.functional.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.9


def test_what_a_trainer_raises_is_raised_where_one_waits(monkeypatch):
    monkeypatch.setattr("rig.bench.train.pad", lambda samples: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        UnderTrainer(CONFIG, draw_packs(CONFIG))()


def test_who_cannot_compile_is_told_and_timed_without(capsys, monkeypatch):
    monkeypatch.setattr("rig.bench.train._memory_of", lambda *_: 10**9)
    monkeypatch.setattr("rig.bench.train.why_not_compile", lambda _: "there is no compiler")
    words = ["bench", "train", "--preset", "debug", "--pack-tokens", "512", "--steps", "1", "--rounds", "1"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "rig, compiled, is left out: there is no compiler" in told
    assert "rig, not compiled" in told


def test_the_command_tells_both_and_the_ratio(capsys, monkeypatch):
    monkeypatch.setattr("rig.bench.train._memory_of", lambda *_: 10**9)
    words = ["bench", "train", "--preset", "debug", "--pack-tokens", "512", "--steps", "1", "--rounds", "1"]
    words += ["--json-last"]
    assert main(words) == 0
    *text, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    compiled = [] if found["uncompiled"] else ["rig"]
    names = [*compiled, "rig, not compiled", "transformers"]
    assert list(found["contenders"]) == names
    assert [line.split("  ")[0] for line in text[2 : 2 + len(names)]] == names
    for name, entry in found["contenders"].items():
        assert entry["tokens_per_second"] == pytest.approx(found["tokens"] / entry["seconds"]["median"])
        assert 0 < entry["mfu"] < 1
        assert (name in found["ratios"]) == (name != "transformers")
    assert found["provenance"]["hardware"]["cores"]


def test_memory_is_taken_in_a_process_of_its_own():
    from rig.bench.train import _memory_of

    assert 1e6 < _memory_of("rig, not compiled", CONFIG) < 3e9


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingDependencyError, match=r"accelerate .*pip install 'rig-agent\[bench\]'"):
        bench_training(CONFIG)


def test_both_networks_have_a_shape_that_transformers_knows():
    for preset in ("debug", "small", "janus-1b"):
        network = TrainBench(preset=preset).network
        assert network.vq.grid * network.vision.patch_size == network.vision.image_size
        assert network.decoder == PRESETS.get(preset).decoder
