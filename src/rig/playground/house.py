"""What all pages of a playground share: the agent, the world's name, the place of recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rig import __version__
from rig.agents.actors import short_name
from rig.agents.checkpoint import about_agent
from rig.agents.sources import FolderSource
from rig.envs import Split
from rig.playground.config import PlaygroundConfig
from rig.playground.hall import Hall
from rig.playground.keyboards import keyboard_of
from rig.playground.mind import Mind, load_mind
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
    """

    mind: Mind
    name: str
    environment: str
    config: PlaygroundConfig

    @property
    def views(self) -> dict[str, Callable[[Hall], ViewState]]:
        """The views of a page, by name, each made of its hall; the first is the one to begin with."""
        return {"watch": Watch}

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


def open_house(config: PlaygroundConfig) -> House:
    """Return what all pages share.

    Raises:
        CheckpointError: the agent cannot be loaded, or cannot play in the world.
        UnknownNameError: there is no such world.
    """
    agent = config.agent or str(shipped_agent(config.environment or DEFAULT_WORLD))
    environment = FolderSource().world(agent, config.environment or about_agent(agent).environment)
    return House(
        mind=load_mind(config, agent, environment), name=short_name(agent), environment=environment, config=config
    )
