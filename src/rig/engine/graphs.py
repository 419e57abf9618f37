"""Passes of one token a row on a GPU, recorded once as a CUDA graph and then replayed.

Such a pass of a large network is some hundreds of kernels that take a few microseconds each; to start them one by one
takes longer than they do. What changes from pass to pass, where the tokens stand and what they see, is written into
one small tensor that every pass reads.

n: rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rig.engine.attend import Span, paged_attention, pages_of
from rig.engine.cache import KVCache
from rig.engine.forward import places_of, run_layers
from rig.engine.packed import PackedDecoder

Replay = Callable[[], Tensor]
Record = Callable[[Callable[[], Tensor]], Replay]
"""Takes a pass, and returns what does the same again and where its result is written."""


def record_cuda_graph(step: Callable[[], Tensor]) -> Replay:
    """Return `step` as a CUDA graph; it must read and write the same memory in every pass."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(2):  # libraries choose their kernels and take their memory before anything is recorded
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay


@dataclass(frozen=True, eq=False)
class _Recorded:
    told: Tensor
    replay: Replay
    block: Tensor


class Graphs:
    """Passes of one token for each of n rows over a paged cache, recorded for each n when it first comes.

    Args:
        decoder: the decoder.
        cache: its cache; where it has grown, passes are recorded anew.
        record: how.
    """

    def __init__(self, decoder: PackedDecoder, cache: KVCache, record: Record = record_cuda_graph) -> None:
        self._decoder, self._cache, self._record = decoder, cache, record
        self._recorded: dict[int, _Recorded] = {}

    def run(self, spans: Sequence[Span]) -> Tensor:
        """Do what `rig.engine.forward.run` does for spans of one token; the result is overwritten by the next pass."""
        told = self._tell(spans)
        found = self._recorded.get(len(spans))
        if found is None or found.block is not self._cache.block:
            found = self._recorded[len(spans)] = self._new(told)
        found.told.copy_(told)
        return found.replay()

    def _tell(self, spans: Sequence[Span]) -> Tensor:
        """Return, for each row, its token's place and position, the tokens it sees and the pages they stand on."""
        places = places_of(spans)
        told = zip(places.tolist(), self._cache.positions[places].tolist(), spans, strict=True)
        return torch.tensor([[at, position, span.stop, *pages_of(self._cache, span)] for at, position, span in told])

    def _new(self, told: Tensor) -> _Recorded:
        decoder, cache, block = self._decoder, self._cache, self._cache.block
        told = told.to(block.device, copy=True)
        boundaries = torch.arange(len(told) + 1, dtype=torch.int32, device=block.device)

        def step() -> Tensor:
            where, positions = told[:, 0], told[:, 1]
            lengths, table = told[:, 2].int(), told[:, 3:].int()
            attend = paged_attention(cache, boundaries, lengths, table, 1, cache.columns)
            rotation, layers = decoder.rotation(positions), range(len(decoder.layers))
            return decoder.norm(run_layers(decoder, cache, layers, cache.inputs[where], rotation, where, attend))

        return _Recorded(told, self._record(step), block)
