"""What new tokens of rows attend to in the cache: each to its own row, up to itself.

New tokens of a row are a span of its columns: one token while it writes, many while it reads. On a CPU, neighbours with
one token each are one call over the longest of them, or a call for each where their lengths differ much, because time
goes into reading the cache. What rows rest on is read once, by the queries of all of them, and joined with what each
finds in its own piece. On a GPU all spans are one call of the variable length flash kernel over the cache as pages.

T: new tokens of all rows, t: of some, n: rows, H: query heads, K: key and value heads, d: head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rig.engine.cache import KVCache, Piece

Attend = Callable[[int, Tensor], Tensor]
"""(layer, q [T, H, d]) to [T, H, d]."""
_ALONE = 1.25
_ALONE_AMONG_THREADS = 1.75
"""On a CPU, a row read by a call of its own takes so many times as long as one that shares its call; more where threads
meet at the end of every call."""


class Span(NamedTuple):
    """New tokens of a row: the columns from `start` to before `stop`, all in the last of the row's pieces, its own."""

    pieces: Sequence[Piece]
    start: int
    stop: int

    @property
    def own(self) -> Piece:
        """The row's own piece."""
        return self.pieces[-1]

    @property
    def tokens(self) -> int:
        """How many they are."""
        return self.stop - self.start

    @property
    def extent(self) -> int:
        """How many places of the row's own piece the last of them sees."""
        return self.stop - self.own.start

    def adjoins(self, other: Span) -> bool:
        """Return True where the row's own piece lies behind one that is as large."""
        return (self.own.at, self.own.size) == (other.own.end, other.own.size)


class Look(NamedTuple):
    """One call: what some tokens see in the cache, as many of each row as of every other.

    Attributes:
        tokens: which of the tokens of all rows.
        at: the place that the first row sees first.
        extent: how many places each row sees.
        mask: added to scores, [rows, 1, 1, extent] or [t, extent].
        rows: how many rows there are.
        apart: how far the places of one row are from those of the next.
    """

    tokens: slice | Tensor
    at: int
    extent: int
    mask: Tensor | None = None
    rows: int = 1
    apart: int = 0

    def read(self, cache: KVCache, layer: int) -> tuple[Tensor, Tensor]:
        """Return the keys and values that it sees, each [rows, K, extent, d]."""
        return cache.read(layer, self.at, self.extent, self.rows, self.apart)


def attention_over(cache: KVCache, spans: Sequence[Span]) -> Attend:
    """Return the attention of the tokens of `spans`, whose keys and values are in the cache."""
    if cache.is_paged:
        return _paged(cache, spans)
    shared = _shared(spans)
    own = _own(cache, spans, joined=bool(shared))
    return _joined(cache, own, shared) if shared else _separate(cache, own)


def _separate(cache: KVCache, looks: Sequence[Look]) -> Attend:
    """Return the attention of tokens that see all of their row in one look."""

    def see(look: Look, layer: int, q_THd: Tensor) -> Tensor:
        q_tHd, seen = q_THd[look.tokens], look.read(cache, layer)
        return _see_one_each(q_tHd, *seen, look.mask) if len(q_tHd) == look.rows else _see_on(q_tHd, *seen, look.mask)

    if len(looks) == 1 and isinstance(looks[0].tokens, slice):
        return partial(see, looks[0])

    def attend(layer: int, q_THd: Tensor) -> Tensor:
        out = torch.empty_like(q_THd)
        for look in looks:
            out[look.tokens] = see(look, layer, q_THd)
        return out

    return attend


