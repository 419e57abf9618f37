"""Benchmarks: contenders take turns in one process, and what is reported are ratios beside the seconds."""

from rig.bench.timing import Timing, peak_memory, ratio, side_by_side

__all__ = ["Timing", "peak_memory", "ratio", "side_by_side"]
