"""Whole conversations laid end to end into rows of one constant length, and the rows that make a step.

A step is a number of packs, each from a lane of its own: lane k of n takes the conversations k, k + n, k + 2n, ... So a
step's packs are the same however many processes share them, and a process draws those of its own lanes alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rig.dialogue import TokenSequence
from rig.errors import RigError
from rig.model import PackedBatch, pack
from rig.train import ranks
from rig.train.batches import BatchProgress, StepPacks
from rig.train.config import TrainingConfig
from rig.train.conversations import Conversations

LONGEST = 16_384
"""The longest conversation that is learned where no length of a pack is given, in tokens."""

_PROBE = 512
_ROUNDING = 64


def pack_length(conversations: Conversations, config: TrainingConfig) -> int:
    """Return the tokens of a pack: `pack_tokens`, or room for `batch_size` conversations on average where that is 0.

    Conversations that are longer are left out of `conversations`.

    Raises:
        RigError: all of them are.
    """
    length = config.pack_tokens or _usual_length(conversations, config.batch_size)
    conversations.leave_out_longer(length)
    return length


def _usual_length(conversations: Conversations, batch_size: int) -> int:
    """Return room for `batch_size` conversations on average, and for the longest of the first few."""
    conversations.leave_out_longer(LONGEST)
    lengths = [len(conversations.draw(number)) for number in range(_PROBE)]
    mean = batch_size * sum(lengths) / len(lengths)
    return -(-int(max(mean, max(lengths))) // _ROUNDING) * _ROUNDING


def lanes_of_a_step(length: int, config: TrainingConfig) -> int:
    """Return the packs of a step: as many as come nearest to `step_tokens`, or one where that is 0.

    Raises:
        RigError: the processes cannot share them evenly.
    """
    streams = max(1, round(config.step_tokens / length))
    if streams % ranks.count():
        fair = -(-streams // ranks.count()) * ranks.count()
        raise RigError(
            f"{streams} pack(s) of {length} tokens a step cannot be shared evenly by {ranks.count()} processes; give "
            f"--step-tokens {fair * length}, or start another number of processes"
        )
    return streams


class Packer:
    """Fills packs of one constant length with the conversations of a lane, in order.

    Args:
        conversations: what to draw.
        length: tokens of a pack.
        stream: which lane.
        streams: of how many.
    """

    def __init__(self, conversations: Conversations, length: int, *, stream: int = 0, streams: int = 1) -> None:
        self._conversations = conversations
        self.length, self.stream, self.streams = length, stream, streams
        self._next = 0
        self._waiting: TokenSequence | None = None

    @property
    def drawn(self) -> int:
        """The number of conversations put into packs so far."""
        return self._next - (self._waiting is not None)

    def skip_to(self, drawn: int) -> None:
        """Go on behind the first `drawn` conversations of the lane."""
        self._next, self._waiting = drawn, None

    def next_pack(self) -> tuple[PackedBatch, int]:
        """Return the next pack, and how many conversations it holds."""
        chosen: list[TokenSequence] = []
        room = self.length
        while True:
            sequence = self._waiting or self._conversations.draw(self._next * self.streams + self.stream)
            if self._waiting is None:
                self._next += 1
            self._waiting = None
            if len(sequence) > room:
                assert chosen, "pack_length leaves out what is longer"
                self._waiting = sequence
                return pack(chosen, length=self.length), len(chosen)
            chosen.append(sequence)
            room -= len(sequence)


class ConversationPacks:
    """A process's packs of conversations of datasets: `rig.train.batches.Batches` without an end.

    Args:
        conversations: what to draw; those that do not fit a pack are left out.
        config: how long packs are, and how many make a step.

    Raises:
        RigError: no conversation fits a pack, or the processes cannot share a step's packs evenly.
    """

    steps = None
    ahead = True

    def __init__(self, conversations: Conversations, config: TrainingConfig) -> None:
        length = pack_length(conversations, config)
        self.streams = lanes_of_a_step(length, config)
        self.packers = [
            Packer(conversations, length, stream=stream, streams=self.streams)
            for stream in range(ranks.number(), self.streams, ranks.count())
        ]
        self._taken = 0

    def progress(self) -> BatchProgress:
        """Return how far this has come; the state is how many conversations each lane has drawn."""
        drawn = torch.zeros(self.streams, dtype=torch.int64)
        for packer in self.packers:
            drawn[packer.stream] = packer.drawn
        tokens = self._taken * sum(packer.length for packer in self.packers)
        return BatchProgress(conversations=int(drawn.sum()), tokens=tokens, state={"drawn": drawn})

    def next_packs(self) -> StepPacks:
        """Return the packs of the next step, one of each of the process's lanes."""
        packs = [packer.next_pack() for packer in self.packers]
        self._taken += 1
        return StepPacks(packs=packs, progress=self.progress())

    def go_on(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Go on behind `step` steps; how many processes there were then makes no difference."""
        self._taken = step
        for packer in self.packers:
            packer.skip_to(int(state["drawn"][packer.stream]))
