"""How good imagined frames are: PSNR and SSIM per pair, and the Fréchet distance between two sets.

PSNR and SSIM come per image, so that `stats.bootstrap_mean` gives them an interval. The Fréchet distance is "FID" only
over Inception features, whose weights must be brought (`inception`); the default extractor, `random-conv`, is a fixed
random network that needs no download and knows no domain. Its scale is its own: compare its values with each other,
never with published FIDs. Both are biased upwards in small sets, so compare sets of equal size; a score states its
extractor, sizes and, where it is unreliable, why.

A user adds an extractor by registering a factory in `FEATURE_EXTRACTORS` (entry points `rig.feature_extractors`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rig.errors import CheckpointError, MissingDependencyError, RigError
from rig.evaluate.stats import Estimate, bootstrap_mean
from rig.registry import Registry, require

if TYPE_CHECKING:
    import torch

Images = NDArray[np.uint8]
"""RGB images, uint8 [N, H, W, 3]."""

Values = NDArray[np.float64]

PSNR_CEILING = 60.0
"""Where `pair_scores` caps PSNR, in dB. Rounding to 8 bits alone costs 59 dB, so nothing above it is a difference."""

SSIM_WINDOW = 11
SSIM_MODULE = "torchmetrics.functional.image"
BATCH = 64


class FeatureExtractor(Protocol):
    """What turns images into the features whose distributions are compared.

    Attributes:
        name: what a score states: the extractor with everything that its values depend on.
        dims: the number of features.
    """

    name: str
    dims: int

    def __call__(self, images: Images) -> Values:
        """Return the features of uint8 [N, H, W, 3] as float64 [N, dims]."""
        ...


FEATURE_EXTRACTORS: Registry[Callable[..., FeatureExtractor]] = Registry("feature extractor", "rig.feature_extractors")
"""Factories of extractors: `FEATURE_EXTRACTORS.get("inception")(weights=path)`."""


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """Imagined frames against the real ones.

    Attributes:
        psnr: mean PSNR in dB, each pair capped at `PSNR_CEILING`.
        ssim: mean SSIM.
        identical: how many pairs are equal to the last bit; their PSNR counts as the ceiling.
    """

    psnr: Estimate
    ssim: Estimate
    identical: int


@dataclass(frozen=True, kw_only=True)
class FrechetScore:
    """A Fréchet distance with all that its value depends on.

    Attributes:
        value: the squared Fréchet distance, as FID has it; 0 is best.
        extractor: the extractor's name.
        dims: the number of features.
        n: how many imagined images there are.
        n_references: how many real images there are.
        warning: empty, or why the value cannot be trusted.
    """

    value: float
    extractor: str
    dims: int
    n: int
    n_references: int
    warning: str = ""


def psnr(images: Images, references: Images) -> Values:
    """Return the peak signal-to-noise ratio of each pair in dB, float64 [N]; infinite where a pair is identical.

    Raises:
        RigError: the batches are not uint8 [N, H, W, 3] of one shape.
    """
    _check_pairs(images, references)
    errors = [
        np.mean((ours.astype(np.float64) - theirs) ** 2, axis=(1, 2, 3))
        for ours, theirs in _batches(images, references)
    ]
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / np.concatenate(errors))


def ssim(images: Images, references: Images) -> Values:
    """Return the structural similarity of each pair, float64 [N]: Gaussian window 11, sigma 1.5, mean of the channels.

    It is computed in single precision (16 times as fast as double), so that identical images score 1 to within 1e-5.

    Raises:
        RigError: the batches are not uint8 [N, H, W, 3] of one shape, or smaller than the window.
        MissingDependencyError: torchmetrics is not installed.
    """
    _check_pairs(images, references)
    if min(images.shape[1:3]) < SSIM_WINDOW:
        raise RigError(
            f"ssim: images of {images.shape[1:3]} are smaller than its {SSIM_WINDOW} pixel window; enlarge them"
        )
    functional: Any = require(SSIM_MODULE, "eval")
    measure = partial(functional.structural_similarity_index_measure, reduction="none", data_range=255.0)
    found = [measure(_tensor(ours), _tensor(theirs)) for ours, theirs in _batches(images, references)]
    return np.concatenate([np.atleast_1d(batch.double().numpy()) for batch in found])


def pair_scores(
    images: Images, references: Images, *, clusters: Sequence[Hashable] | None = None, seed: int = 0
) -> PairScores:
    """Return mean PSNR and SSIM of the pairs with bootstrap intervals.

    Args:
        images: imagined frames, uint8 [N, H, W, 3].
        references: the real frames, in the same order.
        clusters: the episode of each pair, [N]; the intervals then resample whole episodes.
        seed: of the resampling.
    """
    decibels = psnr(images, references)
    return PairScores(
        psnr=bootstrap_mean(np.minimum(decibels, PSNR_CEILING), clusters=clusters, seed=seed),
        ssim=bootstrap_mean(ssim(images, references), clusters=clusters, seed=seed),
        identical=int(np.isinf(decibels).sum()),
    )


def frechet_score(images: Images, references: Images, extractor: FeatureExtractor | None = None) -> FrechetScore:
    """Return the Fréchet distance between the features of two sets of images.

    Args:
        images: imagined frames, uint8 [N, H, W, 3].
        references: real frames, uint8 [M, H', W', 3]; neither order nor number need be the same.
        extractor: what the features come from; `random-conv` where it is None.

    Raises:
        RigError: a set is not uint8 [N, H, W, 3] with at least two images.
    """
    extractor = extractor or FEATURE_EXTRACTORS.get("random-conv")()
    moments = []
    for name, batch in (("images", images), ("references", references)):
        _check_batch(name, batch)
        if len(batch) < 2:
            raise RigError(f"frechet_score: {name} holds {len(batch)} image; a covariance needs two at least")
        features = np.concatenate([extractor(part) for (part,) in _batches(batch)])
        moments += [features.mean(axis=0), np.cov(features, rowvar=False).reshape(extractor.dims, extractor.dims)]
    fewest = min(len(images), len(references))
    warning = (
        ""
        if fewest > extractor.dims
        else (
            f"{fewest} images for {extractor.dims} features: the covariance is singular and the value biased upwards; "
            f"use more than {extractor.dims}"
        )
    )
    return FrechetScore(
        value=frechet_distance(*moments),
        extractor=extractor.name,
        dims=extractor.dims,
        n=len(images),
        n_references=len(references),
        warning=warning,
    )


def frechet_distance(mean: Values, covariance: Values, other_mean: Values, other_covariance: Values) -> float:
    """Return the squared Fréchet distance between two Gaussians (Dowson & Landau, 1982).

    |m - m'|² + tr(C + C' - 2 (C C')^½), where the last trace is that of the symmetric (C^½ C' C^½)^½: eigenvalues of
    symmetric matrices stay real and need no stabilising offset in singular covariances.

    Args:
        mean: [dims].
        covariance: [dims, dims].
        other_mean: [dims].
        other_covariance: [dims, dims].
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(min=0)).sum()
    shift = float(np.sum((mean - other_mean) ** 2))
    return max(0.0, shift + float(np.trace(covariance) + np.trace(other_covariance) - 2 * cross))


