"""Image scores obey their identities, and the Fréchet distance equals its closed form."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import sqrtm

from rig.errors import CheckpointError, MissingDependencyError, RigError, UnknownNameError
from rig.evaluate import (
    FEATURE_EXTRACTORS,
    PSNR_CEILING,
    frechet_distance,
    frechet_score,
    images,
    pair_scores,
    psnr,
    ssim,
)

GOLDEN = [0.150881, 0.308468, 0.218339, 0.207993, 0.096526, 0.189050, 0.262550, 0.341864]
RANDOM_CONV = FEATURE_EXTRACTORS.get("random-conv")


def scenes(seed, count, size=48):
    """Blocky scenes with a little structure, uint8 [count, size, size, 3]."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return tiles.repeat(size // 6, axis=1).repeat(size // 6, axis=2)


def noisy(batch, deviation, seed=0):
    noise = np.random.default_rng(seed).normal(0, deviation, batch.shape)
    return np.clip(np.rint(batch + noise), 0, 255).astype(np.uint8)


def test_identical_images_are_perfect_and_the_ceiling_is_counted():
    batch = scenes(0, 4)
    assert np.isinf(psnr(batch, batch)).all()
    assert ssim(batch, batch) == pytest.approx(1, abs=1e-5)
    found = pair_scores(batch, batch)
    assert (found.psnr.value, found.identical) == (PSNR_CEILING, 4)
    found = pair_scores(np.concatenate([batch[:1], noisy(batch[1:], 20)]), batch)
    assert found.identical == 1
    assert found.psnr.low < found.psnr.value < PSNR_CEILING


def test_psnr_is_the_formula_and_torchmetrics_agrees():
    batch = np.full((2, 16, 16, 3), 100, np.uint8)
    other = batch.copy()
    other[0] += 5
    other[1, 0, 0, 0] += 1
    expected = [20 * np.log10(255 / 5), 10 * np.log10(255**2 * 768)]
    assert psnr(batch, other) == pytest.approx(expected)

    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.image")
    batch = scenes(1, 5)
    other = noisy(batch, 12)
    tensors = [torch.from_numpy(array).double() for array in (batch, other)]
    oracle = functional.peak_signal_noise_ratio(*tensors, data_range=255.0, dim=(1, 2, 3), reduction="none")
    assert psnr(batch, other) == pytest.approx(oracle.numpy())


def test_scores_fall_as_noise_grows_and_stay_with_their_image():
    batch = scenes(2, 70, size=24)
    levels = [noisy(batch, deviation) for deviation in (2, 8, 25, 60)]
    for score in (psnr, ssim):
        found = [score(level, batch) for level in levels]
        assert all((better > worse).all() for better, worse in pairwise(found))
    mixed = batch.copy()
    mixed[66] = levels[2][66]
    assert int(np.argmin(ssim(mixed, batch))) == int(np.argmin(psnr(mixed, batch))) == 66


def test_clusters_reach_the_intervals():
    batch = scenes(3, 12, size=24)
    worse = np.concatenate([noisy(batch[:6], 5), noisy(batch[6:], 40)])
    apart, together = pair_scores(worse, batch), pair_scores(worse, batch, clusters=[0] * 6 + [1] * 6)
    assert together.psnr.high - together.psnr.low > apart.psnr.high - apart.psnr.low
    assert together.psnr.value == apart.psnr.value


def test_frechet_distance_of_diagonal_gaussians_is_the_closed_form():
    random = np.random.default_rng(7)
    means, variances = random.normal(size=(2, 20)), random.uniform(0.1, 3, size=(2, 20))
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((np.sqrt(variances[0]) - np.sqrt(variances[1])) ** 2)
    found = frechet_distance(means[0], np.diag(variances[0]), means[1], np.diag(variances[1]))
    assert found == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_agrees_with_the_matrix_square_root_and_is_symmetric():
    random = np.random.default_rng(8)
    samples = random.normal(size=(2, 200, 12)) @ random.normal(size=(2, 12, 12))
    (a, b), (ca, cb) = samples.mean(axis=1), [np.cov(side, rowvar=False) for side in samples]
    expected = np.sum((a - b) ** 2) + np.trace(ca + cb - 2 * np.real(sqrtm(ca @ cb)))
    assert frechet_distance(a, ca, b, cb) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, cb, a, ca) == pytest.approx(expected, rel=1e-6)
    singular = np.cov(samples[0][:5], rowvar=False)
    assert frechet_distance(a, singular, a, singular) == pytest.approx(0, abs=1e-6)


