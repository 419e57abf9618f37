"""The VQ tokenizer: images to a grid of codes and back, as Janus (LlamaGen) has it.

The quantizer normalises both its input and its codebook to unit length before it looks for the nearest code; the
decoder sees the normalised code. (transformers normalises on decoding only, so its `encode` is no reference.)

Small models fold pixel blocks into channels first (`space_to_depth`), which spares the costly convolutions at full
resolution, and may code every cell by itself (`kernel_size` 1).

B: images, N: codes of an image, c: width of a code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rig.errors import RigError
from rig.model.config import VQConfig
from rig.model.fit import fit_frame
from rig.model.initial import initialise
from rig.model.runtime import refuse_not_numbers
from rig.model.vision import frames_to_pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class VQOutput:
    """What training the tokenizer needs.

    Attributes:
        reconstruction: float [B, 3, H, W], about [-1, 1]; its gradient passes straight through the codes.
        codebook_loss: scalar; draws codes to the latents.
        commitment_loss: scalar; draws latents to their codes, already weighted by `VQConfig.commitment`.
        codes: int64 [B, N] in raster order.
    """

    reconstruction: Tensor
    codebook_loss: Tensor
    commitment_loss: Tensor
    codes: Tensor


class CellNorm(nn.GroupNorm):
    """Normalises each cell by its own channels, all of them together, so that no cell sees another."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised x, [B, C, h, w]."""
        cells = x.movedim(1, -1)
        return super().forward(cells.reshape(-1, cells.shape[-1])).view(cells.shape).movedim(-1, 1)


def _norm(config: VQConfig, channels: int) -> nn.GroupNorm:
    return CellNorm(channels) if config.patch_local else nn.GroupNorm(config.norm_groups, channels, eps=1e-6)


def _conv(config: VQConfig, inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, config.kernel_size, padding=config.kernel_size // 2)


class ResBlock(nn.Module):
    """Two normalised convolutions and a shortcut."""

    def __init__(self, config: VQConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _norm(config, inputs)
        self.conv1 = _conv(config, inputs, outputs)
        self.norm2 = _norm(config, outputs)
        self.conv2 = _conv(config, outputs, outputs)
        self.nin_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, h, w] of [B, inputs, h, w]."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return hidden + (x if self.nin_shortcut is None else self.nin_shortcut(x))


class AttentionBlock(nn.Module):
    """Single-head attention over the cells of an image."""

    def __init__(self, config: VQConfig, channels: int) -> None:
        super().__init__()
        self.norm = _norm(config, channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h, w] of the same shape."""
        normed = self.norm(x)
        q, k, v = (conv(normed).flatten(2).transpose(1, 2)[:, None] for conv in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.proj_out(attended.transpose(1, 2).reshape(x.shape))


class MidBlock(nn.Module):
    """The lowest resolution's middle: block, attention, block."""

    def __init__(self, config: VQConfig, channels: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(config, channels, channels)
        self.attn_1 = None if config.patch_local else AttentionBlock(config, channels)
        self.block_2 = ResBlock(config, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h, w] of the same shape."""
        x = self.block_1(x)
        return self.block_2(x if self.attn_1 is None else self.attn_1(x))


class Downsample(nn.Module):
    """Halves the side; pads at the right and the bottom only, as the original does."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, h/2, w/2] of [B, C, h, w]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles the side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, 2h, 2w] of [B, C, h, w]."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The residual blocks of one resolution, with attention where it is the lowest, and the way to the next."""

    def __init__(self, config: VQConfig, inputs: int, outputs: int, *, blocks: int, attention: bool) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * blocks
        self.block = nn.ModuleList([ResBlock(config, widths[i], outputs) for i in range(blocks)])
        attends = attention and not config.patch_local
        self.attn = nn.ModuleList([AttentionBlock(config, outputs) for _ in range(blocks if attends else 0)])
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, h', w'] of [B, inputs, h, w]."""
        for index, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[index](x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x if self.upsample is None else self.upsample(x)


class ImageEncoder(nn.Module):
    """Pixels to latents."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.space_to_depth = config.space_to_depth
        widths = [config.base_channels * factor for factor in (1, *config.channel_multiplier)]
        last = len(config.channel_multiplier) - 1
        self.conv_in = _conv(config, 3 * config.space_to_depth**2, config.base_channels)
        self.down = nn.ModuleList()
        for index in range(last + 1):
            level = Level(
                config, widths[index], widths[index + 1], blocks=config.num_res_blocks, attention=index == last
            )
            if index != last:
                level.downsample = Downsample(widths[index + 1])
            self.down.append(level)
        self.mid = MidBlock(config, widths[-1])
        self.norm_out = _norm(config, widths[-1])
        self.conv_out = _conv(config, widths[-1], config.latent_channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return latents [B, latent_channels, h, w] of pixels [B, 3, H, W]."""
        x = self.conv_in(F.pixel_unshuffle(pixels, self.space_to_depth))
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class ImageDecoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.space_to_depth = config.space_to_depth
        widths = [config.base_channels * factor for factor in reversed(config.channel_multiplier)]
        inputs = [widths[0], *widths]
        self.conv_in = _conv(config, config.latent_channels, widths[0])
        self.mid = MidBlock(config, widths[0])
        self.up = nn.ModuleList()
        for index, width in enumerate(widths):
            level = Level(config, inputs[index], width, blocks=config.num_res_blocks + 1, attention=index == 0)
            if index != len(widths) - 1:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = _norm(config, widths[-1])
        self.conv_out = _conv(config, widths[-1], 3 * config.space_to_depth**2)

    def forward(self, latents: Tensor) -> Tensor:
        """Return pixels [B, 3, H, W] of latents [B, latent_channels, h, w]."""
        x = self.mid(self.conv_in(latents))
        for level in self.up:
            x = level(x)
        return F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(x))), self.space_to_depth)


