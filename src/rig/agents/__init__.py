"""Trained agents, their folders, and how they decide: planners over the engine, policies, the actors that rollouts ask.

What needs torch is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.agents.checkpoint import AgentCheckpoint, Dtype

if TYPE_CHECKING:
    from rig.agents.actors import (
        PolicyActor,
        TeacherActor,
        agent_name,
        build_policy,
        refuse_other_world,
        short_name,
        world_of,
    )
    from rig.agents.agent import Agent, load_agent
    from rig.agents.deciding import PolicyDeciding
    from rig.agents.dream_sources import (
        DREAM_SOURCES,
        OWN,
        DreamSource,
        Fixed,
        OracleDynamics,
        OtherEpisode,
        OtherPlan,
        SubstitutingActor,
        TrueFuture,
    )
    from rig.agents.how import HowToPlay
    from rig.agents.judges import PLAN_JUDGES, Chance, Change, Effect, InWords, Majority, PlanJudge
    from rig.agents.planners import PLANNERS, Basic, BestOf, Lookahead, Planner, Resample, choosing, merged, planner_of
    from rig.agents.policy import Policy, PolicyConfig
    from rig.agents.said import Said
    from rig.agents.served import ServedActor, ServedSource
    from rig.agents.sources import ACTORS, ActorSource, FolderSource, TeacherSource, source_of
    from rig.agents.speaker import Speaker
    from rig.agents.state import DecisionState, Imagined, Substitute

_LATE = {
    "Agent": "agent",
    "load_agent": "agent",
    "PolicyActor": "actors",
    "TeacherActor": "actors",
    "agent_name": "actors",
    "build_policy": "actors",
    "refuse_other_world": "actors",
    "short_name": "actors",
    "world_of": "actors",
    "Chance": "judges",
    "DREAM_SOURCES": "dream_sources",
    "DreamSource": "dream_sources",
    "Fixed": "dream_sources",
    "OWN": "dream_sources",
    "OracleDynamics": "dream_sources",
    "OtherEpisode": "dream_sources",
    "OtherPlan": "dream_sources",
    "SubstitutingActor": "dream_sources",
    "TrueFuture": "dream_sources",
    "Change": "judges",
    "Effect": "judges",
    "InWords": "judges",
    "Majority": "judges",
    "PLAN_JUDGES": "judges",
    "PlanJudge": "judges",
    "Basic": "planners",
    "BestOf": "planners",
    "Lookahead": "planners",
    "PLANNERS": "planners",
    "Planner": "planners",
    "Resample": "planners",
    "choosing": "planners",
    "merged": "planners",
    "planner_of": "planners",
    "Policy": "policy",
    "PolicyConfig": "policy",
    "PolicyDeciding": "deciding",
    "Said": "said",
    "ServedActor": "served",
    "ServedSource": "served",
    "ACTORS": "sources",
    "ActorSource": "sources",
    "FolderSource": "sources",
    "HowToPlay": "how",
    "TeacherSource": "sources",
    "source_of": "sources",
    "DecisionState": "state",
    "Imagined": "state",
    "Speaker": "speaker",
    "Substitute": "state",
}

__all__ = [
    "ACTORS",
    "DREAM_SOURCES",
    "OWN",
    "PLANNERS",
    "PLAN_JUDGES",
    "ActorSource",
    "Agent",
    "AgentCheckpoint",
    "Basic",
    "BestOf",
    "Chance",
    "Change",
    "DecisionState",
    "DreamSource",
    "Dtype",
    "Effect",
    "Fixed",
    "FolderSource",
    "HowToPlay",
    "Imagined",
    "InWords",
    "Lookahead",
    "Majority",
    "OracleDynamics",
    "OtherEpisode",
    "OtherPlan",
    "PlanJudge",
    "Planner",
    "Policy",
    "PolicyActor",
    "PolicyConfig",
    "PolicyDeciding",
    "Resample",
    "Said",
    "ServedActor",
    "ServedSource",
    "Speaker",
    "Substitute",
    "SubstitutingActor",
    "TeacherActor",
    "TeacherSource",
    "TrueFuture",
    "agent_name",
    "build_policy",
    "choosing",
    "load_agent",
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