def test_the_score_is_zero_for_the_same_set_and_grows_with_noise():
    batch = scenes(4, 50, size=24)
    same = frechet_score(batch, batch[::-1])
    assert same.value == pytest.approx(0, abs=1e-4)
    assert (same.extractor, same.dims, same.n, same.n_references) == ("random-conv-v1 (seed 0, 128 px)", 192, 50, 50)
    found = [same.value, *(frechet_score(noisy(batch, deviation), batch).value for deviation in (5, 20, 60))]
    assert all(less < more for less, more in pairwise(found))


def test_a_small_set_is_warned_about_and_a_single_image_refused():
    found = frechet_score(scenes(5, 30), scenes(6, 40))
    assert "30 images for 192 features" in found.warning
    assert np.isfinite(found.value)
    with pytest.raises(RigError, match="holds 1 image"):
        frechet_score(scenes(5, 1), scenes(6, 40))


def test_random_conv_is_the_same_network_everywhere():
    """Golden features of a fixed picture; a change of them is a new version of the extractor."""
    ramp = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(1, 32, 32, 3) * 7919 % 251
    found = RANDOM_CONV()(ramp.astype(np.uint8))
    assert found.shape == (1, 192)
    assert found.dtype == np.float64
    assert found[0, [0, 7, 16, 31, 40, 100, 150, 191]] == pytest.approx(GOLDEN, rel=1e-4, abs=1e-6)
    assert not np.allclose(found, RANDOM_CONV(seed=1)(ramp.astype(np.uint8)))


def test_random_conv_tells_blur_and_colour_apart():
    extractor, batch = RANDOM_CONV(), scenes(9, 8)
    plain, dark, swapped = (extractor(version) for version in (batch, batch // 2, batch[..., ::-1].copy()))
    assert (np.abs(plain - dark).max(axis=1) > 0.1).all()
    assert (np.abs(plain - swapped).max(axis=1) > 0.02).all()
    assert (plain.std(axis=0) > 0).mean() > 0.95


class MeanColour:
    """A user's extractor, as small as one can be."""

    name = "mean-colour"
    dims = 3

    def __call__(self, batch):
        return batch.mean(axis=(1, 2))


def test_a_users_extractor_plugs_in():
    batch = scenes(10, 10)
    found = frechet_score(batch, batch, MeanColour())
    assert (found.extractor, found.dims, found.warning) == ("mean-colour", 3, "")
    assert found.value == pytest.approx(0, abs=1e-6)
    with pytest.raises(UnknownNameError, match="random-conv"):
        FEATURE_EXTRACTORS.get("random-cov")


def test_inception_says_what_it_lacks(tmp_path, monkeypatch):
    inception = FEATURE_EXTRACTORS.get("inception")
    with pytest.raises(CheckpointError, match=r"absent\.pth.*pt_inception"):
        inception(weights=tmp_path / "absent.pth")
    (tmp_path / "weights.pth").write_bytes(b"")
    monkeypatch.setattr(images, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install torch-fidelity"):
        inception(weights=tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psnr(scenes(0, 2), scenes(0, 3)), "pair them one to one"),
        (lambda: psnr(scenes(0, 2) / 255, scenes(0, 2)), "images are float64"),
        (lambda: ssim(scenes(0, 1)[0], scenes(0, 1)), "give uint8"),
        (lambda: ssim(scenes(0, 1, size=6), scenes(0, 1, size=6)), "11 pixel window"),
        (lambda: psnr(scenes(0, 0), scenes(0, 0)), "at least one image"),
        (lambda: frechet_score(scenes(0, 3), scenes(0, 3)[..., :1]), "references are uint8"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(RigError, match=message):
        call()


def test_importing_the_room_imports_no_torch():
    code = "import sys, rig.evaluate; assert not {'torch', 'torchmetrics', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
