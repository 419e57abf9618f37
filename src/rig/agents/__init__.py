"""Trained agents that decide: planners over the engine, policies, and the actors that rollouts ask."""

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
from rig.agents.planners import (
    PLAN_JUDGES,
    PLANNERS,
    Basic,
    BestOf,
    Change,
    Lookahead,
    Majority,
    PlanJudge,
    Planner,
    merged,
    planner_of,
)
from rig.agents.policy import Policy, PolicyConfig, PolicyDeciding
from rig.agents.sources import ACTORS, ActorSource, FolderSource, HowToPlay, TeacherSource, source_of
from rig.agents.state import DecisionState, OracleDynamics, Speaker

__all__ = [
    "ACTORS",
    "PLANNERS",
    "PLAN_JUDGES",
    "ActorSource",
    "Basic",
    "BestOf",
    "Change",
    "DecisionState",
    "FolderSource",
    "HowToPlay",
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
