"""What an agent can be asked to do: an instruction, a start state, a success test and a count of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rig.errors import RigError
from rig.registry import Registry, unknown_name

MANUAL = "manual"
TOOL = "tool"


@dataclass(frozen=True, kw_only=True)
class Start:
    """How an episode of a task begins in one setting.

    Attributes:
        inventory: item name -> count at the start, on top of the world's own defaults.
        limit: environment steps after which the episode is cut; in Minetest ticks, of which a step takes several.
        near: what must lie near the start: material -> (count, distance in cells, or in nodes). A world
            without such a place is not used for the task.
        roam: a cell this far from the start (in the larger of its two coordinates) must be walkable to; 0 for none.
    """

    inventory: Mapping[str, int] = field(default_factory=dict)
    limit: int
    near: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    roam: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One task of a world; a task equals itself alone, so that starts can be kept by task.

    Attributes:
        name: identifier, for example "collect_wood".
        instruction: what the agent is told, for example "collect wood".
        kind: "collection", "achievement" or "long".
        target: samples needed for success.
        starts: setting ("manual": empty hands, "tool": the right tools) -> start.
        samples: what counts the samples of an episode so far, given the world; None leaves it to the world, which can
            count those of its own tasks.
        recipe: what to do next, given the situation and the samples still missing, for a world whose expert and
            annotators follow recipes (Crafter's: see `rig.teachers.crafter_needs`). None leaves the task to a teacher
            of its own.
    """

    name: str
    instruction: str
    kind: str
    target: int
    starts: Mapping[str, Start]
    samples: Callable[[Any], int] | None = None
    recipe: Callable[[Any, int], Any] | None = None

    def __post_init__(self) -> None:
        if not self.starts or not isinstance(self.target, int) or self.target < 1:
            raise RigError(
                f"task {self.name!r} has target {self.target!r} and {len(self.starts)} starts: at least 1 each"
            )

    def start(self, setting: str) -> Start:
        """Return the start of `setting`.

        Raises:
            UnknownNameError: the task has no such setting.
        """
        if not isinstance(setting, str) or setting not in self.starts:
            raise unknown_name(f"setting of task {self.name!r}", setting, self.starts)
        return self.starts[setting]


TASKS: Registry[Task] = Registry("task", "rig.tasks")
"""Tasks that others add to a world, as "world/task"; `rig.envs.add_task` adds one."""


class TaskTable:
    """The tasks of one world, by name: its own, and those that others have added to it.

    Those of others are reached by their names; "all tasks" are the world's own, whatever is installed beside it.

    Args:
        tasks: the world's own.
        world: the world's name in `TASKS`; without one nothing can be added.
    """

    def __init__(self, tasks: Iterable[Task], world: str = "") -> None:
        self._tasks = {task.name: task for task in tasks}
        self._world = world

    @property
    def world(self) -> str:
        """The world's name in `TASKS`; "" where nothing can be added."""
        return self._world

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __getitem__(self, name: str) -> Task:
        if isinstance(name, str) and name in self._tasks:
            return self._tasks[name]
        added = self._added()
        if name not in added:
            raise unknown_name("task", name, [*self._tasks, *added])
        task = TASKS.get(f"{self._world}/{name}")
        if not isinstance(task, Task) or task.name != name:
            raise RigError(f"what is registered as {self._world}/{name} is {task!r}; register a Task of that name")
        return task

    def _added(self) -> list[str]:
        """Return the names of the tasks that others have added."""
        before = f"{self._world}/"
        return [name.removeprefix(before) for name in TASKS.names() if self._world and name.startswith(before)]

    def variants(self, names: Iterable[str] = ()) -> list[tuple[Task, str]]:
        """Return every variant (task, setting), or those called `names` ("task" or "task/setting"), each once."""
        wanted = list(names)
        if not wanted:
            return [(task, setting) for task in self._tasks.values() for setting in task.starts]
        variants: list[tuple[Task, str]] = []
        for name in wanted:
            task_name, _, setting = name.partition("/")
            task = self[task_name]
            if setting:
                task.start(setting)
            found = [(task, chosen) for chosen in ([setting] if setting else task.starts)]
            variants.extend(variant for variant in found if variant not in variants)
        return variants
