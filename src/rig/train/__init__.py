"""Training: packing, loss, optimiser, loop; the tokenizers' own training. Torch is imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.train.config import (
    AgentTraining,
    DataPart,
    Execution,
    OptimiserConfig,
    RoleWeights,
    TokenizerTraining,
    TrainingConfig,
    VisionTraining,
)

if TYPE_CHECKING:
    from rig.train.agent import train_agent
    from rig.train.tokenizers import Tokenizers, train_tokenizers
    from rig.train.vision import train_vision

_LATE = {"train_agent": "agent", "Tokenizers": "tokenizers", "train_tokenizers": "tokenizers", "train_vision": "vision"}

__all__ = [
    "AgentTraining",
    "DataPart",
    "Execution",
    "OptimiserConfig",
    "RoleWeights",
    "TokenizerTraining",
    "Tokenizers",
    "TrainingConfig",
    "VisionTraining",
    "train_agent",
    "train_tokenizers",
    "train_vision",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"rig.train.{_LATE[name]}"), name)
    raise AttributeError(f"module 'rig.train' has no attribute {name!r}")
