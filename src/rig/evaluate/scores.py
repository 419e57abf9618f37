"""What episodes come to: a line of each, and their scores with 95 % intervals.

Rates over tasks weigh each task and setting the same. Costs are those of a decision; a step is in vain where the frame
behind it shows what the frame before it did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rig.agents.judges import has_effect
from rig.annotators import ClaimChecker, judge_of
from rig.envs.rollout import Played
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.stats import Estimate, bootstrap_mean, mean_if_any, mean_of_rates, wilson
from rig.evaluate.verdicts import (
    count_claims,
    count_review_claims,
    count_verdicts,
    summarise_claims,
    summarise_reviews,
)
from rig.provenance import provenance
from rig.records import Step


def summarise(rows: Sequence[Mapping[str, Any]], config: EmbodiedConfig) -> dict[str, Any]:
    """Return what `scores_of` does, and how it came about, as a JSON-able dict."""
    return {"config": asdict(config), "provenance": provenance()} | scores_of(rows)


def scores_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return scores per task and setting and in the mean, costs per decision and claims, as a JSON-able dict."""
    cells = by_cell(rows)
    rows = [row for part in cells.values() for row in part]  # in one order, whichever episode ended first
    return {
        "episodes": len(rows),
        "seeds": [min((row["seed"] for row in rows), default=0), max((row["seed"] for row in rows), default=0)],
        "success": _plain(mean_success(cells.values())),
        "by_setting": {
            setting: _plain(mean_success([part for name, part in cells.items() if name.endswith(f"/{setting}")]))
            for setting in sorted({row["setting"] for row in rows})
        },
        "cells": {name: _cell(part) for name, part in cells.items()},
        "cost_per_decision": cost_per_decision(rows) | {"decisions": sum(row["steps"] for row in rows)},
        "in_vain": _share_in_vain(rows),
        "thoughts": summarise_claims(rows),
        "reviews": summarise_reviews(rows),
    }


def cost_per_decision(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what a decision of these episodes cost in the mean, by kind of cost; nothing of no episodes."""
    decisions = max(1, sum(row["steps"] for row in rows))
    return {name: sum(row["cost"][name] for row in rows) / decisions for name in (rows[0]["cost"] if rows else ())}


def tokens_written(cost: Mapping[str, float]) -> float:
    """Return how many tokens of text and of images a decision writes, of what it costs; 0 of who writes none."""
    return cost.get("text_tokens", 0) + cost.get("image_tokens", 0)


def by_cell(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the episodes' rows per "task/setting", by seed."""
    cells: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["seed"]):
        cells[f"{row['task']}/{row['setting']}"].append(row)
    return dict(sorted(cells.items()))


def _cell(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "success": _plain(wilson(sum(row["success"] for row in rows), len(rows))),
        "samples": _plain(bootstrap_mean([row["samples"] for row in rows])),
        "steps": _plain(bootstrap_mean([row["steps"] for row in rows])),
    }


def mean_success(cells: Iterable[Sequence[Mapping[str, Any]]]) -> Estimate:
    """Return the mean over cells, each weighing the same, of the share of its rows that succeeded."""
    counts = {str(number): (sum(row["success"] for row in rows), len(rows)) for number, rows in enumerate(cells)}
    return mean_of_rates(counts)


def summary_row(played: Played, checker: ClaimChecker | None) -> dict[str, Any]:
    """Return what the summary needs of an episode; claims are counted where a checker is given."""
    trajectory = played.trajectory
    return {
        "task": trajectory.task,
        "setting": trajectory.setting,
        "seed": trajectory.seed,
        "success": trajectory.success,
        "samples": trajectory.samples,
        "steps": len(trajectory.steps),
        "in_vain": sum(map(_is_in_vain, trajectory.steps)),
        "cost": asdict(played.cost),
        "claims": count_claims(trajectory, checker),
        "reviews": sum(step.review is not None for step in trajectory.steps),
        "changed": sum(step.review is not None and step.review.helped for step in trajectory.steps),
        "verdicts": count_verdicts(trajectory, judge_of(checker)),
        "review_claims": count_review_claims(trajectory, checker),
    }


def _is_in_vain(step: Step) -> bool:
    return step.next_frame is not None and not has_effect(step.frame, step.next_frame)


def _share_in_vain(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return how much of an episode is in vain, in the mean; None where episodes were noted before that was."""
    return mean_if_any([row["in_vain"] / row["steps"] for row in rows if row["steps"] and "in_vain" in row])


def _plain(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate)
