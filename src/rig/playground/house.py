"""What all pages of a playground share: the agent, the world's name, the place of recordings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from rig import __version__
from rig.agents.actors import short_name
from rig.agents.checkpoint import about_agent
from rig.agents.sources import FolderSource
from rig.envs import Split, make_world
from rig.errors import RigError
from rig.playground.config import PlaygroundConfig
from rig.playground.dream import Dream
from rig.playground.hall import Hall
from rig.playground.keyboards import keyboard_of
from rig.playground.mind import Mind, load_mind
from rig.playground.record import Record
from rig.playground.shelf import Shelf, shelf_of
from rig.playground.views import ViewState
from rig.playground.watch import Watch
from rig.shipped import DEFAULT_WORLD, shipped_agent


@dataclass(frozen=True, kw_only=True, eq=False)
class House:
    """What all pages share.

    Attributes:
        mind: the agent.
        name: what it is called.
        environment: the world's name.
        config: of the playground.
        shelf: where recordings are kept.
    """

    mind: Mind
    name: str
    environment: str
    config: PlaygroundConfig
    shelf: Shelf

    @property
    def views(self) -> dict[str, Callable[[Hall], ViewState]]:
        """The views of a page, by name, each made of its hall; the first is the one to begin with."""
        dreaming = {"dream": Dream} if self.mind.policy.config.prompt_format.dream else {}
        return {"watch": Watch, **dreaming, "record": lambda hall: Record(hall, self.shelf, self.config.hertz)}

    def split_of(self, view: str) -> Split:
        """Return whose worlds a view begins: what is recorded is for training, and nothing else is."""
        return Split.TRAIN if view == "record" else Split.VALIDATION

    def about(self, hall: Hall) -> dict[str, Any]:
        """Return what a page is told first."""
        world, prompt_format = hall.world, self.mind.policy.config.prompt_format
        return {
            "version": __version__,
            "agent": self.name,
            "views": list(self.views),
            "environment": self.environment,
            "tasks": [f"{task.name}/{setting}" for task, setting in world.tasks.variants()],
            "keys": {key: list(codes) for key, codes in keyboard_of(world.actions).items()},
            "exclusive": world.actions.exclusive,
            "camera": world.actions.camera is not None,
            "planners": list(self.mind.policies),
            "thinks": prompt_format.thought,
            "dreams": prompt_format.dream,
            "can_save": world.can_save,
            "credit": world.credit,
            "runs_in": dict(self.mind.policy.engine.model.runs_in),
        }


def open_house(config: PlaygroundConfig, tell: Callable[[str], None] = lambda line: None) -> House:
    """Return what all pages share.

    Args:
        config: who plays, and where.
        tell: told of recordings that a server left which was killed, and which are kept now.

    Raises:
        CheckpointError: the agent cannot be loaded, or cannot play in the world.
        UnknownNameError: there is no such world.
        RigError: recordings could not be kept where they are to be.
    """
    agent = config.agent or shipped_agent(config.environment or DEFAULT_WORLD)
    if not agent:
        raise RigError(f"no agent for {config.environment!r} comes with rig; name the folder of one with --agent")
    environment = FolderSource().world(agent, config.environment or about_agent(agent).environment)
    with closing(make_world(environment)) as world:
        shelf = shelf_of(config.record, world)
        shelf.refuse_foreign()
        for line in shelf.recover(world):
            tell(line)
    mind = load_mind(config, agent, environment)
    return House(mind=mind, name=short_name(agent), environment=environment, config=config, shelf=shelf)
