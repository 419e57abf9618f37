"""Numbers with their uncertainty: proportions, means, means of cells, paired differences, and data efficiency.

Every function is deterministic: what resamples takes a seed. Which one fits:

* one cell of successes: `wilson`;
* one cell of any measure, or frames that come in episodes: `bootstrap_mean` (with `clusters`);
* a table's mean over task x setting cells: `mean_of_cells` for any measure, `mean_of_rates` for successes, which
  stays honest near 0 and 1 (the bootstrap of a cell that is all success has no width);
* two policies on the same seeds: `paired_difference`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import exp, log, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rig.errors import RigError

RESAMPLES = 10_000
CONFIDENCE = 0.95
CHUNK_VALUES = 2_000_000
"""How many resampled values are held in memory at once."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A measured value, its confidence interval, and how many observations it stands on."""

    value: float
    low: float
    high: float
    n: int

    def format(self, digits: int = 2) -> str:
        """Return the estimate as text, for example `0.62 [0.55, 0.69]`."""
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def interval(estimate: Mapping[str, Any] | None, digits: int = 2) -> str:
    """Return an estimate as it is saved in results as text, for example "0.62 [0.55, 0.69]"; a dash for none."""
    return estimate_of(estimate).format(digits) if estimate else "–"


def estimate_of(saved: Mapping[str, Any]) -> Estimate:
    """Return an estimate as it is saved in results."""
    return Estimate(*(saved[name] for name in ("value", "low", "high", "n")))


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs over the same seeds.

    Attributes:
        estimate: the mean difference with its bootstrap interval; `n` is the number of pairs.
        p_value: of the two-sided sign-flip test, which needs no normality and knows how few pairs there are.
        wins: pairs in which ours is higher.
        losses: pairs in which theirs is higher.
    """

    estimate: Estimate
    p_value: float
    wins: int
    losses: int

    @property
    def excludes_zero(self) -> bool:
        """Return whether the interval lies wholly on one side of zero."""
        return self.estimate.low > 0 or self.estimate.high < 0


@dataclass(frozen=True)
class DataEfficiency:
    """How many times less data `other` needs for a score that `reference` reaches.

    Attributes:
        ratio: reference's data over other's, or None where it cannot be told.
        score: the score both are asked for.
        reference_data: the data with which the reference reaches it, or None where it never does.
        other_data: the data with which the other reaches it, or None where it never does.
        note: empty for an interpolated ratio; otherwise why there is none, or which bound it is.
    """

    ratio: float | None
    score: float
    reference_data: float | None
    other_data: float | None
    note: str = ""


def wilson(successes: int, trials: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return a proportion with its Wilson score interval (Wilson, 1927).

    Raises:
        RigError: no trials, or successes outside 0 … trials.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise RigError(f"wilson: {successes} successes of {trials} trials is no proportion; give 0 <= successes <= n")
    z = NormalDist().inv_cdf((1 + _checked(confidence)) / 2)
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Estimate(rate, low, high, trials)


def bootstrap_mean(
    values: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return a mean with its percentile bootstrap interval.

    Args:
        values: the observations, [n].
        clusters: the cluster of each observation, [n], where observations come in groups (the frames of an episode);
            whole clusters are then resampled, since frames of one episode are no independent evidence.
        seed: of the resampling.
        resamples: how many resamples the interval stands on.
        confidence: the interval's coverage.
    """
    found = _observations("bootstrap_mean", values)
    if clusters is None:
        means = _resampled_means(found, np.random.default_rng(seed), resamples)
    else:
        means = _resampled_cluster_means(found, clusters, np.random.default_rng(seed), resamples)
    return _percentile(float(found.mean()), means, len(found), confidence)


