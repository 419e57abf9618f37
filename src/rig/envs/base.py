"""The one interface of every world: Gymnasium's, plus what RIG needs to think, replay and teach."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Annotated, Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.actions import NOOP, Action, ActionSpace
from rig.envs.seeds import Split
from rig.envs.tasks import Task, TaskTable
from rig.errors import RigError, SimulatorError
from rig.records import Frame
from rig.validation import Meta, fitting, refuse_unknown, shown

Seed = Annotated[int, Meta(ge=0, lt=1 << 32)]

_PATIENCE = 3.0
"""Seconds after which a search for worlds shows a bar: those that were generated before take no time."""


Look = Callable[[Task, str, Sequence[int]], Iterable[bool]]
"""Says of each of several seeds whether its world has a start for a task in a setting."""


class World(gym.Env):
    """A Gymnasium environment whose observation is one RGB frame, uint8 [H, W, 3].

    `reset(seed=…, options={"task": name, "setting": name})` starts an episode of a task; `info["privileged"]` holds
    facts for teachers and annotators that the policy never sees. `save` and `load` make replays and forks exact.

    Attributes:
        name: the registry's name of this world.
        actions: the keys and camera of this world.
        tasks: what can be asked for.
        most_at_once: how many such worlds may usefully run beside each other, where each has an engine that is a
            process of its own; its steps are waited for in threads, and so is `solvable`, which several may ask at
            once. None where steps are this process's own work.
        credit: what whoever shows its frames is to say of them; empty where nothing.
        step_seconds: how long a step lasts by the world's own clock; None where it has none, but moves.
        can_save: whether states can be saved and gone back to. Where not, `save` and `load` raise a `RigError`, and
            whatever tries several things from one state refuses to begin (`refuse_without_saves`).
    """

    name: str
    actions: ActionSpace
    tasks: TaskTable
    most_at_once: int | None = None
    credit: str = ""
    step_seconds: float | None = None
    can_save: bool = True
    task: Task
    setting: str
    seed: int

    @abstractmethod
    def to_native(self, action: Action) -> Any:
        """Return `action` as an element of `action_space`."""

    @abstractmethod
    def solvable(self, task: Task, setting: str, seed: int) -> bool:
        """Return whether the world of `seed` has a start for the task."""

    @abstractmethod
    def privileged(self) -> dict[str, Any]:
        """Return JSON-like facts about the current state."""

    @abstractmethod
    def save(self) -> bytes:
        """Return the whole state, random stream included; valid in this process only."""

    @abstractmethod
    def load(self, state: bytes) -> Frame:
        """Go back to a saved state, and return its frame."""

    @property
    @abstractmethod
    def samples(self) -> int:
        """The samples obtained so far in this episode."""

    def act(self, action: Action) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        """Step with a key-and-camera action: `step(to_native(action))`.

        Raises:
            SimulatorError: the engine failed, of which `step` makes a truncated episode (`info["engine_failed"]`).
        """
        frame, reward, terminated, truncated, info = self.step(self.to_native(action))
        if "engine_failed" in info:
            raise SimulatorError(info["engine_failed"])
        return frame, float(reward), terminated, truncated, info

    def chosen(self, seed: Any, options: Any) -> tuple[Task, str]:
        """Return the task and the setting that `reset(seed=…, options=…)` asks for; what it does not name stays.

        A setting that was not asked for and that the task does not have gives way to the task's first.

        Raises:
            RigError: an option is unknown, or the seed is none.
            UnknownNameError: there is no such task or setting.
        """
        wanted = read_options(seed, options, ("task", "setting"))
        task = self.tasks[wanted.get("task", self.task.name)]
        setting = wanted.get("setting", self.setting)
        if "setting" not in wanted and setting not in task.starts:
            setting = next(iter(task.starts))
        task.start(setting)
        return task, setting

    def step_without_render(self, action: Action) -> tuple[float, bool, bool]:
        """Step without looking: (reward, terminated, truncated); worlds that can skip drawing do it here.

        Raises:
            SimulatorError: as of `act`.
        """
        return self.act(action)[1:4]

    def alternatives(self) -> Sequence[Action]:
        """Return what else might be done in a step: nothing, or any key; a world with more names what differs most."""
        return [NOOP, *map(Action.press, self.actions.keys)]

    def random_action(self, random: np.random.Generator) -> Action:
        """Return an action as a slip of the hand would be: nothing or one key, all equally likely."""
        index = int(random.integers(len(self.actions.keys) + 1))
        return NOOP if index == len(self.actions.keys) else Action.press(self.actions.keys[index])

    def episode_seeds(
        self, task: Task, setting: str, split: Split, count: int, *, skip: int = 0, look: Look | None = None
    ) -> list[int]:
        """Return the first `count` seeds of `split`, after `skip` solvable ones, in which the task can be started.

        Args:
            task: what is to be started.
            setting: how.
            split: whose seeds.
            count: how many.
            skip: how many to leave out.
            look: says of several seeds whether they are solvable; only asked for those that must be known in any case.
        """
        found: list[int] = []
        name = f"worlds for {task.name}/{setting}"
        left = split.seeds()
        with tqdm(total=skip + count, desc=name, unit="world", leave=False, delay=_PATIENCE) as bar:
            while some := list(islice(left, skip + count - len(found))):
                for seed, is_solvable in zip(some, (look or self._look)(task, setting, some), strict=True):
                    if is_solvable:
                        found.append(seed)
                        bar.update()
        return found[skip:]

    def _look(self, task: Task, setting: str, seeds: Sequence[int]) -> Iterator[bool]:
        with ThreadPoolExecutor(self.most_at_once or 1) as pool:
            yield from pool.map(lambda seed: self.solvable(task, setting, seed), seeds)


def refuse_without_saves(world: World, what: str, fix: str = "") -> None:
    """Refuse a world whose states cannot be saved.

    Args:
        world: where it is to be done.
        what: who needs them, for the message.
        fix: what to do instead; a general one where empty.

    Raises:
        RigError: they cannot be.
    """
    if not world.can_save:
        fix = fix or "`rig collect`, `rig reason`, `rig train` and `rig eval` need none, and other worlds can be saved"
        raise RigError(
            f"{what} goes back to states of the world, and those of {world.name!r} can be neither saved nor gone back "
            f"to; {fix} (docs/minecraft.md)"
        )


def read_options(seed: Any, options: Any, known: Sequence[str]) -> dict[str, Any]:
    """Return the options of `reset(seed=…, options=…)`, none as an empty dict.

    Raises:
        RigError: they are no mapping or name something unknown, or the seed is no whole number below 2**32.
    """
    fitting(seed, Seed | None, "reset(seed=…)")
    if options is not None and not isinstance(options, Mapping):
        raise RigError(f"reset(options={shown(options)}): give a mapping of {', '.join(known)}")
    refuse_unknown(options or {}, known, "reset(options=…)")
    return dict(options or {})


class CellReader(Protocol):
    """Reads frames of a world made of grid cells back into labels, so that dreams can be scored cell by cell."""

    rows: int
    columns: int

    def truth(self, facts: Mapping[str, Any]) -> NDArray[np.int16]:
        """Return the labels that the engine's facts give, int16 [rows, columns]."""
        ...

    def read(self, frames: Sequence[Frame], facts: Sequence[Mapping[str, Any]]) -> NDArray[np.int16]:
        """Return the labels read from `frames`, int16 [N, rows, columns], given the facts of the states they show."""
        ...
