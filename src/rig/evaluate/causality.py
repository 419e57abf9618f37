"""Whether dreams cause better decisions: the same episodes with the agent's own dreams, with others in their place, and
without any.

    evaluate_causality(CausalityConfig(agent="runs/ahead/agent", dreams=1), "results/causality")

Every row is an evaluation (`rig.evaluate.embodied`) in a folder of its own, and is resumed as one; what distinguishes
it is the dream source alone or, of the rows that do not dream, the planner. Dreams that help by what they show win
against still copies and against dreams of another plan; those that only shake a decision do not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rig.agents import DREAM_SOURCES, OWN, planner_of
from rig.agents.sources import can_dream
from rig.errors import RigError
from rig.evaluate.config import REFUSED_AT_RANDOM, CausalityConfig, EmbodiedConfig
from rig.evaluate.embodied import CONFIG, evaluate_embodied, named_planner, refuse_foreign
from rig.evaluate.saved import CAUSALITY, SUMMARY, read_rows, read_scores
from rig.evaluate.stats import mean_if_any, paired_difference
from rig.provenance import provenance
from rig.registry import unknown_name
from rig.storage import LOCK_NAME, Lock, write_json

_Options = Mapping[str, Any]


def _without_dreams(planner: str, options: _Options, votes: int) -> tuple[str, _Options]:
    """Return RIG-basic for a lookahead, which reviews dreams alone; for others the same planner."""
    return ("basic", {}) if planner == "lookahead" else (planner, {**options, "dreams": 0})


def _majority(planner: str, options: _Options, votes: int) -> tuple[str, _Options]:
    return "best-of", {"plans": votes, "dreams": 0, "judge": "majority"}


def _random(planner: str, options: _Options, votes: int) -> tuple[str, _Options]:
    """Return a planner that chooses without judging; of one that refuses plans, one that refuses some at random."""
    if planner == "resample":
        return planner, {**options, "dreams": 0, "judge": "chance", "refused": REFUSED_AT_RANDOM}
    return "best-of", {"plans": votes, "dreams": 0, "judge": "chance", "votes_weight": 0}


def _first(planner: str, options: _Options, votes: int) -> tuple[str, _Options]:
    """Return a planner that writes as many plans, and takes the first whatever the others are."""
    return "best-of", {"plans": votes, "dreams": 0, "judge": "majority", "votes_weight": 0}


CONTROLS: Mapping[str, Callable[[str, _Options, int], tuple[str, _Options]]] = {
    "no-dreams": _without_dreams,
    "majority": _majority,
    "random": _random,
    "first": _first,
}
"""Rows without dreams: each gives its planner and the options of it, from the planner that dreams and k."""

ROWS = (OWN, "true", "still", "other-plan", "other-episode", "blank", *CONTROLS)
"""All rows where none is named."""


def evaluate_causality(
    config: CausalityConfig, out: Path | str, *, resume: bool = False, workers: int = 1
) -> dict[str, Any]:
    """Play every row that is not yet in `out`, and return (and write to `out`/causality.json) the scores.

    The scores are written after every row, of those that are complete: also of rows that an earlier call has played.

    Args:
        config: see `CausalityConfig`.
        out: folder of the results; each row has one in it.
        resume: go on with results of the same configuration; other rows may be asked for.
        workers: as of `evaluate_embodied`.

    Raises:
        RigError: as of `evaluate_embodied`; or the agent does not dream, or its planner does not have it dream.
        UnknownNameError: there is no such row.
    """
    out = Path(out)
    rows = {row: row_config(config, row) for row in config.rows or ROWS}
    _refuse_undreamed(config)
    settled = replace(config, rows=())
    refuse_foreign(out, settled, resume)
    scores: dict[str, Any] = {}
    for number, (row, played) in enumerate(rows.items()):
        evaluate_embodied(played, out / row, resume=(out / row).exists(), workers=workers)
        if not number:  # not before: a wrong name leaves no folder behind
            write_json(out / CONFIG, asdict(settled))
        with Lock(out / LOCK_NAME, wait=True):
            scores = score_rows(out, settled)
            write_json(out / CAUSALITY, scores)
    return scores


def row_config(config: CausalityConfig, row: str) -> EmbodiedConfig:
    """Return how a row is played.

    Raises:
        UnknownNameError: there is no such row.
    """
    if row not in CONTROLS and row not in DREAM_SOURCES:
        raise unknown_name("row", row, [*DREAM_SOURCES.names(), *CONTROLS])
    asked = named_planner(config)
    planner, options = CONTROLS[row](*asked, plans_of(config)) if row in CONTROLS else asked
    plain = EmbodiedConfig(**{field.name: getattr(config, field.name) for field in fields(EmbodiedConfig)})
    return replace(
        plain,
        dreams=0,
        stop_entropy=None,
        plans=1,
        judge="majority",
        resample=False,
        planner=planner,
        planner_options=tuple(f"{name}={json.dumps(value)}" for name, value in options.items()),
        dreams_from=OWN if row in CONTROLS else row,
    )


def plans_of(config: CausalityConfig) -> int:
    """Return k, of the rows that choose among plans without dreams."""
    count = named_planner(config)[1].get("plans", 1)
    return count if isinstance(count, int) and count > 1 else config.votes


def _refuse_undreamed(config: CausalityConfig) -> None:
    if not can_dream(config.agent):
        raise RigError(f"{config.agent} does not dream; give the folder of an agent that was trained to")
    if not planner_of(*named_planner(config)).dreams:
        raise RigError("nothing is dreamed that could be exchanged: take --dreams of 1 or more")


def score_rows(out: Path, config: CausalityConfig) -> dict[str, Any]:
    """Return the scores of all complete rows in `out`, as a JSON-able dict."""
    known = [*ROWS, *(name for name in DREAM_SOURCES.names() if name not in ROWS)]
    complete = [row for row in known if (out / row / SUMMARY).is_file()]
    played = {row: read_rows(out / row) for row in complete}
    summaries = {row: read_scores(out / row / SUMMARY) for row in complete}
    return {
        "config": asdict(config),
        "provenance": provenance(),
        "seeds": next((summary["seeds"] for summary in summaries.values()), [0, 0]),
        "plans": plans_of(config),
        "rows": {row: _score(summaries[row], played[row], played.get(OWN)) for row in complete},
    }


def _score(
    summary: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    cost = summary["cost_per_decision"]
    return {
        "episodes": summary["episodes"],
        "success": summary["success"],
        "against_own": None if own is None or own is episodes else _difference(episodes, own),
        **changes_of(episodes),
        "cost_per_decision": {name: cost[name] for name in cost if name != "decisions"},
        "runs_in": summary["runs_in"],
        "provenance": summary["provenance"],
    }


def _difference(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the paired difference in success; None of fewer than two episodes."""
    return asdict(paired_difference(_successes(ours), _successes(theirs))) if len(ours) > 1 else None


