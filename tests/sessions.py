"""Rows of an engine, each told what to do next: what the tests of exactness hold conversations and rows against.

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
from rig.engine import ONE_BY_ONE, Constraint, Engine, Sampler, Speculation
from rig.engine.rows import Rows
from rig.engine.writing import Guide, ImageWriting, TextWriting, Writing, put_codes, step
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
    """Rows over one cache, one empty row per seed.

    Args:
        engine: whose network and capacity they have.
        seeds: one seed per row; a row's draws follow from its seed and its own context alone.
    """

    def __init__(self, engine: Engine, seeds: Sequence[int]) -> None:
        self.capacity, self._model = engine.capacity, engine.model
        with torch.inference_mode():
            self._rows = Rows(engine.model, engine._decoder, engine.capacity, seeds)

    def __len__(self) -> int:
        """Return the number of rows that there have been, forks and dropped ones included."""
        return len(self._rows)

    @property
    def num_bytes(self) -> int:
        """The memory of the cache."""
        return self._rows.num_bytes

    def length(self, row: int) -> int:
        """Return how many tokens `row` holds."""
        return int(self._rows.lengths[row])

    def next_position(self, row: int) -> int:
        """Return the position that plainly follows the last token of `row`."""
        return self._rows.next_position(row)

    @torch.inference_mode()
    def append(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> None:
        """Add context to rows: text, read images and codes, at the positions that the sequences give."""
        self._rows.check_room(rows, [len(sequence) for sequence in sequences])
        if rows:
            self._rows.read(rows, sequences)

    @torch.inference_mode()
    def write_text(self, rows: Sequence[int], constraints: Sequence[Constraint], sampler: Sampler) -> list[list[int]]:
        """Let each row write text until its constraint is done, and return the ids that each wrote.

        Args:
            rows: which rows.
            constraints: one per row; the same object may serve several.
            sampler: how to draw.
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
        speculation: Speculation = ONE_BY_ONE,
        drafts: Sequence[Codes] | None = None,
        guides: Sequence[Guide] | None = None,
    ) -> WrittenImages:
        """Let each row write one image behind its begin mark, which the caller has appended.

        Args:
            rows: which rows.
            sampler: how to draw.
            speculation: how codes are found.
            drafts: per row uint16 [write_tokens], the first guesses.
            guides: per row what to guide it by, each with a row of its own that ends with a begin mark as well; without
                them there is no guidance.
        """
        count, none = self._model.config.vq.num_tokens, [None] * len(rows)
        beside = [guide.row for guide in guides or ()]
        rows = self._begun([*rows, *beside], [count] * (len(rows) + len(beside)))[: len(rows)]
        writings = [
            ImageWriting(self._rows, row, sampler, speculation, draft, guide)
            for row, draft, guide in zip(rows, drafts or none, guides or none, strict=True)
        ]
        put_codes(self._rows, writings)
        self._write(writings)
        return WrittenImages(
            codes=np.array([writing.codes for writing in writings], np.uint16).reshape(-1, count),
            entropy=np.array([writing.entropies.mean() for writing in writings], np.float32),
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
        return self._rows.fork(list(rows)) if rows else []

    def drop(self, rows: Sequence[int]) -> None:
        """Give up rows: their numbers are not known any more, and their memory serves the next forks."""
        for row in rows:
            self._rows.drop(row)

    def rewind(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of `row`; its generator goes on from where it is."""
        self._rows.rewind(row, length)

    def _begun(self, rows: Sequence[int], counts: Sequence[int]) -> list[int]:
        """Return rows that have room for more."""
        self._rows.check_room(rows, counts)
        return [int(row) for row in rows]

    def _write(self, writings: Sequence[Writing]) -> None:
        while live := [writing for writing in writings if not writing.is_done]:
            step(self._rows, live)
