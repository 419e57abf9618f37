"""The decoder over a cache: any number of new tokens in each row, in one pass.

T: new tokens of all rows, D: the decoder's width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.engine.attend import Attend, Span, attention_over
from rig.engine.cache import KVCache
from rig.engine.packed import PackedDecoder


def run(decoder: PackedDecoder, cache: KVCache, spans: Sequence[Span], keep: Sequence[int]) -> Tensor:
    """Write the keys and values of new tokens into the cache; return hidden states behind the last few of each row.

    Args:
        decoder: the decoder.
        cache: the cache, with the embeddings and positions of the tokens; all that stands before a span in its row is
            its context.
        spans: the columns that each row's tokens take; none is empty.
        keep: for each span, of how many of its last tokens, at least one, to return the normed hidden states.

    Returns:
        [sum of keep, D], row after row.
    """
    places = places_of(spans)
    where = torch.from_numpy(places).to(cache.inputs.device)
    x_TD = cache.inputs[where]
    rotation = decoder.rotation(torch.from_numpy(cache.positions[places]).to(x_TD.device))
    attend = attention_over(cache, spans)
    last = len(decoder.layers) - 1
    x_TD = run_layers(decoder, cache, range(last), x_TD, rotation, where, attend)
    q_THd, joined = decoder.project(last, x_TD, rotation)
    cache.write(last, where, joined)
    if sum(keep) < len(x_TD):
        kept = _kept(spans, keep).to(x_TD.device)
        x_TD, q_THd = x_TD[kept], q_THd[kept]
        ends = [span._replace(start=span.stop - count) for span, count in zip(spans, keep, strict=True)]
        attend = attention_over(cache, ends)
    return decoder.norm(decoder.finish(last, x_TD, attend(last, q_THd)))


def run_layers(
    decoder: PackedDecoder,
    cache: KVCache,
    layers: Iterable[int],
    x_TD: Tensor,
    rotation: Tensor,
    where: Tensor,
    attend: Attend,
) -> Tensor:
    """Return what layers make of tokens [T, D], whose keys and values they keep at the places `where` [T]."""
    for index in layers:
        q_THd, joined = decoder.project(index, x_TD, rotation)
        cache.write(index, where, joined)
        x_TD = decoder.finish(index, x_TD, attend(index, q_THd))
    return x_TD


def places_of(spans: Sequence[Span]) -> NDArray[np.int64]:
    """Return where the tokens of spans stand in the cache."""
    firsts, counts = [span.own.place(span.start) for span in spans], [span.tokens for span in spans]
    if len(spans) == sum(counts):
        return np.array(firsts)
    return np.concatenate([np.arange(first, first + count) for first, count in zip(firsts, counts, strict=True)])


def _kept(spans: Sequence[Span], keep: Sequence[int]) -> Tensor:
    """Return which tokens are the last few of their spans, int64."""
    ends = torch.tensor([span.tokens for span in spans]).cumsum(0).tolist()
    return torch.cat([torch.arange(end - count, end) for end, count in zip(ends, keep, strict=True)])
