"""Minetest behind the `World` interface: tasks, starts, facts, exact replay.

A decision is held for several ticks, of which only the last is drawn: five decisions a second are enough to walk, aim
and dig by, and a frame costs several times what a tick does.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from zlib import crc32

import gymnasium as gym
import numpy as np

from rig.actions import MINERL, NOOP, Action
from rig.actions.native import read_mapping
from rig.envs.base import World
from rig.envs.minetest.config import TICK_SECONDS, MinetestConfig, Pixels
from rig.envs.minetest.env import MinetestEnv
from rig.envs.minetest.keys import GRID, native_action, shared_out
from rig.envs.minetest.places import Place, Spot
from rig.envs.minetest.progress import SAMPLES, Progress
from rig.envs.minetest.survey import spots_of
from rig.envs.minetest.tasks import TASKS, watched_for
from rig.envs.seeds import Split
from rig.envs.tasks import MANUAL, Task
from rig.errors import RigError, SimulatorError
from rig.machine import usable_cores
from rig.records import Frame
from rig.validation import Meta, check_fields

VIEW_CELLS = 16
"""Rows and columns of the frame of which the facts tell what is seen there, for annotators."""

_IN_FRAME = 9
"""Steps of yaw to each side that surely are in the frame."""

_MOVES = ("forward", "back", "left", "right", "jump")
_HANDS = ("attack", "use")
_CRAFTING_SLIPS = {False: ("inventory",), True: ("inventory", "ESC", *_HANDS)}
"""What else slips where one crafts, by whether the menu is open."""

_ALTERNATIVES = (
    NOOP,
    *map(Action.press, ("forward", "jump", "attack")),
    *(Action.press(camera=turn) for turn in ((0, -15), (0, 15), (-15, 0), (15, 0))),
)

_TURNS = 3
"""Slips of the mouse for each of a key."""

_WIDEST_TURN, _WIDEST_SHIFT = 6, 2
"""Steps of the camera that a slip turns the view, or moves the cursor, at the most."""

_SETTLING = 60
"""Ticks after the first look around, until all in view has been sent, and the sky has taken its colour."""


@dataclass(frozen=True, kw_only=True)
class MinetestWorldConfig:
    """What an agent sees of Minetest, and how often it decides.

    Attributes:
        size: width and height of the frame, in pixels.
        ticks_per_step: ticks of 50 ms for which a decision is held.
    """

    size: Pixels = 128
    ticks_per_step: Annotated[int, Meta(ge=1, le=1000)] = 4

    def __post_init__(self) -> None:
        check_fields(self)


class MinetestWorld(World):
    """The stock engine with RIG's tasks. Observation: uint8 [size, size, 3]; action: MineRL's keys and camera.

    The reward of a step is its progress towards the task's target, 1 in all. An episode ends with success or death,
    and is cut at the task's limit, which is in ticks, and where the engine fails.

    Args:
        config: size of frames and ticks of a step.
    """

    name = "minetest"
    actions = MINERL
    tasks = TASKS
    most_at_once = usable_cores()
    credit = (
        "Frames show Minetest Game, whose textures are by its authors, mostly under CC BY-SA 3.0; whoever passes "
        "frames on names them and keeps that licence."
    )
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 - Gymnasium's own convention
    render_mode = "rgb_array"

    def __init__(self, config: MinetestWorldConfig | None = None) -> None:
        self.config = config or MinetestWorldConfig()
        self.step_seconds = self.config.ticks_per_step * TICK_SECONDS
        size = self.config.size
        self.env = MinetestEnv(MinetestConfig(width=size, height=size, view_cells=VIEW_CELLS))
        self.action_space = self.env.action_space
        self.observation_space = gym.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.task: Task = next(iter(self.tasks))
        self.setting = MANUAL
        self.seed = 0
        self.ticks = 0
        self.progress = Progress(start=(0, 0, 0))
        self._events: list[dict[str, Any]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Frame, dict[str, Any]]:
        """Start an episode, in an engine of its own.

        Args:
            seed: the world's seed; without one the next of this environment's own random stream.
            options: "task" and "setting"; what is not given stays as it was.

        Raises:
            RigError: this world has no start for the task; `episode_seeds` finds worlds that have one.
            SimulatorError: the engine did not start.
            MissingDependencyError: something that it needs is not installed.
        """
        task, setting = self.chosen(seed, options)
        gym.Env.reset(self, seed=seed)
        self.task, self.setting = task, setting
        self.seed = seed if seed is not None else self._solvable_seed()
        spots = _fitting(self.task, self.setting, self.seed)
        if not spots:
            raise RigError(
                f"the world of seed {self.seed} has no start for {self.task.name}/{self.setting}; "
                "take seeds from World.episode_seeds"
            )
        self._enter(spots)
        return self.render(), {"privileged": self.privileged()}

    def step(self, action: Mapping[str, Any]) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Hold a native action for the ticks of a step; see `World.act` for key-and-camera actions."""
        before, failure = self.samples, {}
        try:
            self._hold(action, draw=True)
        except SimulatorError as error:
            failure = {"engine_failed": str(error)}
        reward, terminated, truncated = self._outcome(before)
        info = {"privileged": self.privileged(), "success": self.samples >= self.task.target, **failure}
        return self.render(), reward, terminated, truncated or bool(failure), info

    def step_without_render(self, action: Action) -> tuple[float, bool, bool]:
        """Step without drawing, for plans: (reward, terminated, truncated).

        Raises:
            SimulatorError: the engine failed.
        """
        before = self.samples
        self._hold(self.to_native(action), draw=False)
        return self._outcome(before)

    def to_native(self, action: Action) -> dict[str, Any]:
        """Return `action` as the engine's environment takes it."""
        return native_action(action)

    def solvable(self, task: Task, setting: str, seed: int) -> bool:
        """Return whether the world of `seed` has a start for the task; the first time it is searched for seconds."""
        return bool(_fitting(task, setting, seed))

    def alternatives(self) -> Sequence[Action]:
        """Return what else might be done in a step, of all that can be what differs most: keys and turns."""
        return _ALTERNATIVES

    def random_action(self, random: np.random.Generator) -> Action:
        """Return an action as a slip of the hand would be: nothing, a key, or a turn; menus only where one crafts.

        The tool is never thrown away, nor what is to be crafted from put into the world.
        """
        menu_open = self.env.privileged()["menu_open"]
        keys = [*_MOVES, *(_CRAFTING_SLIPS[menu_open] if self.task.name.startswith("craft") else _HANDS)]
        index = int(random.integers(len(keys) + 1 + _TURNS))
        if index < len(keys):
            return Action.press(keys[index])
        widest = _WIDEST_SHIFT if menu_open else _WIDEST_TURN
        pitch, yaw = (GRID * int(steps) for steps in random.integers(-widest, widest + 1, 2))
        return NOOP if index == len(keys) else Action.press(camera=(pitch, yaw))

    def privileged(self) -> dict[str, Any]:
        """Return the engine's facts, with the events of the whole step, and the task's progress."""
        own = {"task": self.task.name, "samples": self.samples, "target": self.task.target}
        return {**self.env.privileged(), "events": self._events, "start": list(self.progress.start), **own}

    @property
    def samples(self) -> int:
        """What was collected or crafted, or nodes of depth, distance or height, since the start."""
        if self.task.samples is not None:
            return int(self.task.samples(self))
        if self.task.name not in SAMPLES:
            raise RigError(f"Minetest does not count {self.task.name!r}; give the Task a function `samples(world)`")
        return SAMPLES[self.task.name](self.progress)

    def save(self) -> bytes:
        """Return a save point: the way that leads here, exactly, in every process."""
        episode = (self.task.name, self.setting, self.seed, self.ticks, self.progress, self._events)
        return pickle.dumps((episode, self.env.save()))

    def load(self, state: bytes) -> Frame:
        """Go to a saved state, and return its frame.

        One that lies ahead in this episode is walked to. For any other the engine starts anew and repeats the way
        without drawing: seconds, and a few milliseconds for each tick.
        """
        episode, engine = pickle.loads(state)
        name, self.setting, self.seed, self.ticks, self.progress, self._events = episode
        self.task = self.tasks[name]
        self.env.load(engine)
        return self.render()

    def render(self) -> Frame:
        """Return the last frame."""
        return self.env.render()

    def close(self) -> None:
        """End the engine."""
        self.env.close()

    def _enter(self, spots: list[Spot]) -> None:
        """Enter at one of `spots` with what the setting gives, looking in some direction or along the way."""
        random = np.random.default_rng([self.seed, crc32(f"{self.task.name}/{self.setting}".encode())])
        spot = spots[int(random.integers(len(spots)))]
        x, y, z = spot.at
        yaw = GRID * int(random.integers(360 // GRID))
        self.env.reset(seed=self.seed, options={"spawn": [x, y - 0.5, z]})
        slots = _place(self.task, self.setting).slots()
        self.env.command(
            {"name": "inventory", "slots": slots},
            {"name": "look", "yaw": yaw, "pitch": 0},
            {"name": "watch", **watched_for(self.task.name, spot)},
        )
        if self.task.start(self.setting).roam:
            self._look_along_the_way(random)
        for tick in range(1, _SETTLING + 1):
            self._tick({}, draw=tick == _SETTLING)
        self.ticks, self.progress, self._events = 0, Progress(start=(x, y, z)), []

    def _look_along_the_way(self, random: np.random.Generator) -> None:
        """Have where the way begins in the frame: no frame tells which far place was found to be reachable."""
        facts = self.env.privileged()
        (x, _, z), heading = facts["position"], facts["sight"]["heading"]
        ahead = math.degrees(math.atan2(heading[0] - x, heading[2] - z)) if heading else facts["yaw"]
        steps = round(ahead / GRID) + int(random.integers(-_IN_FRAME, _IN_FRAME + 1))
        self.env.command({"name": "look", "yaw": GRID * steps % 360, "pitch": 0})

    def _hold(self, action: Mapping[str, Any], *, draw: bool) -> None:
        """Let the ticks of a step pass."""
        ticks, menu_open = self.config.ticks_per_step, self.env.privileged()["menu_open"]
        turns = shared_out(read_mapping(action).get("camera", (0.0, 0.0)), ticks, menu_open=menu_open)
        self._events = []
        for tick, turn in enumerate(turns, 1):
            self._tick({**action, "camera": turn}, draw=draw and tick == ticks, look=tick == ticks)
            facts = self.env.privileged()
            self.progress.note(facts)
            self._events += facts["events"]
        self.ticks += ticks

    def _tick(self, action: Mapping[str, Any], *, draw: bool, look: bool = False) -> None:
        if draw:
            *_, failed, info = self.env.step(action)
        else:
            _, _, failed = self.env.step_without_render(action, look=look)
            info = {"engine_failed": "the engine failed between two frames"}
        if failed:
            raise SimulatorError(info["engine_failed"])

    def _outcome(self, before: int) -> tuple[float, bool, bool]:
        target = self.task.target
        reward = (min(self.samples, target) - min(before, target)) / target
        terminated = self.samples >= target or self.env.privileged()["health"] <= 0
        truncated = not terminated and self.ticks >= self.task.start(self.setting).limit
        return reward, terminated, truncated

    def _solvable_seed(self) -> int:
        while True:
            seed = int(self.np_random.integers(Split.TRAIN.stop))
            if self.solvable(self.task, self.setting, seed):
                return seed


def _place(task: Task, setting: str) -> Place:
    start = task.start(setting)
    if not isinstance(start, Place):
        raise RigError(f"the start {setting!r} of task {task.name!r} is no rig.envs.minetest.places.Place; give one")
    return start


def _fitting(task: Task, setting: str, seed: int) -> list[Spot]:
    """Return the spots of the world of `seed` where the task can begin."""
    return [spot for spot in spots_of(seed) if _place(task, setting).fits(spot)]
