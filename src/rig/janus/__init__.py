"""Janus checkpoints in and out: transformers' layout and DeepSeek's own, without either library."""

from rig.janus.exporting import export_janus, inexpressible
from rig.janus.importing import import_janus

__all__ = ["export_janus", "import_janus", "inexpressible"]
