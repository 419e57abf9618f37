"""New tokens attend to all that stands before them in their own row, and to nothing else, however they are grouped."""

import math

import pytest
import torch

from rig.engine import attend as attending
from rig.engine.attend import Span, attention_over
from rig.engine.cache import PAGE, KVCache
from rig.model import DecoderConfig

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

CONFIG = DecoderConfig(
    vocab_size=8, hidden_size=16, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8, intermediate_size=16
)


def filled(dtype=torch.float32, slots=6, capacity=40):
    generator = torch.Generator().manual_seed(0)
    cache = KVCache(CONFIG, slots, capacity, like=torch.zeros(1, dtype=dtype))
    cache.block.copy_(torch.randn(cache.block.shape, generator=generator))
    return cache, generator


def written_out(cache, spans, layer, q):
    """Softmax of scaled products over the columns up to each token's own, head by head."""
    out, at = torch.empty_like(q), 0
    heads, groups = CONFIG.num_kv_heads, CONFIG.num_heads // CONFIG.num_kv_heads
    for span in spans:
        for column in range(span.start, span.stop):
            for head in range(CONFIG.num_heads):
                keys = cache.block[layer, span.slot, : column + 1, head // groups].float()
                values = cache.block[layer, span.slot, : column + 1, heads + head // groups].float()
                shares = (keys @ q[at, head].float() / math.sqrt(CONFIG.head_dim)).softmax(0)
                out[at, head] = shares @ values
            at += 1
    return out


SPANS = {
    "one row": [Span(0, 9, 10)],
    "level": [Span(slot, 19, 20) for slot in range(6)],
    "ragged": [Span(slot, 3 + 6 * slot, 4 + 6 * slot) for slot in range(6)],
    "with gaps": [Span(1, 4, 5), Span(3, 33, 34), Span(4, 7, 8)],
    "from nothing": [Span(2, 0, 12)],
    "onwards": [Span(2, 5, 12), Span(5, 30, 40)],
    "all sorts": [Span(0, 0, 7), Span(1, 12, 13), Span(2, 8, 11), Span(3, 30, 31), Span(5, 2, 3)],
}


@pytest.mark.parametrize("alone", [0.0, math.inf])
@pytest.mark.parametrize("name", SPANS)
def test_attention_is_as_written_out(monkeypatch, name, alone):
    """In one call over all rows, with what stands in slots between them, or in a call for each."""
    monkeypatch.setattr(attending, "_ALONE", alone)
    cache, generator = filled()
    spans = SPANS[name]
    q = torch.randn(sum(span.tokens for span in spans), CONFIG.num_heads, CONFIG.head_dim, generator=generator)
    attend = attention_over(cache, spans)
    for layer in range(CONFIG.num_layers):
        torch.testing.assert_close(attend(layer, q), written_out(cache, spans, layer, q), atol=1e-5, rtol=1e-4)


def test_half_precision_attends_nearly_alike():
    cache, generator = filled(torch.bfloat16)
    spans = SPANS["all sorts"]
    q = torch.randn(sum(span.tokens for span in spans), CONFIG.num_heads, CONFIG.head_dim, generator=generator)
    q = q.to(torch.bfloat16)
    expected = written_out(cache, spans, 1, q)
    torch.testing.assert_close(attention_over(cache, spans)(1, q), expected, atol=0.03, rtol=0.03)


def test_a_slot_holds_what_is_asked_for_and_whole_pages_on_a_gpu():
    assert filled()[0].capacity == 40
    meta = KVCache(CONFIG, 1, 40, like=torch.zeros(1, device="meta"))
    assert meta.capacity == 40
    assert PAGE % 256 == 0, "what the flash kernel takes"
    if torch.cuda.is_available():
        assert KVCache(CONFIG, 1, 40, like=torch.zeros(1, device="cuda")).capacity == PAGE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the paged kernel needs a GPU")
@pytest.mark.parametrize("name", SPANS)
def test_pages_on_a_gpu_attend_alike(name):
    cache, generator = filled(torch.bfloat16, capacity=PAGE)
    spans = SPANS[name]
    q = torch.randn(sum(span.tokens for span in spans), CONFIG.num_heads, CONFIG.head_dim, generator=generator)
    expected = written_out(cache, spans, 0, q.to(torch.bfloat16))
    cache.block = cache.block.cuda()
    assert attending._has_pages(cache.block.device)
    found = attention_over(cache, spans)(0, q.to(torch.bfloat16).cuda())
    torch.testing.assert_close(found.cpu(), expected, atol=0.03, rtol=0.03)