@FEATURE_EXTRACTORS.register("random-conv")
class RandomConv:
    """A fixed random convolutional network: three strided orthogonal layers, pooled to means and deviations.

    Images are resized to `SIZE` first, so that sets of other resolutions can be compared. Every layer is pooled, which
    makes the features see colour, texture and shape; the same image gives the same features on every machine, to float
    tolerance. It is blind to where in the frame something is, as pooled Inception features are.
    """

    SIZE = 128
    CHANNELS = (16, 32, 48)
    KERNELS = (5, 3, 3)

    def __init__(self, *, seed: int = 0) -> None:
        self.name = f"random-conv-v1 (seed {seed}, {self.SIZE} px)"
        self.dims = 2 * sum(self.CHANNELS)
        random = np.random.default_rng(seed)
        depths = (3, *self.CHANNELS)
        shapes = zip(self.CHANNELS, depths, self.KERNELS, strict=False)
        self._weights = [_orthogonal(random, (width, depth, kernel, kernel)) for width, depth, kernel in shapes]

    def __call__(self, images: Images) -> Values:
        """Return float64 [N, 192]: per layer its channels' spatial means, then their standard deviations."""
        import torch
        from torch.nn import functional

        with torch.inference_mode():
            x_BCHW = _tensor(images) / 127.5 - 1
            size = (self.SIZE, self.SIZE)
            x_BCHW = functional.interpolate(x_BCHW, size=size, mode="bilinear", antialias=True)
            pooled = []
            for weight in self._weights:
                kernel = torch.from_numpy(weight)
                x_BCHW = functional.relu(functional.conv2d(x_BCHW, kernel, stride=2, padding=weight.shape[-1] // 2))
                pooled += [x_BCHW.mean(dim=(2, 3)), x_BCHW.std(dim=(2, 3), correction=0)]
            return torch.cat(pooled, dim=1).double().numpy()


@FEATURE_EXTRACTORS.register("inception")
class Inception:
    """The Inception network of FID, from weights that the user brings: nothing is ever downloaded.

    Args:
        weights: torch-fidelity's `pt_inception-2015-12-05-6726825d.pth` as a local file.

    Raises:
        CheckpointError: there is no such file.
        MissingDependencyError: torch-fidelity or torchmetrics is not installed.
    """

    dims = 2048

    def __init__(self, *, weights: str | Path) -> None:
        path = Path(weights)
        if not path.is_file():
            raise CheckpointError(
                f"Inception weights {str(path)!r} are no file; fetch pt_inception-2015-12-05-6726825d.pth from the "
                "releases of toshas/torch-fidelity and give its path, or use the extractor 'random-conv'"
            )
        if find_spec("torch_fidelity") is None:
            raise MissingDependencyError(
                "torch_fidelity builds the Inception network; install it: pip install torch-fidelity"
            )
        fid: Any = require("torchmetrics.image.fid", "eval")
        self.name = f"inception ({path.name})"
        self._network = fid.NoTrainInceptionV3("inception-v3-compat", [str(self.dims)], str(path))

    def __call__(self, images: Images) -> Values:
        """Return float64 [N, 2048]: the pooled features before the classifier."""
        import torch

        with torch.inference_mode():
            return self._network(_tensor(images).to(torch.uint8)).double().numpy()


def _orthogonal(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a kernel [out, in, height, width] of orthogonal filters, scaled to keep the variance past a ReLU."""
    width, fan_in = shape[0], int(np.prod(shape[1:]))
    basis, triangle = np.linalg.qr(random.standard_normal((fan_in, width)))
    signed = basis * np.sign(np.diag(triangle))
    return (signed.T * np.sqrt(2)).reshape(shape).astype(np.float32)


def _tensor(images: Images) -> torch.Tensor:
    """Return uint8 [N, H, W, 3] as a float32 tensor [N, 3, H, W], values 0 … 255."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()


def _batches(*arrays: Images) -> Iterator[tuple[Images, ...]]:
    for start in range(0, len(arrays[0]), BATCH):
        yield tuple(array[start : start + BATCH] for array in arrays)


def _check_pairs(images: Images, references: Images) -> None:
    _check_batch("images", images)
    _check_batch("references", references)
    if images.shape != references.shape:
        raise RigError(
            f"images {list(images.shape)} and references {list(references.shape)} differ; pair them one to one"
        )


def _check_batch(name: str, images: Images) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise RigError(
            f"{name} are {images.dtype} {list(images.shape)}; give uint8 [N, H, W, 3] with at least one image"
        )
