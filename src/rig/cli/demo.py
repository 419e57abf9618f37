"""The demonstration behind `rig demo`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.agents.checkpoint import has_learned_reviews
from rig.agents.sources import can_dream
from rig.annotators import checker_of
from rig.cli.showing import opening, shown_together
from rig.cli.tables import table
from rig.envs import TOOL, make_world, spec_of
from rig.envs.rollout import Played
from rig.errors import RigError
from rig.evaluate.config import BY_TEACHER, EmbodiedConfig
from rig.evaluate.embodied import environment_of
from rig.evaluate.parallel import play_in_parallel
from rig.evaluate.plans import choices_of, count_plans
from rig.evaluate.scores import by_cell, summarise, summary_row
from rig.storage import refuse_as_page, refuse_existing, write_json
from rig.viewer import render_trace

PAGE = "trace.html"

PLANS = 4
"""How many plans are weighed where nothing else is said."""

BASIC = "RIG-basic"
_UNSEEN = f"{BASIC}, without dreams"
"""Its episodes that are counted and not shown."""

Row = Mapping[str, Any]
"""What the summary needs of an episode, as `summary_row` makes it."""


def run_demo(
    config: EmbodiedConfig,
    dreams: int | None,
    out: Path,
    *,
    plans: int | None = None,
    teacher: str = "",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Play without and with dreams, and as the best of several plans; return the summary.

    `trace.html` and `summary.json` are written into `out`.

    Args:
        config: who plays what; some tasks once where it names none.
        dreams: n of RIG-lookahead, which is left out at 0; None: 1 where the agent has learned reviews, else 0, and
            then one episode of each task, for it takes longest; of RIG-basic no more are dreamed either.
        out: the folder.
        plans: k of the best of several plans, each dreamed a step ahead, which is left out at 1; None: 4 where the
            agent dreams and what would come of each is soon tried: in a world that is no engine of its own.
        teacher: who plays the same first; nobody where empty.
        overwrite: replace an earlier demonstration in `out`.

    Raises:
        RigError: nobody is to play, or nothing can be written to `out`.
    """
    started = time.perf_counter()
    refuse_as_page(out / PAGE)
    if not overwrite:
        refuse_existing(out, "replace the demonstration there with --overwrite, or choose another folder with --out")
    kinds = _kinds(config, dreams, teacher, plans)
    played = play_in_parallel(kinds)
    unseen = {BASIC: played.pop(_UNSEEN, [])}
    rows = {name: [_scored(one) for one in (*ended, *unseen.get(name, ()))] for name, ended in played.items()}
    world = next(iter(kinds.values())).environment
    page = _show(played, rows, out / PAGE, title=f"RIG plays {world.capitalize()}", agent=config.agent)
    summary: dict[str, Any] = {
        "agent": config.agent,
        "trace": str(page),
        "seconds": round(time.perf_counter() - started, 1),
        **{name: _scores(rows[name], kinds[name]) for name in rows},
    }
    write_json(out / "summary.json", summary)
    reviews = {name: summary[name]["reviews"] for name in rows if summary[name]["reviews"]}
    claims = {name: found["claims"] for name, found in reviews.items() if "claims" in found}
    choices = {name: found["plans"] for name in rows if (found := summary[name])["plans"]["decisions"]}
    tables = [
        _table(rows),
        *([_plans_table(choices)] if choices else []),
        *([_reviews_table(reviews)] if reviews else []),
        *([_claims_table(claims)] if claims else []),
    ]
    text = [*tables, f"the page:\n{page.absolute()}"]
    return {"text": "\n\n".join(text), **summary}


def _show(
    played: Mapping[str, Sequence[Played]], rows: Mapping[str, Sequence[Row]], page: Path, *, title: str, agent: str
) -> Path:
    ways, trajectories = zip(*shown_together(played), strict=True)
    return render_trace(
        trajectories,
        page,
        title=title,
        meta={"agent": agent or "none", "episodes": ", then ".join(played)},
        ways=ways,
        results=_results(rows),
        first=opening(trajectories),
    )


def _kinds(
    config: EmbodiedConfig, dreams: int | None, teacher: str, plans: int | None = None
) -> dict[str, EmbodiedConfig]:
    """Return the ways to play, by name."""
    first = replace(config, agent=BY_TEACHER + teacher)
    world = environment_of(config if config.agent else first)
    spec = spec_of(world)
    tasks = config.tasks or (spec.shown if spec else ()) or tuple(_every_task(world))
    kinds = {f"the teacher {teacher}": first} if teacher else {}
    if config.agent:
        ahead = int(has_learned_reviews(config.agent)) if dreams is None else dreams
        shown = replace(config, follow_dreams=True)
        once = min(1, config.episodes) if dreams is None else config.episodes
        kinds |= {BASIC: replace(shown, imagine=True, episodes=once)}
        more = config.episodes - once
        kinds |= {_UNSEEN: replace(shown, skip=config.skip + once, episodes=more)} if more else {}
        kinds |= {f"RIG-lookahead, n = {ahead}": replace(shown, dreams=ahead, episodes=once)} if ahead else {}
        count = _plans_shown(config.agent, world) if plans is None else plans
        kinds |= {f"best of {count} plans, n = 1": _best_of(shown, count)} if count > 1 else {}
    if not kinds:
        raise RigError(f"there is no shipped agent for {world}; name one with --agent, or a --teacher")
    return {name: replace(kind, tasks=tasks, environment=world) for name, kind in kinds.items()}


