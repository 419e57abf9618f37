"""A pack of documents as one row of tokens: what the network trains on.

T: tokens of the pack, padding included; F: frames read in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.dialogue import Kind, Role, TokenSequence
from rig.errors import RigError

PADDING_ID = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedBatch:
    """Documents end to end, with the rows of hidden states that predict something.

    Attributes:
        ids: int64 [T]: text ids, VQ codes, or the placeholder of read images.
        kinds: uint8 [T], values of `rig.dialogue.Kind`.
        positions: int64 [T], counted per document.
        cu_seqlens: boundaries of the documents, from 0 to T; a padding document is one of them.
        frames: uint8 [F, H, W, 3]: the read images in the order of their tokens.
        text_rows: int64 [n]: rows whose hidden state predicts a text token (row t - 1 predicts token t).
        text_targets: int64 [n]: those tokens' ids.
        text_roles: uint8 [n]: those tokens' `rig.dialogue.Role`.
        text_weights: float32 [n]: what their losses are multiplied by, none of them 0.
        code_rows: int64 [m]: rows whose hidden state predicts a VQ code; they stand as many tokens before it as the
            image has begin marks.
        code_targets: int64 [m]: those codes.
        code_weights: float32 [m]: what their losses are multiplied by, none of them 0.
    """

    ids: Tensor
    kinds: Tensor
    positions: Tensor
    cu_seqlens: tuple[int, ...]
    frames: Tensor
    text_rows: Tensor
    text_targets: Tensor
    text_roles: Tensor
    text_weights: Tensor
    code_rows: Tensor
    code_targets: Tensor
    code_weights: Tensor

    def __len__(self) -> int:
        return self.cu_seqlens[-1]

    def to(self, device: torch.device | str) -> PackedBatch:
        """Return the same batch with its tensors on `device`; a GPU copies them while the caller goes on."""
        tensors: dict[str, Any] = {
            field.name: _moved(getattr(self, field.name), torch.device(device))
            for field in fields(self)
            if field.name != "cu_seqlens"
        }
        return replace(self, **tensors)


def pack(sequences: Sequence[TokenSequence], *, length: int | None = None) -> PackedBatch:
    """Return the pack of `sequences`, in their order.

    Args:
        sequences: the documents.
        length: T; what the documents leave of it becomes one padding document that predicts nothing.

    Raises:
        RigError: the documents are longer than `length`, or one asks to predict its first token, or has a weight that
            is no finite number.
    """
    lengths = [len(sequence) for sequence in sequences]
    padding = 0 if length is None else length - sum(lengths)
    if padding < 0:
        raise RigError(f"{len(lengths)} documents of {sum(lengths)} tokens do not fit a pack of {length}")
    for number, sequence in enumerate(sequences):
        _check_weights(number, sequence)
    ids = _join([sequence.ids for sequence in sequences], np.full(padding, PADDING_ID))
    kinds = _join([sequence.kinds for sequence in sequences], np.full(padding, Kind.TEXT)).astype(np.uint8)
    roles = _join([sequence.roles for sequence in sequences], np.zeros(padding)).astype(np.uint8)
    weights = _join([sequence.weights for sequence in sequences], np.zeros(padding)).astype(np.float32)
    text = np.flatnonzero((weights != 0) & (kinds == Kind.TEXT))
    codes = np.flatnonzero((weights != 0) & (kinds == Kind.CODE))
    frames = [frame for sequence in sequences for frame in sequence.frames]
    return PackedBatch(
        ids=_int64(ids),
        kinds=torch.from_numpy(kinds),
        positions=_int64(_join([sequence.positions for sequence in sequences], np.arange(padding))),
        cu_seqlens=tuple(np.cumsum([0, *(count for count in [*lengths, padding] if count)]).tolist()),
        frames=torch.from_numpy(np.stack(frames)) if frames else torch.zeros(0, 0, 0, 3, dtype=torch.uint8),
        text_rows=_int64(text - 1),
        text_targets=_int64(ids[text]),
        text_roles=torch.from_numpy(roles[text]),
        text_weights=torch.from_numpy(weights[text]),
        code_rows=_int64(codes - _strides(kinds, roles)[codes]),
        code_targets=_int64(ids[codes]),
        code_weights=torch.from_numpy(weights[codes]),
    )


def _check_weights(number: int, sequence: TokenSequence) -> None:
    if len(sequence) and sequence.weights[0]:
        raise RigError(f"document {number} asks to predict its first token, before which there is nothing")
    spoilt = np.flatnonzero(~np.isfinite(sequence.weights))
    if len(spoilt):
        raise RigError(
            f"document {number} weighs its token {spoilt[0]} by {sequence.weights[spoilt[0]]}: a finite number, or 0 "
            "for context"
        )


def _moved(value: Tensor, device: torch.device) -> Tensor:
    if device.type == "cuda" and value.device.type == "cpu":
        value = value.pin_memory()  # from other memory a copy keeps the caller waiting
    return value.to(device, non_blocking=True)


def _strides(kinds: NDArray[np.uint8], roles: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return, for every token of a written image, the number of begin marks before it, 1 at the least; else 0."""
    marks = (kinds == Kind.TEXT) & (roles == Role.IMAGE)
    code = kinds == Kind.CODE
    strides = np.zeros(len(kinds), np.int64)
    begins = np.flatnonzero(code & ~np.roll(code, 1))
    ends = np.flatnonzero(code & ~np.roll(code, -1)) + 1
    for begin, end in zip(begins, ends, strict=True):
        others = np.flatnonzero(~marks[:begin])
        strides[begin:end] = max(1, begin - 1 - (others[-1] if len(others) else -1))
    return strides


def _join(parts: list[NDArray], padding: NDArray) -> NDArray:
    return np.concatenate([*parts, padding])


def _int64(values: NDArray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))
