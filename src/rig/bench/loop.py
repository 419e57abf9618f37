"""`rig bench loop`: the whole way once, small: a teacher plays, is annotated, an agent learns from it, and plays.

Nothing contends here: what is told is how much of each part comes in a second, with all that belongs to it, worlds that
are generated, files that are written and networks that are loaded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from rig.agents.checkpoint import about_agent
from rig.bench.config import LoopBench
from rig.errors import at_least_one
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import SUMMARY, evaluate_embodied
from rig.model import best_device, compute_dtype
from rig.stages import CollectConfig, ReasonConfig, collect, reason
from rig.storage import read_json
from rig.train import AgentTraining, DataPart, TrainingConfig, train_agent


def bench_loop(config: LoopBench) -> dict[str, Any]:
    """Run the benchmark.

    Returns:
        `phases`: of each its `unit` and `count`, `seconds`, `processor_seconds` and `per_second`; `seconds` of all
        together; `decisions_per_second` of the agent; `dtypes` of training and deciding; `threads`.

    Raises:
        RigError: less than one of something is asked for.
        CheckpointError: the agent cannot be used.
    """
    at_least_one(
        episodes=config.episodes, steps=config.steps, batch_size=config.batch_size, most_steps=config.most_steps
    )
    about = about_agent(config.agent)
    trains_in = str(compute_dtype(best_device())).removeprefix("torch.")  # measured before the clock starts
    with TemporaryDirectory() as folder, _kept_nothing_of_worlds(Path(folder) / "cache"):
        root = Path(folder)
        phases = [
            _timed("the teacher plays", "episodes", lambda: _collected(config, about.environment, root)),
            _timed("thoughts are written", "steps", lambda: _annotated(root)),
            _timed("the agent learns", "conversations", lambda: _learned(config, root)),
            _timed("the agent plays", "episodes", lambda: _played(config, root)),
        ]
        scores = _scores(root)
    playing = phases[-1]["seconds"]
    return {
        "agent": config.agent,
        "phases": phases,
        "seconds": sum(phase["seconds"] for phase in phases),
        "decisions_per_second": scores["cost_per_decision"]["decisions"] / playing,
        "dtypes": {"training": trains_in, "deciding": scores["runs_in"]["dtype"]},
        "threads": torch.get_num_threads(),
    }


def _timed(name: str, unit: str, work: Callable[[], int]) -> dict[str, Any]:
    """Do some work, and say what it took; it returns how many units it did."""
    started, busy = time.perf_counter(), time.process_time()
    count = work()
    seconds, processor = time.perf_counter() - started, time.process_time() - busy
    return {
        "name": name,
        "unit": unit,
        "count": count,
        "seconds": seconds,
        "processor_seconds": processor,
        "per_second": count / seconds,
    }


def _collected(config: LoopBench, environment: str, root: Path) -> int:
    wanted = CollectConfig(
        environment=environment, teacher=config.teacher, tasks=config.tasks, episodes=config.episodes
    )
    return len(collect(wanted, root / "s1"))


def _annotated(root: Path) -> int:
    return sum(len(trajectory.steps) for trajectory in reason(root / "s1", ReasonConfig(), root / "s2"))


def _learned(config: LoopBench, root: Path) -> int:
    training = TrainingConfig(
        steps=config.steps, batch_size=config.batch_size, compile=False, log_every=1, save_every=config.steps
    )
    wanted = AgentTraining(
        preset="small",
        tokenizers=config.agent,
        start=config.agent,
        parts=(DataPart(data=str(root / "s2")),),
        training=training,
    )
    return int(about_agent(train_agent(wanted, root / "run")).origin["totals"]["conversations"])


def _played(config: LoopBench, root: Path) -> int:
    wanted = EmbodiedConfig(
        agent=str(root / "run" / "agent"),
        tasks=config.tasks,
        episodes=config.episodes,
        split="validation",
        most_steps=config.most_steps,
    )
    return int(evaluate_embodied(wanted, root / "eval")["episodes"])


def _scores(root: Path) -> dict[str, Any]:
    return read_json(root / "eval" / SUMMARY)


@contextmanager
def _kept_nothing_of_worlds(folder: Path) -> Iterator[None]:
    """Let worlds be made anew within the block, as an earlier run may have kept them."""
    before = os.environ.get("RIG_CACHE")
    os.environ["RIG_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["RIG_CACHE"]
        else:
            os.environ["RIG_CACHE"] = before
