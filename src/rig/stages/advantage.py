"""How much better the teacher's action is than the policy's, by playing both out in the engine.

The value of a state is how soon the teacher, starting there, finishes the task. The advantage of the teacher's action
is the steps lost where the policy's is taken in its place, and the teacher takes over after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rig.actions import Action
from rig.envs import World
from rig.teachers import Teacher


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Plays the teacher out from saved states.

    Attributes:
        world: the world to play in; its state is lost.
        teacher: who plays.
        patience: steps after which a state counts as hopeless.
    """

    world: World
    teacher: Teacher
    patience: int

    def cost_to_go(self, state: bytes, first: Action | None = None) -> int:
        """Return the teacher's steps from `state` to success; `patience` where it dies or takes longer.

        Args:
            state: where to start.
            first: an action to begin with in place of the teacher's.
        """
        world = self.world
        world.load(state)
        for step in range(self.patience):
            if world.samples >= world.task.target:
                return step
            action = first if first is not None and step == 0 else self.teacher.act(world)
            _, terminated, _ = world.step_without_render(action)
            if terminated:
                return step + 1 if world.samples >= world.task.target else self.patience
        return self.patience

    def action_at(self, state: bytes) -> Action:
        """Return the teacher's action in `state`."""
        self.world.load(state)
        return self.teacher.act(self.world)

    def advantage(self, state: bytes, action: Action) -> int:
        """Return the steps lost by taking `action` in `state`; 0 where nothing was to lose."""
        best = self.cost_to_go(state)
        return self.cost_to_go(state, action) - best if best < self.patience else 0
