"""Causal attention inside the documents of a pack, with no mask of pack × pack anywhere.

On a CPU: one causal call per document, in float32 where that is faster. On a GPU: the variable length flash kernel
where this torch and this card have it, else flex attention with a block mask of the documents.

T: tokens of the pack, H: query heads, K: key and value heads, d: head width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from inspect import signature
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(q [T, H, d], k [T, K, d], v [T, K, d]) to [T, H, d]."""

_WIDENED_TO = 600
"""On a CPU, attention over up to so many tokens takes less time in float32 than in bfloat16, most of it backward."""


def attend_densely(q: Tensor, k: Tensor, v: Tensor, *, is_causal: bool = False) -> Tensor:
    """Return what queries [B, H, T, d] take from keys and values [B, K, T, d], in their own dtype."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or q.shape[-2] > _WIDENED_TO:
        return scaled_dot_product_attention(q, k, v, is_causal=is_causal, enable_gqa=True)
    with torch.autocast("cpu", enabled=False):  # which would narrow them again
        wide = scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=is_causal, enable_gqa=True)
        return wide.to(q.dtype)


def attend_within(cu_seqlens: Sequence[int], device: torch.device, dtype: torch.dtype) -> Attend:
    """Return the attention inside documents with the boundaries `cu_seqlens`, which run from 0 to T.

    Queries, keys and values are on `device` and of `dtype`.
    """
    if device.type != "cuda":
        return _loop(cu_seqlens)
    if dtype in (torch.float16, torch.bfloat16) and _has_varlen(device):
        return _varlen(cu_seqlens, device)
    return _flex(cu_seqlens, device)


def _loop(cu_seqlens: Sequence[int]) -> Attend:
    lengths = [end - start for start, end in pairwise(cu_seqlens)]

    def attend(q_THd: Tensor, k_TKd: Tensor, v_TKd: Tensor) -> Tensor:
        documents = zip(q_THd.split(lengths), k_TKd.split(lengths), v_TKd.split(lengths), strict=True)
        return torch.cat([_causal(*document) for document in documents])

    return attend


def _causal(q_THd: Tensor, k_TKd: Tensor, v_TKd: Tensor) -> Tensor:
    q, k, v = (x.transpose(0, 1)[None] for x in (q_THd, k_TKd, v_TKd))
    return attend_densely(q, k, v, is_causal=True)[0].transpose(0, 1)


@lru_cache(maxsize=8)
def _has_varlen(device: torch.device) -> bool:
    try:
        module = import_module("torch.nn.attention.varlen")
    except ImportError:
        return False
    return hasattr(module, "varlen_attn") and torch.cuda.get_device_capability(device) >= (8, 0)


def _varlen(cu_seqlens: Sequence[int], device: torch.device) -> Attend:
    varlen_attn: Any = import_module("torch.nn.attention.varlen").varlen_attn
    boundaries = torch.tensor(cu_seqlens, dtype=torch.int32, device=device)
    longest = max(end - start for start, end in pairwise(cu_seqlens))
    has_window = "window_size" in signature(varlen_attn).parameters
    causal: dict[str, Any] = {"window_size": (-1, 0)} if has_window else {"is_causal": True}

    def attend(q_THd: Tensor, k_TKd: Tensor, v_TKd: Tensor) -> Tensor:
        heads = q_THd.shape[1] // k_TKd.shape[1]
        k, v = (x.repeat_interleave(heads, dim=1) if heads > 1 else x for x in (k_TKd, v_TKd))
        return varlen_attn(q_THd, k, v, boundaries, boundaries, longest, longest, **causal)

    return attend


@lru_cache(maxsize=1)
def _compiled_flex() -> tuple[Any, Any]:
    flex = import_module("torch.nn.attention.flex_attention")
    return torch.compile(flex.flex_attention, dynamic=False), torch.compile(flex.create_block_mask, dynamic=False)


def _flex(cu_seqlens: Sequence[int], device: torch.device) -> Attend:
    flex_attention, create_block_mask = _compiled_flex()
    lengths = torch.tensor([end - start for start, end in pairwise(cu_seqlens)], device=device)
    document = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths, output_size=cu_seqlens[-1])

    def same_document_and_past(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (document[query] == document[key])

    length = cu_seqlens[-1]
    mask = create_block_mask(same_document_and_past, None, None, length, length, device=str(device))

    def attend(q_THd: Tensor, k_TKd: Tensor, v_TKd: Tensor) -> Tensor:
        q, k, v = (x.transpose(0, 1)[None] for x in (q_THd, k_TKd, v_TKd))
        return flex_attention(q, k, v, block_mask=mask, enable_gqa=True)[0].transpose(0, 1)

    return attend
