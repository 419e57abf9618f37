"""What new tokens of rows attend to in the cache: each to its own row, up to itself.

New tokens of a row are a span of its columns: one token while it writes, many while it reads. On a CPU, rows with one
token each are one call over the longest of them, or a call for each where their lengths differ much, because time goes
into reading the cache. On a GPU all spans are one call of the variable length flash kernel over the cache as pages.

T: new tokens of all rows, n: rows, H: query heads, K: key and value heads, d: head width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from inspect import signature
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rig.engine.cache import PAGE, KVCache

Attend = Callable[[int, Tensor], Tensor]
"""(layer, q [T, H, d]) to [T, H, d]."""

_ALONE = 1.25
"""On a CPU, a row read by a call of its own takes so many times as long as one that shares its call."""


class Span(NamedTuple):
    """New tokens of a row: the columns from `start` to before `stop` of its slot."""

    slot: int
    start: int
    stop: int

    @property
    def tokens(self) -> int:
        """How many they are."""
        return self.stop - self.start


def attention_over(cache: KVCache, spans: Sequence[Span]) -> Attend:
    """Return the attention of the tokens of `spans`, ascending by slot, whose keys and values are in the cache."""
    block = cache.block
    if block.device.type == "cuda" and block.dtype in (torch.float16, torch.bfloat16) and _has_pages(block.device):
        return _paged(cache, spans)
    firsts = list(accumulate((span.tokens for span in spans), initial=0))[:-1]
    singles = [(first, span) for first, span in zip(firsts, spans, strict=True) if span.tokens == 1]
    many = [(first, span) for first, span in zip(firsts, spans, strict=True) if span.tokens > 1]
    together = _one_each(cache, [span for _, span in singles]) if singles else None
    if not many and together is not None:
        return together
    masks = [_past(span, block.device) for _, span in many]
    where = torch.tensor([first for first, _ in singles], device=block.device)

    def attend(layer: int, q_THd: Tensor) -> Tensor:
        out = torch.empty_like(q_THd)
        if together is not None:
            out[where] = together(layer, q_THd[where])
        for (first, span), mask in zip(many, masks, strict=True):
            keys, values = cache.read(layer, slice(span.slot, span.slot + 1), span.stop)
            q = q_THd[first : first + span.tokens].transpose(0, 1)[None]
            found = scaled_dot_product_attention(
                q, keys, values, attn_mask=mask, is_causal=mask is None, enable_gqa=True
            )
            out[first : first + span.tokens] = found[0].transpose(0, 1)
        return out

    return attend


def _past(span: Span, device: torch.device) -> Tensor | None:
    """Return which columns each token of a span may see, bool [tokens, stop]; None where plainly causal."""
    if not span.start:
        return None
    return torch.ones(span.tokens, span.stop, dtype=torch.bool, device=device).tril(span.start)


def _one_each(cache: KVCache, spans: Sequence[Span]) -> Attend:
    """Return the attention of one token per row."""
    low, high = spans[0].slot, spans[-1].slot + 1
    longest, total = max(span.stop for span in spans), sum(span.stop for span in spans)
    on_cpu = cache.block.device.type == "cpu"
    if on_cpu and (high - low) * longest > _ALONE * total:
        return lambda layer, q_nHd: torch.cat(
            [
                _attend(q, *cache.read(layer, slice(s.slot, s.slot + 1), s.stop))
                for s, q in zip(spans, q_nHd.split(1), strict=True)
            ]
        )
    slots = slice(low, high)
    lengths = torch.ones(high - low, dtype=torch.int64)  # a slot between that runs nothing sees its first column
    inside = torch.tensor([span.slot - low for span in spans])
    lengths[inside] = torch.tensor([span.stop for span in spans])
    mask = _beyond(lengths, longest, cache.block) if (lengths < longest).any() else None
    if len(spans) == high - low:
        return lambda layer, q_nHd: _attend(q_nHd, *cache.read(layer, slots, longest), mask)
    inside = inside.to(cache.block.device)

    def attend(layer: int, q_nHd: Tensor) -> Tensor:
        spread = q_nHd.new_zeros((high - low, *q_nHd.shape[1:])).index_copy_(0, inside, q_nHd)
        return _attend(spread, *cache.read(layer, slots, longest), mask)[inside]

    return attend


def _beyond(lengths: Tensor, extent: int, like: Tensor) -> Tensor:
    """Return the mask [n, 1, 1, extent] to be added to scores: -inf beyond each row's own length."""
    later = torch.arange(extent) >= lengths[:, None]
    return torch.zeros(later.shape, dtype=like.dtype).masked_fill_(later, -torch.inf)[:, None, None].to(like.device)


def _attend(q_nHd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return what the heads of one token per row attend to, [n, H, d].

    The query heads of a group stand as so many queries beside each other, but on a CPU in bfloat16, where attention is
    twice as fast over one query at a time.
    """
    if keys.device.type == "cpu" and keys.dtype == torch.bfloat16:
        alone = q_nHd[:, :, None]
        return scaled_dot_product_attention(alone, keys, values, attn_mask=mask, enable_gqa=True)[:, :, 0]
    grouped = q_nHd.unflatten(1, (keys.shape[1], -1))
    return scaled_dot_product_attention(grouped, keys, values, attn_mask=mask).flatten(1, 2)


@lru_cache(maxsize=8)
def _has_pages(device: torch.device) -> bool:
    try:
        varlen_attn = import_module("torch.nn.attention.varlen").varlen_attn
    except (ImportError, AttributeError):
        return False
    return "block_table" in signature(varlen_attn).parameters and torch.cuda.get_device_capability(device) >= (8, 0)


def _paged(cache: KVCache, spans: Sequence[Span]) -> Attend:
    varlen_attn: Any = import_module("torch.nn.attention.varlen").varlen_attn
    device, pages = cache.block.device, cache.capacity // PAGE
    counts = [span.tokens for span in spans]
    boundaries = torch.tensor([0, *accumulate(counts)], dtype=torch.int32).to(device, non_blocking=True)
    lengths = torch.tensor([span.stop for span in spans], dtype=torch.int32).to(device, non_blocking=True)
    slots = torch.tensor([span.slot for span in spans], dtype=torch.int32)
    table = (slots[:, None] * pages + torch.arange(pages, dtype=torch.int32)).to(device, non_blocking=True)
    longest = max(span.stop for span in spans)
    heads = cache.block.shape[3] // 2

    def attend(layer: int, q_THd: Tensor) -> Tensor:
        paged = cache.block[layer].flatten(0, 1).unflatten(0, (-1, PAGE))
        return varlen_attn(
            q_THd, paged[:, :, :heads], paged[:, :, heads:], boundaries, None, max(counts), longest,
            window_size=(-1, 0), enable_gqa=True, seqused_k=lengths, block_table=table,
        )  # fmt: skip

    return attend
