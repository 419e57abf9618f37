"""The data, stage by stage: each stage reads a dataset or plays, and writes the next, with progress and lineage.

S0 imports other people's data (`rig.data.importers`); S1 collects from a teacher, or on policy: from an agent that a
teacher corrects; S2 adds thoughts; S3 reviews an
agent's mistakes; S4 aligns its dreams with the engine, or rehearses what a teacher did. Reviews can be
written anew without any of them. Branches are what different actions from the same states lead to. What a stage needs
is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.stages.config import (
    AlignConfig,
    BranchConfig,
    CollectConfig,
    LookaheadConfig,
    Opening,
    PlayerConfig,
    ReasonConfig,
    RehearseConfig,
    RereviewConfig,
)

if TYPE_CHECKING:
    from rig.stages.branching import branch
    from rig.stages.rereviewing import rereview
    from rig.stages.s0_import import import_dataset
    from rig.stages.s1_collect import collect
    from rig.stages.s1_onpolicy import collect_on_policy
    from rig.stages.s2_reason import reason
    from rig.stages.s3_review import review
    from rig.stages.s4_align import align
    from rig.stages.s4_rehearse import rehearse

_LATE = {
    "import_dataset": "s0_import",
    "collect": "s1_collect",
    "collect_on_policy": "s1_onpolicy",
    "reason": "s2_reason",
    "review": "s3_review",
    "align": "s4_align",
    "rehearse": "s4_rehearse",
    "branch": "branching",
    "rereview": "rereviewing",
}

__all__ = [
    "AlignConfig",
    "BranchConfig",
    "CollectConfig",
    "LookaheadConfig",
    "Opening",
    "PlayerConfig",
    "ReasonConfig",
    "RehearseConfig",
    "RereviewConfig",
    "align",
    "branch",
    "collect",
    "collect_on_policy",
    "import_dataset",
    "reason",
    "rehearse",
    "rereview",
    "review",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"rig.stages.{_LATE[name]}"), name)
    raise AttributeError(f"module 'rig.stages' has no attribute {name!r}")
