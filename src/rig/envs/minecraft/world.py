"""Minecraft behind the `World` interface: the paper's tasks, a tick a step.

A world is its seed and the biome that the engine is asked for; what comes of the same actions differs from run to run,
and no state can be saved.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import gymnasium as gym
import numpy as np

from rig.actions import MINERL, NOOP, Action
from rig.envs.base import World, refuse_without_saves
from rig.envs.minecraft.engine import NATIVE_SIZE, Engine, Tick
from rig.envs.minecraft.facts import read_facts
from rig.envs.minecraft.keys import action_space, native_action, read_action
from rig.envs.minecraft.progress import SAMPLES, Progress
from rig.envs.minecraft.tasks import COLLECTION, Spawn
from rig.envs.seeds import Split
from rig.envs.tasks import MANUAL, Task
from rig.errors import RigError, SimulatorError
from rig.machine import usable_cores
from rig.records import Frame
from rig.validation import Meta, check_fields

TICK_SECONDS = 0.05
"""Game time of a step: 20 Hz, at which STEVE-1 and VPT decide."""

_CORES = 2
"""That an engine keeps busy: the game, and drawing it without a GPU."""

assert MINERL.camera is not None
_GRID = MINERL.camera.step
_SLIPS = ("forward", "back", "left", "right", "jump", "attack", "use")
_TURNS = 3
"""Slips of the mouse for each of a key."""
_WIDEST = 6
"""Steps of the camera that a slip turns the view at the most."""

_ALTERNATIVES = (
    NOOP,
    *map(Action.press, ("forward", "jump", "attack")),
    *(Action.press(camera=turn) for turn in ((0, -15), (0, 15), (-15, 0), (15, 0))),
)


@dataclass(frozen=True, kw_only=True)
class MinecraftConfig:
    """What an agent sees of Minecraft.

    Attributes:
        size: width and height of the frame, in pixels; 384 as in the paper. The engine draws 640 x 360, which is
            brought to it as imported frames are: its proportions kept, and the rest filled.
    """

    size: Annotated[int, Meta(ge=16, le=1920)] = 384

    def __post_init__(self) -> None:
        check_fields(self)


class MinecraftWorld(World):
    """Minecraft with the paper's tasks. Observation: uint8 [size, size, 3]; action: MineRL's keys and camera.

    The reward of a step is its progress towards the task's target, 1 in all. An episode ends with death, or where the
    engine ends it, and with success; where things are collected it goes on, for the paper counts all that is. It is cut
    at the task's limit, and where the engine fails (`info["engine_failed"]`).
    `info["ignored_keys"]` are those pressed that the engine does not have.

    Args:
        config: size of frames.

    Attributes:
        ticks: since the start of the episode.
        episode: which of this world's episodes it is; 0 before the first.
        native_frame: the last frame as the engine drew it, uint8 [360, 640, 3].
    """

    actions = MINERL
    most_at_once = max(1, usable_cores() // _CORES)
    step_seconds = TICK_SECONDS
    can_save = False
    credit = (
        "Frames show Minecraft, which is by Mojang Studios and Microsoft; whoever passes frames on keeps to the usage "
        "guidelines of Minecraft."
    )
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium's own convention
    render_mode = "rgb_array"

    def __init__(self, config: MinecraftConfig | None = None) -> None:
        self.config = config or MinecraftConfig()
        size = self.config.size
        self.action_space = action_space()
        self.observation_space = gym.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.task: Task = next(iter(self.tasks))
        self.setting = MANUAL
        self.seed = self.ticks = self.episode = 0
        self.native_frame: Frame = np.zeros((NATIVE_SIZE[1], NATIVE_SIZE[0], 3), np.uint8)
        self._frame: Frame = np.zeros((size, size, 3), np.uint8)
        self._engine: Engine | None = None
        self._facts: dict[str, Any] = {}
        self._progress = Progress.begin({})
        self._ended = "there is no episode yet"
        self._can_start = False

    @abstractmethod
    def make_engine(self) -> Engine:
        """Return the engine, which starts with the first episode."""

    @abstractmethod
    def refuse_missing(self) -> None:
        """Raise MissingDependencyError where the engine cannot start."""

    @property
    def keys(self) -> frozenset[str]:
        """Those of MineRL's keys that the engine takes; known from the first episode on."""
        return self._engine.keys if self._engine else frozenset()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start an episode; the first starts the engine, which takes half a minute and more.

        Args:
            seed: the world's seed; without one the next of this environment's own random stream.
            options: "task" and "setting"; what is not given stays as it was.

        Raises:
            SimulatorError: the engine did not start.
            MissingDependencyError: something that it needs is not there; the message holds the command.
        """
        task, setting = self.chosen(seed, options)
        spawn = _spawn(task, setting)
        gym.Env.reset(self, seed=seed)
        self.task, self.setting = task, setting
        self.seed = int(self.np_random.integers(Split.TRAIN.stop)) if seed is None else seed
        self._ended = "there is no episode: the last one did not begin"
        self._engine = self._engine or self.make_engine()
        tick = self._engine.begin(self.seed, spawn)
        self.ticks, self._ended = 0, ""
        self.episode += 1
        self._see(tick)
        self._progress = Progress.begin(self._facts)
        return self._frame, {"privileged": self.privileged()}

    def step(self, action: Mapping[str, Any]) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Let a tick pass with a native action; see `World.act` for key-and-camera actions.

        Raises:
            ActionError: it names a key or a camera that MineRL does not have.
            RigError: there is no episode, or it has ended; `reset` begins one.
        """
        pressed = read_action(action)
        if self._ended or self._engine is None:
            raise RigError(f"{self._ended}; call reset first")
        before, keys = self.samples, self._engine.keys
        info: dict[str, Any] = {"ignored_keys": sorted(pressed.keys - keys)}
        try:
            done = self._advance(self._engine.step(pressed.within(keys)))
        except SimulatorError as error:
            done, info["engine_failed"] = False, str(error)
            self._ended = "the engine failed"
        reward, terminated, truncated = self._outcome(before, done)
        info |= {"privileged": self.privileged(), "success": self.samples >= self.task.target}
        return self._frame, reward, terminated, truncated or "engine_failed" in info, info

    def to_native(self, action: Action) -> dict[str, Any]:
        """Return `action` as `step` takes it."""
        return native_action(action)

    def solvable(self, task: Task, setting: str, seed: int) -> bool:
        """Return True: the engine looks for a place in the biome, and nobody can see before whether it finds one.

        Raises:
            MissingDependencyError: no engine can start here, which whoever looks for worlds to play in is told now.
        """
        _spawn(task, setting)
        if not self._can_start:
            self.refuse_missing()
            self._can_start = True
        return True

    def alternatives(self) -> Sequence[Action]:
        """Return what else might be done in a step, of all that can be what differs most: keys and turns."""
        return _ALTERNATIVES

    def random_action(self, random: np.random.Generator) -> Action:
        """Return an action as a slip of the hand would be: nothing, a key, or a turn; no menu, and nothing dropped."""
        index = int(random.integers(len(_SLIPS) + 1 + _TURNS))
        if index < len(_SLIPS):
            return Action.press(_SLIPS[index])
        pitch, yaw = (_GRID * int(steps) for steps in random.integers(-_WIDEST, _WIDEST + 1, 2))
        return NOOP if index == len(_SLIPS) else Action.press(camera=(pitch, yaw))

    def privileged(self) -> dict[str, Any]:
        """Return the engine's facts (`rig.envs.minecraft.facts`), its counts since the start, and the progress."""
        counts = {name: dict(count) for name, count in self._progress.counts.items()}
        own = {"task": self.task.name, "samples": self.samples, "target": self.task.target}
        return {**self._facts, **counts, "tick": self.ticks, **own}

    @property
    def samples(self) -> int:
        """What was broken, or blocks of depth, distance or height, since the start."""
        if self.task.samples is not None:
            return int(self.task.samples(self))
        if self.task.name not in SAMPLES:
            raise RigError(f"Minecraft does not count {self.task.name!r}; give the Task a function `samples(world)`")
        return SAMPLES[self.task.name](self._progress)

    @property
    def progress(self) -> Progress:
        """What was done since the start, for tasks that count by themselves."""
        return self._progress

    def save(self) -> bytes:
        """Refuse.

        Raises:
            RigError: always; states of Minecraft cannot be saved.
        """
        refuse_without_saves(self, "what was asked for")
        raise AssertionError("this world has no saves")

    def load(self, state: bytes) -> Frame:
        """Refuse, as `save` does.

        Raises:
            RigError: always.
        """
        refuse_without_saves(self, "what was asked for")
        raise AssertionError("this world has no saves")

    def render(self) -> Frame:
        """Return the last frame."""
        return self._frame

    def close(self) -> None:
        """End the engine."""
        self._ended = "the world is closed"
        if self._engine is not None:
            self._engine.close()

    def _advance(self, tick: Tick) -> bool:
        self.ticks += 1
        self._see(tick)
        self._progress.note(self._facts)
        return tick.done

    def _see(self, tick: Tick) -> None:
        from rig.model.fit import fit_frame

        self.native_frame = tick.frame
        self._frame = fit_frame(tick.frame, self.config.size)
        self._facts = read_facts(tick.told)

    def _outcome(self, before: int, done: bool) -> tuple[float, bool, bool]:
        target = self.task.target
        reward = (min(self.samples, target) - min(before, target)) / target
        is_enough = self.samples >= target and self.task.kind != COLLECTION
        terminated = done or is_enough or self._facts.get("health", 1) <= 0
        truncated = not terminated and self.ticks >= self.task.start(self.setting).limit
        if done:
            self._ended = "the engine has ended the episode"
        return reward, terminated, truncated


def _spawn(task: Task, setting: str) -> Spawn:
    start = task.start(setting)
    if not isinstance(start, Spawn):
        raise RigError(f"the start {setting!r} of task {task.name!r} is no rig.envs.minecraft.tasks.Spawn; give one")
    return start
