"""`rig bench policy`: decisions a second over worlds, the worlds' own steps included.

How many worlds share the engine is what contends. Worlds are made before the clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any

from rig.agents import Basic, Lookahead, PolicyActor, PolicyConfig, build_policy, world_of
from rig.agents.checkpoint import AgentCheckpoint
from rig.bench.config import PolicyBench
from rig.bench.timing import Timing, side_by_side
from rig.envs import World, make_world
from rig.envs.rollout import Episode, play
from rig.errors import RigError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluation_episodes
from rig.records import Lineage


class _Enough(Exception):
    """The timed decisions are made."""


@dataclass
class _Count:
    """Decisions made, and when; seconds that worlds took for their steps."""

    wanted: int
    made: int = 0
    started: float = 0.0
    ended: float = 0.0
    stepping: float = 0.0

    def note(self, episode: Episode, world: World, index: int) -> None:
        """Count a decision that has led to step `index`; the clock starts with the first."""
        if not index:
            return
        now = time.perf_counter()
        if not self.made:
            self.started, self.stepping = now, 0.0
        self.made += 1
        if self.made > self.wanted:
            self.ended = now
            raise _Enough


def bench_policy(config: PolicyBench) -> dict[str, Any]:
    """Run the benchmark; return one entry per number of dreams and of worlds."""
    checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype)
    if any(config.dreams) and not checkpoint.prompt_format.dream:
        raise RigError(f"{config.agent} does not dream; give --dreams 0")
    wanted = EmbodiedConfig(agent=config.agent, tasks=(config.tasks,), episodes=max(config.worlds), split="validation")
    world, actors = world_of(checkpoint, config.agent), {dreams: _actor(checkpoint, dreams) for dreams in config.dreams}
    for actor in actors.values():
        actor.policy.check_tasks(world.tasks, wanted.tasks)
    episodes = evaluation_episodes(world, wanted)
    entries = []
    for dreams, actor in actors.items():
        counts: dict[str, list[_Count]] = {str(worlds): [] for worlds in config.worlds}
        contenders = {
            name: partial(_play, checkpoint, actor, episodes, int(name), config.decisions, found)
            for name, found in counts.items()
        }
        side_by_side(contenders, rounds=config.rounds, warmup=0, name=f"{dreams} dreams")
        entries += _entries(dreams, counts)
    return {"agent": config.agent, "tasks": config.tasks, **checkpoint.model.runs_in, "entries": entries}


def _actor(checkpoint: AgentCheckpoint, dreams: int) -> PolicyActor:
    planner = Lookahead(dreams=dreams) if dreams else Basic()
    return PolicyActor(build_policy(checkpoint, PolicyConfig(prompt_format=checkpoint.prompt_format, planner=planner)))


def _play(
    checkpoint: AgentCheckpoint,
    actor: PolicyActor,
    episodes: Sequence[Episode],
    worlds: int,
    decisions: int,
    found: list[_Count],
) -> None:
    """Play in so many worlds until the decisions are made, and add the count of them to `found`."""
    count = _Count(max(decisions, 2 * worlds))
    enough = islice(cycle(episodes), worlds + count.wanted)  # each holds a decision at the least
    found.append(count)
    try:
        for _ in play(
            partial(_timed_world, checkpoint.environment, count),
            actor,
            enough,
            batch_size=worlds,
            lineage=Lineage(stage="live", actor="bench"),
            before=count.note,
        ):
            pass
    except _Enough:
        return
    raise AssertionError("episodes ran out before the decisions were made")


def _timed_world(environment: str, count: _Count) -> World:
    world = make_world(environment)
    act = world.act

    def timed(action: Any) -> Any:
        started = time.perf_counter()
        result = act(action)
        count.stepping += time.perf_counter() - started
        return result

    world.act = timed  # type: ignore[method-assign]
    return world


def _entries(dreams: int, counts: dict[str, list[_Count]]) -> list[dict[str, Any]]:
    timings = {
        worlds: Timing(seconds=tuple((count.ended - count.started) / count.wanted for count in some))
        for worlds, some in counts.items()
    }
    first = next(iter(timings.values()))
    return [
        {
            "dreams": dreams,
            "worlds": int(worlds),
            "decisions_per_second": 1 / timing.median,
            "seconds_per_decision": timing.to_json(),
            "faster_than_first": first.median / timing.median,
            "world_share": sum(count.stepping for count in counts[worlds])
            / sum(count.ended - count.started for count in counts[worlds]),
        }
        for worlds, timing in timings.items()
    ]
