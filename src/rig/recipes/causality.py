"""The page of a causality suite: what each row is shown, what it wins, and what it makes of first proposals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rig.evaluate.scores import tokens_written
from rig.evaluate.stats import estimate_of, interval
from rig.recipes.tables import commit_text, markdown
from rig.storage import write_text

_NAMES = {
    "own": "own dreams",
    "true": "true futures",
    "still": "still copies of the present",
    "other-plan": "dreams of another plan",
    "other-episode": "dreams of another episode",
    "blank": "blank frames",
    "no-dreams": "no dreams",
    "majority": "majority of {plans}",
    "random": "random of {plans}",
    "first": "first of {plans}",
}

HEADER = (
    "shown",
    "success [95 %]",
    "against own dreams [95 %]",
    "won, lost",
    "plans changed",
    "good ones spoilt",
    "bad ones mended",
    "steps gained",
    "tokens read + written",
    "ms",
)


def table_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """Return the rows of the table under `HEADER`."""
    return [[_name(name, scores), *_columns(row)] for name, row in scores["rows"].items()]


def _name(row: str, scores: Mapping[str, Any]) -> str:
    return _NAMES[row].format(plans=scores["plans"]) if row in _NAMES else row


def _columns(row: Mapping[str, Any]) -> list[str]:
    cost, against = row["cost_per_decision"], row["against_own"]
    return [
        interval(row["success"]),
        _signed(against["estimate"]) if against else "–",
        f"{against['wins']}, {against['losses']}" if against else "–",
        *(interval(row[name]) for name in ("changed", "spoilt", "mended")),
        _signed(row["gained"]) if row["gained"] else "–",
        f"{cost['read_tokens']:.0f} + {tokens_written(cost):.0f}",
        f"{cost['seconds'] * 1000:.0f}",
    ]


def _signed(saved: Mapping[str, Any]) -> str:
    found = estimate_of(saved)
    return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def conclusion(scores: Mapping[str, Any]) -> str:
    """Return what the table says of whether dreams cause better decisions: by what they show, or at all."""
    better = [name for name, row in scores["rows"].items() if _beats(row)]
    even = [name for name, row in scores["rows"].items() if row["against_own"] and name not in better]
    if not scores["rows"].get("own") or not (better or even):
        return "Nothing to compare own dreams with yet."
    shown = ", ".join(_name(name, scores) for name in better) or "none of the other rows"
    left = ", ".join(_name(name, scores) for name in even)
    return f"Own dreams win more than {shown}" + (f"; that they win more than {left} is not shown." if left else ".")


def _beats(row: Mapping[str, Any]) -> bool:
    return row["against_own"] is not None and row["against_own"]["estimate"]["high"] < 0


def write_causality_page(scores: Mapping[str, Any], path: Path) -> Path:
    """Write the page, and return its path."""
    made, config = scores["provenance"], scores["config"]
    hardware = made["hardware"]
    counts = sorted({row["episodes"] for row in scores["rows"].values()})
    precision = "/".join(sorted({row["runs_in"].get("dtype", "") for row in scores["rows"].values()}))
    head = (
        f"`{made['command']}` on {made['date'][:10]}, commit {commit_text(made['commit'])}, {hardware['cores']} × "
        f"{hardware['cpu']}, GPU: {hardware['gpu']}; {precision}. Every row: {'/'.join(map(str, counts))} episodes, "
        f"{config['split']} seeds {scores['seeds'][0]} to {scores['seeds'][1]}, the same for all."
    )
    notes = (
        "Brackets hold 95 % intervals: over the same episodes for differences, over whole episodes for shares. A share "
        f"of {config['valued']:g} of the decisions was valued ({_valued(scores)}), by the teacher's steps to go from a "
        "copy of the world: a good plan is a first proposal that loses no step against the teacher's way, and is "
        "spoilt where what is done loses some; a bad one loses steps, and is mended where what is done loses fewer. "
        "Steps are gained against first proposals, a decision. Tokens and milliseconds are those of a decision, the "
        "making of what is shown included."
    )
    parts = ["# What dreams cause", head, markdown(HEADER, table_rows(scores)), conclusion(scores), notes]
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def _valued(scores: Mapping[str, Any]) -> str:
    counts = sorted({row["valued"] for row in scores["rows"].values()})
    return f"{counts[0]} to {counts[-1]} a row" if counts else "none"