def _joined(cache: KVCache, own: Sequence[Look], shared: Sequence[Look]) -> Attend:
    """Return the attention of tokens that see their row in several looks, each weighed by the sum it was divided by."""

    def tell(look: Look, layer: int, q_THd: Tensor) -> tuple[Tensor, Tensor]:
        q_tHd, seen = q_THd[look.tokens], look.read(cache, layer)
        return _tell_one_each(q_tHd, *seen, look.mask) if len(q_tHd) == look.rows else _tell_on(q_tHd, *seen, look.mask)

    def attend(layer: int, q_THd: Tensor) -> Tensor:
        out = torch.empty_like(q_THd, dtype=torch.float32)
        logs = out.new_empty(out.shape[:2])
        for look in own:
            out[look.tokens], logs[look.tokens] = tell(look, layer, q_THd)
        for look in shared:
            found, log = tell(look, layer, q_THd)
            share = torch.sigmoid(log - logs[look.tokens])[..., None]
            out[look.tokens] = torch.lerp(out[look.tokens], found.float(), share)
            logs[look.tokens] = torch.logaddexp(logs[look.tokens], log)
        return out.to(q_THd.dtype)

    return attend


def _shared(spans: Sequence[Span]) -> list[Look]:
    """Return the looks at pieces that rows rest on: the queries of all of them are those of one row."""
    resting: dict[Piece, list[int]] = {}
    for first, span in _numbered(spans):
        for piece in span.pieces[:-1]:
            resting.setdefault(piece, []).extend(range(first, first + span.tokens))
    return [Look(_which(tokens), piece.at, piece.size) for piece, tokens in resting.items()]


def _own(cache: KVCache, spans: Sequence[Span], *, joined: bool) -> list[Look]:
    """Return looks in which every token sees what its row's own piece holds, up to itself."""
    looks = [_onwards(cache, first, span, joined=joined) for first, span in _numbered(spans) if span.tokens > 1]
    rows: list[list[tuple[int, Span]]] = []
    for first, span in sorted(_numbered(spans), key=lambda numbered: numbered[1].own.at):
        if span.tokens == 1:
            if not rows or not span.adjoins(rows[-1][-1][1]):
                rows.append([])
            rows[-1].append((first, span))
    return looks + [look for neighbours in rows for look in _one_each(cache, neighbours)]


