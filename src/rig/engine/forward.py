"""The decoder over a cache: many new tokens at once (prefill), or one per row in lock step (decode).

It calls the layers' plain functions even where training has compiled them: shapes change at every call here, and for
short tensors a compiled call saves no more than its guards cost.

T: new tokens of all rows, R: rows, D: the decoder's width, H: query heads, K: key and value heads, d: head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rig.engine.cache import KVCache, lower_triangle
from rig.model.decoder import Decoder, finish, project, rotary


def prefill(
    decoder: Decoder, cache: KVCache, x_TD: Tensor, positions_T: Tensor, spans: Sequence[tuple[int, int, int]]
) -> None:
    """Write the keys and values of new tokens into the cache.

    Args:
        decoder: the decoder.
        cache: the cache.
        x_TD: the tokens' embeddings, row after row.
        positions_T: their positions.
        spans: per row (row, start, stop): the columns that its tokens take.
    """
    cache.clear_to(max(stop for _, _, stop in spans))
    cos, sin = rotary(positions_T, decoder.config)
    counts = [stop - start for _, start, stop in spans]
    masks = [lower_triangle(stop - start, stop, x_TD.device) for _, start, stop in spans]
    last = decoder.config.num_layers - 1
    for index, layer in enumerate(decoder.blocks):
        q_THd, k_TKd, v_TKd = project(layer, x_TD, cos, sin)
        keys, values = cache.layer(index)
        for (row, start, stop), k, v in zip(spans, k_TKd.split(counts), v_TKd.split(counts), strict=True):
            keys[row, :, start:stop] = k.transpose(0, 1)
            values[row, :, start:stop] = v.transpose(0, 1)
        if index == last:
            return
        attended = [
            _attend(q, keys[row, :, :stop], values[row, :, :stop], mask)
            for (row, _, stop), q, mask in zip(spans, q_THd.split(counts), masks, strict=True)
        ]
        x_TD = finish(layer, x_TD, torch.cat(attended))


def _attend(q_THd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    out = scaled_dot_product_attention(
        q_THd.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, is_causal=mask is None, enable_gqa=True
    )
    return out[0].transpose(0, 1)


def decode(
    decoder: Decoder, cache: KVCache, x_RD: Tensor, positions: NDArray[np.int64], columns: NDArray[np.int64]
) -> Tensor:
    """Return the normed hidden states [R, D] of one token per row of the cache, after writing its keys and values.

    Args:
        decoder: the decoder.
        cache: a cache of exactly these R rows.
        x_RD: the tokens' embeddings.
        positions: [R], their positions.
        columns: [R], where each token stands in its row; all before it is its context.
    """
    device, rows, extent = x_RD.device, len(columns), int(columns.max()) + 1
    cache.clear_to(extent)
    cos, sin = rotary(torch.from_numpy(positions).to(device), decoder.config)
    level = bool((columns == columns[0]).all())
    where = torch.from_numpy(columns).to(device)
    every = torch.arange(rows, device=device)
    mask = None if level else _beyond(where, extent, x_RD.dtype)
    for index, layer in enumerate(decoder.blocks):
        q_RHd, k_RKd, v_RKd = project(layer, x_RD, cos, sin)
        keys, values = cache.layer(index)
        for store, new in ((keys, k_RKd), (values, v_RKd)):
            if level:
                store[:, :, extent - 1] = new
            else:
                store[every, :, where] = new
        attended = _attend_one(q_RHd, keys[:, :, :extent], values[:, :, :extent], mask)
        x_RD = finish(layer, x_RD, attended)
    return decoder.norm(x_RD)


def _attend_one(q_RHd: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Return what the heads of one token per row attend to, [R, H, d].

    The query heads of a group stand as so many queries beside each other, but on a CPU in bfloat16, where attention is
    twice as fast over one query at a time.
    """
    if keys.device.type == "cpu" and keys.dtype == torch.bfloat16:
        alone = q_RHd[:, :, None]
        return scaled_dot_product_attention(alone, keys, values, attn_mask=mask, enable_gqa=True)[:, :, 0]
    grouped = q_RHd.unflatten(1, (keys.shape[1], -1))
    return scaled_dot_product_attention(grouped, keys, values, attn_mask=mask).flatten(1, 2)


def _beyond(columns: Tensor, extent: int, dtype: torch.dtype) -> Tensor:
    """Return the mask [R, 1, 1, extent] to be added to scores: -inf beyond each row's own column."""
    later = torch.arange(extent, device=columns.device) > columns[:, None]
    return torch.zeros(later.shape, dtype=dtype, device=columns.device).masked_fill_(later, -torch.inf)[:, None, None]
