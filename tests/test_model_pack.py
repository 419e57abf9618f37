"""A pack gives each document what it would get alone, nothing more; and the frozen tokenizer stays frozen."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from rig.actions import CRAFTER
from rig.dialogue import Kind, PromptFormat, Role, SegmentEncoder, TokenSequence, basic_conversation, prompt, train_bpe
from rig.errors import RigError, UnknownNameError
from rig.model import PRESETS, RIG, compute_dtype, pack
from rig.model.attention import attend_densely
from rig.records import fake_step

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

CONFIG = PRESETS.get("debug")
TOKENIZER = train_bpe([], vocabulary_size=300, atoms=prompt.LITERALS)
ENCODER = SegmentEncoder(TOKENIZER, CONFIG.layout)


def document(seed, thought="1. A tree is near."):
    """A real conversation, with gaps in its positions."""
    codes = np.random.default_rng(seed).integers(0, CONFIG.vq.codebook_size, 81).astype(np.uint16)
    step = replace(fake_step(seed, size=144), thought=thought).with_next_codes(codes)
    return ENCODER.encode(basic_conversation(step, CRAFTER, PromptFormat()))


DOCUMENTS = [document(0), document(1, "1. Cow. 2. Go left, then up."), document(2, "1. Dark.")]


@pytest.fixture(scope="module")
def model():
    return RIG(CONFIG, seed=3).eval()


@torch.no_grad()
def test_packed_equals_separate_and_padding_changes_nothing(model):
    packed = model(pack(DOCUMENTS, length=sum(map(len, DOCUMENTS)) + 37))
    alone = [model(pack([document])) for document in DOCUMENTS]
    torch.testing.assert_close(packed.text_logits, torch.cat([out.text_logits for out in alone]), atol=2e-6, rtol=1e-4)
    torch.testing.assert_close(packed.code_logits, torch.cat([out.code_logits for out in alone]), atol=2e-6, rtol=1e-4)
    assert packed.code_logits.shape == (3 * 81, CONFIG.vq.codebook_size)


@torch.no_grad()
def test_no_document_sees_another_and_no_token_its_future(model):
    original = model(pack(DOCUMENTS))
    changed = replace(DOCUMENTS[1], ids=DOCUMENTS[1].ids.copy())
    last = int(np.flatnonzero(changed.kinds == Kind.CODE)[-1])
    changed.ids[last] = (changed.ids[last] + 1) % CONFIG.vq.codebook_size
    later = model(pack([DOCUMENTS[0], changed, DOCUMENTS[2]]))
    assert torch.equal(original.text_logits, later.text_logits)
    assert torch.equal(original.code_logits, later.code_logits)
    changed.ids[1] += 1
    earlier = model(pack([DOCUMENTS[0], changed, DOCUMENTS[2]]))
    moved = (original.code_logits != earlier.code_logits).any(-1)
    assert moved.nonzero()[:, 0].tolist() == list(range(81, 162))


def test_rows_predict_the_next_token_and_know_its_role():
    batch = pack(DOCUMENTS, length=900)
    assert len(batch) == 900
    assert batch.cu_seqlens[-2] == sum(map(len, DOCUMENTS))
    assert torch.equal(batch.ids[batch.text_rows + 1], batch.text_targets)
    assert torch.equal(batch.ids[batch.code_rows + 1], batch.code_targets)
    assert set(batch.text_roles.tolist()) == {Role.THOUGHT, Role.ACTION}
    assert (batch.kinds[batch.code_rows + 1] == Kind.CODE).all()
    assert batch.frames.shape == (3, 144, 144, 3)


@pytest.mark.parametrize("tokens", [5, 700])
def test_attention_under_autocast_rounds_no_more_than_bfloat16_does(tokens):
    random = torch.Generator().manual_seed(tokens)
    q, k, v = (torch.randn(1, heads, tokens, 16, generator=random).bfloat16() for heads in (4, 2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        attended = attend_densely(q, k, v, is_causal=True)
    assert attended.dtype == torch.bfloat16
    exact = attend_densely(q.double(), k.double(), v.double(), is_causal=True)
    rounded = exact.bfloat16()
    if tokens == 5:
        assert (attended == rounded).float().mean() > 0.95  # float32 inside: at most the last bit differs
    torch.testing.assert_close(attended, rounded, atol=0.02, rtol=0.02)


def loss_of(model, batch):
    out = model(batch)
    return cross_entropy(out.text_logits, batch.text_targets) + cross_entropy(out.code_logits, batch.code_targets)


def test_training_moves_everything_but_the_tokenizer():
    model = RIG(CONFIG, seed=0).train()
    batch = pack(DOCUMENTS)
    frozen = {name: value.clone() for name, value in model.model.vqmodel.state_dict().items()}
    parameters = model.trainable_parameters()
    optimiser = torch.optim.AdamW(parameters.values(), lr=3e-3, fused=True)
    losses = []
    for _ in range(16):
        loss = loss_of(model, batch)
        loss.backward()
        losses.append(float(loss.detach()))
        assert all(parameter.grad is not None for parameter in parameters.values())
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1] < 0.7 * losses[0]
    assert not model.model.vqmodel.training
    assert not any(parameter.requires_grad for parameter in model.model.vqmodel.parameters())
    assert all(torch.equal(value, model.model.vqmodel.state_dict()[name]) for name, value in frozen.items())


def test_compiled_blocks_have_the_same_gradients():
    """Up to the generated code: that takes long to build and is torch's to test."""
    batch = pack(DOCUMENTS, length=896)
    plain, compiled = RIG(CONFIG, seed=1), RIG(CONFIG, seed=1)
    compiled.compile_blocks(backend="aot_eager")
    compiled.model.vision_model.compile_blocks(backend="aot_eager")
    assert compiled.training
    for model in (plain, compiled):
        loss_of(model, batch).backward()
    for name, parameter in plain.trainable_parameters().items():
        torch.testing.assert_close(
            compiled.trainable_parameters()[name].grad, parameter.grad, atol=1e-5, rtol=1e-3, msg=name
        )