def _numbered(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Return each span beside the index of its first token among those of all."""
    return zip(accumulate((span.tokens for span in spans), initial=0), spans, strict=False)


def _which(tokens: Sequence[int]) -> slice | Tensor:
    stop = tokens[0] + len(tokens)
    return slice(tokens[0], stop) if list(tokens) == list(range(tokens[0], stop)) else torch.tensor(tokens)


def _onwards(cache: KVCache, first: int, span: Span, *, joined: bool) -> Look:
    """Return the look of many tokens of one row, each up to itself."""
    before = span.start - span.own.start
    is_plain = not before and not joined
    mask = None if is_plain else cache.block.new_full((span.tokens, span.extent), -torch.inf).triu(before + 1)
    return Look(slice(first, first + span.tokens), span.own.at, span.extent, mask)


def _one_each(cache: KVCache, numbered: Sequence[tuple[int, Span]]) -> list[Look]:
    """Return the looks of one token per row, of rows whose own pieces lie side by side."""
    firsts, spans = zip(*numbered, strict=True)
    extents = [span.extent for span in spans]
    rows, longest, own = len(spans), max(extents), spans[0].own
    alone = _ALONE if torch.get_num_threads() == 1 else _ALONE_AMONG_THREADS
    if cache.block.device.type == "cpu" and rows * longest > alone * sum(extents):
        return [Look(slice(first, first + 1), span.own.at, span.extent) for first, span in numbered]
    mask = _beyond(torch.tensor(extents), longest, cache.block) if min(extents) < longest else None
    return [Look(_which(firsts), own.at, longest, mask, rows, own.size)]


def _beyond(lengths: Tensor, extent: int, like: Tensor) -> Tensor:
    """Return the mask [n, 1, 1, extent] to be added to scores: -inf beyond each row's own length."""
    later = torch.arange(extent) >= lengths[:, None]
    return torch.zeros(later.shape, dtype=like.dtype).masked_fill_(later, -torch.inf)[:, None, None].to(like.device)


def _see_one_each(q_nHd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Return what the heads of one token per row find.

    The query heads of a group stand as so many queries beside each other, but on a CPU in bfloat16, where attention is
    twice as fast over one query at a time.
    """
    if keys.device.type == "cpu" and keys.dtype == torch.bfloat16:
        return scaled_dot_product_attention(q_nHd[:, :, None], keys, values, mask, enable_gqa=True)[:, :, 0]
    grouped = q_nHd.unflatten(1, (keys.shape[1], -1))
    return scaled_dot_product_attention(grouped, keys, values, mask).flatten(1, 2)


def _see_on(q_tHd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Return what many tokens of one row find; without a mask, each up to itself."""
    q = q_tHd.transpose(0, 1)[None]
    found = scaled_dot_product_attention(q, keys, values, mask, is_causal=mask is None, enable_gqa=True)
    return found[0].transpose(0, 1)


_telling = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""What `scaled_dot_product_attention` runs on a CPU; it also returns the logarithms of what it divided by. Not every
torch's knows of groups of query heads, so they stand as so many queries."""


def _tell_one_each(q_nHd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return what the heads of one token per row find, [n, H, d], and the logarithms, [n, H]."""
    found, log = _telling(q_nHd.unflatten(1, (keys.shape[1], -1)), keys, values, attn_mask=mask)
    return found.flatten(1, 2), log.flatten(1, 2)


def _tell_on(q_tHd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return what many tokens find in one row, all of it but for the mask, [t, H, d], and the logarithms, [t, H]."""
    grouped = q_tHd.unflatten(1, (keys.shape[1], -1)).transpose(0, 1)
    tokens, groups = grouped.shape[1:3]
    masks = None if mask is None else mask.repeat_interleave(groups, 0)
    told = _telling(grouped.flatten(1, 2)[None], keys, values, attn_mask=masks)
    found, log = (x[0].unflatten(1, (tokens, groups)).transpose(0, 1).flatten(1, 2) for x in told)
    return found, log


def _paged(cache: KVCache, spans: Sequence[Span]) -> Attend:
    def on_device(values: list[Any]) -> Tensor:
        return torch.tensor(values, dtype=torch.int32).to(cache.block.device, non_blocking=True)

    counts, stops = [span.tokens for span in spans], [span.stop for span in spans]
    table = on_device([pages_of(cache, span) for span in spans])
    boundaries = on_device([0, *accumulate(counts)])
    return paged_attention(cache, boundaries, on_device(stops), table, max(counts), max(stops))


def pages_of(cache: KVCache, span: Span) -> list[int]:
    """Return the pages on which a row stands, all of them."""
    return [at for piece in span.pieces for at in range(piece.at // cache.page, piece.end // cache.page)]


def paged_attention(
    cache: KVCache, boundaries: Tensor, lengths: Tensor, table: Tensor, most: int, longest: int
) -> Attend:
    """Return the attention of new tokens, n rows of them, over a cache that is read as pages.

    Args:
        cache: the cache.
        boundaries: int32 [n + 1], where each row's tokens begin among all.
        lengths: int32 [n], the tokens that each row's last one sees.
        table: int32 [n, pages of a row].
        most: no row has more new tokens.
        longest: no row is longer.
    """
    varlen_attn: Any = import_module("torch.nn.attention.varlen").varlen_attn
    heads, page = cache.block.shape[2] // 2, cache.page

    def attend(layer: int, q_THd: Tensor) -> Tensor:
        paged = cache.block[layer].unflatten(0, (-1, page))
        attended: Tensor = varlen_attn(
            q_THd, paged[:, :, :heads], paged[:, :, heads:], boundaries, None, most, longest,
            window_size=(-1, 0), enable_gqa=True, seqused_k=lengths, block_table=table,
        )  # fmt: skip
        return attended

    return attend
