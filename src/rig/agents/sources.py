"""Who can be named where an agent is asked for: a folder, `teacher:NAME`, and whatever plug-ins add as `KIND:REST`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from rig.agents.actors import PolicyActor, TeacherActor, build_policy, refuse_other_world, short_name
from rig.agents.checkpoint import AgentCheckpoint, Dtype, about_agent
from rig.agents.dream_sources import DREAM_SOURCES, OWN, SubstitutingActor
from rig.agents.planners import Basic, Lookahead, Planner
from rig.agents.policy import Policy, PolicyConfig
from rig.annotators import checker_of, judge_of
from rig.annotators.kit import world_of_teacher
from rig.dialogue import PromptFormat
from rig.engine import Sampler
from rig.envs import World, make_world
from rig.envs.rollout import Actor
from rig.errors import RigError
from rig.registry import Registry
from rig.teachers import TEACHERS


@dataclass(frozen=True, kw_only=True)
class HowToPlay:
    """How somebody that is named is to play; who has no use for a field ignores it.

    Attributes:
        planner_for: returns how to come to decisions, for an agent that speaks a form.
        read_back: how dreams are read.
        entropy_threshold: as in `PolicyConfig`.
        thought_tokens: as in `PolicyConfig`.
        temperature: of thoughts and actions.
        dtype: what a network computes in.
        dreams_from: the dream source, by its name: what is shown in the place of every dream.
        tasks: what is to be played; all of the world's where there is none.
        bind_verdicts: hold reviews to what they say.
    """

    planner_for: Callable[[PromptFormat], Planner] = field(default=lambda prompt_format: Basic())
    read_back: Literal["pixels", "codes"] = "pixels"
    entropy_threshold: float = 0.0
    thought_tokens: int = 96
    temperature: float = 0.5
    dtype: Dtype = "auto"
    dreams_from: str = OWN
    tasks: tuple[str, ...] = ()
    bind_verdicts: bool = False


class ActorSource(Protocol):
    """Makes actors of one kind; `name` is what stands behind the kind: of `teacher:crafter`, "crafter"."""

    def world(self, name: str, environment: str) -> str:
        """Return the name of the world to play in: `environment`, or where that is empty the one that it is for.

        Raises:
            RigError: it cannot play there.
        """
        ...

    def actor(self, name: str, spare: World, how: HowToPlay) -> Actor:
        """Return the actor; `spare` is a world of its kind in which no episode is played."""
        ...

    def short_name(self, name: str) -> str:
        """Return what results and pages call it."""
        ...


ACTORS: Registry[Callable[[], ActorSource]] = Registry("kind of actor", "rig.actors")
"""Kinds of actors, each made without arguments; "folder" is what is named without a kind."""

_FOLDER = "folder"


def source_of(agent: str) -> tuple[ActorSource, str]:
    """Return who makes the actor that is called `agent`, and the name to give it."""
    kind, is_kind, name = agent.partition(":")
    if is_kind and name and kind != _FOLDER and kind in ACTORS.names():
        return ACTORS.get(kind)(), name
    return ACTORS.get(_FOLDER)(), agent


def load_policy(folder: Path | str, how: HowToPlay, environment: str) -> Policy:
    """Return the policy of the trained agent in `folder`, who is to decide as `how` says in a world of that name.

    Raises:
        CheckpointError: a file is missing, truncated, or belongs to another agent.
        RigError: it cannot decide so.
    """
    checkpoint = AgentCheckpoint.load(folder).for_running(how.dtype)
    prompt_format = replace(checkpoint.prompt_format, read_back=how.read_back)
    settings = PolicyConfig(
        prompt_format=prompt_format,
        planner=how.planner_for(prompt_format),
        entropy_threshold=how.entropy_threshold,
        thought_tokens=how.thought_tokens,
        text=Sampler(temperature=how.temperature),
    )
    _refuse_useless(how, settings)
    return build_policy(checkpoint, settings, verdict_of=_judge(environment) if how.bind_verdicts else None)


class FolderSource:
    """Trained agents, by their folders."""

    def world(self, name: str, environment: str) -> str:
        """Return the world that the agent was trained in, or another whose keys are the same."""
        about = about_agent(name)
        environment = environment or about.environment
        refuse_other_world(make_world(environment), about.action_space, about.environment, name)
        return environment

    def actor(self, name: str, spare: World, how: HowToPlay) -> PolicyActor | SubstitutingActor:
        """Load the agent."""
        source = DREAM_SOURCES.get(how.dreams_from)
        policy = load_policy(name, how, spare.name)
        return PolicyActor(policy) if source is None else SubstitutingActor(policy, source(policy, spare, how.tasks))

    def short_name(self, name: str) -> str:
        """Return the name of the folder, or of the run that it lies in."""
        return short_name(name)


class TeacherSource:
    """Scripted experts, by their names."""

    def world(self, name: str, environment: str) -> str:
        """Return the world in whose kit the teacher is, where none is given."""
        return environment or world_of_teacher(name)

    def actor(self, name: str, spare: World, how: HowToPlay) -> TeacherActor:
        """Make the teacher."""
        return TeacherActor(TEACHERS.get(name)())

    def short_name(self, name: str) -> str:
        """Return the name itself."""
        return name


def _refuse_useless(how: HowToPlay, settings: PolicyConfig) -> None:
    if how.dreams_from != OWN and not (settings.prompt_format.dream and settings.planner.dreams):
        raise RigError(
            f"{how.dreams_from!r} dreams stand in for an agent's own: take one that dreams, and --dreams of 1 or more"
        )
    if how.bind_verdicts and not isinstance(settings.planner, Lookahead):
        raise RigError(
            "--bind-verdicts holds reviews to what they say, and none is written here: take --dreams 1 or more, of one "
            "plan"
        )


def _judge(environment: str) -> Any:
    judge = judge_of(checker_of(environment))
    if judge is None:
        raise RigError(
            f"--bind-verdicts: nobody can read what a review in {environment!r} says of its plan, whose claim checker "
            "has no `judgement`; leave the flag out"
        )
    return judge


def can_dream(agent: str) -> bool:
    """Return whether `agent` is the folder of one that was trained to dream; its network is not loaded.

    Raises:
        UnknownNameError: there is no such kind of actor.
        CheckpointError: the folder holds no agent.
    """
    source, folder = source_of(agent)
    return isinstance(source, FolderSource) and about_agent(folder).form.dream


ACTORS.add(_FOLDER, FolderSource)
ACTORS.add("teacher", TeacherSource)
