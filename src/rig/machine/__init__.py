"""What the machine gives and what it refuses: memory, cores, the cache's folder, refusals."""

from rig.machine.folders import cache_root, note_path
from rig.machine.limits import usable_cores, usable_memory
from rig.machine.refusals import refusal, refusals_named

__all__ = ["cache_root", "note_path", "refusal", "refusals_named", "usable_cores", "usable_memory"]
