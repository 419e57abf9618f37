"""The decoder's weights as generation wants them: fewer and larger products, the numbers of the network.

A copy, made when an engine is and brought up to date by `Engine.refresh`: the projections of queries, keys and values
are one matrix, as are those of the MLP's gate and value, and the two halves that rotary positions turn lie beside each
other, so that turning is one complex product. Each layer takes half the operations of the network's own, which is what
one token's time goes into.

T: tokens, D: width, H: query heads, K: key and value heads, d: head width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rig.model.decoder import Decoder, DecoderLayer
from rig.model.parts import merged_weight


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedLayer:
    """One layer's weights.

    Attributes:
        norm_in: [D].
        project: [(H + 2 K) d, D]: queries, keys, values.
        out: [D, H d].
        norm_mlp: [D].
        gate_up: [2 F, D].
        down: [D, F].
    """

    norm_in: Tensor
    project: Tensor
    out: Tensor
    norm_mlp: Tensor
    gate_up: Tensor
    down: Tensor


class PackedDecoder:
    """The decoder of a network as it is now; later changes to the network reach it by `refresh`."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.config = config = decoder.config
        self.layers = [_packed(layer, config.head_dim) for layer in decoder.blocks]
        self._norm_out = decoder.norm.weight.detach().clone()
        self._rates = config.rope_theta ** -(
            torch.arange(0, config.head_dim, 2, device=self._norm_out.device, dtype=torch.float32) / config.head_dim
        )

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the network's weights as they are now, into the memory that recorded passes read."""
        for layer, block in zip(self.layers, self._decoder.blocks, strict=True):
            for name, weight in vars(_packed(block, self.config.head_dim)).items():
                getattr(layer, name).copy_(weight)
        self._norm_out.copy_(self._decoder.norm.weight)

    @property
    def num_weights(self) -> int:
        """How many weights a pass reads."""
        weights: list[Tensor] = [weight for layer in self.layers for weight in vars(layer).values()]
        return sum(weight.numel() for weight in weights) + self._norm_out.numel()

    def rotation(self, positions_T: Tensor) -> Tensor:
        """Return complex64 [T, 1, d/2], by which queries and keys at these positions are turned."""
        angles = positions_T.float()[:, None, None] * self._rates
        return torch.polar(torch.ones_like(angles), angles)

    def project(self, index: int, x_TD: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's queries [T, H, d], and its keys beside its values [T, 2 K, d]."""
        config, layer = self.config, self.layers[index]
        turned = config.num_heads + config.num_kv_heads
        joined = F.linear(self._normed(x_TD, layer.norm_in), layer.project).unflatten(-1, (-1, config.head_dim))
        pairs = torch.view_as_complex(joined[:, :turned].float().unflatten(-1, (-1, 2)))
        joined[:, :turned] = torch.view_as_real(pairs * rotation).flatten(-2)
        return joined[:, : config.num_heads], joined[:, config.num_heads :]

    def finish(self, index: int, x_TD: Tensor, attended_THd: Tensor) -> Tensor:
        """Return a layer's output [T, D] from its input and what its heads attended to."""
        layer = self.layers[index]
        x_TD = x_TD + F.linear(attended_THd.flatten(-2), layer.out)
        gate, up = F.linear(self._normed(x_TD, layer.norm_mlp), layer.gate_up).chunk(2, dim=-1)
        return x_TD + F.linear(F.silu(gate) * up, layer.down)

    def norm(self, x_TD: Tensor) -> Tensor:
        """Return the normed hidden states [T, D] behind the last layer."""
        return self._normed(x_TD, self._norm_out)

    def _normed(self, x_TD: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x_TD, weight.shape, weight, self.config.rms_norm_eps)


def _packed(layer: DecoderLayer, head_dim: int) -> PackedLayer:
    attention, mlp = layer.self_attn, layer.mlp
    with torch.no_grad():  # what is learned by LoRA counts, too
        turned = [_halves_beside(merged_weight(linear), head_dim) for linear in (attention.q_proj, attention.k_proj)]
        return PackedLayer(
            norm_in=layer.input_layernorm.weight.detach().clone(),
            project=_laid(torch.cat([*turned, merged_weight(attention.v_proj)])),
            out=_laid(merged_weight(attention.o_proj)),
            norm_mlp=layer.post_attention_layernorm.weight.detach().clone(),
            gate_up=_laid(torch.cat([merged_weight(mlp.gate_proj), merged_weight(mlp.up_proj)])),
            down=_laid(merged_weight(mlp.down_proj)),
        )


def _laid(weight: Tensor) -> Tensor:
    """Return a copy of a matrix, laid out for products with few tokens.

    In float32 on a CPU they take 0.7 to 0.9 of the time where the weights of one input lie side by side.
    """
    if weight.device.type == "cpu" and weight.dtype == torch.float32:
        return weight.detach().t().clone(memory_format=torch.contiguous_format).t()
    return weight.detach().clone()


def _halves_beside(weight: Tensor, head_dim: int) -> Tensor:
    """Return a projection whose heads have what stood at i and at i + d/2 at 2 i and 2 i + 1.

    Queries and keys both do, so their products are the same.
    """
    pairs: Tensor = weight.unflatten(0, (-1, 2, head_dim // 2))
    return pairs.transpose(1, 2).flatten(0, 2)
