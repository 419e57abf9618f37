"""The LLaMA-style decoder: RMSNorm, rotary positions, grouped-query attention and SwiGLU.

A layer is two functions over tokens, `project` (up to attention) and `finish` (after it), so that training, cached
generation and `torch.compile` share them and attention itself stays outside: it alone depends on the documents.

T: tokens, D: width, H: query heads, K: key and value heads, d: head width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rig.model.attention import Attend
from rig.model.config import DecoderConfig
from rig.model.recompute import Recomputed

Project = Callable[["DecoderLayer", Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
Finish = Callable[["DecoderLayer", Tensor, Tensor], Tensor]


class RMSNorm(nn.Module):
    """Scales each token to unit root mean square, then by a learned weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x, in its own dtype."""
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    """The four projections of attention; who attends to whom is the caller's."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        keys = config.num_kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.num_heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=False)


class SwiGLU(nn.Module):
    """The gated MLP."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the MLP's output, [..., D]."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(Recomputed):
    """The parameters of one layer; `project` and `finish` compute with them, in training inside `forward`."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config)

    def compute(self, x_TD: Tensor, cos: Tensor, sin: Tensor, attend: Attend, blocks: tuple[Project, Finish]) -> Tensor:
        """Return the layer's output [T, D], as a whole, so that what shards or recomputes layers finds its bounds."""
        before, after = blocks
        return after(self, x_TD, attend(*before(self, x_TD, cos, sin)))


def rotary(positions: Tensor, config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """Return (cos, sin), float32 [T, d/2], of positions [T], which need not be consecutive."""
    exponents = torch.arange(0, config.head_dim, 2, device=positions.device, dtype=torch.float32) / config.head_dim
    angles = positions.float()[:, None] * config.rope_theta**-exponents
    return angles.cos(), angles.sin()


def project(layer: DecoderLayer, x_TD: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the queries [T, H, d], keys [T, K, d] and values [T, K, d] of a layer."""
    attention = layer.self_attn
    normed = layer.input_layernorm(x_TD)
    q, k, v = (
        linear(normed).unflatten(-1, (-1, attention.head_dim))
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return _rotate(q, cos, sin), _rotate(k, cos, sin), v


def finish(layer: DecoderLayer, x_TD: Tensor, attended_THd: Tensor) -> Tensor:
    """Return the layer's output [T, D] from its input and what its heads attended to."""
    x_TD = x_TD + layer.self_attn.o_proj(attended_THd.flatten(-2))
    return x_TD + layer.mlp(layer.post_attention_layernorm(x_TD))


def _rotate(x_THd: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x_THd.chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x_THd.dtype)


class Decoder(nn.Module):
    """The stack of layers with the text embedding and the final norm."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([DecoderLayer(config) for _ in range(config.num_layers)])
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self._training_blocks: tuple[Project, Finish] = (project, finish)

    @property
    def blocks(self) -> list[DecoderLayer]:
        """The layers, first to last."""
        return cast("list[DecoderLayer]", list(self.layers))

    def compile_blocks(self, backend: str) -> None:
        """Compile what stands between the attentions, for training: there T is constant."""
        self._training_blocks = (
            torch.compile(project, dynamic=False, backend=backend),
            torch.compile(finish, dynamic=False, backend=backend),
        )

    def uncompile_blocks(self) -> None:
        """Train as if nothing had ever been compiled."""
        self._training_blocks = (project, finish)

    def forward(self, x_TD: Tensor, positions_T: Tensor, attend: Attend) -> Tensor:
        """Return the normed hidden states [T, D] of embedded tokens [T, D]."""
        cos, sin = rotary(positions_T, self.config)
        blocks = self._training_blocks if self.training else (project, finish)
        for layer in self.blocks:
            x_TD = layer(x_TD, cos, sin, attend, blocks)
        return self.norm(x_TD)