def _plans_shown(agent: str, world: str) -> int:
    """Return how many plans are weighed where nothing else is said; see `run_demo`."""
    return PLANS if can_dream(agent) and make_world(world).most_at_once is None else 1


def _best_of(shown: EmbodiedConfig, plans: int) -> EmbodiedConfig:
    """Return how to take the first of several plans of whose dream something comes; the others are steps lost."""
    return replace(shown, plans=plans, dreams=1, judge="effect")


def _every_task(world: str) -> Iterator[str]:
    """Yield every task as "task/setting": the setting with tools, where it has one, for it is the shorter."""
    for task in make_world(world).tasks:
        yield f"{task.name}/{TOOL if TOOL in task.starts else next(iter(task.starts))}"


def _scored(played: Played) -> dict[str, Any]:
    trajectory = played.trajectory
    return summary_row(played, checker_of(trajectory.environment)) | {"plans": count_plans(choices_of(trajectory))}


def _scores(rows: Sequence[Row], config: EmbodiedConfig) -> dict[str, Any]:
    summary = summarise(rows, config)
    kept = ("success", "episodes", "cost_per_decision", "thoughts", "reviews", "provenance")
    cells = {name: cell["success"]["value"] for name, cell in summary["cells"].items()}
    plans = {name: sum(row["plans"][name] for row in rows) for name in count_plans(())}
    return {**{name: summary[name] for name in kept}, "cells": cells, "plans": plans}


def _results(rows: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return way of playing -> "task/setting" -> (successes, episodes)."""
    cells = {name: by_cell(found) for name, found in rows.items()}
    return {
        name: {cell: (sum(row["success"] for row in part), len(part)) for cell, part in found.items()}
        for name, found in cells.items()
    }


def _table(rows: Mapping[str, Sequence[Row]]) -> str:
    """Return successes by task and setting, and in all, a column for each way of playing."""
    results = _results(rows)
    names = sorted({cell for found in results.values() for cell in found})

    def score(found: Mapping[str, tuple[int, int]], cell: str) -> str:
        return "{} of {}".format(*found.get(cell, (0, 0)))

    total = [f"{sum(row['success'] for row in found)} of {len(found)}" for found in rows.values()]
    lines = [[cell, *(score(found, cell) for found in results.values())] for cell in names]
    return table(["task/setting", *results], [*lines, ["all", *total]])


def _plans_table(choices: Mapping[str, Mapping[str, int]]) -> str:
    """Return on how many decisions all proposals agreed, how the others were made, and what became of that."""
    header = ["plans of", "decisions", "all agreed", "weighed", "against the votes", "gains differ", "took the best"]
    parts = ("against", "told", "best")
    return table(
        header,
        [
            [
                name,
                found["decisions"],
                found["agreed"],
                found["decisions"] - found["agreed"],
                *(found[part] for part in parts),
            ]
            for name, found in choices.items()
        ],
    )


def _reviews_table(reviews: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what reviews did with their plans, and what they said of them where somebody can tell."""
    are_judged = all("says" in found for found in reviews.values())
    header = ["reviews of", "number", "changed the plan", *(_SAID if are_judged else ())]
    return table(header, [[name, *_counts(found)] for name, found in reviews.items()])


def _claims_table(claims: Mapping[str, Mapping[str, Mapping[str, int]]]) -> str:
    """Return what reviews said of their plans and of their dreams, and how much of it was so."""
    header = ["reviews of", "named the plan", "rightly", "said of the dream", "it came", "dream stands still", "it did"]
    parts = (("plan", "checked"), ("plan", "true"), ("dream", "checked"), ("dream", "came"))
    wanted = (*parts, ("still", "told"), ("still", "dreamed"))
    return table(header, [[name, *(found[part][count] for part, count in wanted)] for name, found in claims.items()])


_SAID = ("said keep", "and changed it", "said change", "and kept it")


def _counts(found: Mapping[str, Any]) -> list[int]:
    said = [found[part][name] for name in ("keep", "change") for part in ("says", "against")] if "says" in found else []
    return [found["reviews"], round(found["changed"] * found["reviews"]), *said]
