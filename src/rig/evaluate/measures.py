"""How scores of dreams stand in tables: a column for each measure that was taken; a world without cells has none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rig.evaluate.stats import interval

CELLS, CHANGED, STILLS, AGREEMENT = "cells_right", "changed_cells_right", "stills_right", "action_agreement"
PSNR, SSIM, FRECHET = "psnr", "ssim", "frechet"

_HEADERS = {
    CELLS: "cells right",
    CHANGED: "changed cells right",
    STILLS: "stills right",
    AGREEMENT: "agreement with action",
    PSNR: "PSNR (dB)",
    SSIM: "SSIM",
    FRECHET: "Fréchet",
}
"""Measure, as `rig.evaluate.imagination` names it -> what its column is called."""


def taken(entries: Sequence[Mapping[str, Any]], measures: Iterable[str] = tuple(_HEADERS)) -> dict[str, str]:
    """Return those of `measures` that any of `entries`, the scores of one depth each, has; and their headers."""
    return {name: _HEADERS[name] for name in measures if any(name in entry for entry in entries)}


def shown(entry: Mapping[str, Any], measures: Iterable[str]) -> list[str]:
    """Return the columns of one entry."""
    return [_column(entry.get(name), name) for name in measures]


def _column(found: Mapping[str, Any] | None, name: str) -> str:
    if name == FRECHET and found:
        return f"{found['value']:.3f}"
    return interval(found, 1 if name == PSNR else 3)
