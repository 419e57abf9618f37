"""Training: packing, loss, optimiser, loop; the tokenizers' own training. Torch is imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.train.config import AgentTraining, DataPart, OptimiserConfig, RoleWeights, TokenizerTraining, TrainingConfig

if TYPE_CHECKING:
    from rig.train.agent import train_agent
    from rig.train.tokenizers import Tokenizers, train_tokenizers

_LATE = {"train_agent": "agent", "Tokenizers": "tokenizers", "train_tokenizers": "tokenizers"}

__all__ = [
    "AgentTraining",
    "DataPart",
    "OptimiserConfig",
    "RoleWeights",
    "TokenizerTraining",
    "Tokenizers",
    "TrainingConfig",
    "train_agent",
    "train_tokenizers",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"rig.train.{_LATE[name]}"), name)
    raise AttributeError(f"module 'rig.train' has no attribute {name!r}")
