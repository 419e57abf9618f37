"""Crafter behind the `World` interface: tasks, starts, facts, exact replay."""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import Any

import gymnasium as gym
import numpy as np

from rig.actions import CRAFTER, NOOP, Action
from rig.actions.native import read_number
from rig.envs.base import World
from rig.envs.crafter.facts import longest_line, read_facts
from rig.envs.crafter.ground import Position
from rig.envs.crafter.simulator import CELL, SIZE, CrafterSimulator, constants, frame_of
from rig.envs.crafter.starts import find_start
from rig.envs.crafter.tasks import TASKS, WALL
from rig.envs.seeds import Split
from rig.envs.tasks import MANUAL, Task
from rig.errors import RigError
from rig.records import Frame, remembered
from rig.registry import unknown_name

_NATIVE = {"use": "do"}
ACHIEVEMENTS: tuple[str, ...] = tuple(constants.achievements)
"""What Crafter counts of itself; a task of such a name needs no count of its own."""


class CrafterWorld(World):
    """Crafter with RIG's tasks. Observation: uint8 [144, 144, 3]; action: Discrete(17), `noop` first.

    The reward of a step is its progress towards the task's target, 1 in all. An episode ends with success or death,
    and is cut at the task's limit.
    """

    name = "crafter"
    actions = CRAFTER
    tasks = TASKS
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium's own convention
    render_mode = "rgb_array"
    cell = CELL

    def __init__(self) -> None:
        self.engine = CrafterSimulator()
        names = list(self.engine.action_names)
        self._native = {key: names.index(_NATIVE.get(key, key)) for key in self.actions.keys}
        self.action_space = gym.spaces.Discrete(len(names))
        self.observation_space = gym.spaces.Box(0, 255, (*SIZE, 3), np.uint8)
        self.task: Task = next(iter(self.tasks))
        self.setting = MANUAL
        self.seed = 0
        self._frame: Frame = np.zeros((*SIZE, 3), np.uint8)
        self._placed: set[Position] = set()
        self._start: Position = (0, 0)
        self._farthest = 0
        self._executed: tuple[Action, ...] = ()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: the world's seed; without one the next of this environment's own random stream.
            options: "task" and "setting"; what is not given stays as it was.

        Raises:
            RigError: this world has no start for the task; `episode_seeds` finds worlds that have one.
        """
        task, setting = self.chosen(seed, options)
        super().reset(seed=seed)
        self.task, self.setting = task, setting
        start = task.start(setting)
        self.seed = seed if seed is not None else self._solvable_seed()
        place = _start_of(self.task, self.setting, self.seed)
        if place is None:
            raise RigError(
                f"the world of seed {self.seed} has no start for {self.task.name}/{self.setting}; "
                "take seeds from World.episode_seeds"
            )
        self.engine.begin(self.seed)
        self._start, facing = place
        self.engine.place_player(self._start, facing, dict(start.inventory))
        self._placed, self._farthest, self._executed = set(), 0, ()
        self._frame = frame_of(self.engine)
        return self._frame, {"privileged": self.privileged()}

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Take one native action; see `World.act` for key-and-camera actions.

        Raises:
            ActionError: it is no whole number from 0 to 16.
        """
        number = read_number(action, len(self.engine.action_names))
        before, stones = self.samples, self._stones_placed()
        self._frame, *_ = self.engine.step(number)
        self._note(self.from_native(number), stones)
        reward, terminated, truncated = self._outcome(before)
        info = {"privileged": self.privileged(), "success": self.samples >= self.task.target}
        return self._frame, reward, terminated, truncated, info

    def step_without_render(self, action: Action) -> tuple[float, bool, bool]:
        """Step without drawing, for plans: (reward, terminated, truncated)."""
        before, stones = self.samples, self._stones_placed()
        self.engine.step_without_render(self.to_native(action))
        self._note(action, stones)
        return self._outcome(before)

    def to_native(self, action: Action) -> int:
        """Return Crafter's number of `action`."""
        self.actions.check(action)
        return self._native[next(iter(action.keys))] if action != NOOP else 0

    def from_native(self, number: int) -> Action:
        """Return the action of Crafter's `number`."""
        return next((Action.press(key) for key, native in self._native.items() if native == number), NOOP)

    def solvable(self, task: Task, setting: str, seed: int) -> bool:
        """Return whether the world of `seed` has a start for the task."""
        return _start_of(task, setting, seed) is not None

    def privileged(self) -> dict[str, Any]:
        """Return the facts of the view, and the task's progress."""
        facts = read_facts(self.engine)
        return facts | {"task": self.task.name, "samples": self.samples, "target": self.task.target}

    @property
    def samples(self) -> int:
        """Items collected, things made or placed, cells walked away, or stones in a line, since the start."""
        if self.task.samples is not None:
            return int(self.task.samples(self))
        if self.task.name == "explore":
            return self._farthest
        if self.task.name == WALL:
            return longest_line(self._placed)
        counts = self.engine.player.achievements
        if self.task.name not in ACHIEVEMENTS:
            raise RigError(
                f"Crafter does not count {self.task.name!r} by itself, as it does {', '.join(ACHIEVEMENTS)}; give the "
                "Task a function `samples(world)`"
            )
        return int(counts[self.task.name])

    @property
    def start(self) -> Position:
        """Where the player stood at the start."""
        return self._start

    @property
    def placed(self) -> frozenset[Position]:
        """Where stones stand that the player placed."""
        return frozenset(self._placed)

    @property
    def executed(self) -> tuple[Action, ...]:
        """What was done last in this episode, newest first, as far as an observation knows it."""
        return self._executed

    def save(self) -> bytes:
        """Return the whole state, random stream and drawn frame included; valid in this process only."""
        progress = (self._placed, self._start, self._farthest, self._executed)
        return pickle.dumps((self.task.name, self.setting, self.seed, *progress, self._frame, self.engine.save()))

    def load(self, state: bytes) -> Frame:
        """Go back to a saved state, and return its frame."""
        name, self.setting, self.seed, *progress, self._frame, engine = pickle.loads(state)
        self._placed, self._start, self._farthest, self._executed = progress
        self.task = self.tasks[name]
        self.engine.load(engine)
        return self._frame

    def render(self) -> Frame:
        """Return the last frame that `reset` or `step` drew; drawing again would disturb the random stream."""
        return self._frame

    def _outcome(self, before: int) -> tuple[float, bool, bool]:
        target = self.task.target
        reward = (min(self.samples, target) - min(before, target)) / target
        terminated = self.samples >= target or self.engine.player.health <= 0
        truncated = not terminated and self.engine.time >= self.task.start(self.setting).limit
        return reward, terminated, truncated

    def _stones_placed(self) -> int:
        return int(self.engine.player.achievements["place_stone"])

    def _note(self, action: Action, stones_before: int) -> None:
        self._executed = remembered(action, self._executed)
        player = self.engine.player
        x, y = (int(value) for value in player.pos)
        self._farthest = max(self._farthest, abs(x - self._start[0]), abs(y - self._start[1]))
        if self._stones_placed() > stones_before:
            self._placed.add((x + player.facing[0], y + player.facing[1]))
        self._placed = {place for place in self._placed if self.engine.world[place][0] == "stone"}

    def _solvable_seed(self) -> int:
        while True:
            seed = int(self.np_random.integers(Split.TRAIN.stop))
            if self.solvable(self.task, self.setting, seed):
                return seed


@lru_cache(maxsize=1)
def _scratch() -> CrafterSimulator:
    return CrafterSimulator()


@lru_cache(maxsize=8192)
def _start_of(task: Task, setting: str, seed: int) -> tuple[Position, Position] | None:
    start = task.start(setting)
    for item in start.inventory:
        if item not in constants.items:
            raise unknown_name(f"item in the start of task {task.name!r}", item, constants.items)
    for material in start.near:
        if material not in constants.materials:
            raise unknown_name(f"material in the start of task {task.name!r}", material, constants.materials)
    engine = _scratch()
    engine.begin(seed)
    return find_start(engine, task, setting, seed)
