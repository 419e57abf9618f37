"""Figures of a report, drawn without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rig.registry import require
from rig.storage import atomic_file


def draw_lines(
    path: Path, lines: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str, log_x: bool = False
) -> Path:
    """Draw named lines of (x, y) points to an SVG file, and return its path."""
    matplotlib = cast(Any, require("matplotlib", "eval"))
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "rig"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    for name, points in lines.items():
        axes.plot([point[0] for point in points], [point[1] for point in points], marker="o", label=name)
    if log_x:
        axes.set_xscale("log", base=2)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path
