"""Generation over a model: conversations of interleaved text and images, and frames to codes and back.

Run on its own it has no state but the model; every stream holds its own cache. Token ids only: prompts are the
dialogue's, tasks the policy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rig.engine.packed import PackedDecoder
from rig.engine.rows import Rows
from rig.engine.speculation import ONE_BY_ONE, Speculation
from rig.engine.stream import Stream
from rig.model.rig import RIG
from rig.model.vision import pixels_to_frames

IMAGES_AT_ONCE = 64
"""On a GPU. On a CPU each image is a call of its own: kernels add in another order for another number of images, and
equal codes are to be equal pixels whoever shares the call. It takes at most 1.6 times as long."""
_CODES_ON_CPU = 128
_CODES_ON_GPU = 2048
"""Codes that one pass runs for all rows together, guessed ones included, without taking much longer than with few."""
_FEWEST_CODES = 8
"""With fewer codes a row, guessing saves fewer passes than it makes longer."""


class Engine:
    """A model that generates.

    Args:
        model: the network; put into evaluation mode.
        capacity: tokens that a conversation can hold, with room for the longest that is still to be written
            (`Constraint.limit`), whether or not it gets that long.
    """

    def __init__(self, model: RIG, *, capacity: int) -> None:
        self.model = model.eval()
        self.capacity = capacity
        self._decoder = PackedDecoder(model.model.language_model)

    def refresh(self) -> None:
        """Take over the network's weights as they are now: a network that is learning goes on to generate.

        The network is put into evaluation mode. Whatever is begun from here on decides as with a new engine; recorded
        passes stay valid. Rows that have read something keep what the weights of then made of it, so begin new ones.
        """
        self.model.eval()
        self._decoder.refresh()

    @torch.inference_mode()
    def stream(self, places: int) -> Stream[Any]:
        """Return a stream that serves up to `places` conversations at once, and any number one after the other."""
        return Stream(Rows(self.model, self._decoder, self.capacity, range(places)))

    def speculation_for(
        self, rows: int, *, diagonal_offset: int | None = None, entropy_threshold: float = 0.0
    ) -> Speculation:
        """Return how each of so many rows, which begin with good drafts, should find the codes of an image.

        With a `diagonal_offset`, or `entropy_threshold` above 0, a few passes over the whole image find it. To have it
        exactly takes more of them, each nearly free where few rows share it, since most of it goes into reading the
        weights. A network that writes a stride of codes at a pass has little to gain.

        Args:
            rows: how many write at once.
            diagonal_offset: as in `Speculation`.
            entropy_threshold: as in `Speculation`.
        """
        config = self.model.config
        if diagonal_offset is not None or entropy_threshold > 0:
            return Speculation(codes=None, diagonal_offset=diagonal_offset, entropy_threshold=entropy_threshold)
        at_once = (_CODES_ON_GPU if self.model.device.type == "cuda" else _CODES_ON_CPU) // rows
        worthwhile = config.image_stride == 1 and at_once >= _FEWEST_CODES
        return Speculation(codes=min(at_once, config.vq.num_tokens // 3) - 1) if worthwhile else ONE_BY_ONE

    def bytes_per_pass(self, context: int) -> int:
        """Return the bytes of weights and cache that writing one text token in each row reads at the least.

        Args:
            context: tokens that the rows hold in all.
        """
        config, size = self._decoder.config, self.model.lm_head.weight.element_size()
        cached = 2 * config.num_layers * config.num_kv_heads * config.head_dim * context
        return size * (self._decoder.num_weights + self.model.lm_head.weight.numel() + cached)

    @torch.inference_mode()
    def encode_images(self, frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return the VQ codes [B, write_tokens] of frames [B, H, W, 3], brought to the tokenizer's size.

        Raises:
            RigError: they are no frames.
        """
        vq = self.model.model.vqmodel
        codes = [np.zeros((0, vq.config.num_tokens), np.uint16)]
        return np.concatenate([*codes, *(vq.encode_frames(chunk) for chunk in self._chunks(frames))])

    @torch.inference_mode()
    def decode_images(self, codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Return frames [B, H, W, 3], of the size that the model reads, of VQ codes [B, write_tokens].

        On a CPU in float32, which the tokenizer keeps, equal codes are equal frames, whatever else is decoded.
        """
        vq, size = self.model.model.vqmodel, self.model.config.vision.image_size
        frames = [np.zeros((0, size, size, 3), np.uint8)]
        for chunk in self._chunks(codes.astype(np.int64)):
            pixels = _resized(vq.decode_codes(torch.from_numpy(chunk).to(self.model.device)).float(), size)
            frames.append(pixels_to_frames(pixels).cpu().numpy())
        return np.concatenate(frames)

    def _chunks(self, values: NDArray[Any]) -> Iterator[NDArray[Any]]:
        size = IMAGES_AT_ONCE if self.model.device.type == "cuda" else 1
        for start in range(0, len(values), size):
            yield values[start : start + size]


def _resized(pixels: Tensor, size: int) -> Tensor:
    if pixels.shape[-1] == size:
        return pixels
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
