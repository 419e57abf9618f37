"""What a ladder showed of several plans, of judges, of exchanged dreams and of learning from its own play: tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from rig.agents.checkpoint import AGENT_FILE, about_agent
from rig.evaluate.saved import CAUSALITY, JUDGEMENTS, read_scores
from rig.evaluate.scores import by_cell, cost_per_decision, mean_success, tokens_written
from rig.evaluate.stats import Estimate, interval
from rig.recipes.causality import HEADER, conclusion, table_rows
from rig.recipes.figures import draw_lines
from rig.recipes.planning import JUDGED, LEARNED, said_row, scored_in
from rig.recipes.results import Results
from rig.recipes.tables import image, markdown, row_name, signed


def plans_table(results: Results, figures: Path, page: Path) -> str:
    """Return how the best of several plans does, by how many there are and how far each is dreamed."""
    config, base, rows = results.ladder.config, results.ladder.planning_row, []
    budget = config.planning
    lines: dict[str, list[_Point]] = {}
    alone = _point(results, base, 1) if base in results.embodied else None
    for plans, dreams in sorted(budget.grid, key=lambda pair: pair[::-1]):
        name = scored_in(config, plans, dreams)
        if name in results.embodied:
            point = _point(results, name, plans)
            rows.append([str(plans), str(dreams), *_scored(results, name, point, plans if dreams else 0)])
            points = lines.setdefault(f"{dreams} dreamed" if dreams else "most votes", [alone] if alone else [])
            points.append(point)
    said = said_row(*budget.said)
    if said in results.embodied:
        plans, dreams = budget.said
        rows.append([str(plans), f"{dreams}, said", *_scored(results, said, _point(results, said, plans), plans)])
    if not rows:
        return ""
    one = f"{_what(results)}, one alone wins {alone.success.format()}. " if alone is not None else ""
    text = (
        f"{one}Without dreams (n = 0) {row_name(base)} proposes k plans and takes the one that most proposals chose. "
        "With dreams it dreams its first plan n steps ahead; where a dream shows what is seen, nothing comes of it: "
        "k - 1 others are proposed and dreamed, and the first of which something comes is taken. Said: of k plans, "
        "each dreamed, the one of which the agent that has learned to judge says that it loses least. The differences "
        "are paired."
    )
    header = (
        "k",
        "n",
        "mean success",
        "against k = 1",
        "won / lost",
        "against most votes of k",
        "tokens written",
        "ms",
    )
    drawn = "\n\n".join(image(figure, page) for figure in _draw_plans(lines, figures))
    return f"{text}\n\n{markdown(header, rows)}\n\n{drawn}"


class _Point(NamedTuple):
    """What a row of several plans writes and takes a decision, and wins, in the episodes that those are scored on."""

    plans: int
    tokens: float
    milliseconds: float
    success: Estimate


def _point(results: Results, name: str, plans: int) -> _Point:
    budget = results.ladder.config.planning
    cost = cost_per_decision(results.rows(name, budget.tasks, budget.episodes))
    return _Point(plans, tokens_written(cost), cost["seconds"] * 1000, _success(results, name))


def _draw_plans(lines: Mapping[str, Sequence[_Point]], figures: Path) -> Iterator[Path]:
    """Draw rows of several plans by how many there are, by what they write, and by how long they take."""
    for file, axis, place in (
        ("plans.svg", "plans (k)", attrgetter("plans")),
        ("plans-tokens.svg", "tokens written a decision", attrgetter("tokens")),
        ("plans-ms.svg", "ms a decision", attrgetter("milliseconds")),
    ):
        placed = {
            line: [(place(point), point.success) for point in sorted(points, key=place)]
            for line, points in lines.items()
        }
        costs = file != "plans.svg"
        yield draw_lines(figures / file, placed, x=axis, y="mean success", log_x=costs, each_x=not costs)


def _success(results: Results, name: str) -> Estimate:
    """Return the success of a row in the episodes that several plans are scored on."""
    budget = results.ladder.config.planning
    return mean_success(by_cell(results.rows(name, budget.tasks, budget.episodes)).values())


def _what(results: Results) -> str:
    """Say what several plans are scored on."""
    config, budget = results.ladder.config, results.ladder.config.planning
    tasks = ", ".join(budget.tasks) or "every task and setting"
    return f"On {tasks} ({budget.episodes or config.evaluation_episodes} episodes of each)"


def _scored(results: Results, name: str, point: _Point, voters: int) -> list[str]:
    """Return the columns of a row in those episodes; beside most votes of so many plans, where there are any."""
    config = results.ladder.config
    scored_on = (config.planning.tasks, config.planning.episodes)
    alone = results.difference(name, results.ladder.planning_row, *scored_on)
    votes = results.difference(name, scored_in(config, voters, 0), *scored_on) if voters else None
    return [
        point.success.format(),
        signed(alone),
        f"{alone.wins} / {alone.losses}" if alone else "–",
        signed(votes),
        f"{point.tokens:.0f}",
        f"{point.milliseconds:.0f}",
    ]


def judgements_tables(results: Results) -> str:
    """Return how well branches of held-out states are judged, by words and without any training."""
    path = results.found(results.ladder.root / JUDGED / JUDGEMENTS)
    if not path.is_file():
        return ""
    scores = read_scores(path)
    sets = (
        f"{scores['sets']} states of the agent's own play in validation worlds, {scores['branches']} distinct "
        f"proposals; in {scores['with_a_choice']} states the choice among them matters."
    )
    rows = [
        [name, *(interval(found[measure]) for measure in ("pairs", "best", "lost"))]
        for name, found in scores["scorers"].items()
    ]
    ranks = markdown(("judge", "pairs ranked rightly", "best found", "steps lost"), rows)
    given = [
        [kind, interval(found["right"]), f"{found['confidence']:.2f}", f"{found['ece']:.2f}", interval(found["words"])]
        for kind, found in scores["said"].items()
    ]
    verdicts = markdown(("given", "verdict right", "confidence", "ECE", "in the annotator's very words"), given)
    return f"{sets}\n\n{ranks}\n\n{verdicts}\n\n{_imagined(scores['imagination'])}"


def _imagined(found: Mapping[str, Any]) -> str:
    """Say what dreams tell the judge that state and action do not."""
    if "dreams" not in found:
        return ""
    pairs, lost = (interval(found["dreams"][measure]) for measure in ("pairs", "lost"))
    return f"Set by set, dreams add {pairs} of the pairs to what state and action tell, and {lost} steps lost."


def causality_table(results: Results) -> str:
    """Return what exchanged dreams do."""
    path = results.found(results.ladder.root / "causality" / CAUSALITY)
    if not path.is_file():
        return ""
    scores = read_scores(path)
    plans, dreams = results.ladder.config.planning.shown
    text = (
        f"{_what(results)}: up to {plans} plans, each dreamed {dreams} step(s) ahead, with other frames in the dreams' "
        "place."
    )
    return f"{text}\n\n{markdown(HEADER, table_rows(scores))}\n\n{conclusion(scores)}"


def _from_first_to_last(rounds: Sequence[Mapping[str, float]]) -> str:
    """Say how many attempts of the first round won, and of the last; in dreams, what they were worth."""
    measure, told = ("success", "") if "success" in rounds[0] else ("worth", "in dreams, worth ")
    return f"{told}{rounds[0][measure]:.2f} to {rounds[-1][measure]:.2f}"


def own_play_table(results: Results) -> str:
    """Return what came of learning from its own play."""
    rows = []
    for name in LEARNED:
        if name not in results.embodied:
            continue
        agent = results.found(Path(results.ladder.agent(name)) / AGENT_FILE).parent
        rounds = about_agent(agent).origin["improved"][-1]["rounds"]
        control = results.difference(name, "imitated") if name != "imitated" else None
        rows.append(
            [
                row_name(name),
                interval(results.embodied[name]["success"]),
                signed(results.difference(name, results.ladder.planning_row)),
                signed(control),
                str(len(rounds)),
                f"{sum(row['decisions'] for row in rounds):.0f}",
                _from_first_to_last(rounds),
            ]
        )
    if not rows:
        return ""
    header = (
        "row",
        "mean success",
        f"against {row_name(results.ladder.planning_row)}",
        "against the control",
        "rounds",
        "decisions learned",
    )
    return markdown((*header, "attempts that won, first round to last"), rows)
