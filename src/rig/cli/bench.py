"""Verbs that measure speed, each beside another way of doing the same in one run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rig.bundle import Dtype


@dataclass(frozen=True, kw_only=True)
class BenchDecode:
    """Time thoughts, dreams and lookaheads beside a loop over transformers' Janus modules, on the same random weights.

    Example: rig bench decode --preset small --batches 1 16 --rounds 3

    Attributes:
        preset: the network's sizes, brought to what transformers can express.
        batches: conversations at once.
        rounds: counted rounds; each contender runs once in each.
        dreams: of a lookahead decision.
        prompt_tokens: text tokens of a question, beside its frame.
        thought_tokens: of every thought.
        action_tokens: of every action.
        guesses: codes guessed beyond the next one in our dreams; 0 writes them one by one.
        dtype: "auto", "float32" or "bfloat16".
        generate: also measure transformers' `generate`, where it can do the job.
    """

    preset: str = "small"
    batches: tuple[int, ...] = (1, 16, 64)
    rounds: int = 3
    dreams: int = 3
    prompt_tokens: int = 100
    thought_tokens: int = 60
    action_tokens: int = 12
    guesses: int = 0
    dtype: str = "auto"
    generate: bool = True

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.decode import DecodeBench, bench_decode
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_decode(DecodeBench(**asdict(self)))
        header = ["job", "at once", "tokens/s", "× loop", "× generate", "same tokens", "of bandwidth"]
        text = table(header, [_decode_row(entry) for entry in found["entries"]])
        where = f"{found['preset']}, {found['device']}, {found['dtype']}, {found['threads']} threads"
        return {"text": f"{where}\n{text}", **found, "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchPolicy:
    """Time an agent's decisions, with one world and with many that share the engine; the worlds' steps are included.

    Example: rig bench policy --agent checkpoints/rig-crafter-small --worlds 1 16 --dreams 0 1

    Attributes:
        agent: folder of a trained agent.
        tasks: "task/setting", whose worlds are played; validation seeds.
        worlds: how many share the engine.
        dreams: n of the lookaheads.
        decisions: that are timed, in all worlds together; at least two in each.
        rounds: counted rounds.
        dtype: what the network computes in.
    """

    agent: str
    tasks: str = "collect_wood/manual"
    worlds: tuple[int, ...] = (1, 16, 64)
    dreams: tuple[int, ...] = (0, 1, 3)
    decisions: int = 64
    rounds: int = 2
    dtype: Dtype = "auto"

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.policy import PolicyBench, bench_policy
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_policy(PolicyBench(**asdict(self)))
        header = ["dreams", "worlds", "decisions/s", f"× {self.worlds[0]} world(s)", "in the worlds"]
        rows = [
            [
                entry["dreams"],
                entry["worlds"],
                f"{entry['decisions_per_second']:.2f}",
                f"{entry['faster_than_first']:.2f}",
                f"{entry['world_share']:.0%}",
            ]
            for entry in found["entries"]
        ]
        text = f"{found['agent']}, {found['device']}, {found['dtype']}\n{table(header, rows)}"
        return {"text": text, **found, "provenance": provenance()}


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


def _decode_row(entry: dict[str, Any]) -> list[str]:
    faster = entry.get("faster", {})
    ratios = [f"{faster[name]['median']:.2f}" if name in faster else "" for name in ("loop", "generate")]
    same = f"{entry['same_tokens']:.3f}" if "same_tokens" in entry else ""
    share = f"{entry['share_of_bandwidth']:.0%}" if "share_of_bandwidth" in entry else ""
    return [entry["job"], str(entry["batch"]), f"{entry['tokens_per_second']:.0f}", *ratios, same, share]
