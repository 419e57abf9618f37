"""Trained agents, their folders, and how they decide: planners over the engine, policies, the actors that rollouts ask.

What needs torch is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.agents.checkpoint import AgentCheckpoint, Dtype

if TYPE_CHECKING:
    from rig.agents.actors import (
        OracleActor,
        PolicyActor,
        TeacherActor,
        agent_name,
        build_policy,
        refuse_other_world,
        short_name,
        world_of,
    )
    from rig.agents.judges import PLAN_JUDGES, Change, InWords, Majority, PlanJudge
    from rig.agents.planners import PLANNERS, Basic, BestOf, Lookahead, Planner, merged, planner_of
    from rig.agents.policy import Policy, PolicyConfig, PolicyDeciding
    from rig.agents.said import Said
    from rig.agents.sources import ACTORS, ActorSource, FolderSource, HowToPlay, TeacherSource, source_of
    from rig.agents.state import DecisionState, OracleDynamics, Speaker

_LATE = {
    "OracleActor": "actors",
    "PolicyActor": "actors",
    "TeacherActor": "actors",
    "agent_name": "actors",
    "build_policy": "actors",
    "refuse_other_world": "actors",
    "short_name": "actors",
    "world_of": "actors",
    "PLAN_JUDGES": "judges",
    "Change": "judges",
    "InWords": "judges",
    "Majority": "judges",
    "PlanJudge": "judges",
    "PLANNERS": "planners",
    "Basic": "planners",
    "BestOf": "planners",
    "Lookahead": "planners",
    "Planner": "planners",
    "merged": "planners",
    "planner_of": "planners",
    "Policy": "policy",
    "PolicyConfig": "policy",
    "PolicyDeciding": "policy",
    "Said": "said",
    "ACTORS": "sources",
    "ActorSource": "sources",
    "FolderSource": "sources",
    "HowToPlay": "sources",
    "TeacherSource": "sources",
    "source_of": "sources",
    "DecisionState": "state",
    "OracleDynamics": "state",
    "Speaker": "state",
}

__all__ = [
    "ACTORS",
    "PLANNERS",
    "PLAN_JUDGES",
    "ActorSource",
    "AgentCheckpoint",
    "Basic",
    "BestOf",
    "Change",
    "DecisionState",
    "Dtype",
    "FolderSource",
    "HowToPlay",
    "InWords",
    "Lookahead",
    "Majority",
    "OracleActor",
    "OracleDynamics",
    "PlanJudge",
    "Planner",
    "Policy",
    "PolicyActor",
    "PolicyConfig",
    "PolicyDeciding",
    "Said",
    "Speaker",
    "TeacherActor",
    "TeacherSource",
    "agent_name",
    "build_policy",
    "merged",
    "planner_of",
    "refuse_other_world",
    "short_name",
    "source_of",
    "world_of",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"rig.agents.{_LATE[name]}"), name)
    raise AttributeError(f"module 'rig.agents' has no attribute {name!r}")
