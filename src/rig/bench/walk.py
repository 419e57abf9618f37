"""`rig bench walk`: how fast one walks through an agent's imagination, a frame for each key.

In the process of the benchmark, with exact dreams and with those in few passes; and over `rig playground`, a process of
its own, from the key that a page presses to the picture that it has.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import Any

import torch

from rig.actions import NOOP, Action
from rig.agents import HowToPlay, Policy
from rig.agents.checkpoint import about_agent
from rig.agents.how import load_policy
from rig.agents.walk import DreamWalk
from rig.bench.config import WalkBench
from rig.bench.processes import serving
from rig.bench.timing import Timing, side_by_side
from rig.envs import Split, make_world
from rig.errors import RigError
from rig.records import Observation

SERVED = "on the page"
_PATIENCE = 60.0


def bench_walk(config: WalkBench) -> dict[str, Any]:
    """Run the benchmark; return an entry for each way.

    Raises:
        RigError: the agent does not dream, or the playground does not begin.
    """
    environment = about_agent(config.agent).environment
    policy = load_policy(config.agent, HowToPlay(dtype=config.dtype), environment)
    if not policy.config.prompt_format.dream:
        raise RigError(f"{config.agent} does not dream; there is nothing to walk through")
    seen, keys = _start(environment, config), _keys(policy, config.frames)
    ways = {_named(threshold): threshold for threshold in config.entropy_thresholds}
    contenders: dict[str, Any] = {
        way: partial(_walk, _with(policy, threshold), seen, keys) for way, threshold in ways.items()
    }
    with _page(config) as page:
        contenders[SERVED] = partial(page, keys)
        timings = side_by_side(contenders, rounds=config.rounds, name="walks")
    return {
        "agent": config.agent,
        **policy.engine.model.runs_in,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "frames": config.frames,
        "entries": [_entry(way, timing, config.frames) for way, timing in timings.items()],
    }


def _named(threshold: float) -> str:
    return f"where sure, {threshold:g} nats" if threshold else "exact"


def _entry(way: str, timing: Timing, frames: int) -> dict[str, Any]:
    return {"way": way, "frames_per_second": frames / timing.median, "seconds": timing.to_json()}


def _start(environment: str, config: WalkBench) -> Observation:
    world = make_world(environment)
    ((task, setting), *_) = world.tasks.variants([config.task] if config.task else ())
    (seed,) = world.episode_seeds(task, setting, Split.VALIDATION, 1)
    frame, _ = world.reset(seed=seed, options={"task": task.name, "setting": setting})
    world.close()
    return Observation(frame=frame, instruction=task.instruction, previous_action=NOOP)


def _keys(policy: Policy, count: int) -> list[str]:
    """Return what is pressed: the first keys of the world in turns, as who walks about does."""
    return list(islice(cycle(policy.space.keys[:5]), count))


def _with(policy: Policy, threshold: float) -> Policy:
    config = replace(policy.config, entropy_threshold=threshold)
    return policy.configured(config)


def _walk(policy: Policy, seen: Observation, keys: Sequence[str]) -> None:
    walk = DreamWalk(policy, seen)
    for key in keys:
        walk.follow(Action.press(key))


@contextmanager
def _page(config: WalkBench) -> Iterator[Any]:
    """Yield what walks on the page of a playground, which dreams in few passes."""
    from websockets.sync.client import connect

    with tempfile.TemporaryDirectory() as folder:
        flags = {"agent": config.agent, "dtype": config.dtype, "port": 0, "record": f"{folder}/s0"}
        with serving("playground", flags, "open http://") as address:
            url = f"ws://{address}play"
            with connect(url, compression=None, max_size=None, open_timeout=_PATIENCE) as socket:
                _say(socket, "view", view="dream")
                yield partial(_walk_on_page, socket)


def _walk_on_page(socket: Any, keys: Sequence[str]) -> None:
    _say(socket, "wake")
    for key in keys:
        _say(socket, "press", keys=[key])
        while json.loads(socket.recv(timeout=_PATIENCE))["kind"] != "dreamed":
            pass


def _say(socket: Any, what: str, **fields: Any) -> None:
    socket.send(json.dumps({"say": what, **fields}))
