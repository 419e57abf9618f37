"""The tokens of rows: what each holds, and how much of it the cache knows.

Context that is added to a row waits; whoever wants to know what follows has the row run, which runs whatever waits.
The last token of a row always waits, so rewinding is setting a length, and no logits are kept anywhere.

S: slots (one row each), C: capacity of a row in tokens, D: the decoder's width, n: tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.dialogue import TokenSequence
from rig.engine.attend import Span
from rig.engine.cache import KVCache
from rig.engine.forward import run
from rig.engine.packed import PackedDecoder
from rig.errors import RigError
from rig.model.rig import RIG


class Rows:
    """Rows over one cache, each in a slot of its own.

    Args:
        model: the network, in evaluation mode.
        decoder: its decoder's weights, packed.
        capacity: tokens that a row can hold.
        seeds: one per row; a row's draws follow from its seed and its own context alone.
    """

    def __init__(self, model: RIG, decoder: PackedDecoder, capacity: int, seeds: Sequence[int]) -> None:
        rows = len(seeds)
        self.model = model
        self.capacity = capacity
        self.lengths = np.zeros(rows, np.int64)
        self.generators = [np.random.default_rng(seed) for seed in seeds]
        self._decoder = decoder
        self._cache = KVCache(decoder.config, rows, capacity, like=model.lm_head.weight)
        self._inputs = model.lm_head.weight.new_zeros((rows, capacity, decoder.config.hidden_size))
        self._positions = np.zeros((rows, capacity), np.int64)
        self._ran = np.zeros(rows, np.int64)
        self._seen: list[dict[bytes, Tensor]] = [{} for _ in range(rows)]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.lengths)

    def next_position(self, row: int) -> int:
        """Return the position that plainly follows the last token of `row`."""
        length = self.lengths[row]
        return int(self._positions[row, length - 1]) + 1 if length else 0

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

    def put(self, row: int, column: int, x: Tensor, positions: NDArray) -> None:
        """Let the tokens embedded as `x` [n, D] stand from `column` on, at the end of the row."""
        stop = column + len(x)
        self._inputs[row, column:stop] = x
        self._positions[row, column:stop] = positions
        self.lengths[row] = stop
        self._ran[row] = min(self._ran[row], column)

    def push(self, rows: NDArray[np.int64], x: Tensor) -> None:
        """Append one token, embedded as `x` [n, D], to each of n rows, none of them empty."""
        columns = self.lengths[rows]
        self._inputs[torch.from_numpy(rows), torch.from_numpy(columns)] = x
        self._positions[rows, columns] = self._positions[rows, columns - 1] + 1
        self.lengths[rows] += 1

    def run(self, rows: Sequence[int], keep: Sequence[int]) -> Tensor:
        """Run what waits in rows (ascending); return the hidden states behind the last `keep` tokens of each.

        Returns:
            [sum of keep, D], row after row. Whoever asks again runs the same last tokens again, to no effect.
        """
        where, counts = np.array(rows), np.array(keep)
        stops = self.lengths[where]
        starts = np.minimum(self._ran[where], stops - counts)
        spans = list(map(Span, where.tolist(), starts.tolist(), stops.tolist()))
        if (stops - starts == 1).all():
            x = self._inputs[torch.from_numpy(where), torch.from_numpy(starts)]
            positions = self._positions[where, starts]
        else:
            x = torch.cat([self._inputs[span.slot, span.start : span.stop] for span in spans])
            positions = np.concatenate([self._positions[span.slot, span.start : span.stop] for span in spans])
        hidden = run(self._decoder, self._cache, x, torch.from_numpy(positions).to(x.device), spans, keep)
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

    def fork(self, sources: Sequence[int]) -> list[int]:
        """Return new rows, one per source, that hold the same tokens; their generators follow from their parents'."""
        first = len(self)
        total = first + len(sources)
        self._cache.grow(total)
        self._inputs = torch.cat([self._inputs, self._inputs[list(sources)]])
        self._positions = np.concatenate([self._positions, self._positions[list(sources)]])
        self.lengths = np.concatenate([self.lengths, self.lengths[list(sources)]])
        self._ran = np.concatenate([self._ran, self._ran[list(sources)]])
        for target, source in enumerate(sources, first):
            self._cache.copy(source, target, int(self._ran[source]))
            self.generators.append(self.generators[source].spawn(1)[0])
            self._seen.append(dict(self._seen[source]))
        return list(range(first, total))

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
