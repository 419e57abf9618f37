"""An episode in a world: what a page stands before, whoever acts in it."""

from __future__ import annotations

from typing import Any

from rig.actions import NOOP, Action
from rig.envs import Split, World
from rig.envs.rollout import Episode
from rig.errors import RigError
from rig.records import Frame, Observation, remembered


class Scene:
    """One episode, from its beginning to its end.

    Args:
        world: where it is played; nobody else uses it meanwhile.
        episode: what is played.

    Attributes:
        world: the same.
        episode: the same.
        frame: what is seen.
        facts: what the engine knows of it.
        instruction: what is asked for.
        steps: how many were taken.
        reward: of the last step.
        outcome: "" while it goes on; "success", "end" or "time" afterwards.

    Raises:
        RigError: the world has no such start.
        SimulatorError: the engine did not start.
    """

    def __init__(self, world: World, episode: Episode) -> None:
        self.world, self.episode = world, episode
        self.frame, info = episode.begin(world)
        self.facts: dict[str, Any] = info["privileged"]
        self.instruction = world.task.instruction
        self.previous: Action = NOOP
        self.earlier: tuple[Action, ...] = ()
        self.steps, self.reward, self.outcome = 0, 0.0, ""

    @property
    def observation(self) -> Observation:
        """What an agent may know."""
        return Observation(
            frame=self.frame,
            instruction=self.instruction,
            previous_action=self.previous,
            earlier_actions=self.earlier,
        )

    def act(self, action: Action) -> Frame:
        """Do something, and return what is seen then.

        Raises:
            RigError: the episode has ended.
            ActionError: the world has no such action.
            SimulatorError: the engine failed.
        """
        if self.outcome:
            raise RigError("this episode has ended; begin another one")
        self.world.actions.check(action)
        self.frame, self.reward, terminated, truncated, info = self.world.act(action)
        self.facts = info["privileged"]
        self.previous, self.earlier = action, remembered(self.previous, self.earlier)
        self.steps += 1
        if terminated or truncated:
            won = self.world.samples >= self.world.task.target
            self.outcome = "success" if won else "end" if terminated else "time"
        return self.frame

    def told(self) -> dict[str, Any]:
        """Return what a page is told of it, but for the frame."""
        return {
            "task": f"{self.episode.task}/{self.episode.setting}",
            "seed": self.episode.seed,
            "instruction": self.instruction,
            "step": self.steps,
            "samples": self.world.samples,
            "target": self.world.task.target,
            "previous": self.world.actions.format(self.previous),
            "outcome": self.outcome,
        }


def episode_of(world: World, task: str, split: Split, number: int) -> Episode:
    """Return an episode.

    Args:
        world: where it is to be played.
        task: "task/setting".
        split: whose worlds.
        number: which of the worlds of the split that have a start for the task, from 0.

    Raises:
        RigError: there is no such task, or setting of it.
    """
    ((chosen, setting), *_) = world.tasks.variants([task])
    (seed,) = world.episode_seeds(chosen, setting, split, 1, skip=number)
    return Episode(task=chosen.name, setting=setting, seed=seed)
