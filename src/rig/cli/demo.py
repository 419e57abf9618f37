"""The demonstration behind `rig demo`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rig.annotators import checker_of
from rig.bundle import has_learned_reviews
from rig.cli.tables import table
from rig.envs import TOOL, make_world
from rig.envs.rollout import Played
from rig.errors import RigError
from rig.evaluate.beside import play_beside
from rig.evaluate.config import BY_TEACHER, EmbodiedConfig
from rig.evaluate.embodied import by_cell, environment_of, summarise, summary_row
from rig.storage import write_json
from rig.viewer import render_trace

_TASKS = {"minetest": ("collect_dirt/tool", "go_explore/tool")}
"""World -> what is played there where nothing is asked for; every task elsewhere."""


def run_demo(config: EmbodiedConfig, dreams: int | None, out: Path, *, teacher: str = "") -> dict[str, Any]:
    """Play without and with dreams, write `trace.html` and `summary.json` into `out`, and return the summary.

    Args:
        config: who plays what; some tasks once where it names none.
        dreams: n of RIG-lookahead, which is left out at 0; None: 1 where the agent has learned reviews, else 0.
        out: the folder.
        teacher: who plays the same first; nobody where empty.

    Raises:
        RigError: nobody is to play.
    """
    started = time.perf_counter()
    kinds = _kinds(config, dreams, teacher)
    played = play_beside(kinds)
    shown = [episode.trajectory for name in played for episode in _shown(played[name])]
    page = render_trace(
        shown,
        out / "trace.html",
        title=f"RIG plays {next(iter(kinds.values())).environment.capitalize()}",
        meta={"agent": config.agent or "none", "episodes": ", then ".join(kinds)},
    )
    rows = {name: [_scored(episode) for episode in episodes_] for name, episodes_ in played.items()}
    summary: dict[str, Any] = {
        "agent": config.agent,
        "trace": str(page),
        "seconds": round(time.perf_counter() - started, 1),
        **{name: _scores(rows[name], kinds[name]) for name in rows},
    }
    write_json(out / "summary.json", summary)
    return {"text": f"{_table(rows)}\n\nopen {page}", **summary}


def _kinds(config: EmbodiedConfig, dreams: int | None, teacher: str) -> dict[str, EmbodiedConfig]:
    """Return the ways to play, by name."""
    first = replace(config, agent=BY_TEACHER + teacher)
    world = environment_of(config if config.agent else first)
    tasks = config.tasks or _TASKS.get(world) or tuple(_every_task(world))
    kinds = {f"the teacher {teacher}": first} if teacher else {}
    if config.agent:
        ahead = int(has_learned_reviews(config.agent)) if dreams is None else dreams
        kinds |= {"RIG-basic": config}
        kinds |= {f"RIG-lookahead, n = {ahead}": replace(config, dreams=ahead)} if ahead else {}
    if not kinds:
        raise RigError(f"there is no shipped agent for {world}; name one with --agent, or a --teacher")
    return {name: replace(kind, tasks=tasks, environment=world) for name, kind in kinds.items()}


def _every_task(world: str) -> Iterator[str]:
    """Yield every task as "task/setting": the setting with tools, where it has one, for it is the shorter."""
    for task in make_world(world).tasks:
        yield f"{task.name}/{TOOL if TOOL in task.starts else next(iter(task.starts))}"


def _scored(played: Played) -> dict[str, Any]:
    return summary_row(played, checker_of(played.trajectory.environment))


def _shown(played: Sequence[Played]) -> list[Played]:
    """Return one episode per task, a success where there is one."""
    best: dict[str, Played] = {}
    for episode in played:
        task = episode.trajectory.task
        if task not in best or (episode.trajectory.success and not best[task].trajectory.success):
            best[task] = episode
    return list(best.values())


def _scores(rows: Sequence[dict[str, Any]], config: EmbodiedConfig) -> dict[str, Any]:
    summary = summarise(rows, config)
    kept = ("success", "episodes", "cost_per_decision", "thoughts", "reviews", "provenance")
    cells = {name: cell["success"]["value"] for name, cell in summary["cells"].items()}
    return {**{name: summary[name] for name in kept}, "cells": cells}


def _table(rows: dict[str, list[dict[str, Any]]]) -> str:
    cells = {name: by_cell(found) for name, found in rows.items()}
    names = sorted({cell for found in cells.values() for cell in found})

    def score(name: str, cell: str) -> str:
        found = cells[name].get(cell, [])
        return f"{sum(row['success'] for row in found)} of {len(found)}"

    return table(["task/setting", *cells], [[cell, *(score(name, cell) for name in cells)] for cell in names])
