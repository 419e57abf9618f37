"""What a ladder showed, as a page: tables with intervals, figures, costs, and the commands behind every number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.envs import Split
from rig.evaluate.config import BY_TEACHER
from rig.evaluate.scores import by_cell, mean_success, tokens_written
from rig.evaluate.stats import (
    Estimate,
    data_efficiency,
    data_efficiency_interval,
    estimate_of,
    interval,
)
from rig.provenance import provenance
from rig.recipes.dreams import dreams_shown, imagination_table, own_dreams_table
from rig.recipes.figures import draw_lines
from rig.recipes.jobs import in_order
from rig.recipes.ladder import CORRECTED, CORRECTED_CONTROL, DISTILLED, SCALED, UNDISTILLED, Ladder
from rig.recipes.places import PRACTISED
from rig.recipes.planning import LEARNED, chance_row, resample_row, votes_row, weighed_row
from rig.recipes.plans import causality_table, judgements_tables, own_play_table, plans_table
from rig.recipes.results import Results
from rig.recipes.tables import NAMES, image, markdown, row_name, signed
from rig.storage import write_text


def write_report(ladder: Ladder, page: Path, title: str, replicates: Sequence[Path] = ()) -> Path:
    """Write the page and its figures beside it, of the ladder and of replicates (`Results`); return the page."""
    results = Results(ladder, replicates)
    figures = page.parent / "figures" / page.stem
    sections = {
        "The ladder": (_ladder_table(results), _differences_table(results)),
        "Success by task and setting": (_cells_table(results),),
        "Dreams ahead": (_sweep_table(results, figures, page),),
        "Several plans": (plans_table(results, figures, page),),
        "What plans are worth": (judgements_tables(results),),
        "What dreams cause": (causality_table(results),),
        "Learning from its own play": (own_play_table(results),),
        "Success against data": (_data_table(results, figures, page),),
        "Imagination": (
            imagination_table(results, figures, page),
            own_dreams_table(results),
            dreams_shown(results, figures, page),
        ),
        "Reasoning": (_reasoning_table(results),),
        "What was spent": (_hours_line(results), _costs_table(results)),
        "Commands": (_commands(ladder),),
    }
    parts = [f"# {title}", _head(results)]
    for name, tables in sections.items():
        there = [table for table in tables if table]
        parts += [f"## {name}", *there] if there else []
    write_text(page, "\n\n".join(parts) + "\n")
    return page


def main_rows(results: Results) -> list[str]:
    """Return the rows that were scored on everything, in the order of the ladder."""
    ahead = _by_dreams(results, "lookahead")
    plans, dreams = results.ladder.config.planning.shown
    order = [
        "action",
        "imagine",
        "reason",
        "basic",
        "on-policy",
        PRACTISED,
        *results.ladder.controls,
        *_by_dreams(results, CORRECTED),
        CORRECTED_CONTROL,
        votes_row(plans),
        *(chance_row(plans, share) for share in results.ladder.config.planning.refused),
        weighed_row(plans),
        resample_row(plans, dreams),
        DISTILLED,
        UNDISTILLED,
        *LEARNED,
        *ahead,
        "control-0",
        "control",
        "teacher",
        "random",
    ]
    return [name for name in order if name in results.embodied]


def _by_dreams(results: Results, name: str) -> list[str]:
    """Return the rows of what is called `name` and scored on everything, by their number of dreams."""
    return sorted(row for row in results.embodied if re.fullmatch(rf"{name}-\d+", row))


def _head(results: Results) -> str:
    made = provenance()
    rows = [summary for name in main_rows(results) for summary in results.summaries(name)]
    commits, trained = _commits(results.scored), _commits(results.agents.values())
    training = f" (training: {trained})" if trained else ""
    hardware = [row["provenance"]["hardware"] for row in rows]
    machines = sorted({f"{found['cores']} × {found['cpu']}; GPU: {found['gpu']}" for found in hardware})
    seeds = [min(row["seeds"][0] for row in rows), max(row["seeds"][1] for row in rows)] if rows else [0, 0]
    config = results.ladder.config
    more = config.teacher_episodes
    episodes = {results.embodied[name]["episodes"] for name in main_rows(results) if not (more and name == "teacher")}
    count = "/".join(map(str, sorted(episodes)))
    each = "/".join(map(str, sorted({config.evaluation_episodes, config.claim_episodes} - {0})))
    taught = f", the teacher's {more} per task and setting" if more else ""
    cut = f"; agents' episodes are cut after {config.most_steps} decisions" if config.most_steps else ""
    agents = [row["config"] for row in rows if not row["config"]["agent"].startswith(BY_TEACHER)]
    drawn = "/".join(f"{heat:g}" for heat in sorted({found["temperature"] for found in agents}))
    drawing = f", thoughts and actions drawn at temperature {drawn}, dreams greedily" if agents else ""
    precision = "/".join(sorted({row["runs_in"]["dtype"] for row in rows if row.get("runs_in")}))
    computing = f"; agents in {precision}" if precision else ""
    text = (
        f"Written by `rig reproduce` on {made['date'][:10]}. Every row: {count} episodes ({each} per task and "
        f"setting){taught}, evaluation seeds {seeds[0]} to {seeds[1]} (training seeds are below {Split.TRAIN.stop})"
        f"{cut}{drawing}. Machine: {'; '.join(machines)}{computing}. Commit: {commits}{training}. Brackets hold 95 % "
        "intervals: Wilson for rates of one task, adjusted Wald (Price & Bonett) for means over tasks, each task and "
        "setting weighing the same; bootstrap over episodes elsewhere."
    )
    if results.replicates:
        text += (
            f"\n\n**{results.replicates + 1} trainings** of all agents are pooled, each of which has some of the rows. "
            "Two rows are compared within each training that has both: where their means stand side by side, they may "
            "be of different agents."
        )
    left = results.left(in_order(results.ladder.jobs()))
    return f"{text}\n\n**Not yet there:** {', '.join(left)}." if left else text


def _commits(made: Iterable[Mapping[str, Any]]) -> str:
    """Name the commits at which these were made."""
    return ", ".join(sorted({entry["provenance"]["commit"]["hash"][:10] for entry in made}))


def _ladder_table(results: Results) -> str:
    rows, names = [], main_rows(results)
    settings = sorted({setting for name in names for setting in results.embodied[name]["by_setting"]})
    for name in names:
        summary = results.embodied[name]
        cost = summary["cost_per_decision"]
        written = tokens_written(cost)
        rows.append(
            [
                row_name(name),
                interval(summary["success"]),
                *(interval(summary["by_setting"].get(setting)) for setting in settings),
                f"{cost.get('read_tokens', 0):.0f} + {written:.0f}" if written else "–",
                f"{cost.get('seconds', 0) * 1000:.0f}" if written else "–",
                interval(summary.get("in_vain")),
                *([results.trainings[name]] if results.replicates else []),
            ]
        )
    trainings = ["trainings"] if results.replicates else []
    costs = ("tokens read + written a decision", f"ms a decision ({results.ladder.config.worlds} worlds)")
    return markdown(["row", "mean success", *settings, *costs, "in vain", *trainings], rows)


def _differences_table(results: Results) -> str:
    ahead = [name for name in main_rows(results) if name.startswith("lookahead-")]
    pairs = [("basic", "action"), ("basic", "reason"), ("basic", "imagine"), ("control", "basic")]
    on_policy_control, planning_control = results.ladder.on_policy_control, results.ladder.planning_control
    pairs += [("on-policy", "basic"), ("on-policy", on_policy_control)]
    pairs += [(PRACTISED, "basic"), (PRACTISED, planning_control)]
    corrected = [*_by_dreams(results, CORRECTED), CORRECTED_CONTROL]
    pairs += [(name, "on-policy") for name in corrected]
    pairs += [(name, other) for name in corrected[1:-1] for other in (corrected[0], CORRECTED_CONTROL)]
    planning = results.ladder.config.planning
    plans, dreams = planning.shown
    best, votes, weighed = resample_row(plans, dreams), votes_row(plans), weighed_row(plans)
    seldom, often = (chance_row(plans, share) for share in planning.refused)
    pairs += [(best, other) for other in (results.ladder.planning_row, planning_control, votes, seldom)]
    pairs += [(weighed, other) for other in (results.ladder.planning_row, planning_control, votes, often, best)]
    pairs += [(name, results.ladder.planning_row) for name in (votes, seldom, often)]
    pairs += [(DISTILLED, other) for other in (results.ladder.planning_row, UNDISTILLED, planning_control, best)]
    pairs += [(name, results.ladder.planning_row) for name in LEARNED]
    pairs += [(name, other) for name in ahead for other in ("basic", "control")]
    pairs += [*((name, "lookahead-0") for name in ahead if name != "lookahead-0"), ("control", "control-0")]
    rows = []
    for ours, theirs in pairs:
        found = results.difference(ours, theirs)
        if found is not None:
            rows.append(
                [
                    f"{row_name(ours)} − {row_name(theirs)}",
                    signed(found),
                    f"{found.p_value:.3f}",
                    f"{found.wins} / {found.losses}",
                ]
            )
    if not rows:
        return ""
    text = "Paired over the same episodes (bootstrap interval, sign-flip test):\n\n"
    return text + markdown(["difference in success", "mean", "p", "wins / losses"], rows)


def _cells_table(results: Results) -> str:
    rows = main_rows(results)
    cells = sorted({cell for name in rows for cell in results.embodied[name]["cells"]})
    body = [
        [cell, *(interval(results.embodied[name]["cells"].get(cell, {}).get("success")) for name in rows)]
        for cell in cells
    ]
    samples = [
        [cell, *(interval(results.embodied[name]["cells"].get(cell, {}).get("samples"), 1) for name in rows)]
        for cell in cells
    ]
    header = ["task/setting", *(row_name(name) for name in rows)]
    return (
        f"{markdown(header, body)}\n\nSamples: how much of what the task asks for was got or done.\n\n"
        f"{markdown(header, samples)}"
    )


def _sweep_table(results: Results, figures: Path, page: Path) -> str:
    config, points, rows = results.ladder.config, {}, []
    tasks = config.sweep_tasks
    names = [name for name in results.embodied if re.fullmatch(r"(lookahead|sweep|codes)-\d+", name)]
    for name in sorted(names, key=lambda name: (name.startswith("codes-"), int(name.rpartition("-")[2]))):
        cells = results.embodied[name]["cells"]
        kept = [cells[task]["success"] for task in tasks if task in cells]
        if not kept:
            continue
        mean = mean_success(by_cell(results.rows(name, tasks)).values())
        cost = results.embodied[name]["cost_per_decision"]
        changed = results.embodied[name]["reviews"].get("changed")
        gain = results.difference(name, "lookahead-0", tasks) if name != "lookahead-0" else None
        rows.append(
            [
                row_name(name),
                mean.format(),
                signed(gain),
                f"{gain.wins} / {gain.losses}" if gain is not None else "–",
                *(interval(cell) for cell in kept),
                f"{changed:.2f}" if changed is not None else "–",
                f"{tokens_written(cost):.0f}",
            ]
        )
        if not name.startswith("codes-"):
            points[int(name.rpartition("-")[2])] = mean
    if not rows:
        return ""
    lines = {"RIG-lookahead": sorted(points.items())}
    figure = draw_lines(figures / "dreams.svg", lines, x="dreams before acting (n)", y="mean success on the subset")
    header = [
        "row",
        "mean success",
        "against n = 0",
        "wins / losses",
        *tasks,
        "reviews that changed the action",
        "tokens written a decision",
    ]
    return f"On a subset of tasks and settings.\n\n{markdown(header, rows)}\n\n{image(figure, page)}"


def _data_table(results: Results, figures: Path, page: Path) -> str:
    fractions = results.ladder.config.fractions
    if not fractions:
        return ""
    curves: dict[str, dict[float, Estimate]] = {}
    names: dict[str, dict[float, str]] = {}
    rows = []
    for row in SCALED:
        for fraction, name in [*((f, f"{row}-{f:g}") for f in fractions), (1.0, f"{row}-all")]:
            if name not in results.embodied:
                continue
            success = results.embodied[name]["success"]
            curves.setdefault(row, {})[fraction] = estimate_of(success)
            names.setdefault(row, {})[fraction] = name
            run = f"{row}-1" if fraction == 1 else name
            origin = results.agents.get(run)
            data = origin["data"][0] if origin and origin["data"] else None
            rows.append(
                [
                    NAMES[row],
                    f"{fraction:g}",
                    data["trajectories"] if data else "–",
                    data["steps"] if data else "–",
                    f"{origin['totals']['steps']:.0f}" if origin else "–",
                    interval(success),
                ]
            )
    if set(curves) != set(SCALED):
        return ""
    found = data_efficiency(*({share: score.value for share, score in curves[row].items()} for row in SCALED))
    verdict = "no answer"
    if found.ratio:
        action, basic = ({f: results.episodes(name) for f, name in names[row].items()} for row in SCALED)
        verdict = f"{data_efficiency_interval(action, basic).format(1)} times less data"
    lines = {NAMES[row]: sorted(curve.items()) for row, curve in curves.items()}
    figure = draw_lines(figures / "data.svg", lines, x="share of the taught episodes", y="mean success", log_x=True)
    header = ["row", "share", "episodes", "steps of play", "optimiser steps", "mean success"]
    return (
        f"First part only (S1 and S2, no second part), each share nested in the next.\n\n{markdown(header, rows)}\n\n"
        f"For the score {found.score:.2f}, RIG-basic needs {verdict} (log-linear interpolation, bootstrap over "
        f"episodes).{found.note and f' {found.note}.'}\n\n"
        f"{image(figure, page)}"
    )


def _reasoning_table(results: Results) -> str:
    rows = []
    for name in main_rows(results):
        claims = results.embodied[name]["thoughts"]
        if claims.get("true"):
            rows.append(
                [
                    row_name(name),
                    claims["checked"],
                    interval(claims["true"], 3),
                    f"{claims['followed']:.3f}",
                    f"{claims['readable']:.3f}",
                ]
            )
    header = ["row", "claims checked", "true", "conclusions acted upon", "clauses that could be read"]
    return markdown(header, rows) if rows else ""


_PARTS = {
    **dict.fromkeys(("train", "train-tokenizer", "train-vision", "improve"), "training"),
    **dict.fromkeys(("eval", "imagine", "judge", "causality"), "scores"),
}
"""Verb -> what its hours are spent on; all others make data."""


def _hours_line(results: Results) -> str:
    spent = results.core_hours()
    if not spent:
        return ""
    verbs = {job.name: job.arguments[0] for job in results.ladder.jobs()}
    parts = {"data": 0.0, "training": 0.0, "scores": 0.0}
    for name, hours in spent.items():
        verb = verbs.get(name, "")
        parts[_PARTS.get(verb, "data")] += hours
    each = ", ".join(f"{part} {hours:.1f}" for part, hours in parts.items())
    mean = ", in the mean over the trainings" if results.replicates else ""
    return f"All {len(spent)} jobs together: {sum(spent.values()):.1f} core hours ({each}){mean}."


def _costs_table(results: Results) -> str:
    rows = []
    for run, origin in results.agents.items():
        totals = origin["totals"]
        data = "; ".join(
            f"{part['name']}: {part['trajectories']} episodes, {part['steps']} steps" for part in origin["data"]
        )
        rows.append(
            [
                run,
                data,
                f"{totals['steps']:.0f}",
                f"{totals['conversations']:.0f}",
                f"{totals['tokens'] / 1e6:.1f}",
                f"{totals['seconds'] / 60:.0f}",
            ]
        )
    untold = "; ".join(f"{run} ({why})" for run, why in results.unexplained.items())
    parts = [
        _tokenizer_line(results),
        markdown(["run", "data", "steps", "conversations", "M tokens", "minutes"], rows) if rows else "",
        f"Of these agents it cannot be told how they were made: {untold}." if untold else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _tokenizer_line(results: Results) -> str:
    """Say how good the tokenizers of the first agent are, where they have scores."""
    scores = next((origin["tokenizers"] for origin in results.agents.values()), {})
    psnr, frames, use = (scores.get(name) for name in ("psnr", "frames", "codebook_use"))
    if not all(isinstance(score, float) for score in (psnr, frames, use)):
        return ""
    return f"Tokenizer: PSNR {psnr:.1f} dB on {frames:.0f} held-out frames, {use:.0%} of its codes used there."


def _commands(ladder: Ladder) -> str:
    lines = "\n".join(job.command for job in in_order(ladder.jobs()))
    return f"<details><summary>every command, in order</summary>\n\n```\n{lines}\n```\n\n</details>"
