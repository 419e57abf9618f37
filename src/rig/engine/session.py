"""Rows of interleaved text and images that grow side by side, each told what to do next.

For conversations that go their own way, each at its own pace, see `rig.engine.stream`.

n: rows of a call, V: text vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.dialogue import Kind, TokenSequence
from rig.engine.constrain import Constraint
from rig.engine.guessing import ONE_BY_ONE, Guessing
from rig.engine.packed import PackedDecoder
from rig.engine.rows import Rows
from rig.engine.sampling import Sampler
from rig.engine.writing import Guide, ImageWriting, TextWriting, Writing, put_codes, step
from rig.errors import RigError
from rig.model.rig import RIG
from rig.records import Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class WrittenImages:
    """Images as they were written.

    Attributes:
        codes: uint16 [n, write_tokens], in raster order.
        entropy: float32 [n]: how unsure the model was, in nats per code: the entropy of its whole distribution over
            the codebook, before any temperature or truncation, averaged over the image.
        passes: int64 [n]: how often the decoder ran for each.
    """

    codes: Codes
    entropy: NDArray[np.float32]
    passes: NDArray[np.int64]


class Session:
    """Rows over one cache; made by `Engine.session`.

    Args:
        model: the network, in evaluation mode.
        decoder: its decoder's weights, packed.
        capacity: tokens that a row can hold.
        seeds: one seed per row; a row's draws follow from its seed and its own context alone.
    """

    def __init__(self, model: RIG, decoder: PackedDecoder, capacity: int, seeds: Sequence[int]) -> None:
        self.capacity = capacity
        self._model = model
        with torch.inference_mode():
            self._rows = Rows(model, decoder, capacity, seeds)

    def __len__(self) -> int:
        """Return the number of rows that there have been, forks and dropped ones included."""
        return len(self._rows)

    @property
    def num_bytes(self) -> int:
        """The memory of the cache."""
        return self._rows.num_bytes

    def length(self, row: int) -> int:
        """Return how many tokens `row` holds."""
        return int(self._rows.lengths[self._known([row])[0]])

    def next_position(self, row: int) -> int:
        """Return the position that plainly follows the last token of `row`."""
        return self._rows.next_position(self._known([row])[0])

    @torch.inference_mode()
    def append(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> None:
        """Add context to rows: text, read images and codes, at the positions that the sequences give.

        Raises:
            RigError: a row would overflow, or a sequence does not start behind its row's last token; nothing is
                written then.
        """
        rows = self._known(rows)
        self._rows.check_room(rows, [len(sequence) for sequence in sequences])
        for row, sequence in zip(rows, sequences, strict=True):
            if len(sequence) and sequence.positions[0] < self.next_position(row):
                raise RigError(
                    f"row {row} goes on at position {self.next_position(row)}, not {sequence.positions[0]}; encode the "
                    "sequence with start=session.next_position(row)"
                )
        if rows:
            self._rows.read(rows, sequences)

    @torch.inference_mode()
    def write_text(self, rows: Sequence[int], constraints: Sequence[Constraint], sampler: Sampler) -> list[list[int]]:
        """Let each row write text until its constraint is done, and return the ids that each wrote.

        Args:
            rows: which rows.
            constraints: one per row; the same object may serve several.
            sampler: how to draw.

        Raises:
            RigError: a row is empty or could overflow before its constraint ends; nothing is written then.
        """
        rows = self._begun(rows, [constraint.limit for constraint in constraints])
        writings = [TextWriting(row, constraint, sampler) for row, constraint in zip(rows, constraints, strict=True)]
        self._write(writings)
        return [writing.ids for writing in writings]

    @torch.inference_mode()
    def write_image(
        self,
        rows: Sequence[int],
        sampler: Sampler,
        guessing: Guessing = ONE_BY_ONE,
        drafts: Sequence[Codes] | None = None,
        guides: Sequence[Guide] | None = None,
    ) -> WrittenImages:
        """Let each row write one image behind its begin mark, which the caller has appended.

        Args:
            rows: which rows.
            sampler: how to draw.
            guessing: how codes are found.
            drafts: per row uint16 [write_tokens], the first guesses.
            guides: per row what to guide it by, each with a row of its own that ends with a begin mark as well; without
                them there is no guidance.

        Raises:
            RigError: a row, of a guide too, is empty or would overflow; nothing is written then.
        """
        count, none = self._model.config.vq.num_tokens, [None] * len(rows)
        beside = [guide.row for guide in guides or ()]
        rows = self._begun([*rows, *beside], [count] * (len(rows) + len(beside)))[: len(rows)]
        writings = [
            ImageWriting(self._rows, row, sampler, guessing, draft, guide)
            for row, draft, guide in zip(rows, drafts or none, guides or none, strict=True)
        ]
        put_codes(self._rows, writings)
        self._write(writings)
        return WrittenImages(
            codes=np.array([writing.codes for writing in writings], np.uint16).reshape(-1, count),
            entropy=np.array([writing.doubts.mean() for writing in writings], np.float32),
            passes=np.array([writing.passes for writing in writings], np.int64),
        )

    @torch.inference_mode()
    def next_token_logits(self, rows: Sequence[int], kind: Kind = Kind.TEXT) -> Tensor:
        """Return the logits of what follows in each row: [n, V] for text, [n, codebook_size] for codes."""
        rows = self._begun(rows, [0] * len(rows))
        hidden = self._rows.run(rows, [1] * len(rows))
        return self._model.code_logits(hidden) if kind == Kind.CODE else self._model.text_logits(hidden)

    @torch.inference_mode()
    def fork(self, rows: Sequence[int]) -> list[int]:
        """Return new rows, one per given row, that hold the same tokens and draw from generators of their own.

        A row may be forked several times in one call. What it holds is run once and kept once for all its forks,
        whatever becomes of it. The forks' generators follow from their parents' seeds.
        """
        sources = [self._known([row])[0] for row in rows]
        return self._rows.fork(sources) if sources else []

    def drop(self, rows: Sequence[int]) -> None:
        """Give up rows: their numbers are not known any more, and their memory serves the next forks."""
        for row in self._known(rows):
            self._rows.drop(row)

    def rewind(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of `row`; its generator goes on from where it is.

        Raises:
            RigError: the row is shorter than that.
        """
        if not 0 <= length <= self.length(row):
            raise RigError(f"row {row} holds {self.length(row)} tokens; it cannot be rewound to {length}")
        self._rows.rewind(row, length)

    def _known(self, rows: Sequence[int]) -> list[int]:
        unknown = [row for row in rows if row not in self._rows]
        if unknown or len(set(rows)) < len(rows):
            raise RigError(
                f"rows {list(rows)} of a session with rows 0 to {len(self) - 1}; name each row once, and none that was "
                "dropped"
            )
        return [int(row) for row in rows]

    def _begun(self, rows: Sequence[int], counts: Sequence[int]) -> list[int]:
        """Return rows that hold something and have room for more."""
        known = self._known(rows)
        self._rows.check_room(known, counts)
        for row in known:
            if not self._rows.lengths[row]:
                raise RigError(f"row {row} is empty; append a prompt first")
        return known

    def _write(self, writings: Sequence[Writing]) -> None:
        while live := [writing for writing in writings if not writing.is_done]:
            step(self._rows, live)
