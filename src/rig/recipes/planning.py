"""The jobs of a ladder that are about several plans: branches, judges, exchanged dreams, learning from its own play.

All begin with the ladder's RIG-basic: the paper's, or the corrected one of its last on-policy round, its dreams
practised where the ladder does that. What it learns of its own play it learns in three ways, of as many decisions and
in as many steps: from reward (`improved`); by imitating attempts that won (`imitated`, the control); and from its
dreams alone, for plans of which something comes (`dreamed`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rig.evaluate.saved import CAUSALITY, JUDGEMENTS
from rig.recipes.config import LadderConfig
from rig.recipes.jobs import Job
from rig.recipes.places import Places

JUDGE = "judge"
JUDGED = "judged"
BRANCHES, HELD_OUT = "branches", "branches-held-out"
LEARNED = ("improved", "imitated", "dreamed")
"""Agents that have learned from their own play."""

_STATES = 8
"""At which plans are dreamed, of an episode: so many make as many decisions as an attempt has steps to learn."""


def plans_row(plans: int, dreams: int) -> str:
    """Return the name of the row of so many plans and dreams."""
    return f"plans-{plans}-{dreams}"


def resample_row(plans: int, dreams: int) -> str:
    """Return the name of the row of so many plans and dreams that is scored on everything."""
    return f"resample-{plans}-{dreams}"


def votes_row(plans: int) -> str:
    """Return the name of the row of most votes of so many plans that is scored on everything."""
    return f"votes-{plans}"


def weighed_row(plans: int) -> str:
    """Return the name of the row that refuses plans by how likely it is that nothing comes of them."""
    return f"weighed-{plans}"


def scored_in(config: LadderConfig, plans: int, dreams: int) -> str:
    """Return the row that so many plans and dreams are scored in: on everything, where that plays as many episodes."""
    budget = config.planning
    if plans == budget.shown[0] and dreams in (0, budget.shown[1]) and config.evaluation_episodes >= budget.episodes:
        return resample_row(plans, dreams) if dreams else votes_row(plans)
    return plans_row(plans, dreams)


def chance_row(plans: int, share: float) -> str:
    """Return the name of the row that refuses such a share of first plans at random, in place of what dreams show."""
    return f"chance-{plans}-{100 * share:.0f}"


def said_row(plans: int, dreams: int) -> str:
    """Return the name of the row that plays by what the judge says."""
    return f"said-{plans}-{dreams}"


def planning_jobs(ladder: Places) -> Iterator[Job]:
    """Yield the jobs; none where the ladder is without planning."""
    if not ladder.config.with_planning:
        return
    yield from _judge(ladder)
    yield from _plans(ladder)
    yield _causality(ladder)
    yield from _own_play(ladder)


def _judge(ladder: Places) -> Iterator[Job]:
    config, budget = ladder.config, ladder.config.planning
    for name, episodes, flags in (
        (BRANCHES, budget.branch_episodes, ("--skip", str(ladder.taken()), "--random", "1")),
        (HELD_OUT, budget.held_out_episodes, ("--split", "validation", "--random", "0")),
    ):
        words: tuple[str, ...] = ("branch", "--agent", ladder.agent(ladder.planning_run), "--out", ladder.path(name))
        words += ("--teacher", ladder.kit.teacher, "--episodes", str(episodes), "--states", str(budget.states))
        words += ("--plans", str(budget.proposals), "--dreams", "1", *flags, *ladder.patience(), "--resume")
        words += (*ladder.worlds(), *ladder.cut(), *ladder.tasks())
        yield Job(name=name, arguments=words, result=ladder.marker(name), needs=(ladder.planning_run,))
    words = ("train", "--tokenizers", ladder.path("tokenizers"), "--start", ladder.agent(ladder.planning_run))
    words += ("--data", *map(ladder.path, ladder.planning_data), "--judge", ladder.path(BRANCHES))
    words += ("--judge-share", f"{budget.judge_share:g}", "--judge-given", "real", "dreams", "nothing")
    words += ("--judge-words", ladder.kit.reviewer, "--steps", str(budget.judge_steps))
    words += ("--batch-size", str(config.batch_size), "--learning-rate", str(config.second_rate))
    words += ("--out", str(ladder.root / "train" / JUDGE), "--resume", *([] if config.compile else ["--no-compile"]))
    result = Path(ladder.agent(JUDGE)) / "agent.json"
    needs = (ladder.planning_run, "tokenizers", *ladder.planning_data, BRANCHES)
    yield Job(name=JUDGE, arguments=words, result=result, needs=needs)
    out = ladder.root / JUDGED
    words = ("judge", "--agent", ladder.agent(JUDGE), "--data", ladder.path(HELD_OUT), "--out", str(out))
    words += ladder.worlds()
    yield Job(name=JUDGED, arguments=words, result=out / JUDGEMENTS, needs=(JUDGE, HELD_OUT))


def _plans(ladder: Places) -> Iterator[Job]:
    budget, run = ladder.config.planning, ladder.planning_run
    plans, dreams = budget.shown
    seldom, often = budget.refused
    closely = ladder.config.claim_episodes
    rows = [
        (votes_row(plans), 0, best_of(plans, 0)),
        (chance_row(plans, seldom), closely, _refused_at_random(plans, seldom)),
        (resample_row(plans, dreams), closely, best_of(plans, dreams)),
    ]
    if budget.weighed:
        rows += [
            (chance_row(plans, often), 0, _refused_at_random(plans, often)),
            (weighed_row(plans), 0, best_of(plans, 1, "stillness")),
        ]
    for name, episodes, words in rows:
        yield ladder.eval_job(name, ladder.agent(run), *words, needs=(run,), episodes=episodes)
    for plans, dreams in budget.grid:
        row = plans_row(plans, dreams)
        if scored_in(ladder.config, plans, dreams) == row:
            yield _on_some(ladder, row, run, *best_of(plans, dreams))
    yield _on_some(ladder, said_row(*budget.said), JUDGE, *_several(*budget.said, "said"))


def _on_some(ladder: Places, name: str, run: str, *flags: str) -> Job:
    """Return the job of a row's evaluation on what rows of several plans are scored on."""
    budget = ladder.config.planning
    return ladder.eval_job(name, ladder.agent(run), *flags, needs=(run,), episodes=budget.episodes, tasks=budget.tasks)


