"""Rows of interleaved text and images that grow side by side over one cache.

The last token of a row is always still to be run: whatever follows it, text, an image or more context, begins by
running it. So rewinding is setting a length, and no logits are kept anywhere.

n: rows of a call, D: the decoder's width, V: text vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.dialogue import Kind, TokenSequence
from rig.engine.cache import KVCache, is_adjacent
from rig.engine.constrain import Constraint
from rig.engine.forward import decode, prefill
from rig.engine.sampling import Sampler, draw, entropy
from rig.engine.window import SHRINK_FROM, Window
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
    """

    codes: Codes
    entropy: NDArray[np.float32]


class Session:
    """Rows over one cache; made by `Engine.session`.

    Args:
        model: the network, in evaluation mode.
        capacity: tokens that a row can hold.
        seeds: one seed per row; a row's draws follow from its seed and its own context alone.
    """

    def __init__(self, model: RIG, capacity: int, seeds: Sequence[int]) -> None:
        rows, width = len(seeds), model.config.decoder.hidden_size
        self.capacity = capacity
        self._model = model
        self._cache = KVCache.allocate(model.config.decoder, rows, capacity, like=model.lm_head.weight)
        self._inputs = model.lm_head.weight.new_empty((rows, capacity, width))
        self._positions = np.zeros((rows, capacity), np.int64)
        self._lengths = np.zeros(rows, np.int64)
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def __len__(self) -> int:
        """Return the number of rows, forks included."""
        return len(self._lengths)

    def length(self, row: int) -> int:
        """Return how many tokens `row` holds."""
        return int(self._lengths[self._known([row])[0]])

    def next_position(self, row: int) -> int:
        """Return the position that plainly follows the last token of `row`."""
        length = self.length(row)
        return int(self._positions[row, length - 1]) + 1 if length else 0

    @torch.inference_mode()
    def append(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> None:
        """Add context to rows: text, read images and codes, at the positions that the sequences give.

        Raises:
            RigError: a row would overflow, or a sequence does not start behind its row's last token; nothing is
                written then.
        """
        rows = self._known(rows)
        if not rows:
            return
        counts = np.array([len(sequence) for sequence in sequences], np.int64)
        self._check_room(rows, counts)
        for row, sequence in zip(rows, sequences, strict=True):
            if len(sequence) and sequence.positions[0] < self.next_position(row):
                raise RigError(
                    f"row {row} goes on at position {self.next_position(row)}, not {sequence.positions[0]}; encode the "
                    "sequence with start=session.next_position(row)"
                )
        frames = [frame for sequence in sequences for frame in sequence.frames]
        features = self._model.read_images(torch.from_numpy(np.stack(frames)) if frames else torch.zeros(0, 0, 0, 3))
        ids, kinds = (_join([getattr(sequence, name) for sequence in sequences]) for name in ("ids", "kinds"))
        x = self._model.embed(self._tensor(ids), self._tensor(kinds), features)
        starts = self._lengths[rows]
        self._record(rows, x, [sequence.positions for sequence in sequences])
        try:
            self._run(rows, np.maximum(starts - 1, 0), self._lengths[rows] - 1)
        except BaseException:
            self._lengths[rows] = starts
            raise

    @torch.inference_mode()
    def write_text(
        self,
        rows: Sequence[int],
        constraints: Sequence[Constraint],
        sampler: Sampler,
        starts: Sequence[int] | None = None,
    ) -> list[list[int]]:
        """Let each row write text until its constraint is done, and return the ids that each wrote.

        Args:
            rows: which rows.
            constraints: one per row; the same object may serve several.
            sampler: how to draw.
            starts: the first token's position in each row; plainly behind the last one where None.

        Raises:
            RigError: a row is empty or could overflow before its constraint ends; nothing is written then.
        """
        rows = self._known(rows)
        if not rows:
            return []
        written: list[list[int]] = [[] for _ in rows]
        states = [constraint.start for constraint in constraints]
        window, following = self._open(rows, [constraint.limit for constraint in constraints], starts)
        while True:
            live = [slot for slot, member in enumerate(window.members) if not _done(constraints, states, member)]
            if not live:
                break
            if SHRINK_FROM <= len(window.members) >= 2 * len(live):
                window.shrink(live)
                live = list(range(len(live)))
            members = [window.members[slot] for slot in live]
            hidden = window.run()
            logits = self._model.text_logits(hidden if len(live) == len(hidden) else hidden[live])
            masked = _masked(logits, [constraints[member].allowed(states[member]) for member in members])
            tokens = draw(masked, sampler, [self._generators[rows[member]] for member in members])
            for member, token in zip(members, tokens.tolist(), strict=True):
                written[member].append(token)
                states[member] = constraints[member].advance(states[member], token)
            window.push(live, self._model.embed_text(tokens))
        window.settle()
        self._record_written(rows, [np.array(ids, np.int64) for ids in written], following, self._model.embed_text)
        return written

    @torch.inference_mode()
    def write_image(self, rows: Sequence[int], sampler: Sampler) -> WrittenImages:
        """Let each row write one image behind its begin mark, which the caller has appended.

        Raises:
            RigError: a row is empty or would overflow; nothing is written then.
        """
        rows = self._known(rows)
        count = self._model.config.vq.num_tokens
        if not rows:
            return WrittenImages(codes=np.zeros((0, count), np.uint16), entropy=np.zeros(0, np.float32))
        window, following = self._open(rows, [count] * len(rows))
        codes, doubts = [], []
        generators = [self._generators[row] for row in rows]
        for _ in range(count):
            logits = self._model.code_logits(window.run())
            doubts.append(entropy(logits))
            codes.append(draw(logits, sampler, generators))
            window.push(window.members, self._model.embed_codes(codes[-1]))
        window.settle()
        written = torch.stack(codes, 1).cpu().numpy()
        self._record_written(rows, list(written), following, self._model.embed_codes)
        return WrittenImages(codes=written.astype(np.uint16), entropy=torch.stack(doubts).mean(0).cpu().numpy())

    @torch.inference_mode()
    def next_token_logits(self, rows: Sequence[int], kind: Kind = Kind.TEXT) -> Tensor:
        """Return the logits of what follows in each row: [n, V] for text, [n, codebook_size] for codes."""
        rows = self._known(rows)
        window, _ = self._open(rows, [0] * len(rows))
        head = self._model.code_logits if kind == Kind.CODE else self._model.text_logits
        return head(window.run())

    @torch.inference_mode()
    def fork(self, rows: Sequence[int]) -> list[int]:
        """Return new rows, one per given row, that hold the same tokens and draw from generators of their own.

        A row may be forked several times in one call. The forks' generators follow from their parents' seeds.
        """
        sources = [self._known([row])[0] for row in rows]
        first = len(self)
        if not sources:
            return []
        longest = int(self._lengths[sources].max())
        self._cache.add_rows(sources, longest)
        inputs = self._inputs.new_empty((first + len(sources), *self._inputs.shape[1:]))
        used = int(self._lengths.max())
        inputs[:first, :used] = self._inputs[:, :used]
        inputs[first:, :longest] = self._inputs[sources, :longest]
        self._inputs = inputs
        self._positions = np.concatenate([self._positions, self._positions[sources]])
        self._lengths = np.concatenate([self._lengths, self._lengths[sources]])
        self._generators += [self._generators[source].spawn(1)[0] for source in sources]
        return list(range(first, len(self)))

    def rewind(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of `row`; its generator goes on from where it is.

        Raises:
            RigError: the row is shorter than that.
        """
        if not 0 <= length <= self.length(row):
            raise RigError(f"row {row} holds {self.length(row)} tokens; it cannot be rewound to {length}")
        self._lengths[row] = length

    def _known(self, rows: Sequence[int]) -> list[int]:
        unknown = [row for row in rows if not 0 <= row < len(self)]
        if unknown or len(set(rows)) < len(rows):
            raise RigError(f"rows {list(rows)} of a session with rows 0 to {len(self) - 1}; name each row once")
        return [int(row) for row in rows]

    def _check_room(self, rows: list[int], counts: NDArray[np.int64]) -> None:
        for row, length, count in zip(rows, self._lengths[rows], counts, strict=True):
            if length + count > self.capacity:
                raise RigError(
                    f"row {row} holds {length} tokens; up to {count} more do not fit the capacity of {self.capacity}. "
                    "Make the engine with a larger capacity, or rewind the row"
                )

    def _open(
        self, rows: list[int], limits: Sequence[int], starts: Sequence[int] | None = None
    ) -> tuple[Window, NDArray[np.int64]]:
        """Return the window of these rows, and the positions at which they go on."""
        counts = np.array(limits, np.int64)
        self._check_room(rows, counts)
        lengths = self._lengths[rows]
        if not lengths.all():
            raise RigError(f"row {rows[int(lengths.argmin())]} is empty; append a prompt first")
        plain = np.array([self.next_position(row) for row in rows], np.int64)
        following = plain if starts is None else np.array(starts, np.int64)
        if (following < plain).any():
            raise RigError(f"rows {rows} go on at positions {plain.tolist()} or later, not at {following.tolist()}")
        window = Window(
            self._model.model.language_model,
            self._cache,
            rows,
            x=self._inputs[rows, lengths - 1],
            positions=plain - 1,
            following=following.copy(),
            columns=lengths - 1,
            ends=lengths + counts,
        )
        return window, following

    def _run(self, rows: list[int], first: NDArray[np.int64], last: NDArray[np.int64]) -> None:
        """Run the tokens of each row from column `first` to before column `last`."""
        spans = [
            (row, int(start), int(stop)) for row, start, stop in zip(rows, first, last, strict=True) if stop > start
        ]
        if not spans:
            return
        x = torch.cat([self._inputs[row, start:stop] for row, start, stop in spans])
        positions = torch.from_numpy(_join([self._positions[row, start:stop] for row, start, stop in spans]))
        decoder = self._model.model.language_model
        if is_adjacent([row for row, _, _ in spans]) and all(stop == start + 1 for _, start, stop in spans):
            columns = np.array([start for _, start, _ in spans], np.int64)
            adjacent = self._cache.view([row for row, _, _ in spans], int(columns.max()) + 1)
            decode(decoder, adjacent, x, positions.numpy(), columns)
        else:
            prefill(decoder, self._cache, x, positions.to(x.device), spans)

    def _record_written(
        self,
        rows: list[int],
        ids: list[NDArray[np.int64]],
        following: NDArray[np.int64],
        embed: Callable[[Tensor], Tensor],
    ) -> None:
        positions = [start + np.arange(len(row_ids)) for start, row_ids in zip(following, ids, strict=True)]
        self._record(rows, embed(self._tensor(_join(ids))), positions)

    def _record(self, rows: list[int], x: Tensor, positions: Sequence[NDArray]) -> None:
        """Take the embeddings and positions of new tokens into the rows, whose lengths grow."""
        for row, row_positions, row_x in zip(rows, positions, x.split([len(part) for part in positions]), strict=True):
            start = self._lengths[row]
            stop = start + len(row_positions)
            self._inputs[row, start:stop] = row_x
            self._positions[row, start:stop] = row_positions
            self._lengths[row] = stop

    def _tensor(self, values: NDArray) -> Tensor:
        return torch.from_numpy(values.astype(np.int64)).to(self._model.device)


def _join(parts: Sequence[NDArray]) -> NDArray:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _done(constraints: Sequence[Constraint], states: Sequence[object], member: int) -> bool:
    return constraints[member].is_done(states[member])


def _masked(logits: Tensor, masks: list[Tensor]) -> Tensor:
    """Return logits with -inf where a mask is False; a vocabulary larger than the tokenizer is cut to it."""
    size = masks[0].shape[-1]
    if size > logits.shape[-1]:
        raise RigError(f"a tokenizer of {size} tokens over a model of {logits.shape[-1]}; they do not belong together")
    shared = all(mask is masks[0] for mask in masks)
    mask = masks[0] if shared else torch.stack(masks)
    return torch.where(mask.to(logits.device), logits[:, :size], -torch.inf)
