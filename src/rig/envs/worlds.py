"""The worlds by their names, and the kit that each comes with: who teaches, explains and checks in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rig.envs.base import CellReader, World
from rig.envs.tasks import TASKS, Task, TaskTable
from rig.errors import MissingDependencyError, RigError, UnknownNameError
from rig.registry import Registry, load_late, suggestion
from rig.validation import fitting, shown

Role = Literal["teacher", "reasoner", "reviewer", "labeller", "describer", "checker", "cell_reader"]
"""What somebody can be in a world's kit: a field of `WorldSpec`."""


@dataclass(frozen=True, kw_only=True)
class WorldSpec:
    """A world as it is registered: its class, and the names of all that work in it where a user names nobody else.

    Of each role, None is whoever is registered under the world's own name, if there is one, and "" is nobody.

    Attributes:
        world: a `World` class, or a function that builds one; or "module:name" of it, which is imported when it is
            needed.
        teacher: who plays.
        reasoner: who writes thoughts.
        reviewer: who writes reviews.
        labeller: who names what patches show.
        describer: the Reasoner who says what a frame shows; nobody where None.
        checker: who checks what was said against the facts.
        cell_reader: who reads frames back into cells.
        about: what agents are told that they reason about, in the first sentence of the prompt; a few words like "a
            board game". None leaves it at what agents were told before worlds could say: see
            `rig.dialogue.PromptFormat`.
        shown: the tasks, as "task/setting", that a demonstration plays; each task once where empty.
    """

    world: Callable[[], World] | str
    teacher: str | None = None
    reasoner: str | None = None
    reviewer: str | None = None
    labeller: str | None = None
    describer: str | None = None
    checker: str | None = None
    cell_reader: str | None = None
    about: str | None = "a task"
    shown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not callable(self.world) and not (isinstance(self.world, str) and ":" in self.world):
            raise RigError(
                f"WorldSpec.world is {self.world!r}; give a World class, a function that builds one, or the "
                '"module:name" of either'
            )
        for name in (*get_args(Role), "about"):
            fitting(getattr(self, name), str | None, f"WorldSpec.{name}")
        fitting(self.shown, tuple[str, ...], "WorldSpec.shown")

    def __call__(self) -> World:
        """Build the world.

        Raises:
            RigError: there is no such module, or nothing of that name in it.
            MissingDependencyError: its engine is not installed.
        """
        return _maker(self)()


WORLDS: Registry[Callable[[], World]] = Registry("environment", "rig.envs")
"""Worlds by name: each a `WorldSpec`; or a `World` class or a function that builds one, whose kit is what is registered
under the world's own name."""

WORLDS.add(
    "crafter",
    WorldSpec(
        world="rig.envs.crafter.world:CrafterWorld",
        teacher="crafter",
        reasoner="crafter",
        reviewer="crafter",
        labeller="crafter",
        describer="crafter-views",
        checker="crafter",
        cell_reader="crafter",
        about="a Minecraft-like task",
    ),
)
WORLDS.add(
    "minetest",
    WorldSpec(
        world="rig.envs.minetest.world:MinetestWorld",
        teacher="minetest",
        reasoner="minetest",
        reviewer="minetest",
        labeller="minetest",
        describer="minetest-views",
        checker="minetest",
        about="a Minecraft-like task",
        shown=("collect_dirt/tool", "go_explore/tool"),
    ),
)

WORLDS.add(
    "minestudio",
    WorldSpec(
        world="rig.envs.minecraft.minestudio:MineStudioWorld",
        teacher="steve1",
        about="a Minecraft-like task",
        shown=("chop_a_tree/manual",),
    ),
)
WORLDS.add(
    "minerl",
    WorldSpec(
        world="rig.envs.minecraft.minerl:MineRLWorld",
        teacher="steve1",
        about="a Minecraft-like task",
        shown=("chop_a_tree/manual",),
    ),
)

CELL_READERS: Registry[Callable[[], CellReader]] = Registry("cell reader", "rig.cell_readers")
CELL_READERS.add("crafter", "rig.envs.crafter.cells:CrafterCells")


def make_world(name: str) -> World:
    """Build the registered world `name`.

    Raises:
        UnknownNameError: nobody registered it.
        MissingDependencyError: its engine is not installed.
    """
    return WORLDS.get(name)()


def add_task(world: str, task: Task) -> Task:
    """Add a task to a world that is there, and return it: by its name it is then played like the world's own.

    Raises:
        UnknownNameError: there is no such world, or a task of that name was added before.
        RigError: it is no `Task`, the world has one of that name, or takes none.
    """
    if not isinstance(task, Task) or "/" in task.name:
        raise RigError(f"add_task({world!r}, {shown(task)}): give a rig.envs.Task, whose name has no slash")
    tasks = getattr(_maker(WORLDS.get(world)), "tasks", None)
    if isinstance(tasks, TaskTable) and tasks.world != world:
        raise RigError(f"the world {world!r} takes no tasks of others; make its table TaskTable(…, world={world!r})")
    if task.name in {own.name for own in tasks or ()}:
        raise RigError(f"the world {world!r} has a task {task.name!r} of its own; choose another name")
    TASKS.add(f"{world}/{task.name}", task)
    return task


def profile_of(environment: str) -> World | Callable[[], World] | None:
    """Return what tells the `tasks`, `credit` and `step_seconds` of a world, for those who show what was played in it.

    It is the world; its class, where its engine is not installed; None where nobody registered it.
    """
    registered = WORLDS.find(environment)
    if registered is None:
        return None
    try:
        return registered()
    except MissingDependencyError:
        return _maker(registered)


def _maker(registered: Callable[[], World]) -> Callable[[], World]:
    """Return the class or the function behind what a world is registered with; its module is imported here."""
    if not isinstance(registered, WorldSpec):
        return registered
    return load_late(registered.world) if isinstance(registered.world, str) else registered.world


def spec_of(environment: str) -> WorldSpec | None:
    """Return what the world is registered with; None where nobody registered it, or without a `WorldSpec`."""
    found = WORLDS.find(environment)
    return found if isinstance(found, WorldSpec) else None


def about_of(environment: str) -> str | None:
    """Return what agents are told that they reason about in a world; see `WorldSpec.about`."""
    spec = spec_of(environment)
    return spec.about if spec else None


def kit_member(environment: str, role: Role, registry: Registry[Any]) -> str:
    """Return the name of who has a role in the kit of a world, "" where nobody has.

    Args:
        environment: the world's name; it may be one that nobody registered, as of recordings.
        role: the role.
        registry: where those who can have it are registered.

    Raises:
        UnknownNameError: the world is registered with a name that nobody has.
    """
    named = getattr(spec_of(environment), role, None)
    if named is None:
        return environment if role != "describer" and environment in registry else ""
    if named and named not in registry:
        known = registry.names()
        raise UnknownNameError(
            f"the world {environment!r} is registered with the {registry.kind} {named!r}, and there is none of that "
            f"name.{suggestion(named, known)} Known: {', '.join(known) or 'none'}."
        )
    return named


def cell_reader_of(environment: str) -> CellReader | None:
    """Return who reads the world's frames back into cells, or None where nobody does."""
    name = kit_member(environment, "cell_reader", CELL_READERS)
    return CELL_READERS.get(name)() if name else None
