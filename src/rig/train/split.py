"""Which episodes are kept aside: one in 64, and never none, by their ids, so the same in every run.

An episode that was renamed where datasets were merged is kept aside where it was before, and so are all of its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from rig.data import Dataset
from rig.records import Step
from rig.stages.merging import original_id

HELD_OUT = 64


def split(datasets: Sequence[Dataset]) -> tuple[list[list[Step]], list[list[Step]]]:
    """Return the steps to learn from and the held-out steps, each per dataset."""
    hashes = [{name: crc32(original_id(name).encode()) for name in dataset.ids} for dataset in datasets]
    first = min((value for found in hashes for value in found.values()), default=0)
    chosen: list[list[Step]] = []
    held_out: list[list[Step]] = []
    for dataset, found in zip(datasets, hashes, strict=True):
        steps: list[Step] = []
        aside: list[Step] = []
        for trajectory in dataset:
            value = found[trajectory.id]
            kept = aside if value % HELD_OUT == 0 or value == first else steps
            kept.extend(trajectory.steps)
        chosen.append(steps)
        held_out.append(aside)
    return chosen, held_out
