"""What the views of one page share: a world with its episode, the agent, and the way to tell the page something."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from rig.envs import Split, World, make_world
from rig.playground.mind import Mind
from rig.playground.scene import Scene, episode_of


class Tell(Protocol):
    """Tells the page something."""

    def __call__(self, kind: str, **values: object) -> None:
        """Say `values` of a kind."""
        ...


_ONE_BY_ONE = Lock()
"""Worlds share what looks for their starts."""


class Hall:
    """A world, and an agent before it.

    Args:
        environment: the world's name.
        mind: the agent.
        tell: tells the page something.

    Attributes:
        scene: the episode that is being played.
    """

    def __init__(self, environment: str, mind: Mind, tell: Tell) -> None:
        self._environment, self.mind, self.tell = environment, mind, tell
        self.world = make_world(environment)
        self._spare: World | None = None
        task, setting = self.world.tasks.variants()[0]
        self.scene = self.begin(f"{task.name}/{setting}", 0)

    def begin(self, task: str, number: int, split: Split = Split.VALIDATION) -> Scene:
        """Begin another episode; the one before goes on where there is no such task.

        Args:
            task: "task/setting".
            number: which of the worlds of the split that have a start for it, from 0.
            split: whose worlds.

        Raises:
            RigError: there is no such task.
            SimulatorError: the engine did not start.
        """
        with _ONE_BY_ONE:
            self.scene = Scene(self.world, episode_of(self.world, task, split, number))
        self._begun = (task, number, split)
        return self.scene

    def fresh(self, split: Split) -> Scene:
        """Return the scene where nothing was done or said in it yet and its world is of `split`; else one begun anew.

        Raises:
            SimulatorError: the engine did not start.
        """
        task, number, before = self._begun
        is_fresh = before is split and not self.scene.steps and self.scene.instruction == self.world.task.instruction
        return self.scene if is_fresh else self.begin(task, number, split)

    def spare(self) -> World:
        """Return another world of the kind, to try things in; it is built when it is first needed."""
        if self._spare is None:
            self._spare = make_world(self._environment)
        return self._spare

    def close(self) -> None:
        """Let the worlds go."""
        for world in (self.world, self._spare):
            if world is not None:
                world.close()
