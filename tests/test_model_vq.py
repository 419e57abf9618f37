"""The tokenizer is LlamaGen's by its written-out definition, also where it folds pixels into channels first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from rig.errors import RigError
from rig.model import VQConfig, VQModel, frames_to_pixels, pixels_to_frames

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

FOLDED = VQConfig(
    image_size=48,
    codebook_size=32,
    latent_channels=16,
    base_channels=32,
    channel_multiplier=(1,),
    num_res_blocks=1,
    space_to_depth=16,
)
LEVELS = replace(FOLDED, channel_multiplier=(1, 1, 2), space_to_depth=4)
LOCAL = replace(FOLDED, kernel_size=1)
CONFIGS = pytest.mark.parametrize("config", [FOLDED, LEVELS, LOCAL], ids=["folded", "levels", "local"])


def pixels(count=2, seed=0):
    random = np.random.default_rng(seed)
    return frames_to_pixels(torch.from_numpy(random.integers(0, 256, (count, 48, 48, 3), dtype=np.uint8)))


def quantize_by_definition(z, codebook):
    """LlamaGen's VectorQuantizer with l2_norm, term by term: z [n, c], codebook [K, c]."""
    z = z / z.norm(dim=-1, keepdim=True)
    codebook = codebook / codebook.norm(dim=-1, keepdim=True)
    distances = (z**2).sum(1, keepdim=True) + (codebook**2).sum(1) - 2 * z @ codebook.T
    codes = distances.argmin(1)
    quantized = codebook[codes]
    codebook_loss = ((quantized - z.detach()) ** 2).mean()
    commitment_loss = 0.25 * ((quantized.detach() - z) ** 2).mean()
    return codes, quantized, codebook_loss, commitment_loss


@CONFIGS
def test_quantizer_follows_its_definition(config):
    model = VQModel(config, seed=1)
    with torch.no_grad():
        model.quantize.embedding.weight.mul_(torch.linspace(0.2, 4.0, config.codebook_size)[:, None])
    out = model(pixels())
    latents = model.latents(pixels()).reshape(-1, config.code_dim)
    codes, quantized, codebook_loss, commitment_loss = quantize_by_definition(latents, model.quantize.embedding.weight)
    assert out.codes.flatten().tolist() == codes.tolist()
    torch.testing.assert_close(out.codebook_loss, codebook_loss)
    torch.testing.assert_close(out.commitment_loss, commitment_loss)
    assert torch.equal(model.encode(pixels()), out.codes)
    torch.testing.assert_close(model.quantize.vectors(codes), quantized)
    torch.testing.assert_close(model.decode_codes(out.codes), out.reconstruction, atol=1e-5, rtol=1e-4)


@CONFIGS
def test_gradients_are_those_of_the_definition(config):
    """Straight through the codes for the picture's error, and each loss to the side it draws."""
    model = VQModel(config, seed=1)
    with torch.no_grad():
        model.quantize.embedding.weight.mul_(torch.linspace(0.2, 4.0, config.codebook_size)[:, None])
    found = model(pixels())
    (mse_loss(found.reconstruction, pixels()) + found.codebook_loss + found.commitment_loss).backward()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()

    z = model.latents(pixels())
    flat = z.reshape(-1, config.code_dim)
    _, quantized, codebook_loss, commitment_loss = quantize_by_definition(flat, model.quantize.embedding.weight)
    unit = flat / flat.norm(dim=-1, keepdim=True)
    through = (unit + (quantized - unit).detach()).reshape(z.shape).movedim(-1, 1)
    rendered = model.decoder(model.post_quant_conv(through))
    (mse_loss(rendered, pixels()) + codebook_loss + commitment_loss).backward()
    assert gradients["quantize.embedding.weight"].abs().max() > 0
    for name, value in model.named_parameters():
        torch.testing.assert_close(gradients[name], value.grad, rtol=1e-4, atol=1e-6)


@CONFIGS
def test_shapes_and_straight_through_gradients(config):
    model = VQModel(config, seed=0)
    out = model(pixels())
    assert out.codes.shape == (2, config.num_tokens) == (2, 9)
    assert out.reconstruction.shape == (2, 3, 48, 48)
    mse_loss(out.reconstruction, pixels()).backward()
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())
    assert model.encoder.conv_in.weight.grad.abs().max() > 0
    assert model.quantize.embedding.weight.grad is None


def test_patch_local_codes_and_pixels_depend_on_their_cell_alone():
    image = pixels(1)
    changed = image.clone()
    changed[:, :, 16:32, 32:48] *= -1
    for config, is_local in ((LOCAL, True), (FOLDED, False)):
        model = VQModel(config, seed=0)
        with torch.no_grad():
            differs = (model.latents(image) != model.latents(changed)).any(-1)[0]
            codes = model.encode(image)
            other = codes.clone()
            other[0, 5] = (other[0, 5] + 1) % config.codebook_size
            moved = (model.decode_codes(codes) != model.decode_codes(other)).any(1)[0]
        cells = moved.unfold(0, 16, 16).unfold(1, 16, 16).flatten(2).any(-1)
        assert (differs.nonzero().tolist() == [[1, 2]]) == is_local
        assert (cells.nonzero().tolist() == [[1, 2]]) == is_local


def test_a_few_steps_of_training_lower_the_error():
    model = VQModel(LOCAL, seed=0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    flat = torch.randint(0, 2, (8, 3, 3, 3), generator=torch.Generator().manual_seed(0)) * 1.4 - 0.7
    images = flat.repeat_interleave(16, 2).repeat_interleave(16, 3)
    errors = []
    for _ in range(60):
        out = model(images)
        error = mse_loss(out.reconstruction, images)
        (error + out.codebook_loss + out.commitment_loss).backward()
        optimiser.step()
        optimiser.zero_grad()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.3 * errors[0]


def test_frames_and_pixels_round_trip_and_clip():
    frames = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    found = frames_to_pixels(frames)
    assert found.shape == (1, 3, 16, 16)
    assert (float(found.min()), float(found.max())) == (-1.0, 1.0)
    assert torch.equal(pixels_to_frames(found), frames)
    assert pixels_to_frames(torch.full((1, 3, 2, 2), 7.0)).min() == 255


def test_mistakes_are_named():
    with pytest.raises(RigError, match="with 3 levels"):
        replace(LEVELS, kernel_size=1)
    with pytest.raises(RigError, match="not a multiple of the downsampling 16"):
        replace(FOLDED, image_size=50)
    with pytest.raises(RigError, match="norm_groups"):
        replace(FOLDED, base_channels=40)
    with pytest.raises(RigError, match=r"codebook_size is 131072; .*65536"):
        replace(FOLDED, codebook_size=2**17)
    model = VQModel(FOLDED)
    with pytest.raises(RigError, match="takes \\(3, 48, 48\\)"):
        model.encode(torch.zeros(1, 3, 64, 64))
    codes = model.encode_frames(np.zeros((2, 64, 40, 3), np.uint8))
    assert (codes.shape, codes.dtype) == ((2, 9), np.uint16)
    with pytest.raises(RigError, match="3×3 = 9"):
        model.decode_codes(torch.zeros(1, 16, dtype=torch.long))
