"""Trains the VQ tokenizer on frames.

Loss: L1 on pixels, L1 on their differences to the right and below (edges; a feature loss that needs no download), more
weight on the worst cells of each batch (a world of grass otherwise never learns its rare pictures), and the quantizer's
codebook and commitment losses. The codebook comes in late, onto what an unquantized autoencoder has made of the frames:
onto the clusters of its latents, or, where every cell is coded by itself, onto the latents of the pictures that differ
most in any pixel, so that two digits do not share a code. Codes that nothing chose for a while are then moved onto
latents of the current batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rig.errors import RigError
from rig.model import VQModel, best_device, compute_dtype, frames_to_pixels
from rig.train.collages import Collages
from rig.train.config import TokenizerTraining
from rig.train.optimise import build_optimiser, learned_tensors, learning_rate, take_step
from rig.train.order import nth_batch
from rig.train.runs import Run, advance

_CLUSTER_BATCHES = 24


def train_tokenizer(
    frames: NDArray[np.uint8],
    config: TokenizerTraining,
    folder: Path | str,
    *,
    resume: bool = False,
    track: Sequence[str] = (),
) -> tuple[VQModel, dict[str, Any]]:
    """Train a tokenizer on `frames`, uint8 [N, H, W, 3]; return it with its scores on held-out frames.

    In the end its weights are rounded to what float16 can hold, so that it can be given away in half the bytes and
    still writes the same codes.

    The scores: `psnr` (dB, over all held-out pixels), `codebook_use` (share of codes chosen at least once),
    `perplexity` (of the codes' distribution), `frames`. Trackers, named in `track`, are told what is logged.

    Raises:
        RigError: there are fewer frames than are held out, they have another size than the preset, or `Run` refuses
            the folder.
    """
    if len(frames) <= config.held_out:
        raise RigError(
            f"{len(frames)} frames are too few: {config.held_out} are held out; collect more, or hold out fewer"
        )
    if frames.shape[1:] != (config.model.image_size, config.model.image_size, 3):
        raise RigError(
            f"frames of {frames.shape[1:]} where this preset reads {config.model.image_size} pixels a side; choose a "
            f"preset for these frames"
        )
    order = np.random.default_rng(config.seed).permutation(len(frames))
    held_out, train = frames[order[: config.held_out]], order[config.held_out :]
    with Run(folder, config, resume=resume, track=track) as run:
        collages = (
            Collages(frames[train], config.model.downsampling, seed=config.seed) if _uses_collages(config) else None
        )
        batches = _batches(frames, train, config, collages)
        trainer = _TokenizerTrainer(config, run, batches, collages.cells if collages else None)
        advance(run, config, trainer, name="train-tokenizer", shown=("l1", "used"))
        trainer.model.half().float()
        scores = score_tokenizer(trainer.model, held_out)
        run.log(config.steps, {f"held_out/{name}": value for name, value in scores.items()})
    return trainer.model, scores


def score_tokenizer(model: VQModel, frames: NDArray[np.uint8], *, batch_size: int = 32) -> dict[str, float]:
    """Return PSNR over all pixels, codebook use and perplexity of `model` on frames, uint8 [N, H, W, 3]."""
    device = next(model.parameters()).device
    error, counts = 0.0, torch.zeros(model.config.codebook_size, dtype=torch.float64)
    model.eval()
    with torch.no_grad():
        for start in range(0, len(frames), batch_size):
            pixels = frames_to_pixels(torch.from_numpy(frames[start : start + batch_size]).to(device))
            codes = model.encode(pixels)
            rebuilt = model.decode_codes(codes).clamp(-1, 1)
            error += float(F.mse_loss(rebuilt, pixels, reduction="sum"))
            counts += torch.bincount(codes.flatten().cpu(), minlength=len(counts))
    shares = counts / counts.sum()
    entropy = -(shares[shares > 0] * shares[shares > 0].log()).sum()
    mean_error = error / (frames.size * 4)  # pixels run over [-1, 1]: a range of 2
    return {
        "psnr": float(-10 * np.log10(max(mean_error, 1e-12))),
        "codebook_use": float((counts > 0).double().mean()),
        "perplexity": float(entropy.exp()),
        "frames": float(len(frames)),
    }


class _TokenizerTrainer:
    def __init__(
        self,
        config: TokenizerTraining,
        run: Run,
        batch: Callable[[int], NDArray[np.uint8]],
        cells: NDArray[np.uint8] | None,
    ) -> None:
        self.config, self.device, self.batch, self.cells = config, best_device(), batch, cells
        self.model = VQModel(config.model, seed=config.seed).to(self.device).train()
        self.parameters = dict(self.model.named_parameters())
        self.optimiser = build_optimiser(self.parameters, config.optimiser)
        self.used = torch.zeros(config.model.codebook_size, dtype=torch.int64)
        self.step = 0
        self.first_quantized = int(config.continuous * config.steps)
        state = self.state()
        if run.load_state(state):
            self.step = int(state["step"])
        run.note_runs_in(self.step, self.device)

    def train_step(self) -> dict[str, float]:
        """Train on one batch; return what to log."""
        if self.step == self.first_quantized:
            self._set_codebook()
        config = self.config
        pixels = self._pixels(self.batch(self.step))
        dtype = compute_dtype(self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            output = self.model(pixels, quantize=self.step >= self.first_quantized)
        error = (output.reconstruction.float() - pixels).abs()
        edges = sum(_differences(output.reconstruction.float(), pixels))
        cells = F.avg_pool2d(error.square().mean(1), config.model.downsampling).add(1e-8).sqrt().flatten()
        hard = cells.topk(max(1, int(config.hard_share * len(cells)))).values.mean()
        reconstruction = error.mean() + config.edge_weight * edges + config.hard_weight * hard
        loss = reconstruction + output.codebook_loss + output.commitment_loss
        loss.backward()
        rate = learning_rate(self.step, config.steps, config.optimiser)
        take_step(self.optimiser, self.parameters.values(), rate, config.optimiser.clip)
        self.used += torch.bincount(output.codes.flatten().cpu(), minlength=len(self.used))
        used = float((self.used > 0).float().mean())
        due = config.revive_every and (self.step + 1) % config.revive_every == 0
        if due and self.first_quantized <= self.step < 0.9 * config.steps:
            self._revive(pixels)
        means = {"loss": loss, "l1": error.mean(), "hard": hard}
        return {**{name: float(value.detach()) for name, value in means.items()}, "used": used, "rate": rate}

    def _set_codebook(self) -> None:
        """Put the codes onto what the model makes of the frames; see the module."""
        count = len(self.used)
        with torch.no_grad():
            if self.cells is not None and len(self.cells) >= count:
                centres = self._latents(self._pixels(self.cells[distinct_pictures(self.cells, count)]))
            else:
                found = [self._latents(self._pixels(self.batch(number))) for number in range(_CLUSTER_BATCHES)]
                centres = spherical_kmeans(torch.cat(found), count, seed=self.config.seed)
            self.model.quantize.embedding.weight.copy_(centres)
        self.used.zero_()

    def _pixels(self, frames: NDArray[np.uint8]) -> Tensor:
        return frames_to_pixels(torch.from_numpy(frames).to(self.device))

    def _latents(self, pixels: Tensor) -> Tensor:
        """Return the unit latents [n, c] of every cell of images."""
        return F.normalize(self.model.latents(pixels), dim=-1).flatten(0, 2)

    def _revive(self, pixels: Tensor) -> None:
        """Move codes that nothing chose since the last time onto latents of the batch; those of hard cells first."""
        dead = (self.used == 0).nonzero()[:, 0]
        self.used.zero_()
        if not len(dead):
            return
        with torch.no_grad():
            latents = self._latents(pixels)
            vectors = F.normalize(self.model.quantize.embedding.weight, dim=-1)
            far = 1 - (latents @ vectors.T).max(-1).values
            random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
            chosen = torch.multinomial(far.cpu().clamp_min(1e-6), min(len(dead), len(latents)), generator=random)
            self.model.quantize.embedding.weight[dead[: len(chosen)]] = latents[chosen]

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run begins with: the trainer's own tensors, and a copy of its step."""
        learned = learned_tensors(self.parameters, self.optimiser)
        return {"step": torch.tensor(self.step), "used": self.used, **learned}


def distinct_pictures(cells: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Return the indices of `count` of the cells [n, h, w, 3], each as far as can be from those before it.

    Far is what differs much in any one pixel, averaged over 2 × 2 so that a shift of texture counts less than a digit.
    """
    n, height, width, channels = cells.shape
    coarse = cells.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4), dtype=np.float32).reshape(n, -1)
    chosen = np.zeros(count, np.int64)
    nearest = np.abs(coarse - coarse[0]).max(1)
    for number in range(1, count):
        chosen[number] = nearest.argmax()
        nearest = np.minimum(nearest, np.abs(coarse - coarse[chosen[number]]).max(1))
    return chosen


def spherical_kmeans(points: Tensor, count: int, *, seed: int, rounds: int = 20) -> Tensor:
    """Return `count` centres [count, c] of unit vectors [n, c] by cosine, each the unit mean of its points.

    The first centres are points far from those chosen before; a centre that loses its points goes to the worst served.
    """
    random = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(points), (1,), generator=random))
    centres = [points[first]]
    nearest = points @ points[first]
    for _ in range(count - 1):
        centres.append(points[int(nearest.argmin())])
        nearest = torch.maximum(nearest, points @ centres[-1])
    found = torch.stack(centres)
    for _ in range(rounds):
        similarity, owner = (points @ found.T).max(-1)
        sums = torch.zeros_like(found).index_add_(0, owner, points)
        empty = (torch.bincount(owner, minlength=count) == 0).nonzero()[:, 0]
        sums[empty] = points[similarity.argsort()[: len(empty)]]
        found = F.normalize(sums, dim=-1)
    return found


def _differences(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean absolute error of the differences to the right and below of images [B, 3, H, W]."""
    return tuple(F.l1_loss(a.diff(dim=axis), b.diff(dim=axis)) for axis in (2, 3))  # type: ignore[return-value]


def _uses_collages(config: TokenizerTraining) -> bool:
    return config.model.patch_local and round(config.collages * config.batch_size) > 0


def _batches(
    frames: NDArray[np.uint8], train: NDArray[np.int64], config: TokenizerTraining, collages: Collages | None
) -> Callable[[int], NDArray[np.uint8]]:
    """Return what makes batch `step`, of whole frames and collages."""
    drawn = round(config.collages * config.batch_size) if collages else 0
    whole = config.batch_size - drawn

    def batch(step: int) -> NDArray[np.uint8]:
        chosen = frames[train[nth_batch(step, whole, len(train), (config.seed, 1))]]
        if collages is None:
            return chosen
        return np.concatenate([chosen, collages.draw(drawn, np.random.default_rng([config.seed, 2, step]))])

    return batch
