"""The tokens of rows: what each holds, and how much of it the cache knows.

Context that is added to a row waits; whoever wants to know what follows has the row run, which runs whatever waits.
The last token of a row always waits, so rewinding is setting a length, and no logits are kept anywhere.

A fork rests on what its parent has run, and owns what follows. Whoever would write where another rests, or before what
is its own, is given a place of its own for that and rests on the old one from then on.

D: the decoder's width, n: tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.dialogue import TokenSequence
from rig.engine.attend import Span
from rig.engine.cache import KVCache, Piece, cut
from rig.engine.forward import run
from rig.engine.graphs import Graphs
from rig.engine.packed import PackedDecoder
from rig.errors import RigError
from rig.model.rig import RIG


class Rows:
    """Rows over one cache. They are numbered as they are made; the number of a dropped row is given again.

    Args:
        model: the network, in evaluation mode.
        decoder: its decoder's weights, packed.
        capacity: tokens that a row can hold.
        seeds: one per row; a row's draws follow from its seed and its own context alone.
    """

    def __init__(self, model: RIG, decoder: PackedDecoder, capacity: int, seeds: Sequence[int]) -> None:
        rows = range(len(seeds))
        self.model = model
        self.capacity = capacity
        self.lengths = np.zeros(len(rows), np.int64)
        self.generators = {row: np.random.default_rng(seed) for row, seed in enumerate(seeds)}
        self._decoder = decoder
        self._cache = KVCache(decoder.config, capacity, like=model.lm_head.weight)
        self._graphs = Graphs(decoder, self._cache) if self._cache.is_paged else None
        columns = self._cache.columns
        self._cache.grow(len(rows) * columns)
        self._pieces = {row: [Piece(0, columns, row * columns)] for row in rows}
        self._floors = np.zeros(len(rows), np.int64)  # columns before these are not the row's own to write
        self._ran = np.zeros(len(rows), np.int64)
        self._dropped: list[int] = []
        self._seen: dict[int, dict[bytes, Tensor]] = {row: {} for row in rows}

    def __len__(self) -> int:
        """Return the number of rows that there have been."""
        return len(self.lengths)

    def __contains__(self, row: int) -> bool:
        """Return True for a row that has not been dropped."""
        return row in self._pieces

    @property
    def num_bytes(self) -> int:
        """The memory of the cache."""
        return self._cache.num_bytes

    def next_position(self, row: int) -> int:
        """Return the position that plainly follows the last token of `row`."""
        length = int(self.lengths[row])
        if not length:
            return 0
        (last,) = cut(self._pieces[row], length - 1, length)
        return int(self._cache.positions[last.at]) + 1

    def check_room(self, rows: Sequence[int], counts: Sequence[int]) -> None:
        """Raise RigError where a row cannot hold so many more tokens."""
        for row, count in zip(rows, counts, strict=True):
            if self.lengths[row] + count > self.capacity:
                raise RigError(
                    f"row {row} holds {self.lengths[row]} tokens; up to {count} more do not fit the capacity of "
                    f"{self.capacity}. Make the engine with a larger capacity, or rewind the row"
                )

    def read(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> None:
        """Add context to rows: text, read images and codes, at the positions that the sequences give."""
        features = self._look(rows, sequences)
        joined = (np.concatenate([getattr(sequence, name) for sequence in sequences]) for name in ("ids", "kinds"))
        ids, kinds = (torch.from_numpy(values.astype(np.int64)).to(self.model.device) for values in joined)
        x = self.model.embed(ids, kinds, features).split([len(sequence) for sequence in sequences])
        for row, part, sequence in zip(rows, x, sequences, strict=True):
            self.put(row, int(self.lengths[row]), part, sequence.positions)

    def put(self, row: int, column: int, x: Tensor, positions: NDArray[np.integer]) -> None:
        """Let the tokens embedded as `x` [n, D] stand from `column` on, at the end of the row."""
        stop = column + len(x)
        (first,) = self._claim([row], [column])
        self._cache.inputs[first : first + len(x)] = x
        self._cache.positions[first : first + len(x)] = positions
        self.lengths[row] = stop
        self._ran[row] = min(self._ran[row], column)

    def push(self, rows: NDArray[np.int64], x: Tensor) -> None:
        """Append one token, embedded as `x` [n, D], to each of n rows, none of them empty."""
        last = self._claim(rows.tolist(), (self.lengths[rows] - 1).tolist())
        self._cache.inputs[torch.from_numpy(last + 1)] = x
        self._cache.positions[last + 1] = self._cache.positions[last] + 1
        self.lengths[rows] += 1

    def run(self, rows: Sequence[int], keep: Sequence[int]) -> Tensor:
        """Run what waits in rows; return the hidden states behind the last `keep` tokens of each.

        Returns:
            [sum of keep, D], row after row. Whoever asks again runs the same last tokens again, to no effect.
        """
        where, counts = np.array(rows), np.array(keep)
        stops = self.lengths[where]
        starts = np.minimum(self._ran[where], stops - counts).tolist()
        self._claim(rows, starts)
        spans = [Span(self._pieces[row], *ends) for row, *ends in zip(rows, starts, stops.tolist(), strict=True)]
        if self._graphs is not None and all(span.tokens == 1 for span in spans):
            hidden = self._graphs.run(spans)
        else:
            hidden = run(self._decoder, self._cache, spans, keep)
        self._ran[where] = stops
        return hidden

    def rewind(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of `row`."""
        self.lengths[row] = length
        self._ran[row] = min(self._ran[row], length)

    def clear(self, row: int, seed: int) -> None:
        """Make `row` empty, with a generator of `seed`."""
        self.lengths[row] = self._ran[row] = 0
        self.generators[row] = np.random.default_rng(seed)
        self._seen[row] = {}

    def drop(self, row: int) -> None:
        """Give up `row`; what others rest on stays, the rest of its room is theirs who come."""
        self.lengths[row] = self._ran[row] = self._floors[row] = 0
        del self._pieces[row], self.generators[row], self._seen[row]
        self._dropped.append(row)

    def fork(self, sources: Sequence[int]) -> list[int]:
        """Return new rows, one per source, that hold the same tokens; their generators follow from their parents'.

        What waits in the sources is run first, so that it is run once for all.
        """
        waiting = sorted(row for row in set(sources) if self._ran[row] < self.lengths[row] - 1)
        if waiting:
            self.run(waiting, [1] * len(waiting))
        parents = list(sources)
        forks = self._numbers(len(parents))
        for values in (self.lengths, self._ran, self._floors):
            values[forks] = values[parents]
        for fork, parent in zip(forks, parents, strict=True):
            self.generators[fork] = self.generators[parent].spawn(1)[0]
            self._seen[fork] = dict(self._seen[parent])
        self._rest(forks, parents, np.minimum(self._ran[forks], self.lengths[forks] - 1).clip(0).tolist())
        self._floors[parents] = np.maximum(self._floors[parents], self._floors[forks])
        return forks

    def beside(self, row: int, tokens: TokenSequence) -> int:
        """Return a new row beside `row` that holds these tokens and nothing else, with room for an image behind."""
        (beside,) = self.fork([row])
        self.clear(beside, seed=0)
        self.check_room([beside], [len(tokens) + self.model.config.vq.num_tokens])
        self.read([beside], [tokens])
        return beside

    def draw_alike(self, row: int, other: int) -> None:
        """Let `row` draw from now on as `other` would."""
        self.generators[row] = deepcopy(self.generators[other])

    def _numbers(self, count: int) -> list[int]:
        """Return so many numbers for new rows: those of dropped rows first."""
        known = sorted(self._dropped)
        again, self._dropped = known[:count], known[count:]
        fresh = list(range(len(self), len(self) + count - len(again)))
        if fresh:
            self.lengths, self._ran, self._floors = (
                np.concatenate([values, np.zeros(len(fresh), np.int64)])
                for values in (self.lengths, self._ran, self._floors)
            )
        return [*again, *fresh]

    def _claim(self, rows: Sequence[int], columns: Sequence[int]) -> NDArray[np.int64]:
        """Let rows write from columns on, and return where these stand."""
        for row, column in zip(rows, columns, strict=True):
            if column < self._floors[row]:
                self._settle(row, column)
        return np.array([self._pieces[row][-1].place(column) for row, column in zip(rows, columns, strict=True)])

    def _settle(self, row: int, column: int) -> None:
        """Let a row own its columns from `column` on: where they stand, if no other row rests on them, else anew."""
        own = self._pieces[row][-1]
        rested_on = chain.from_iterable(pieces[:-1] for pieces in self._pieces.values())
        self._floors[row] = max([own.start, *(piece.stop for piece in rested_on if piece.at == own.at)])
        if column < self._floors[row]:
            self._rest([row], [row], [column])

    def _rest(self, rows: Sequence[int], parents: Sequence[int], columns: Sequence[int]) -> None:
        """Let each row rest on what its parent holds before a column, and own a copy of what follows."""
        cache, held = self._cache, [self._pieces[parent] for parent in parents]
        starts = [column // cache.page * cache.page for column in columns]
        for row, start, pieces in zip(rows, starts, held, strict=True):
            at = cache.room(chain.from_iterable(self._pieces.values()), cache.columns - start)
            self._pieces[row] = [*cut(pieces, 0, start), Piece(start, cache.columns, at)]
        cache.grow(max(self._pieces[row][-1].end for row in rows))
        for row, start, pieces in zip(rows, starts, held, strict=True):
            for piece in cut(pieces, start, int(self.lengths[row])):
                cache.copy(piece.at, self._pieces[row][-1].place(piece.start), piece.size)
            self._floors[row] = start

    def _look(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> Tensor:
        """Return the features of all frames of the sequences, a row's equal frames encoded once."""
        shown = [
            (row, frame.tobytes(), frame)
            for row, sequence in zip(rows, sequences, strict=True)
            for frame in sequence.frames
        ]
        new = [(row, key, frame) for row, key, frame in shown if key not in self._seen[row]]
        frames = torch.from_numpy(np.stack([frame for _, _, frame in new])) if new else torch.zeros(0, 0, 0, 3)
        features = self.model.read_images(frames)
        for (row, key, _), feature in zip(new, features, strict=True):
            self._seen[row][key] = feature
        return torch.stack([self._seen[row][key] for row, key, _ in shown]) if shown else features
