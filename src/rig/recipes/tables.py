"""What reports and cards share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.evaluate.stats import Difference

CARD = "README.md"
"""Where an agent's or a dataset's card stands in its folder."""

NAMES = {
    "action": "action only",
    "imagine": "+ imagine",
    "reason": "+ reason",
    "basic": "RIG-basic",
    "on-policy": "+ on-policy",
    "corrected-control": "+ on-policy, control: corrections without dreams",
    "practised": "RIG-basic, dreams practised on its own play",
    "improved": "RIG-basic, improved by reward",
    "imitated": "control: imitates its own attempts that won",
    "distilled": "RIG-basic, distilled from its dreams",
    "undistilled": "control: the same play as practice alone",
    "dreamed": "RIG-basic, improved in its dreams",
    "control-0": "control, no review",
    "control": "control: corrections without dreams",
    "teacher": "teacher",
    "random": "random",
    "lookahead": "RIG-lookahead",
    "lookahead-chain": "RIG-lookahead, dreams in one conversation",
}


_NUMBERED = {
    "lookahead": "RIG-lookahead, n = {}",
    "sweep": "RIG-lookahead, n = {}",
    "codes": "RIG-lookahead, n = {}, dreams left as codes",
    "corrected": "+ on-policy, RIG-lookahead, n = {}",
    "longer": "RIG-basic, {} × the second part more",
    "votes": "most votes of {} plans",
    "weighed": "up to {} plans, weighed by how likely nothing comes of them",
    "chance": "up to {} plans, {} % of first ones refused at random",
    "resample": "up to {} plans, n = {}",
}
"""Rows of numbers, by what stands before these."""


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def signed(found: Difference | None) -> str:
    """Return a difference in success with its interval, or a dash where there is none."""
    if found is None:
        return "–"
    estimate = found.estimate
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def row_name(name: str) -> str:
    """Return what a row is called in tables."""
    if name in NAMES:
        return NAMES[name]
    kind, *numbers = re.split(r"-(?=\d)", name)
    return _NUMBERED[kind].format(*numbers) if kind in _NUMBERED else name


def commit_text(commit: Mapping[str, Any]) -> str:
    """Return a commit as cards name it."""
    return f"`{commit['hash'][:12]}`{' with changes' if commit['dirty'] else ''}"


def image(figure: Path, page: Path) -> str:
    """Return a figure as it is shown in a page."""
    return f"![{figure.stem}]({figure.relative_to(page.parent)})"
