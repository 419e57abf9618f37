"""Verbs that look around: what is in a folder, what the machine has, and the two that show the whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import tyro

from rig.errors import RigError
from rig.shipped import DEFAULT_WORLD
from rig.storage import refuse_as_page


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Say what a folder or file holds: a dataset, an agent, a base, a training run, results, a ladder, a page.

    Example: rig inspect runs/s2

    Attributes:
        path: the folder, or one file that a command wrote.
        verify: of a dataset, check every file's hash as well.
    """

    path: Annotated[str, tyro.conf.Positional]
    verify: bool = False

    def run(self) -> dict[str, Any]:
        """Look."""
        from rig.cli.inspecting import inspect

        return inspect(Path(self.path), verify=self.verify)


@dataclass(frozen=True, kw_only=True)
class Reproduce:
    """Run a whole ladder: data, tokenizers, every row's training, evaluation, and the report with its figures.

    Example: rig reproduce crafter --preset small --planning --workers 2

    Attributes:
        ladder: which ladder.
        preset: its budgets.
        root: folder of everything it makes; runs/<ladder>-<preset> where empty.
        report: the page to write; docs/results/<ladder>.md where empty, or report.md in the root for other presets
            than small. With `only`, none is written where this is empty.
        on_policy: add the row "+ on-policy" and its control: rounds in which RIG-basic plays and is corrected, and the
            share of the teacher's steps in each, as 0.2 0.
        planning: add rows of several plans, a judge of them, rows in which dreams are exchanged, and what RIG-basic
            learns from its own play.
        workers: commands side by side, sharing the cores; 0 runs all inside this process.
        only: names of jobs to run, with all that they need; all where none is given.
        report_only: run nothing; write the report of what is there, and keep it.
        keep: folder that takes a copy of what reports need of the root, a few megabytes without data and networks;
            none where empty.
        replicates: roots of the same ladder climbed elsewhere, or what `keep` kept of them: the report pools their
            rows with those of the root, and compares two within each that has both.
        plan: print the commands, and run nothing.
        resume: go on with what is in the root; a fresh root needs no flag.
    """

    ladder: Annotated[str, tyro.conf.Positional] = DEFAULT_WORLD
    preset: str = "small"
    root: str = ""
    report: str = ""
    on_policy: tuple[float, ...] = ()
    planning: bool = False
    workers: int = 1
    only: tuple[str, ...] = ()
    report_only: bool = False
    keep: str = ""
    replicates: tuple[str, ...] = ()
    plan: bool = False
    resume: bool = False

    def run(self) -> dict[str, Any]:
        """Reproduce."""
        from rig.recipes.jobs import in_order, needed, require_extras, run_plan
        from rig.recipes.ladder import Ladder
        from rig.recipes.presets import LADDERS
        from rig.recipes.results import LOGS, keep

        if self.report:
            refuse_as_page(Path(self.report))
        config = LADDERS.get(f"{self.ladder}/{self.preset}")
        config = replace(config, on_policy=self.on_policy or config.on_policy)
        config = replace(config, with_planning=self.planning or config.with_planning)
        root = Path(self.root or f"runs/{self.ladder}-{self.preset}")
        ladder = Ladder(config, root)
        jobs = needed(ladder.jobs(), self.only) if self.only else ladder.jobs()
        if self.plan:
            commands = [job.command for job in in_order(jobs)]
            return {"text": "\n".join(commands), "jobs": len(commands), "commands": commands}
        if self.report_only:
            jobs = []
        elif root.exists() and any(root.iterdir()) and not self.resume:
            raise RigError(f"{root} already holds a ladder; go on with it by --resume, or choose another --root")
        require_extras([job.arguments[0] for job in jobs], report=bool(self.report or not self.only))
        started = time.time()
        if jobs:
            run_plan(jobs, root / LOGS, workers=self.workers, here=_run_here)
        kept = keep(ladder, Path(self.keep)) if self.keep else []
        page = ""
        if self.report or not self.only:
            from rig.recipes.report import write_report

            usual = f"docs/results/{self.ladder}.md" if self.preset == "small" else root / "report.md"
            written = write_report(ladder, Path(self.report or usual), config.title, tuple(map(Path, self.replicates)))
            page = str(written)
        told = f"{self.keep}: what {len(kept)} jobs came to" if self.keep else f"{root}: {len(jobs)} jobs are done"
        text = page or told
        return {"text": text, "report": page, "jobs": len(jobs), "hours": (time.time() - started) / 3600}


def _run_here(words: Sequence[str]) -> int:
    """Run a command inside this process, without its result on standard output."""
    from rig.cli.main import main

    with redirect_stdout(StringIO()):
        return main(words)


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Play a world's tasks with the shipped agent, as RIG-basic, RIG-lookahead and the best of several plans; show it.

    Example: rig demo --out runs/demo

    Attributes:
        agent: folder of the agent; where empty, the one shipped for the world, if it is there.
        out: folder of trace.html and summary.json.
        environment: the world; where empty, an agent's own, or the one in whose kit the teacher is, or Crafter.
        teacher: a teacher that plays the same first; none where empty.
        tasks: "task" or "task/setting"; where none is given every task of the world once, with tools if it can be, and
            two of Minetest.
        episodes: episodes per task and setting, of each kind.
        dreams: n of RIG-lookahead, which is left out at 0; None: 1 where the agent has learned reviews, in one episode
            of each task, for it takes longest; else 0.
        plans: k of the best of several plans, each dreamed a step ahead, which is left out at 1; None: 4 where the
            agent dreams and the world is no engine of its own, else 1.
        bind_verdicts: a review that says "keep the plan" does what was planned, whatever action it would have written.
        batch_size: worlds side by side.
        overwrite: replace the demonstration that is in the folder.
    """

    agent: str = ""
    out: str = "runs/demo"
    environment: str = ""
    teacher: str = ""
    tasks: tuple[str, ...] = ()
    episodes: int = 1
    dreams: int | None = None
    plans: int | None = None
    bind_verdicts: bool = True
    batch_size: int = 32
    overwrite: bool = False

    def run(self) -> dict[str, Any]:
        """Play and show."""
        from rig.cli.demo import run_demo
        from rig.evaluate.config import EmbodiedConfig
        from rig.shipped import shipped_agent

        config = EmbodiedConfig(
            agent=self.agent or shipped_agent(self._world(), required=not self.teacher),
            environment=self.environment,
            tasks=self.tasks,
            episodes=self.episodes,
            bind_verdicts=self.bind_verdicts,
            batch_size=self.batch_size,
            dtype="float32",  # for few worlds as fast as any, and the same episodes on every machine
        )
        return run_demo(
            config, self.dreams, Path(self.out), plans=self.plans, teacher=self.teacher, overwrite=self.overwrite
        )

    def _world(self) -> str:
        """Return the world whose agent plays, where none is named."""
        from rig.annotators.kit import world_of_teacher

        return self.environment or (world_of_teacher(self.teacher) if self.teacher else DEFAULT_WORLD)


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Say what this machine has for RIG and what it lacks, with the command that mends it.

    Example: rig doctor

    Attributes:
        agent: an agent to check as well.
    """

    agent: str = ""

    def run(self) -> dict[str, Any]:
        """Examine."""
        from rig.cli.doctor import examine

        checks = examine(self.agent)
        lines = [f"{'ok  ' if check['ok'] else 'MISS'}  {check['name']}: {check['found']}" for check in checks]
        lines += [f"      mend: {check['mend']}" for check in checks if not check["ok"]]
        return {"text": "\n".join(lines), "checks": checks, "ok": all(check["ok"] for check in checks)}
