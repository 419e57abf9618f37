"""Contenders timed in turns, so that whatever else the machine does strikes all of them alike."""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one contender took.

    Attributes:
        seconds: of every counted round, in order.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.seconds)

    def to_json(self) -> dict[str, Any]:
        """Return the rounds and their minimum, median and maximum."""
        return {"min": min(self.seconds), "median": self.median, "max": max(self.seconds), **asdict(self)}


def side_by_side(
    contenders: Mapping[str, Callable[[], object]], *, rounds: int, warmup: int = 1, name: str = "bench"
) -> dict[str, Timing]:
    """Run each contender once a round, `warmup` rounds uncounted, and return what each took.

    Whoever goes first changes with the round. Work on a GPU is waited for. A contender that returns a float has taken
    the time itself, of a part of what it did, and its seconds count.
    """
    taken: dict[str, list[float]] = {contender: [] for contender in contenders}
    names = list(contenders)
    with tqdm(total=(warmup + rounds) * len(names), desc=name, unit="run", disable=None) as bar:
        for number in range(-warmup, rounds):
            shift = number % len(names)
            for contender in names[shift:] + names[:shift]:
                gc.collect()
                wait()
                started = time.perf_counter()
                returned = contenders[contender]()
                wait()
                seconds = returned if isinstance(returned, float) else time.perf_counter() - started
                if number >= 0:
                    taken[contender].append(seconds)
                bar.update()
    return {contender: Timing(seconds=tuple(seconds)) for contender, seconds in taken.items()}


def ratio(ours: Timing, other: Timing) -> dict[str, float]:
    """Return how many times faster we are: the median, over rounds, of the ratio of seconds; and the extremes."""
    each = [theirs / mine for mine, theirs in zip(ours.seconds, other.seconds, strict=True)]
    return {"median": statistics.median(each), "min": min(each), "max": max(each)}


def wait() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory() -> int:
    """Return the most bytes that this process has held: of the GPU where there is one, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if _STATUS.exists():  # what `resource` says begins with the peak of the process that started this one
        (line,) = (line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
