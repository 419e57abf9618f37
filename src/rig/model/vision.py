"""The SigLIP tower that reads images, and the MLP that brings features to the decoder's width.

B: images, N: patches of an image, C: the tower's width, D: the decoder's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rig.model.attention import attend_densely
from rig.model.config import STEM_GROUPS, VisionConfig
from rig.model.recompute import Recomputed

Block = Callable[["VisionLayer", Tensor], Tensor]


class PatchEmbedding(nn.Module):
    """Pixels to patch vectors with a learned place each; a stem sees a texture wherever in a patch it lies."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        *stem, last = _convolutions(config)
        self.stem = nn.Sequential(
            *(nn.Sequential(one, nn.GroupNorm(STEM_GROUPS, one.out_channels), nn.GELU()) for one in stem)
        )
        self.patch_embedding = last
        self.position_embedding = nn.Embedding(config.num_tokens, config.hidden_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return patch vectors [B, N, C] of pixels [B, 3, H, W]."""
        patches = self.patch_embedding(self.stem(pixels.to(self.patch_embedding.weight.dtype)))
        return patches.flatten(2).transpose(1, 2) + self.position_embedding.weight


def _convolutions(config: VisionConfig) -> Iterator[nn.Conv2d]:
    """Yield one over blocks of pixels, and for each of the stem's channels another that halves the side."""
    channels, block = (*config.stem, config.hidden_size), config.patch_size >> len(config.stem)
    yield nn.Conv2d(3, channels[0], block, stride=block)
    for inputs, outputs in pairwise(channels):
        yield nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


class VisionAttention(nn.Module):
    """Attention of every patch to every patch of the same image."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.head_dim = width // config.num_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.projection_layer = nn.Linear(width, width)

    def forward(self, x_BNC: Tensor) -> Tensor:
        """Return what each patch attended to, [B, N, C]."""
        q, k, v = (
            linear(x_BNC).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for linear in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.projection_layer(attend_densely(q, k, v).transpose(1, 2).flatten(-2))


class VisionMLP(nn.Module):
    """The tower's MLP."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nn.Linear(config.hidden_size, width)
        self.fc2 = nn.Linear(width, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the MLP's output, [..., C]."""
        return self.fc2(F.gelu(self.fc1(x)))


class VisionLayer(Recomputed):
    """One pre-norm encoder layer."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.self_attn = VisionAttention(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def compute(self, x_BNC: Tensor, block: Block) -> Tensor:
        """Return the layer's output, [B, N, C], as `block` computes it."""
        return block(self, x_BNC)


def attend_and_mix(layer: VisionLayer, x_BNC: Tensor) -> Tensor:
    """Return the output [B, N, C] of a layer."""
    x_BNC = x_BNC + layer.self_attn(layer.layer_norm1(x_BNC))
    return x_BNC + layer.mlp(layer.layer_norm2(x_BNC))


class VisionEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList([VisionLayer(config) for _ in range(config.num_layers)])


class VisionModel(nn.Module):
    """The tower without a pooling head, as Janus uses it."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = PatchEmbedding(config)
        self.encoder = VisionEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._training_block: Block = attend_and_mix

    def compile_blocks(self, backend: str) -> None:
        """Compile the layers for training: once for all of them, and for any B once it has changed."""
        self._training_block = torch.compile(attend_and_mix, backend=backend)

    def uncompile_blocks(self) -> None:
        """Train as if nothing had ever been compiled."""
        self._training_block = attend_and_mix

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features [B, N, C] of pixels [B, 3, H, W] in [-1, 1]."""
        x_BNC = self.embeddings(pixels)
        block = self._training_block if self.training else attend_and_mix
        for layer in self.encoder.layers:
            x_BNC = layer(x_BNC, block)
        return self.post_layernorm(x_BNC)


class AlignerMLP(nn.Module):
    """Linear layers with GELU between them: brings image features, or code vectors, to the decoder's width."""

    def __init__(self, inputs: int, outputs: int, layers: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, outputs)
        self.hidden_layers = nn.ModuleList([nn.Linear(outputs, outputs) for _ in range(1, layers)])

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] of [..., inputs]."""
        x = self.fc1(x)
        for layer in self.hidden_layers:
            x = layer(F.gelu(x))
        return x


def frames_to_pixels(frames: Tensor) -> Tensor:
    """Return float32 [B, 3, H, W] in [-1, 1] of uint8 frames [B, H, W, 3]."""
    return frames.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


def pixels_to_frames(pixels: Tensor) -> Tensor:
    """Return uint8 frames [B, H, W, 3] of pixels [B, 3, H, W], clipped; the inverse of `frames_to_pixels`."""
    levels = pixels.float().clamp(-1.0, 1.0).add(1.0).mul(127.5).round()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
