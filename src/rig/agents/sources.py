"""Who can be named where an agent is asked for.

A folder, `hf:OWNER/NAME` of a hub, `teacher:NAME`, `ws://HOST:PORT`, or a plug-in's `KIND:REST`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from rig.agents.actors import PolicyActor, TeacherActor, refuse_other_world, short_name
from rig.agents.checkpoint import about_agent
from rig.agents.dream_sources import DREAM_SOURCES, SubstitutingActor
from rig.agents.how import HowToPlay, load_policy
from rig.agents.hub import agent_folder
from rig.agents.served import ServedSource
from rig.annotators.kit import world_of_teacher
from rig.envs import World, make_world
from rig.envs.rollout import Actor
from rig.hub import PREFIX
from rig.registry import Registry
from rig.teachers import TEACHERS


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
    """Return who makes the actor that is called `agent`, and the name to give it; one of a hub is fetched."""
    if agent.startswith(PREFIX):
        return ACTORS.get(_FOLDER)(), str(agent_folder(agent))
    kind, is_kind, name = agent.partition(":")
    if is_kind and name and kind != _FOLDER and kind in ACTORS.names():
        return ACTORS.get(kind)(), name
    return ACTORS.get(_FOLDER)(), agent


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
ACTORS.add("ws", ServedSource)
ACTORS.add("wss", partial(ServedSource, scheme="wss"))
