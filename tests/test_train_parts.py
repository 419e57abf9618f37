"""What learns and what does not: frozen parts, low ranks that merge exactly, layers that are computed twice."""

from dataclasses import replace

import pytest
import torch
from makers import QUICK, agent_training, interrupted_at_a_save
from safetensors.torch import load_file
from test_model_pack import CONFIG, DOCUMENTS
from test_train import metrics_of, state_of

from rig.errors import RigError, UnknownNameError
from rig.model import RIG, pack
from rig.model import decoder as decoder_module
from rig.model.parts import PARTS, LoRALinear, add_lora, freeze, merged, part_of
from rig.train import Execution, RoleWeights, train_agent
from rig.train.loss import token_losses

BATCH = pack(DOCUMENTS)


def learned(model):
    """Return the gradients of a step, by name."""
    model.train()
    token_losses(model, BATCH, RoleWeights()).loss.backward()
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def perturbed_lora(parts):
    """Return a network whose low-rank layers have moved away from zero."""
    model = RIG(CONFIG, seed=0)
    add_lora(model, parts, rank=3, seed=1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("lora_up"):
                value.normal_(std=0.1)
    return model


def test_parts_are_all_of_the_network_but_the_tokenizer():
    names = list(RIG(CONFIG, seed=None).state_dict())
    assert not list(RIG(CONFIG, seed=None).buffers()), "what is sharded is filled with what is named, and nothing else"
    assert {name for name in names if not part_of(name)} == {name for name in names if name.startswith("model.vqmodel")}
    assert {part_of(name) for name in names} == {*PARTS, ""}


@pytest.mark.parametrize("parts", [("vision",), ("decoder", "aligner"), ("heads", "embeddings", "codes")])
def test_frozen_parts_have_no_gradients_and_the_others_keep_theirs(parts):
    model, plain = RIG(CONFIG, seed=0), learned(RIG(CONFIG, seed=0))
    freeze(model, parts)
    found = learned(model)
    assert found.keys() == {name for name in plain if part_of(name) not in parts}
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-5, atol=1e-4, msg=name)


def test_low_ranks_begin_as_the_network_and_merge_to_what_they_are():
    parts = ("vision", "decoder", "codes", "heads")
    plain, fresh, moved = RIG(CONFIG, seed=0), RIG(CONFIG, seed=0), perturbed_lora(parts)
    add_lora(fresh, parts, rank=3, seed=1)
    whole = RIG(CONFIG, seed=None)
    whole.load_state_dict(merged(moved.state_dict()), assign=True, strict=True)
    losses = {}
    with torch.no_grad():
        for name, model in {"plain": plain, "fresh": fresh, "moved": moved, "whole": whole}.items():
            out = model.eval()(BATCH)
            losses[name] = torch.cat([out.text_logits.flatten(), out.code_logits.flatten()])
            total = token_losses(model, BATCH, RoleWeights()).loss
            losses[name] = torch.cat([losses[name], total[None] / 1000])
    torch.testing.assert_close(losses["fresh"], losses["plain"])
    torch.testing.assert_close(losses["whole"], losses["moved"], rtol=1e-4, atol=1e-4)
    assert (losses["moved"] - losses["plain"]).abs().max() > 0.05


def test_only_low_ranks_learn_in_their_parts():
    found = learned(perturbed_lora(("decoder", "heads")))
    for name in found:
        assert ("lora" in name) == (part_of(name) in ("decoder", "heads")), name
    model = perturbed_lora(("decoder",))
    layers = [module for module in model.modules() if isinstance(module, LoRALinear)]
    assert len(layers) == 7 * CONFIG.decoder.num_layers
    assert sum("lora" in name for name in learned(model)) == 2 * len(layers)


def test_an_agent_that_learned_low_ranks_is_like_any_other(made, tmp_path):
    """The same tensors as ever; the decoder's matrices differ from the first by a rank of 2, the heads not at all."""
    training = replace(QUICK, steps=6)
    config = agent_training(
        made.data, made.tokenizers, start=str(made.agent), lora=("decoder",), lora_rank=2, freeze=("heads",)
    )
    config = replace(config, training=training)
    agent = train_agent(config, tmp_path / "whole")
    before, after = (load_file(path / "model.safetensors") for path in (made.agent, agent))
    assert before.keys() == after.keys()
    for name, value in after.items():
        change = value - before[name]
        if part_of(name) == "decoder" and value.ndim == 2:
            assert torch.linalg.matrix_rank(change, rtol=1e-3) == 2, name
        else:
            assert bool(change.any()) == (part_of(name) in ("vision", "aligner", "embeddings", "codes")), name
    with interrupted_at_a_save(4):
        train_agent(config, tmp_path / "cut")
    train_agent(config, tmp_path / "cut", resume=True)
    assert metrics_of(tmp_path / "cut") == metrics_of(tmp_path / "whole")
    assert not any("lm_head" in name for name in state_of(tmp_path / "cut")), "what is frozen is not in the state"


@pytest.mark.parametrize("compiled", [False, True])
def test_layers_computed_twice_have_the_same_gradients(compiled, monkeypatch):
    calls, project = [], decoder_module.project
    plain, twice = RIG(CONFIG, seed=0), RIG(CONFIG, seed=0)
    wanted = learned(plain)
    twice.recompute_layers()
    if compiled:
        twice.compile_blocks(backend="aot_eager")
        twice.model.vision_model.compile_blocks(backend="aot_eager")
    else:
        counted = lambda *inputs: calls.append(1) or project(*inputs)  # noqa: E731
        twice.model.language_model._training_blocks = (counted, decoder_module.finish)
    found = learned(twice)
    assert len(calls) == (0 if compiled else 2 * CONFIG.decoder.num_layers)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], rtol=1e-4, atol=1e-4, msg=name)


def test_recomputing_changes_nothing_that_is_learned(made, tmp_path):
    config = agent_training(made.data, made.tokenizers)
    train_agent(config, tmp_path / "run", execution=Execution(recompute=True))
    assert metrics_of(tmp_path / "run") == metrics_of(made.agent.parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze": ("visoin",)}, "unknown part of the network 'visoin'. Did you mean 'vision'"),
        ({"lora": ("decodr",)}, "unknown part of the network 'decodr'. Did you mean 'decoder'"),
        ({"lora": ("decoder",), "freeze": ("decoder",)}, "decoder: LoRA freezes what it learns beside"),
        ({"lora": ("embeddings",)}, "'embeddings' has no linear layers"),
        ({"lora": ("decoder",), "lora_rank": 0}, "--lora-rank 0: at least 1"),
        ({"freeze": tuple(PARTS)}, "nothing is left to learn"),
    ],
)
def test_mistakes_are_named_before_anything_begins(made, tmp_path, changes, message):
    with pytest.raises(RigError, match=message) as error:
        train_agent(agent_training(made.data, made.tokenizers, **changes), tmp_path / "run")
    assert isinstance(error.value, UnknownNameError) == message.startswith("unknown")
    assert not (tmp_path / "run").exists()
