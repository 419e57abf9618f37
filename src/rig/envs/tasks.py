"""What an agent can be asked to do: an instruction, a start state, a success test and a count of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rig.registry import unknown_name

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
    """

    name: str
    instruction: str
    kind: str
    target: int
    starts: Mapping[str, Start]

    def start(self, setting: str) -> Start:
        """Return the start of `setting`.

        Raises:
            UnknownNameError: the task has no such setting.
        """
        if not isinstance(setting, str) or setting not in self.starts:
            raise unknown_name(f"setting of task {self.name!r}", setting, self.starts)
        return self.starts[setting]


class TaskTable:
    """The tasks of one world, by name."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = {task.name: task for task in tasks}

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __getitem__(self, name: str) -> Task:
        if not isinstance(name, str) or name not in self._tasks:
            raise unknown_name("task", name, self._tasks)
        return self._tasks[name]

    def cells(self, names: Iterable[str] = ()) -> list[tuple[Task, str]]:
        """Return every (task, setting), or those of the tasks called `names` ("task" or "task/setting"), each once."""
        wanted = list(names)
        if not wanted:
            return [(task, setting) for task in self._tasks.values() for setting in task.starts]
        cells: list[tuple[Task, str]] = []
        for name in wanted:
            task_name, _, setting = name.partition("/")
            task = self[task_name]
            if setting:
                task.start(setting)
            wanted_cells = [(task, chosen) for chosen in ([setting] if setting else task.starts)]
            cells.extend(cell for cell in wanted_cells if cell not in cells)
        return cells
