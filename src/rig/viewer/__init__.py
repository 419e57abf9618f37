"""An episode as one self-contained page: what was seen, thought, dreamed, revised and done, step by step."""

from rig.viewer.page import render_trace

__all__ = ["render_trace"]