def mean_if_any(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> dict[str, Any] | None:
    """Return the `bootstrap_mean` of values as a JSON-able dict; None where there are none."""
    return asdict(bootstrap_mean(values, clusters=clusters)) if len(values) else None


def mean_of_cells(
    cells: Mapping[str, ArrayLike],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the mean of the cells' means, each cell weighing the same, with its stratified bootstrap interval.

    Every cell (task x setting) is resampled from its own episodes, so unequal episode counts do not shift the mean.

    Args:
        cells: the cell's name to its episodes' values, [n of that cell].
        seed: of the resampling.
        resamples: how many resamples the interval stands on.
        confidence: the interval's coverage.
    """
    if not cells:
        raise RigError("mean_of_cells: no cells; give at least one cell with its episodes' values")
    found = [_observations(f"mean_of_cells: cell {name!r}", values) for name, values in cells.items()]
    random = np.random.default_rng(seed)
    means = np.mean([_resampled_means(values, random, resamples) for values in found], axis=0)
    value = float(np.mean([values.mean() for values in found]))
    return _percentile(value, means, sum(map(len, found)), confidence)


def mean_of_rates(cells: Mapping[str, tuple[int, int]], *, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean of success rates, each cell weighing the same, with its adjusted Wald interval.

    Two successes and two failures are shared out among the cells before the interval is taken (Price & Bonett, 2004:
    Agresti & Coull's interval for a mean of proportions). In simulations with cells of 5 and 10 episodes it covers 93 %
    or more, at rates near 0 and 1 too, where the bootstrap falls to 45 %.

    Args:
        cells: the cell's name to its (successes, trials).
        confidence: the interval's coverage.
    """
    if not cells:
        raise RigError("mean_of_rates: no cells; give at least one cell as (successes, trials)")
    successes, trials = np.array(list(cells.values()), dtype=np.float64).T
    if (trials < 1).any() or (successes < 0).any() or (successes > trials).any():
        raise RigError(f"mean_of_rates: a cell of {dict(cells)} is no proportion; give (successes, trials) of each")
    z = NormalDist().inv_cdf((1 + _checked(confidence)) / 2)
    size = trials + 4 / len(cells)
    rates = (successes + 2 / len(cells)) / size
    centre, half = float(rates.mean()), z * sqrt(float((rates * (1 - rates) / size).sum())) / len(cells)
    value = float((successes / trials).mean())
    low, high = max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half))
    return Estimate(value, low, high, int(trials.sum()))


def paired_difference(
    ours: Mapping[Hashable, float],
    theirs: Mapping[Hashable, float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Return the mean of ours minus theirs over the same seeds, with a bootstrap interval over the pairs.

    The order of the keys makes no difference, though the bootstrap draws pairs by their place.

    Args:
        ours: the episode's key, for example (task, setting, seed), to its value.
        theirs: the same keys to the other policy's values.
        seed: of the resampling.
        resamples: how many resamples the interval and the test stand on.
        confidence: the interval's coverage.

    Raises:
        RigError: the keys differ, or there are fewer than two pairs.
    """
    lonely = sorted(map(repr, set(ours) ^ set(theirs)))
    if lonely:
        raise RigError(
            f"paired_difference: {len(lonely)} episodes are on one side only, for example {lonely[0]}; "
            "run both policies on the same seeds"
        )
    if len(ours) < 2:
        raise RigError(f"paired_difference: {len(ours)} pairs give no interval; run at least two seeds")
    differences = _observations("paired_difference", [ours[key] - theirs[key] for key in sorted(ours, key=repr)])
    random = np.random.default_rng(seed)
    means = _resampled_means(differences, random, resamples)
    estimate = _percentile(float(differences.mean()), means, len(differences), confidence)
    p_value = _sign_flip_test(differences, random, resamples)
    return Difference(estimate, p_value, int((differences > 0).sum()), int((differences < 0).sum()))


def data_needed(curve: Mapping[float, float], score: float) -> float | None:
    """Return the least data with which `curve` reaches `score`, or None where it never does.

    Between measured points the score is taken as linear in the logarithm of the data; the first crossing counts.

    Args:
        curve: amount of data (hours, steps or a fraction, > 0) to score.
        score: the score to reach.
    """
    points = _curve(curve)
    if points[0][1] >= score:
        return points[0][0]
    for (less, lower), (more, upper) in pairwise(points):
        if upper >= score:
            share = (score - lower) / (upper - lower)
            return exp(log(less) + share * (log(more) - log(less)))
    return None


def data_efficiency(
    reference: Mapping[float, float], other: Mapping[float, float], *, score: float | None = None
) -> DataEfficiency:
    """Return how many times less data `other` needs than `reference` for the same score.

    Args:
        reference: the reference's amount of data (> 0, the same unit as the other's) to score.
        other: the other method's.
        score: the score asked for; the reference's best where it is None.
    """
    target = max(_curve(reference), key=lambda point: point[1])[1] if score is None else score
    reference_data, other_data = data_needed(reference, target), data_needed(other, target)
    if reference_data is None or other_data is None:
        name, curve = ("reference", reference) if reference_data is None else ("other", other)
        note = f"never reached: the {name}'s best score is {max(curve.values()):.4g}, below {target:.4g}"
        return DataEfficiency(None, target, reference_data, other_data, note)
    early = reference[min(reference)] > target, other[min(other)] > target
    if all(early):
        note = "cannot be told: both exceed the score with the least data measured"
        return DataEfficiency(None, target, reference_data, other_data, note)
    note = "at most: the reference exceeds the score with the least data measured" if early[0] else ""
    note = "at least: the other exceeds the score with the least data measured" if early[1] else note
    return DataEfficiency(reference_data / other_data, target, reference_data, other_data, note)


def data_efficiency_interval(
    reference: Mapping[float, Mapping[Hashable, float]],
    other: Mapping[float, Mapping[Hashable, float]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return `data_efficiency`'s ratio at the reference's best score, with its bootstrap interval over episodes.

    Episodes are drawn together for all points, since all played the same ones. Where the other method never reaches
    the score, the ratio counts as 0. That another training of the same agent would score otherwise is not in the
    interval.

    Args:
        reference: the reference's amount of data to its episodes' values by key, as in `paired_difference`.
        other: the other method's.
        seed: of the resampling.
        resamples: how many resamples the interval stands on.
        confidence: the interval's coverage.

    Raises:
        RigError: the points were not scored on the same episodes.
    """
    points = [*reference.values(), *other.values()]
    keys = sorted(points[0], key=repr) if points else []
    if not keys or any(point.keys() != set(keys) for point in points):
        raise RigError("data_efficiency_interval: the points have different episodes; score all on the same seeds")
    values = np.array([[point[key] for key in keys] for point in points]).T

    def ratio(scores: Values) -> float:
        first, second = np.split(scores, [len(reference)])
        found = data_efficiency(dict(zip(reference, first, strict=True)), dict(zip(other, second, strict=True)))
        return found.ratio or 0.0

    resampled = _resampled_means(values, np.random.default_rng(seed), resamples)
    return _percentile(ratio(values.mean(axis=0)), np.array([*map(ratio, resampled)]), len(keys), confidence)


def _resampled_means(values: Values, random: np.random.Generator, resamples: int) -> Values:
    def means(count: int) -> Values:
        return values[random.integers(0, len(values), (count, len(values)))].mean(axis=1)

    return _in_chunks(means, resamples, values.size)


def _resampled_cluster_means(
    values: Values, clusters: Sequence[Hashable], random: np.random.Generator, resamples: int
) -> Values:
    if len(clusters) != len(values):
        raise RigError(f"bootstrap_mean: {len(clusters)} clusters for {len(values)} values; give one for each")
    number = {cluster: index for index, cluster in enumerate(dict.fromkeys(clusters))}
    members = np.array([number[cluster] for cluster in clusters])
    sums, sizes = np.bincount(members, weights=values), np.bincount(members)

    def means(count: int) -> Values:
        drawn = random.integers(0, len(sums), (count, len(sums)))
        return sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)

    return _in_chunks(means, resamples, len(sums))


