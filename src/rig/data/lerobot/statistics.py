"""The numbers of `meta/stats.json`: of each episode, and of all of them from those of each.

Of a picture they are of each channel, between 0 and 1, over some of an episode's frames; of every other number, of each
of its parts. Quantiles of a whole dataset are the mean of its episodes', by which LeRobot's own are made.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rig.records import Frame

Values = NDArray[np.float64]
Statistics = Mapping[str, Values]
"""Of one column: "min", "max", "mean", "std", "count", and quantiles by names such as "q01"."""

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_LEVELS = 256
_LARGE, _LOOKED_AT = 300, 150
_FEWEST, _MOST, _POWER = 100, 10_000, 0.75


def of_numbers(values: NDArray) -> dict[str, Values]:
    """Return the statistics of a column, [T] or [T, parts]."""
    rows = np.asarray(values, np.float64).reshape(len(values), -1)
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return {**found, "count": np.array([len(rows)]), **dict(zip(QUANTILES, quantiles, strict=True))}


def looked_at(length: int) -> frozenset[int]:
    """Return the numbers of those frames of an episode that its statistics are of, evenly spread."""
    count = max(min(_FEWEST, length), min(int(length**_POWER), _MOST))
    return frozenset(np.round(np.linspace(0, length - 1, count)).astype(int).tolist())


class PictureStatistics:
    """Of the frames of one episode, frame by frame."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, _LEVELS), np.int64)
        self._frames = 0

    def add(self, frame: Frame) -> None:
        """Count a frame; of a large one every n-th pixel."""
        every = max(frame.shape[:2]) // _LOOKED_AT if max(frame.shape[:2]) >= _LARGE else 1
        for channel in range(3):
            self._counts[channel] += np.bincount(frame[::every, ::every, channel].ravel(), minlength=_LEVELS)
        self._frames += 1

    def found(self) -> dict[str, Values]:
        """Return the statistics, [3, 1, 1] each."""
        levels = np.arange(_LEVELS) / (_LEVELS - 1)
        shares = self._counts / self._counts.sum(1, keepdims=True)
        mean = shares @ levels
        std = np.sqrt(np.maximum(0, shares @ levels**2 - mean**2))
        below = shares.cumsum(1)
        found = {"min": _first(below, 0.0), "max": _LEVELS - 1 - _first(shares[:, ::-1].cumsum(1), 0.0)}
        found |= {name: _first(below, share) for name, share in QUANTILES.items()}
        plain = {name: value / (_LEVELS - 1) for name, value in found.items()} | {"mean": mean, "std": std}
        shaped = {name: value.reshape(3, 1, 1) for name, value in plain.items()}
        return {**shaped, "count": np.array([self._frames])}


def _first(below: NDArray, share: float) -> NDArray:
    """Return, of each channel, the first level that more than `share` of its pixels do not exceed."""
    return (below > share).argmax(1)


class TotalStatistics:
    """Of all episodes of a dataset, episode by episode."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, Values]] = {}

    def add(self, episode: Mapping[str, Statistics]) -> None:
        """Add those of an episode, by column."""
        for name, values in episode.items():
            known = self._columns.get(name)
            self._columns[name] = dict(values) if known is None else _together(known, values)

    def to_json(self) -> dict[str, dict[str, list]]:
        """Return what `meta/stats.json` holds."""
        return {
            name: {part: value.tolist() for part, value in values.items()} for name, values in self._columns.items()
        }


def _together(one: Statistics, other: Statistics) -> dict[str, Values]:
    count = one["count"] + other["count"]
    share = other["count"][0] / count[0]

    def mixed(first: Values, second: Values) -> Values:
        return first + (second - first) * share

    mean = mixed(one["mean"], other["mean"])
    spread = [values["std"] ** 2 + (values["mean"] - mean) ** 2 for values in (one, other)]
    return {
        "min": np.minimum(one["min"], other["min"]),
        "max": np.maximum(one["max"], other["max"]),
        "mean": mean,
        "std": np.sqrt(mixed(*spread)),
        "count": count,
        **{name: mixed(one[name], other[name]) for name in QUANTILES},
    }
