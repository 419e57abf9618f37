"""The page's table of results: how often and in how many steps each way of playing came to its task's end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rig.errors import RigError
from rig.records import Trajectory
from rig.viewer.text import label

Scores = Mapping[str, Mapping[str, tuple[int, int]]]
"""Way of playing -> "task/setting" -> (successes, episodes)."""

MOST_WAYS, MOST_CELLS = 12, 60


def result_table(trajectories: Sequence[Trajectory], ways: Sequence[str], results: Scores | None) -> dict[str, Any]:
    """Return the table: ways, and for each task and setting every way's successes and episodes.

    A way that `results` knows has its counts from there, for a page may show some of the episodes that were played;
    another's are counted from `trajectories`, and so are all mean numbers of steps.

    Raises:
        RigError: a count of `results` is no count.
    """
    scores = {**_counted(trajectories, ways), **_checked(results or {})}
    names = list(scores)[:MOST_WAYS]
    cells = sorted({cell for way in names for cell in scores[way]})
    lengths: dict[str, list[int]] = {}
    for trajectory, way in zip(trajectories, ways, strict=True):
        lengths.setdefault(way, []).append(len(trajectory.steps))
    return {
        "ways": [_row(way, scores[way].values(), lengths.get(way, [])) for way in names],
        "cells": [
            {"name": label(cell), "scores": [scores[way].get(cell) for way in names]} for cell in cells[:MOST_CELLS]
        ],
        "ways_left": len(scores) - len(names),
        "cells_left": max(0, len(cells) - MOST_CELLS),
    }


def _row(way: str, counts: Iterable[tuple[int, int]], lengths: Sequence[int]) -> dict[str, Any]:
    successes, episodes = (sum(column) for column in zip(*counts, strict=True))
    return {
        "name": label(way),
        "successes": successes,
        "episodes": episodes,
        "shown": len(lengths),
        "steps": round(sum(lengths) / len(lengths), 1) if lengths else None,
    }


def _counted(trajectories: Sequence[Trajectory], ways: Sequence[str]) -> dict[str, dict[str, tuple[int, int]]]:
    scores: dict[str, dict[str, tuple[int, int]]] = {}
    for trajectory, way in zip(trajectories, ways, strict=True):
        cells, cell = scores.setdefault(way, {}), f"{trajectory.task}/{trajectory.setting}"
        successes, episodes = cells.get(cell, (0, 0))
        cells[cell] = (successes + bool(trajectory.success), episodes + 1)
    return scores


def _checked(results: Scores) -> dict[str, dict[str, tuple[int, int]]]:
    """Return `results` as plain numbers, ways without an episode left out."""
    for way, cells in results.items():
        for cell, (successes, episodes) in cells.items():
            if not 0 <= successes <= episodes:
                raise RigError(f"results[{way!r}][{cell!r}] is {successes} of {episodes}; give (successes, episodes)")
    plain = {way: {cell: (int(s), int(n)) for cell, (s, n) in cells.items()} for way, cells in results.items()}
    return {way: cells for way, cells in plain.items() if cells}