class Quantizer(nn.Module):
    """The codebook, on the unit sphere."""

    def __init__(self, config: VQConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.codebook_size, config.code_dim)

    def nearest(self, latents: Tensor) -> Tensor:
        """Return the codes int64 [...] nearest to latents [..., c]; of unit vectors, that is the largest product.

        In full precision always: neighbouring codes are closer to each other than bfloat16 can tell.
        """
        with torch.autocast(latents.device.type, enabled=False):
            codebook = F.normalize(self.embedding.weight.float(), dim=-1)
            return (F.normalize(latents.float(), dim=-1) @ codebook.T).argmax(-1)

    def vectors(self, codes: Tensor) -> Tensor:
        """Return the unit vectors [..., c] of codes [...]."""
        return F.normalize(self.embedding(codes), dim=-1)


class VQModel(nn.Module):
    """The tokenizer. As part of `RIG` it is frozen; trained by itself, `forward` gives the losses.

    Args:
        config: its sizes.
        seed: seed of the first weights; None leaves them to whoever builds the model around it.
    """

    def __init__(self, config: VQConfig, *, seed: int | None = 0) -> None:
        super().__init__()
        self.config = config
        self.encoder = ImageEncoder(config)
        self.quantize = Quantizer(config)
        self.quant_conv = nn.Conv2d(config.latent_channels, config.code_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.code_dim, config.latent_channels, 1)
        self.decoder = ImageDecoder(config)
        if seed is not None:
            initialise(self, seed)

    def latents(self, pixels: Tensor) -> Tensor:
        """Return what is quantized, [B, h, w, c], of pixels [B, 3, H, W] in [-1, 1]."""
        return self.quant_conv(self.encoder(pixels.to(self.quant_conv.weight.dtype))).movedim(1, -1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the codes int64 [B, N], in raster order, of pixels [B, 3, H, W] in [-1, 1].

        Raises:
            RigError: the images have another size than the configuration's.
            CheckpointError: what comes of them are no numbers.
        """
        size = self.config.image_size
        if pixels.shape[1:] != (3, size, size):
            raise RigError(f"images of {tuple(pixels.shape[1:])} where the tokenizer takes (3, {size}, {size})")
        latents = self.latents(pixels)
        refuse_not_numbers(latents, "codes of frames")
        return self.quantize.nearest(latents).flatten(1)

    def encode_frames(self, frames: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """Return the codes uint16 [B, N] of frames uint8 [B, H, W, 3], brought to the configuration's size.

        Raises:
            RigError: they are no frames.
        """
        fitted = np.stack([fit_frame(frame, self.config.image_size) for frame in frames])
        pixels = frames_to_pixels(torch.from_numpy(fitted).to(self.quant_conv.weight.device))
        return self.encode(pixels).cpu().numpy().astype(np.uint16)

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Return pixels [B, 3, H, W], about [-1, 1], of codes [B, N].

        Raises:
            RigError: an image has another number of codes than the configuration's.
            CheckpointError: what comes of them are no numbers.
        """
        grid = self.config.grid
        if codes.shape[1] != grid**2:
            raise RigError(f"images of {codes.shape[1]} codes where the tokenizer writes {grid}×{grid} = {grid**2}")
        pixels = self._render(self.quantize.vectors(codes.long()).unflatten(1, (grid, grid)))
        refuse_not_numbers(pixels, "images")
        return pixels

    def forward(self, pixels: Tensor, *, quantize: bool = True) -> VQOutput:
        """Return the reconstruction of pixels [B, 3, H, W] and the quantizer's losses.

        With `quantize` false the latents pass as they are, and the losses are zero: how training begins.
        """
        latents = F.normalize(self.latents(pixels), dim=-1)
        codes = self.quantize.nearest(latents)
        if not quantize:
            none = latents.new_zeros(())
            rendered = self._render(latents)
            return VQOutput(reconstruction=rendered, codebook_loss=none, commitment_loss=none, codes=codes.flatten(1))
        vectors = self.quantize.vectors(codes)
        return VQOutput(
            reconstruction=self._render(latents + (vectors - latents).detach()),
            codebook_loss=F.mse_loss(vectors, latents.detach()),
            commitment_loss=self.config.commitment * F.mse_loss(latents, vectors.detach()),
            codes=codes.flatten(1),
        )

    def _render(self, vectors: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(vectors.movedim(-1, 1)))