def test_autocast_stays_close_to_full_precision(model):
    batch = pack(DOCUMENTS)
    with torch.no_grad():
        full = loss_of(model, batch)
        with torch.autocast("cpu", torch.bfloat16):
            half = loss_of(model, batch)
    assert abs(float(full - half)) < 0.02
    assert compute_dtype("cpu") in (torch.float32, torch.bfloat16)


def test_the_seed_alone_decides_the_first_weights():
    torch.manual_seed(0)
    first = RIG(CONFIG, seed=5).state_dict()
    torch.manual_seed(1)
    second, other = RIG(CONFIG, seed=5).state_dict(), RIG(CONFIG, seed=6).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])
    assert all(torch.isfinite(value).all() for value in first.values())


def test_a_fresh_network_predicts_nothing_in_particular(model):
    """The first loss of a small vocabulary is about its logarithm: no logit starts out large."""
    with torch.no_grad():
        out = model(pack(DOCUMENTS))
    batch = pack(DOCUMENTS)
    assert abs(float(cross_entropy(out.code_logits, batch.code_targets)) - np.log(CONFIG.vq.codebook_size)) < 0.3
    assert abs(float(cross_entropy(out.text_logits, batch.text_targets)) - np.log(CONFIG.decoder.vocab_size)) < 0.3


def test_mistakes_are_named(model):
    with pytest.raises(RigError, match="do not fit a pack of 100"):
        pack(DOCUMENTS, length=100)
    with pytest.raises(RigError, match="document 1 asks to predict its first"):
        pack([DOCUMENTS[0], replace(DOCUMENTS[1], weights=np.ones(len(DOCUMENTS[1]), np.float32))])
    for spoilt in (np.nan, np.inf):
        weights = np.where(np.arange(len(DOCUMENTS[1])) == 7, spoilt, DOCUMENTS[1].weights).astype(np.float32)
        with pytest.raises(RigError, match=f"document 1 weighs its token 7 by {spoilt}"):
            pack([DOCUMENTS[0], replace(DOCUMENTS[1], weights=weights)])
    with pytest.raises(RigError, match="this model's layout"):
        model(pack([replace(DOCUMENTS[0], frames=DOCUMENTS[0].frames * 2)]))
    with pytest.raises(RigError, match="resize them"):
        model(pack([replace(DOCUMENTS[0], frames=(np.zeros((64, 64, 3), np.uint8),))]))
    with pytest.raises(UnknownNameError, match="Did you mean 'small'"):
        PRESETS.get("smal")


def test_layout_and_sizes_of_the_presets():
    for name in ("debug", "small"):
        layout = PRESETS.get(name).layout
        assert (layout.read_tokens, layout.write_tokens, layout.image_alignment) == (81, 81, 256)
        assert PRESETS.get(name).vq.downsampling == 16
    small = RIG(PRESETS.get("small"), seed=None)
    assert 5e6 < sum(parameter.numel() for parameter in small.parameters()) < 10e6
    janus = RIG(PRESETS.get("janus-1b"), seed=None)
    assert round(sum(parameter.numel() for parameter in janus.parameters()) / 1e6, 1) == 2076.6


def test_a_pack_may_hold_text_alone(model):
    length = 7
    text = TokenSequence(
        ids=np.arange(length, dtype=np.int32),
        kinds=np.zeros(length, np.uint8),
        roles=np.full(length, Role.THOUGHT, np.uint8),
        weights=(np.arange(length) > 2).astype(np.float32),
        positions=np.arange(length, dtype=np.int32),
        frames=(),
    )
    out = model(pack([text]))
    assert out.text_logits.shape == (4, CONFIG.decoder.vocab_size)
    assert out.code_logits.shape == (0, CONFIG.vq.codebook_size)
