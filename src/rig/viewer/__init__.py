"""An episode as one self-contained page: what was seen, thought, dreamed, revised and done, step by step."""

from rig.viewer.choice import choose
from rig.viewer.page import render_trace

__all__ = ["choose", "render_trace"]