def best_of(plans: int, dreams: int, judge: str = "effect") -> tuple[str, ...]:
    """Return the flags of how one of several plans is taken: as a judge of dreams says, or without any by votes."""
    return (*_several(plans, dreams, judge), "--resample") if dreams else _several(plans, dreams, "majority")


def _refused_at_random(plans: int, share: float) -> tuple[str, ...]:
    options = (f"plans={plans}", "dreams=0", "judge=chance", f"refused={share:g}")
    return ("--planner", "resample", "--planner-options", *options)


def _several(plans: int, dreams: int, judge: str) -> tuple[str, ...]:
    return ("--plans", str(plans), "--dreams", str(dreams), "--judge", judge)


def _causality(ladder: Places) -> Job:
    budget, out = ladder.config.planning, ladder.root / "causality"
    words: tuple[str, ...] = ("causality", "--agent", ladder.agent(ladder.planning_run), "--out", str(out))
    words += ("--episodes", str(budget.episodes or ladder.config.evaluation_episodes), "--valued", f"{budget.valued:g}")
    words += (*best_of(*budget.shown), *ladder.patience(), "--resume")
    words += ("--rows", *budget.rows) if budget.rows else ()
    words += (*ladder.worlds(), *ladder.cut(), *ladder.tasks(budget.tasks))
    return Job(name="causality", arguments=words, result=out / CAUSALITY, needs=(ladder.planning_run,))


def _own_play(ladder: Places) -> Iterator[Job]:
    budget = ladder.config.planning
    ways = {
        "improved": (),
        "imitated": ("--learn", "won", "--temperature", "0.5"),
        "dreamed": ("--in-dreams", "--dreams", "1", "--judge", "effect", "--midway", "1", "--states", str(_STATES)),
    }
    for name in LEARNED:
        words: tuple[str, ...] = ("improve", "--agent", ladder.agent(ladder.planning_run))
        words += ("--data", *map(ladder.path, ladder.planning_data))
        words += ("--out", str(ladder.root / "train" / name), "--rounds", str(budget.rounds))
        groups = budget.groups * (_STATES if name == "dreamed" else 1)
        words += ("--groups", str(groups), "--attempts", str(budget.attempts))
        words += ("--decisions", str(budget.decisions), "--learning-rate", str(budget.improve_rate), "--resume")
        words += (*ways[name], *ladder.worlds(), *ladder.cut(), *ladder.tasks())
        result = Path(ladder.agent(name)) / "agent.json"
        yield Job(name=name, arguments=words, result=result, needs=(ladder.planning_run, *ladder.planning_data))
        yield ladder.eval_job(name, ladder.agent(name), needs=(name,))
