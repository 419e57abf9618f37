"""Figures of a report, drawn without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from rig.evaluate.stats import Estimate
from rig.registry import require
from rig.storage import atomic_file


def draw_lines(
    path: Path,
    lines: Mapping[str, Sequence[tuple[float, Estimate]]],
    *,
    x: str,
    y: str,
    log_x: bool = False,
    each_x: bool = True,
) -> Path:
    """Draw named lines of shares, with their intervals, to an SVG file, and return its path.

    Args:
        path: of the file.
        lines: name -> places and what was found there.
        x: what the places are.
        y: what was found.
        log_x: whether equal steps along x are equal ratios.
        each_x: whether the axis names every place, and no others.
    """
    matplotlib = cast(Any, require("matplotlib", "eval"))
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "rig"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    for name, points in lines.items():
        below = [max(0.0, found.value - found.low) for _, found in points]
        above = [max(0.0, found.high - found.value) for _, found in points]
        places, values = [place for place, _ in points], [found.value for _, found in points]
        axes.errorbar(places, values, yerr=[below, above], marker="o", capsize=3, label=name)
    if log_x:
        axes.set_xscale("log", base=2)
    if each_x:
        ticks = sorted({place for points in lines.values() for place, _ in points})
        axes.set_xticks(ticks, [str(Fraction(tick).limit_denominator(1000)) for tick in ticks])
    else:
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0, 1.05)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path