def _sign_flip_test(differences: Values, random: np.random.Generator, resamples: int) -> float:
    def sums(count: int) -> Values:
        return (random.integers(0, 2, (count, len(differences))) * 2 - 1) @ differences

    flipped = np.abs(_in_chunks(sums, resamples, len(differences)))
    tolerance = 1e-12 * float(np.abs(differences).sum())
    extreme = int((flipped >= abs(float(differences.sum())) - tolerance).sum())
    return (extreme + 1) / (resamples + 1)


def _in_chunks(draw: Callable[[int], Values], resamples: int, width: int) -> Values:
    """Return `resamples` draws of a statistic over `width` values each, a bounded number of values at a time."""
    if resamples < 1:
        raise RigError(f"resamples is {resamples}; an interval needs at least one")
    chunk = max(1, CHUNK_VALUES // width)
    return np.concatenate([draw(min(chunk, resamples - start)) for start in range(0, resamples, chunk)])


def _percentile(value: float, resampled: Values, n: int, confidence: float) -> Estimate:
    tail = (1 - _checked(confidence)) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n)


def _observations(place: str, values: ArrayLike) -> Values:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise RigError(f"{place}: shape {found.shape} is no list of observations; give at least one number, [n]")
    if not np.isfinite(found).all():
        raise RigError(
            f"{place}: {int((~np.isfinite(found)).sum())} of {len(found)} values are not finite; cap or drop them"
        )
    return found


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise RigError(f"confidence is {confidence}; give a share between 0 and 1, such as 0.95")
    return confidence


def _curve(curve: Mapping[float, float]) -> list[tuple[float, float]]:
    if not curve or min(curve) <= 0:
        raise RigError(f"a curve over amounts {sorted(curve)} has no logarithm; give at least one amount, all above 0")
    return sorted(curve.items())
