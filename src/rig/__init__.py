"""RIG: reasoning, acting and imagining in one autoregressive transformer (arXiv 2503.24388).

    import rig

    agent = rig.load_agent(planner=rig.Lookahead(dreams=1))
    decision = agent.decide(frame, "collect wood")

Importing this imports nothing else: each name is imported when it is first used. They are all in docs/api.md, and stay.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rig.actions import NOOP, Action, ActionSpace
    from rig.agents import Agent, Basic, BestOf, Lookahead, Resample, load_agent
    from rig.client import RemoteAgent, connect
    from rig.data import Dataset
    from rig.envs import World, make_world
    from rig.errors import RigError
    from rig.evaluate.config import EmbodiedConfig
    from rig.evaluate.embodied import evaluate_embodied as evaluate
    from rig.records import Decision, Dream, Plan, Review, Step, Trajectory
    from rig.train import AgentTraining, DataPart, TrainingConfig, train_agent

__version__ = "0.1.0.dev0"

_LATE = {
    "Action": "rig.actions",
    "ActionSpace": "rig.actions",
    "Agent": "rig.agents",
    "AgentTraining": "rig.train",
    "Basic": "rig.agents",
    "BestOf": "rig.agents",
    "DataPart": "rig.train",
    "Dataset": "rig.data",
    "Decision": "rig.records",
    "Dream": "rig.records",
    "EmbodiedConfig": "rig.evaluate.config",
    "Lookahead": "rig.agents",
    "NOOP": "rig.actions",
    "Plan": "rig.records",
    "RemoteAgent": "rig.client",
    "Resample": "rig.agents",
    "Review": "rig.records",
    "RigError": "rig.errors",
    "Step": "rig.records",
    "TrainingConfig": "rig.train",
    "Trajectory": "rig.records",
    "World": "rig.envs",
    "connect": "rig.client",
    "load_agent": "rig.agents",
    "make_world": "rig.envs",
    "train_agent": "rig.train",
}

__all__ = [
    "Action",
    "ActionSpace",
    "Agent",
    "AgentTraining",
    "Basic",
    "BestOf",
    "DataPart",
    "Dataset",
    "Decision",
    "Dream",
    "EmbodiedConfig",
    "Lookahead",
    "NOOP",
    "Plan",
    "RemoteAgent",
    "Resample",
    "Review",
    "RigError",
    "Step",
    "TrainingConfig",
    "Trajectory",
    "World",
    "connect",
    "evaluate",
    "load_agent",
    "make_world",
    "train_agent",
]


def __getattr__(name: str) -> Any:
    if name == "evaluate":  # the room, which can be called
        return import_module("rig.evaluate")
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'rig' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
