"""`rig bench serve`: decisions a second and how long one takes, served to so many clients, and in one process.

Clients ask again as soon as they are answered. In the process of the benchmark the same policy is asked in the same
way, without messages; as many decisions share its passes. The server is `rig serve`, a process of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np

from rig.agents import Policy, world_of
from rig.agents.checkpoint import AgentCheckpoint
from rig.agents.how import load_policy
from rig.bench.config import ServeBench
from rig.bench.processes import serving
from rig.bench.timing import side_by_side
from rig.client import connect
from rig.errors import RigError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluation_episodes, how_to_play
from rig.records import Observation

HERE, SERVED = "in process", "served"

_PATIENCE = 600.0


def bench_serve(config: ServeBench) -> dict[str, Any]:
    """Run the benchmark; return an entry for each number of clients and each way.

    Raises:
        RigError: the agent does not dream, or the server does not begin.
    """
    seen = _observations(config)
    how = how_to_play(EmbodiedConfig(agent=config.agent, dreams=config.dreams, dtype=config.dtype))
    policy = load_policy(config.agent, how, "")
    entries = []
    with _server(config) as url:
        for clients in config.clients:
            asked = list(islice(cycle(seen), max(config.decisions, 2 * clients)))
            taken: dict[str, list[float]] = {HERE: [], SERVED: []}
            contenders = {
                HERE: partial(_here, policy, asked, clients, config.batch, taken[HERE]),
                SERVED: partial(_served, url, asked, clients, taken[SERVED]),
            }
            timings = side_by_side(contenders, rounds=config.rounds, warmup=0, name=f"{clients} clients")
            for way, timing in timings.items():
                entries.append(_entry(clients, way, timing.median / len(asked), taken[way]))
    return {"agent": config.agent, "dreams": config.dreams, **policy.engine.model.runs_in, "entries": entries}


def _entry(clients: int, way: str, seconds: float, taken: list[float]) -> dict[str, Any]:
    median, most = (1e3 * float(np.quantile(taken, share)) for share in (0.5, 0.99))
    return {
        "clients": clients,
        "way": way,
        "decisions_per_second": 1 / seconds,
        "milliseconds": {"p50": median, "p99": most},
        "decisions": len(taken),
    }


def _observations(config: ServeBench) -> list[Observation]:
    """Return what is seen at the start of as many validation worlds as there are clients at the most."""
    checkpoint = AgentCheckpoint.load(config.agent)
    if config.dreams and not checkpoint.prompt_format.dream:
        raise RigError(f"{config.agent} does not dream; give --dreams 0")
    world = world_of(checkpoint, config.agent)
    count = max(config.clients)
    wanted = EmbodiedConfig(agent=config.agent, tasks=(config.tasks,), episodes=count, split="validation")
    return [
        Observation(
            frame=episode.begin(world)[0],
            instruction=world.task.instruction,
            previous_action=episode.previous_action,
        )
        for episode in evaluation_episodes(world, wanted)
    ]


def _here(policy: Policy, asked: Sequence[Observation], clients: int, batch: int, taken: list[float]) -> float:
    """Have a policy decide, so many at once; add what each took to `taken`, and return the seconds in all."""
    deciding, waiting = policy.deciding(batch), iter(enumerate(asked))
    begun: dict[int, float] = {}

    def submit() -> None:
        for number, seen in islice(waiting, 1):
            begun[number] = time.perf_counter()
            deciding.submit(number, seen, number)

    started = time.perf_counter()
    for _ in range(clients):
        submit()
    while begun:
        key, _ = deciding.next()
        taken.append(time.perf_counter() - begun.pop(key))
        submit()
    return time.perf_counter() - started


def _served(url: str, asked: Sequence[Observation], clients: int, taken: list[float]) -> float:
    """Have a server decide for so many clients; add what each decision took to `taken`, return the seconds in all."""
    with ExitStack() as stack, ThreadPoolExecutor(clients) as threads:
        agents = [stack.enter_context(connect(url, timeout=_PATIENCE)) for _ in range(clients)]

        def ask(number: int) -> list[float]:
            return [_timed(agents[number], seed, asked[seed]) for seed in range(number, len(asked), clients)]

        started = time.perf_counter()
        taken += [seconds for part in threads.map(ask, range(clients)) for seconds in part]
        return time.perf_counter() - started


def _timed(agent: Any, seed: int, seen: Observation) -> float:
    started = time.perf_counter()
    agent.decide(seen.frame, seen.instruction, seen.previous_action, earlier_actions=(), seed=seed)
    return time.perf_counter() - started


def _server(config: ServeBench) -> AbstractContextManager[str]:
    """Serve the agent in a process of its own, as long as the block runs, which gets its address."""
    flags = {
        "agent": config.agent,
        "dreams": config.dreams,
        "dtype": config.dtype,
        "port": 0,
        "batch": config.batch,
        "clients": max(config.clients) + 1,
        "waiting": max(config.clients),
    }
    return serving("serve", flags, "decides at ")
