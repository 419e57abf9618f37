"""What a page shows where there is more than it has room for: spread evenly, and over all tasks and settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np


class InCell(Protocol):
    """What belongs to a task and setting: a trajectory, or an entry of a dataset's index."""

    @property
    def task(self) -> str:
        """Its task."""

    @property
    def setting(self) -> str:
        """Its setting."""


T = TypeVar("T", bound=InCell)


def spread(length: int, count: int, keep: int | None = None) -> list[int]:
    """Return at most `count` positions of `length`, evenly spread, the first and the last among them.

    `keep` takes the place of the one that is nearest to it.
    """
    positions = np.linspace(0, length - 1, min(count, length)).round().astype(int) if count > 1 else np.zeros(1, int)
    if keep is not None and length:
        positions[np.abs(positions - keep).argmin()] = keep
    return sorted(set(positions.tolist()))


def choose(entries: Sequence[T], count: int) -> list[T]:
    """Return at most `count` of `entries`, in their order: as many of each task and setting, or all that it has.

    Where there are more tasks and settings than `count`, they are evenly chosen too; and within each, what is chosen is
    evenly spread over what it has.
    """
    cells: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(entries):
        cells.setdefault((entry.task, entry.setting), []).append(index)
    members = list(cells.values())
    if len(members) > count:
        members = [members[number] for number in spread(len(members), count)]
    shares = _shares([len(member) for member in members], count)
    chosen = [
        member[position]
        for member, share in zip(members, shares, strict=True)
        for position in spread(len(member), share)
    ]
    return [entries[index] for index in sorted(chosen)]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """Return how many to take of each, one after the other in rounds until there are `count` or no more."""
    shares = [0] * len(sizes)
    left = min(count, sum(sizes))
    while left:
        for number, size in enumerate(sizes):
            if left and shares[number] < size:
                shares[number] += 1
                left -= 1
    return shares
