"""A policy behind `rig serve` as an actor: `rig eval --agent ws://127.0.0.1:8000`."""

from __future__ import annotations

import json
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import local
from typing import Any
from weakref import finalize

from rig.agents.actors import refuse_other_world
from rig.agents.dream_sources import OWN
from rig.agents.how import HowToPlay
from rig.client import RemoteAgent, connect
from rig.client.messages import About
from rig.dialogue import PromptFormat
from rig.envs import World, make_world
from rig.errors import RigError, ServiceError
from rig.records import Decision, Observation
from rig.validation import validated


@dataclass(frozen=True, kw_only=True)
class ServedSource:
    """Agents behind servers, by their addresses.

    Attributes:
        scheme: "ws" or "wss", which stood before the address.
    """

    scheme: str = "ws"

    def world(self, name: str, environment: str) -> str:
        """Return the world that the agent was trained in, or another whose keys are the same."""
        with connect(self._url(name)) as agent:
            environment = environment or agent.about.environment
            refuse_other_world(make_world(environment), agent.actions, agent.about.environment, self._url(name))
        return environment

    def actor(self, name: str, spare: World, how: HowToPlay) -> ServedActor:
        """Connect, and see to it that the server decides as is asked for."""
        with connect(self._url(name)) as agent:
            _refuse_other_ways(agent.about, how, self._url(name))
            return ServedActor(self._url(name), agent.about)

    def short_name(self, name: str) -> str:
        """Return the address without its scheme."""
        return name.strip("/")

    def _url(self, name: str) -> str:
        return f"{self.scheme}:{name}"


class ServedActor:
    """A policy behind a server; it sees observations only.

    Args:
        url: where.
        about: what the server says of it.
    """

    def __init__(self, url: str, about: About) -> None:
        self._url, self._about = url, about

    @property
    def runs_in(self) -> dict[str, str]:
        """Device and dtype of the network, over there."""
        return self._about.runs_in

    def deciding(self, places: int) -> _ServedDeciding:
        """Return where decisions are asked for, over as many connections."""
        return _ServedDeciding(self._url, max(1, min(places, self._about.limits.clients)))


class _ServedDeciding:
    def __init__(self, url: str, connections: int) -> None:
        self._url, self._mine = url, local()
        self._threads = ThreadPoolExecutor(connections, "rig-served")
        self._asked: dict[Future[Decision], int] = {}
        self._opened: list[RemoteAgent] = []
        finalize(self, _close, self._opened)

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        self._asked[self._threads.submit(self._decide, observation, seed)] = key

    def next(self) -> tuple[int, Decision]:
        ended, _ = wait(self._asked, return_when=FIRST_COMPLETED)
        future = ended.pop()
        return self._asked.pop(future), future.result()

    def _decide(self, seen: Observation, seed: int) -> Decision:
        if not hasattr(self._mine, "agent"):
            self._mine.agent = connect(self._url)
            self._opened.append(self._mine.agent)
        agent: RemoteAgent = self._mine.agent
        return agent.decide(
            seen.frame, seen.instruction, seen.previous_action, earlier_actions=seen.earlier_actions, seed=seed
        )


def _close(agents: list[RemoteAgent]) -> None:
    for agent in agents:
        agent.close()


def _refuse_other_ways(about: About, how: HowToPlay, url: str) -> None:
    """Refuse to score what a server decides in one way as what was asked for in another.

    Raises:
        RigError: it decides otherwise.
    """
    fix = "the server is to be `rig serve` of the same release"
    spoken = validated(about.prompt_format, PromptFormat, f"{url}: prompt_format", fix, ServiceError)
    wanted: dict[str, Any] = how.told(how.planner_for(replace(spoken, read_back=how.read_back)))
    if how.dtype != "auto":
        wanted["dtype"] = how.dtype
    there = about.deciding | {"dtype": about.runs_in.get("dtype")}
    for name, value in json.loads(json.dumps(wanted)).items():
        if there.get(name) != value:
            raise RigError(
                f"{url} decides with {name} {there.get(name)!r}, and {value!r} is asked for here; give both the same "
                "flags"
            )
    if how.dreams_from != OWN:
        raise RigError(f"{how.dreams_from!r} dreams stand in for an agent's own; name the agent's folder, not a server")
