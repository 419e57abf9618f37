"""Worlds behind one Gymnasium interface, their tasks, and the split of seeds.

Importing this registers `rig/Crafter-v0` with Gymnasium.
"""

from gymnasium import register, registry

from rig.envs.base import CellReader, Look, World, refuse_without_saves
from rig.envs.seeds import Split, split_of
from rig.envs.tasks import MANUAL, TASKS, TOOL, Start, Task, TaskTable
from rig.envs.worlds import (
    CELL_READERS,
    WORLDS,
    Role,
    WorldSpec,
    about_of,
    add_task,
    cell_reader_of,
    kit_member,
    make_world,
    profile_of,
    spec_of,
)

CRAFTER_ID = "rig/Crafter-v0"

if CRAFTER_ID not in registry:
    register(CRAFTER_ID, entry_point="rig.envs.crafter.gym:make_crafter")

__all__ = [
    "CELL_READERS",
    "CRAFTER_ID",
    "MANUAL",
    "TASKS",
    "TOOL",
    "WORLDS",
    "CellReader",
    "Look",
    "Role",
    "Split",
    "Start",
    "Task",
    "TaskTable",
    "World",
    "WorldSpec",
    "about_of",
    "add_task",
    "cell_reader_of",
    "kit_member",
    "make_world",
    "profile_of",
    "refuse_without_saves",
    "spec_of",
    "split_of",
]
