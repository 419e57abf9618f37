"""Verbs that time ours beside another's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class BenchTrain:
    """Time training in packs beside padded batches under Hugging Face's Trainer: same weights, samples and steps.

    Example: rig bench train --preset small --rounds 5

    Attributes:
        preset: the network's sizes.
        pack_tokens: tokens of a pack.
        steps: optimiser steps of a round.
        rounds: rounds that count, each of them ours and theirs in turns.
        text_tokens: text of a sample on average, beside an image that is read and one that is written.
        compile_theirs: let Trainer compile too, which takes it minutes at first.
        seed: of weights and samples.
    """

    preset: str = "small"
    pack_tokens: int = 4096
    steps: int = 4
    rounds: int = 5
    text_tokens: int = 150
    compile_theirs: bool = False
    seed: int = 0

    def run(self) -> dict[str, Any]:
        """Time."""
        from rig.bench.train import TrainBench, bench_training
        from rig.cli.tables import table
        from rig.provenance import provenance

        config = asdict(self)
        found = bench_training(TrainBench(**config))
        rows = [
            [
                name,
                f"{entry['tokens_per_second']:.0f}",
                f"{entry['mfu']:.1%}" if entry["mfu"] else "-",
                f"{entry['peak_bytes'] / 1e9:.2f}",
                f"{found['ratios'][name]['median']:.2f}" if name in found["ratios"] else "1",
            ]
            for name, entry in found["contenders"].items()
        ]
        text = table(["contender", "useful tokens/s", "MFU", "memory, GB", "times as fast"], rows)
        return {"text": text, **found, "config": config, "provenance": provenance()}
