"""Crafter for `gymnasium.make`."""

from __future__ import annotations

from typing import Any

from rig.envs.crafter.tasks import TASKS
from rig.envs.crafter.world import CrafterWorld
from rig.envs.seeds import split_of
from rig.errors import RigError
from rig.records import Frame


class CrafterTask(CrafterWorld):
    """One task of Crafter, for which any seed will do: where its world has no start for the task, the next that has.

    Args:
        task: what to do.
        setting: how to begin; the task's first where empty.
        render_mode: "rgb_array", which is what `render` returns in any case.

    Raises:
        UnknownNameError: there is no such task or setting.
        RigError: another render mode.
    """

    def __init__(self, task: str, setting: str = "", render_mode: str | None = "rgb_array") -> None:
        super().__init__()
        if render_mode not in (None, "rgb_array"):
            raise RigError(f"render_mode={render_mode!r}: Crafter draws in 'rgb_array' alone")
        self.task = TASKS[task]
        self.setting = setting or next(iter(self.task.starts))
        self.task.start(self.setting)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start an episode as `CrafterWorld.reset` does, in the world of the next seed that has a start.

        Raises:
            UnknownNameError: there is no such task or setting.
            RigError: the seed belongs to no split.
        """
        options = options or {}
        task = self.tasks[options.get("task", self.task.name)]
        setting = options.get("setting", self.setting)
        task.start(setting)
        if seed is not None:
            seed = next(near for near in range(seed, split_of(seed).stop) if self.solvable(task, setting, near))
        return super().reset(seed=seed, options=options)


def make_crafter(task: str = "collect_wood", setting: str = "", *, render_mode: str | None = None) -> CrafterTask:
    """Build the environment for `gymnasium.make`."""
    return CrafterTask(task, setting, render_mode)
