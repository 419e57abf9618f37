"""The head of an agent's card, which hubs read, as YAML: each value stands in a line, as JSON, which is YAML too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rig.evaluate.measures import CELLS, PSNR, SSIM, taken

LIBRARY = "rig-agent"
TASK = "reinforcement-learning"
"""What hubs sort agents under."""

_CONFIDENCE = 0.95


def card_head(
    title: str,
    environment: str,
    *,
    speaks: Sequence[str],
    licence: str,
    datasets: Sequence[str],
    scores: Sequence[Mapping[str, Any]],
) -> str:
    """Return the head of a card: licence, library, tags, data, and each score with its interval.

    Args:
        title: of the card.
        environment: the world.
        speaks: what the agent says beside actions, for its tags.
        licence: as hubs spell it.
        datasets: repositories of what it was trained on.
        scores: results of `rig eval` and `rig imagine`.
    """
    fields: dict[str, Any] = {
        "license": licence,
        "library_name": LIBRARY,
        "pipeline_tag": TASK,
        "tags": ["rig", "embodied-agent", "world-model", environment, *speaks],
    }
    if datasets:
        fields["datasets"] = list(datasets)
    if results := [_result(found, environment) for found in scores]:
        fields["metrics"] = sorted({metric["type"] for result in results for metric in result["metrics"]})
        fields["model-index"] = [{"name": title, "results": results}]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def mode(found: Mapping[str, Any]) -> str:
    """Return how an agent decided in results of `rig eval`."""
    dreams = found["config"]["dreams"]
    return f"RIG-lookahead, n = {dreams}" if dreams else "RIG-basic, n = 0"


def _result(found: Mapping[str, Any], environment: str) -> dict[str, Any]:
    dreamed = "dream" in found
    world = {"type": environment, "name": f"{environment}, {found['config']['split']} split"}
    return {
        "task": {"type": TASK, "name": "dreams" if dreamed else mode(found)},
        "dataset": world,
        "metrics": list(_dreams(found) if dreamed else _play(found)),
    }


def _play(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield _metric("success_rate", "mean success", found["success"])
    for cell, scores in found["cells"].items():
        yield _metric("success_rate", f"success, {cell}", scores["success"])


def _dreams(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, header in taken(found["dream"], (CELLS, PSNR, SSIM)).items():
        for entry in found["dream"]:
            if entry.get(name):
                yield _metric(name, f"{header}, {entry['steps']} ahead", entry[name])


def _metric(kind: str, name: str, estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score as hubs list it; its interval is among its arguments, which they keep and do not sort by."""
    spread = {"low": estimate["low"], "high": estimate["high"], "confidence": _CONFIDENCE, "n": estimate["n"]}
    return {"type": kind, "name": name, "value": estimate["value"], "args": spread}
