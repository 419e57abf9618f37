"""Worlds behind one Gymnasium interface, their tasks, and the split of seeds."""

from rig.envs.base import CELL_READERS, WORLDS, CellReader, Look, World, make_world
from rig.envs.seeds import Split, split_of
from rig.envs.tasks import MANUAL, TASKS, TOOL, Start, Task, TaskTable

__all__ = [
    "CELL_READERS",
    "MANUAL",
    "CellReader",
    "Look",
    "TASKS",
    "TOOL",
    "WORLDS",
    "Split",
    "Start",
    "Task",
    "TaskTable",
    "World",
    "make_world",
    "split_of",
]
