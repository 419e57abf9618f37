"""The data, stage by stage: each stage reads a dataset and writes the next, with progress, resume and lineage."""

from rig.stages.base import Opening
from rig.stages.s1_collect import CollectConfig, collect
from rig.stages.s2_reason import ReasonConfig, reason

__all__ = ["CollectConfig", "Opening", "ReasonConfig", "collect", "reason"]
