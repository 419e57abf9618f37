"""The agents that come with the package: in a checkout's `checkpoints`, or beside the modules of an installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rig.errors import RigError

DEFAULT_WORLD = "crafter"
"""The world where a user names none: the one whose agent comes with the package."""

AGENTS = {"crafter": "rig-crafter-small", "minetest": "rig-minetest-small"}
"""World -> the name of its agent. Crafter's is installed with the package; see setup.py."""

_FOLDER = "checkpoints"


def shipped_agent(world: str, *, required: bool = True) -> str:
    """Return the folder of the agent that is shipped for `world`, "" where there is none for it.

    Args:
        world: its name.
        required: raise where there is one, but not in this installation; return "" otherwise.

    Raises:
        RigError: see `required`.
    """
    name = AGENTS.get(world)
    if name is None:
        return ""
    for folder in _places():
        if (folder / name).is_dir():
            return str(folder / name)
    if not required:
        return ""
    raise RigError(
        f"{name}, the agent for {world}, is not part of this installation. It is in {_FOLDER}/{name} of rig's "
        "repository: take a copy of that, and name the folder with --agent, or play a --teacher"
    )


def _places() -> Iterator[Path]:
    """Yield where agents may be: in the working folder, which is shortest to say, in the package, in its checkout."""
    package = Path(__file__).resolve().parent
    yield Path(_FOLDER)
    yield package / _FOLDER
    yield package.parent.parent / _FOLDER
