"""Learning from one's own play: attempts from the same state, what each was worth, and the next network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.improve.config import ImproveConfig, LessonsConfig, PlayConfig

if TYPE_CHECKING:
    from rig.improve.agent import improve_agent

__all__ = ["ImproveConfig", "PlayConfig", "LessonsConfig", "improve_agent"]


def __getattr__(name: str) -> Any:
    if name == "improve_agent":
        return import_module("rig.improve.agent").improve_agent
    raise AttributeError(f"module 'rig.improve' has no attribute {name!r}")
