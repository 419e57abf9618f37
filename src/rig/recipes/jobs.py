"""Runs many `rig` commands in the order of their needs, several at a time, each once.

A job is a command line anyone can run by hand. It is done when its result exists, so a plan that was interrupted goes
on with the jobs that are missing, each of which resumes by itself.
"""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from tqdm import tqdm

from rig.data.manifest import FILE_NAME as MANIFEST_FILE
from rig.errors import RigError
from rig.evaluate.images import SSIM_MODULE
from rig.evaluate.saved import read_scores
from rig.machine import usable_cores
from rig.registry import require, unknown_name
from rig.storage import LOCK_NAME, Lock, append_json_line, read_json, read_json_lines
from rig.validation import Meta

TIMES = "times.jsonl"
"""In the folder of logs: a line per run of a command, how long it took, with how many threads, and how busy."""

_TAIL = 25


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command.

    Attributes:
        name: unique in its plan.
        arguments: the words after `rig`.
        result: the file whose existence says that it is done; a dataset's manifest must say so itself.
        needs: names of jobs that come first.
        threads: how many of the workers' cores it takes: 1, or 0 for all of them (it then runs alone).
        episodes: of an evaluation, per task and setting, by which one of fewer goes on; 0 where it is none.
    """

    name: str
    arguments: tuple[str, ...]
    result: Path
    needs: tuple[str, ...] = ()
    threads: int = 1
    episodes: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the job's result is there, whole."""
        if not self.result.is_file():
            return False
        if self.result.name != MANIFEST_FILE:
            return True
        return read_json(self.result).get("complete") is True

    @property
    def is_as_wanted(self) -> bool:
        """Whether it is done, with as many episodes as are wanted now.

        Raises:
            RigError: an evaluation's scores are spoilt.
        """
        if not self.episodes or not self.is_done:
            return self.is_done
        return read_scores(self.result)["config"].get("episodes", self.episodes) >= self.episodes

    @property
    def command(self) -> str:
        """The command as one types it."""
        return shlex.join(("rig", *self.arguments))


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen
    log: Path
    threads: int
    since: float

    def is_over(self, logs: Path, *, patiently: bool = False) -> bool:
        """Return whether the command has ended, or wait for it; note, once, what it took."""
        busy = _busy_children()
        if patiently:
            self.process.wait()
        elif self.process.poll() is None:
            return False
        _note_time(logs, self.job, self.since, self.threads, _busy_children() - busy)
        return True


def run_plan(
    jobs: Sequence[Job], logs: Path, *, workers: int = 1, here: Callable[[Sequence[str]], int] | None = None
) -> None:
    """Run every job that is not done as it is wanted; of those that may start, first the one that most others wait for.

    Args:
        jobs: the plan; needs name other jobs of it.
        logs: folder of what the commands print, one file each.
        workers: commands at a time; the machine's cores are shared evenly among them. 0 runs them one after the other
            inside this process, which spares their start-up and suits tests.
        here: runs the words of a command inside this process and returns its status; needed where `workers` is 0.

    Raises:
        RigError: a job failed, with the end of its log; what is done stays done. Or the needs go in a circle, or
            another process runs a plan with these logs.
    """
    order = in_order(jobs)
    with Lock(logs / LOCK_NAME):
        left = [job for job in order if not job.is_as_wanted]
        with tqdm(total=len(order), initial=len(order) - len(left), desc="reproduce", unit="job") as bar:
            _run(left, logs, workers, here, bar)


class Time(TypedDict):
    """How long a command ran, with how many threads, and its processor time: a line of `times.jsonl`.

    Ladders that were climbed before processor time was noted have none.
    """

    job: str
    seconds: Annotated[float, Meta(ge=0, le=1e9)]
    threads: Annotated[int, Meta(ge=0, le=100_000)]
    busy: NotRequired[Annotated[float, Meta(ge=0, le=1e12)]]


def read_times(logs: Path) -> list[Time]:
    """Return how long each command ran, first to last.

    Raises:
        RigError: the file with them is spoilt.
    """
    return read_json_lines(logs / TIMES, Time)


def core_hours(logs: Path) -> dict[str, float]:
    """Return what every job took so far, by name, in core hours of processor time, cut runs included.

    Where processor time was not noted, hours times threads stand for it.
    """
    spent: dict[str, float] = {}
    for entry in read_times(logs):
        busy = entry.get("busy", entry["seconds"] * entry["threads"])
        spent[entry["job"]] = spent.get(entry["job"], 0.0) + busy / 3600
    return spent


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """Return `jobs` such that each comes after what it needs.

    Raises:
        RigError: a need is unknown, or the needs go in a circle.
    """
    by_name = {job.name: job for job in jobs}
    done: dict[str, Job] = {}
    waiting = list(jobs)
    while waiting:
        ready = [job for job in waiting if all(need in done for need in job.needs)]
        if not ready:
            missing = sorted({need for job in waiting for need in job.needs if need not in by_name})
            raise RigError(f"these jobs cannot be ordered: {[job.name for job in waiting]}; unknown needs: {missing}")
        done |= {job.name: job for job in ready}
        waiting = [job for job in waiting if job.name not in done]
    return list(done.values())


