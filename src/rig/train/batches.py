"""What a trainer learns from, step by step: packs, whoever makes them.

`rig.train.packs.ConversationPacks` draws them from datasets. What makes them while the network learns, from decisions,
rewards or a teacher's corrections, is another `Batches`: tokens with weights, packed by `rig.model.pack`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from rig.errors import RigError
from rig.model import PackedBatch

_OURS = r"step|seconds|(model|optimiser)\..*"


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchProgress:
    """How far one process's share of what is learned has come.

    Attributes:
        conversations: in the packs so far.
        tokens: of the packs so far, padding included.
        state: what it takes to go on behind these packs, by names that are not the trainer's own ("step", "model.…").
            Names, shapes and dtypes never change, nor do these tensors. Where processes train together, the sum over
            them is saved, and given to each that goes on: whoever has entries of its own has zeros in the others'
            places.
    """

    conversations: int
    tokens: int
    state: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class StepPacks:
    """One process's packs of one step.

    Attributes:
        packs: at least one, and as many in every process; each with the number of its conversations, which stand before
            its padding. Where blocks are compiled, all packs of a run are of one length.
        progress: behind these packs.
    """

    packs: Sequence[tuple[PackedBatch, int]]
    progress: BatchProgress


class Batches(Protocol):
    """Where packs come from; each process that trains has its own."""

    @property
    def steps(self) -> int | None:
        """How many steps there are packs for, from the first on; None where they never end."""
        ...

    @property
    def ahead(self) -> bool:
        """Whether a thread may draw the next step's packs while a step is learned: not where they depend on it.

        Where it is false, packs are drawn between two steps, with the network as the last one left it.
        """
        ...

    def progress(self) -> BatchProgress:
        """Return how far this has come."""
        ...

    def next_packs(self) -> StepPacks:
        """Return the packs of the next step."""
        ...

    def go_on(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Go on behind `step` steps, from the `state` that was saved there."""
        ...


def check_batches(batches: Batches, steps: int) -> None:
    """Refuse what cannot be learned from for so many steps, before any is taken.

    Raises:
        RigError: there are packs for fewer steps, or a name in the state is the trainer's.
    """
    if batches.steps is not None and batches.steps < steps:
        raise RigError(f"steps={steps}: there are packs for {batches.steps}; take so many, or fewer")
    taken = [name for name in batches.progress().state if re.fullmatch(_OURS, name)]
    if taken:
        raise RigError(
            f"the state of {type(batches).__name__} has {taken[0]!r}, a name of the trainer's own; rename it"
        )