def _successes(episodes: Sequence[Mapping[str, Any]]) -> dict[Hashable, float]:
    return {(row["task"], row["setting"], row["seed"]): float(row["success"]) for row in episodes}


def changes_of(episodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what became of first proposals, from the rows of episodes, with 95 % intervals over whole episodes.

    Returns:
        `changed`, the share of decisions in which something else is done; how many decisions were `valued`; `spoilt`,
        of the first proposals that lose no step, the share for which something is done that loses some; `mended`, of
        those that lose steps, the share for which something is done that loses fewer; and `gained`, the steps that all
        valued decisions together have gained thereby, in the mean. None where there is nothing to count.
    """
    found = [row["changes"] for row in episodes if "changes" in row]
    lost = [(first, done, number) for number, one in enumerate(found) for first, done in one["lost"]]
    good = [(float(done > 0), number) for first, done, number in lost if first <= 0]
    bad = [(float(done < first), number) for first, done, number in lost if first > 0]
    changed = [
        (float(index < one["changed"]), number) for number, one in enumerate(found) for index in range(one["decisions"])
    ]
    return {
        "changed": _mean(changed),
        "valued": len(lost),
        "spoilt": _mean(good),
        "mended": _mean(bad),
        "gained": _mean([(float(first - done), number) for first, done, number in lost]),
    }


def _mean(values: Sequence[tuple[float, int]]) -> dict[str, Any] | None:
    """Return the mean of values, each with its episode; None where there are none."""
    return mean_if_any([value for value, _ in values], [cluster for _, cluster in values])