def needed(jobs: Sequence[Job], names: Sequence[str]) -> list[Job]:
    """Return the jobs called `names`, and all that they need.

    Raises:
        UnknownNameError: no job has that name.
    """
    by_name = {job.name: job for job in jobs}
    kept: dict[str, Job] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in by_name:
            raise unknown_name("job", name, by_name)
        if name not in kept:
            kept[name] = by_name[name]
            waiting.extend(by_name[name].needs)
    return [job for job in jobs if job.name in kept]


def _run(left: list[Job], logs: Path, workers: int, here: Callable[[Sequence[str]], int] | None, bar: tqdm) -> None:
    if workers:
        with _ended_together():
            _run_beside(left, logs, workers, bar)
        return
    assert here is not None, "0 workers need a way to run commands here"
    for job in left:
        bar.set_postfix_str(job.name)
        since, busy = time.monotonic(), time.process_time() + _busy_children()
        status = here(job.arguments)
        _note_time(logs, job, since, usable_cores(), time.process_time() + _busy_children() - busy)
        if status or not job.is_as_wanted:
            raise RigError(f"the job {job.name} failed: {job.command}")
        bar.update()


@contextmanager
def _ended_together() -> Iterator[None]:
    """Unwind at SIGTERM instead of dying on the spot, so that no command is left behind."""
    if threading.current_thread() is not threading.main_thread():  # only there may signals be handled
        yield
        return

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run_beside(left: list[Job], logs: Path, workers: int, bar: tqdm) -> None:
    running: list[_Running] = []
    waiting = sorted(left, key=lambda job: -len(_dependents(job, left)))
    unfinished = {job.name for job in left}
    try:
        while waiting or running:
            for entry in running.copy():
                if not entry.is_over(logs):
                    continue
                running.remove(entry)
                _check(entry)
                unfinished.discard(entry.job.name)
                bar.update()
            job = _next(waiting, running, unfinished, workers)
            if job is not None:
                waiting.remove(job)
                share = max(1, usable_cores() // workers) if job.threads else usable_cores()
                running.append(_start(job, logs / f"{job.name}.log", share))
                bar.set_postfix_str(", ".join(entry.job.name for entry in running))
            else:
                time.sleep(0.2)
    finally:
        for entry in running:
            if entry.process.returncode is None:  # `terminate` would wait for one that has ended, uncounted
                os.kill(entry.process.pid, signal.SIGTERM)
        for entry in running:
            entry.is_over(logs, patiently=True)


def require_extras(verbs: Sequence[str], *, report: bool) -> None:
    """Make sure, before hours of work, that what its last commands and its report import is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    if "imagine" in verbs:
        require(SSIM_MODULE, "eval")
    if report:
        require("matplotlib", "eval")


def _next(waiting: Sequence[Job], running: Sequence[_Running], unfinished: set[str], workers: int) -> Job | None:
    """Return the first job that may start now, or None; one that wants all cores is waited for, not overtaken."""
    if len(running) >= workers or any(entry.job.threads == 0 for entry in running):
        return None
    ready = [job for job in waiting if not any(need in unfinished for need in job.needs)]
    return ready[0] if ready and (ready[0].threads or not running) else None


def _dependents(job: Job, jobs: Sequence[Job]) -> set[str]:
    """Return the names of the jobs that wait for `job`, directly or not."""
    found = {job.name}
    while more := {other.name for other in jobs if other.name not in found and found & set(other.needs)}:
        found |= more
    return found - {job.name}


def _start(job: Job, log: Path, threads: int) -> _Running:
    environment: Mapping[str, str] = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"$ {job.command}\n")
        file.flush()
        process = subprocess.Popen(
            [sys.executable, "-m", "rig.cli.main", *job.arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(environment),
        )
    return _Running(job, process, log, threads, time.monotonic())


def _busy_children() -> float:
    """Return the processor time of all commands that have ended, and of theirs; one counts once it is waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _note_time(logs: Path, job: Job, since: float, threads: int, busy: float) -> None:
    took = {"seconds": round(time.monotonic() - since, 3), "threads": threads, "busy": round(busy, 3)}
    append_json_line(logs / TIMES, {"job": job.name, **took})


def _check(entry: _Running) -> None:
    if entry.process.returncode == 0 and entry.job.is_as_wanted:
        return
    lines = entry.log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()[-_TAIL:]
    raise RigError(
        f"the job {entry.job.name} failed ({_ending(entry.process.returncode)}); its log is {entry.log}:\n"
        + "\n".join(lines)
        + "\nMend the cause and run the same command with --resume: what is done is not done again."
    )


def _ending(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    if status == -signal.SIGKILL:
        return "killed, as the system does where memory runs out: fewer --workers need less"
    return f"ended by {signal.Signals(-status).name}"
