"""New tokens attend to all that stands before them in their own row, and to nothing else, however they are grouped."""

import math

import pytest
import torch

from rig.engine import attend as attending
from rig.engine.attend import Span, attention_over
from rig.engine.cache import PAGE, KVCache, Piece
from rig.model import DecoderConfig

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

CONFIG = DecoderConfig(
    vocab_size=8, hidden_size=16, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8, intermediate_size=16
)
CAPACITY = 40


def filled(dtype=torch.float32, device="cpu", times=1):
    generator = torch.Generator().manual_seed(0)
    cache = KVCache(CONFIG, CAPACITY, like=torch.zeros(1, dtype=dtype, device=device))
    cache.grow(6 * CAPACITY * times)
    cache.block.copy_(torch.randn(cache.block.shape, generator=generator))
    return cache, generator


def row(slot, start, stop, *shared):
    """New tokens of a row that rests on `shared` and goes on in a slot of the pool."""
    begin = shared[-1].stop if shared else 0
    return Span([*shared, Piece(begin, CAPACITY, slot * CAPACITY)], start, stop)


def written_out(cache, spans, layer, q):
    """Softmax of scaled products over the columns up to each token's own, head by head."""
    out, at = torch.empty_like(q), 0
    heads, groups = CONFIG.num_kv_heads, CONFIG.num_heads // CONFIG.num_kv_heads
    for span in spans:
        places = [piece.at + offset for piece in span.pieces for offset in range(piece.size)]
        for column in range(span.start, span.stop):
            seen = cache.block[layer, places[: column + 1]].cpu().float()
            for head in range(CONFIG.num_heads):
                keys, values = seen[:, head // groups], seen[:, heads + head // groups]
                shares = (keys @ q[at, head].float() / math.sqrt(CONFIG.head_dim)).softmax(0)
                out[at, head] = shares @ values
            at += 1
    return out


TRUNK = Piece(0, 12, 0)
BRANCH = Piece(12, 20, 2 * CAPACITY)
SPANS = {
    "one row": [row(0, 9, 10)],
    "level": [row(slot, 19, 20) for slot in range(6)],
    "ragged": [row(slot, 3 + 6 * slot, 4 + 6 * slot) for slot in range(6)],
    "with gaps": [row(1, 4, 5), row(3, 33, 34), row(4, 7, 8)],
    "in no order": [row(4, 7, 8), row(1, 4, 5), row(0, 33, 34)],
    "from nothing": [row(2, 0, 12)],
    "onwards": [row(2, 5, 12), row(5, 30, 40)],
    "all sorts": [row(0, 0, 7), row(1, 12, 13), row(2, 8, 11), row(3, 30, 31), row(5, 2, 3)],
    "forks": [row(slot, 14, 15, TRUNK) for slot in range(1, 5)],
    "forks and their parent": [row(0, 17, 18), *[row(slot, 12 + slot, 13 + slot, TRUNK) for slot in range(1, 5)]],
    "forks that read": [row(1, 12, 19, TRUNK), row(2, 14, 19, TRUNK), row(3, 12, 13, TRUNK)],
    "a fork of a fork": [row(2, 25, 26, TRUNK), row(3, 22, 23, TRUNK, BRANCH), row(4, 20, 24, TRUNK, BRANCH)],
    "forks of forks in between": [row(1, 3, 4), row(3, 22, 23, TRUNK, BRANCH), row(0, 9, 10), row(4, 12, 13, TRUNK)],
}


def queries(spans, generator, dtype=torch.float32):
    count = sum(span.tokens for span in spans)
    return torch.randn(count, CONFIG.num_heads, CONFIG.head_dim, generator=generator).to(dtype)


@pytest.mark.parametrize("alone", [0.0, math.inf])
@pytest.mark.parametrize("name", SPANS)
def test_attention_is_as_written_out(monkeypatch, name, alone):
    """In one call over neighbours, or in a call for each."""
    monkeypatch.setattr(attending, "_ALONE", alone)
    cache, generator = filled()
    spans = SPANS[name]
    q = queries(spans, generator)
    attend = attention_over(cache, spans)
    for layer in range(CONFIG.num_layers):
        torch.testing.assert_close(attend(layer, q), written_out(cache, spans, layer, q), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["all sorts", "a fork of a fork"])
def test_half_precision_attends_nearly_alike(name):
    cache, generator = filled(torch.bfloat16)
    spans = SPANS[name]
    q = queries(spans, generator, torch.bfloat16)
    expected = written_out(cache, spans, 1, q)
    torch.testing.assert_close(attention_over(cache, spans)(1, q), expected, atol=0.03, rtol=0.03)


def test_what_forks_share_is_read_once(monkeypatch):
    cache, generator = filled()
    reads = []
    original = KVCache.read
    monkeypatch.setattr(KVCache, "read", lambda *given: (reads.append(given[2:4]), original(*given))[1])
    size = CAPACITY - TRUNK.stop
    spans = [Span([TRUNK, Piece(TRUNK.stop, CAPACITY, CAPACITY + fork * size)], 14, 15) for fork in range(4)]
    attention_over(cache, spans)(0, queries(spans, generator))
    assert sorted(reads) == [(TRUNK.at, TRUNK.size), (CAPACITY, 3)]


def in_pages(span):
    """As many new tokens of a row whose every column has become a page."""
    pieces = [Piece(*(PAGE * value for value in piece)) for piece in span.pieces]
    return Span(pieces, PAGE * span.start, PAGE * span.start + span.tokens)


def by_pages(q, keys, values, cu_q, cu_k, max_q, max_k, *, window_size, enable_gqa, seqused_k, block_table):
    """What torch's variable length attention over pages is documented to be, in plain products."""
    assert (cu_k, window_size, enable_gqa) == (None, (-1, 0), True)
    assert max_k >= seqused_k.max()
    assert {told.dtype for told in (cu_q, seqused_k, block_table)} == {torch.int32}
    out, groups = torch.empty_like(q), q.shape[1] // keys.shape[2]
    for index, used in enumerate(seqused_k.tolist()):
        first, stop = cu_q[index].item(), cu_q[index + 1].item()
        assert stop - first <= max_q
        k, v = (x[block_table[index].long()].flatten(0, 1)[:used].repeat_interleave(groups, 1) for x in (keys, values))
        scores = torch.einsum("thd,shd->hts", q[first:stop], k) / math.sqrt(q.shape[-1])
        later = torch.ones(stop - first, used, dtype=torch.bool).triu(used - (stop - first) + 1)
        out[first:stop] = torch.einsum("hts,shd->thd", scores.masked_fill(later, -torch.inf).softmax(-1), v)
    return out


@pytest.mark.parametrize("name", SPANS)
def test_pages_are_those_of_a_rows_pieces(monkeypatch, name):
    """Without a GPU: the tables that its kernel is given, read by plain products, in pages of four."""
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(varlen, "varlen_attn", by_pages)
    cache, generator = filled()
    cache.page, cache.is_paged = 4, True
    spans = SPANS[name]
    q = queries(spans, generator)
    torch.testing.assert_close(
        attention_over(cache, spans)(0, q), written_out(cache, spans, 0, q), atol=1e-5, rtol=1e-4
    )


def test_a_row_holds_what_is_asked_for_and_whole_pages_on_a_gpu():
    assert filled()[0].columns == CAPACITY
    meta = KVCache(CONFIG, CAPACITY, like=torch.zeros(1, device="meta"))
    assert (meta.columns, meta.page) == (CAPACITY, CAPACITY)
    assert PAGE % 256 == 0, "what the flash kernel takes"
    if torch.cuda.is_available():
        assert KVCache(CONFIG, CAPACITY, like=torch.zeros(1, device="cuda", dtype=torch.bfloat16)).columns == PAGE


def test_room_is_the_first_gap_and_growing_keeps_what_is_there():
    cache, _ = filled()
    taken = [Piece(0, 10, 20), Piece(0, 30, 0), Piece(5, 10, 50)]
    assert cache.room(taken, 20) == 30
    assert cache.room(taken, 21) == 55
    assert cache.room([], 500) == 0
    before, places = cache.block.clone(), cache.places
    cache.grow(places - 1)
    assert cache.places == places
    cache.grow(places + 1)
    assert cache.places == places * 3 // 2
    assert torch.equal(cache.block[:, :places], before)
    assert not cache.block[:, places:].any()
    cache.page = 50
    cache.grow(400)
    assert cache.places == 500, "half of it more, in whole pages"


@pytest.mark.gpu
@pytest.mark.parametrize("name", SPANS)
def test_pages_on_a_gpu_attend_alike(name):
    cache, generator = filled(torch.bfloat16, "cuda", PAGE)
    spans = list(map(in_pages, SPANS[name]))
    q = queries(spans, generator, torch.bfloat16)
    expected = written_out(cache, spans, 0, q)
    assert cache.is_paged
    found = attention_over(cache, spans)(0, q.cuda())
    torch.testing.assert_close(found.cpu(), expected, atol=0.03, rtol=0.03)
