"""Verbs that measure speed, each beside another way of doing the same in one run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rig.bench.config import (
    DataBench,
    DecodeBench,
    DreamBench,
    EnvBench,
    LoopBench,
    PolicyBench,
    ServeBench,
    TrainBench,
    WalkBench,
)
from rig.cli.flags import Flags


@dataclass(frozen=True, kw_only=True)
class BenchDecode(Flags, DecodeBench):
    """Time thoughts, dreams and lookaheads beside a loop over transformers' Janus modules, on the same random weights.

    Example: rig bench decode --preset small --batches 1 16 --rounds 3
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.decode import bench_decode
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_decode(self.part(DecodeBench))
        header = ["job", "at once", "tokens/s", "× loop", "× generate", "same tokens", "of bandwidth"]
        text = table(header, [_decode_row(entry) for entry in found["entries"]])
        where = f"{found['preset']}, {found['device']}, {found['dtype']}, {found['threads']} threads"
        forks = table(
            ["branches", "at once", "× a row each", "cache"], [_branch_row(entry) for entry in found["branches"]]
        )
        return {"text": f"{where}\n{text}\n\n{forks}", **found, "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchDreams(Flags, DreamBench):
    """Time the ways to write a dream, side by side: code by code, exactly with guesses, diagonally, and where sure.

    Example: rig bench dreams --agent checkpoints/rig-crafter-small --batches 1 16 --rounds 3
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.dreams import bench_dreams
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_dreams(self.part(DreamBench))
        rows = [
            [
                entry["batch"],
                entry["way"],
                f"{entry['passes']:.1f}",
                f"{entry['dreams_per_second']:.2f}",
                f"{entry['faster']['median']:.2f}",
                f"{entry['same_codes']:.3f}",
            ]
            for entry in found["entries"]
        ]
        header = ["at once", "way", "passes", "dreams/s", "× code by code", "same codes"]
        where = f"{found['dreamer']}, {found['device']}, {found['dtype']}, {found['threads']} threads"
        return {"text": f"{where}\n{table(header, rows)}", **found, "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchWalk(Flags, WalkBench):
    """Time a walk through an agent's imagination: frames a second, one for each key, in one process and on the page.

    Example: rig bench walk --agent checkpoints/rig-crafter-small
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.registry import require

        require("fastapi", "serve")
        from rig.bench.walk import bench_walk
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_walk(self.part(WalkBench))
        rows = [
            [entry["way"], f"{entry['frames_per_second']:.1f}", f"{1e3 * entry['seconds']['median'] / self.frames:.0f}"]
            for entry in found["entries"]
        ]
        where = f"{found['agent']}, {found['device']}, {found['dtype']}, {found['threads']} threads"
        text = f"{where}\n{table(['way', 'frames/s', 'ms a frame'], rows)}"
        return {"text": text, **found, "config": asdict(self), "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchPolicy(Flags, PolicyBench):
    """Time an agent's decisions, with one world and with many that share the engine; the worlds' steps are included.

    Example: rig bench policy --agent checkpoints/rig-crafter-small --worlds 1 16 --dreams 0 1
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.policy import bench_policy
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_policy(self.part(PolicyBench))
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
class BenchServe(Flags, ServeBench):
    """Time served decisions: how many a second, and how long one takes, for few clients and many, beside one process.

    Example: rig bench serve --agent checkpoints/rig-crafter-small --clients 1 16 64
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.registry import require

        require("fastapi", "serve")
        from rig.bench.serve import bench_serve
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_serve(self.part(ServeBench))
        rows = [
            [
                entry["clients"],
                entry["way"],
                f"{entry['decisions_per_second']:.2f}",
                f"{entry['milliseconds']['p50']:.0f}",
                f"{entry['milliseconds']['p99']:.0f}",
            ]
            for entry in found["entries"]
        ]
        where = f"{found['agent']}, {found['dreams']} dreams, {found['device']}, {found['dtype']}"
        text = f"{where}\n{table(['clients', 'way', 'decisions/s', 'p50, ms', 'p99, ms'], rows)}"
        return {"text": text, **found, "config": asdict(self), "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchTrain(Flags, TrainBench):
    """Time training in packs beside padded batches under Hugging Face's Trainer: same weights, samples and steps.

    Example: rig bench train --preset small --rounds 5
    """

    def run(self) -> dict[str, Any]:
        """Time."""
        from rig.bench.train import bench_training
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_training(self.part(TrainBench))
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
        if found["uncompiled"]:
            text += f"\nrig, compiled, is left out: {found['uncompiled']}"
        return {"text": text, **found, "config": asdict(self), "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchLoop(Flags, LoopBench):
    """Time the whole way once, small: a teacher plays, its thoughts are written, an agent learns from them, and plays.

    Example: rig bench loop --agent checkpoints/rig-crafter-small
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.loop import bench_loop
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_loop(self.part(LoopBench))
        rows = [
            [
                phase["name"],
                f"{phase['count']} {phase['unit']}",
                f"{phase['per_second']:.2f}",
                f"{phase['seconds']:.1f}",
                f"{phase['processor_seconds']:.1f}",
            ]
            for phase in found["phases"]
        ]
        dtypes = ", ".join(f"{what} in {dtype}" for what, dtype in found["dtypes"].items())
        text = table(["phase", "done", "a second", "seconds", "of processors"], rows)
        text += f"\n{found['seconds']:.1f} s in all; {found['decisions_per_second']:.1f} decisions/s; {dtypes}"
        return {"text": text, **found, "config": asdict(self), "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchData(Flags, DataBench):
    """Time how fast datasets become packs, in one process and in several, beside how fast a network learns from them.

    Example: rig bench data --workers 2
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.data import bench_data
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_data(self.part(DataBench))
        rows = [
            [name, f"{entry['tokens_per_second']:,.0f}", _times(found["ratios"].get(name))]
            for name, entry in found["contenders"].items()
        ]
        load, opening, targets, processor = (found[name] for name in ("load", "opening", "targets", "processor"))
        own = ", ".join(f"{speed:,.0f} {name}" for name, speed in processor["tokens_per_second"].items())
        same = "all readers make the same packs" if found["same_packs"] else "READERS MAKE DIFFERENT PACKS"
        lines = [
            f"{found['agent']}, {found['device']}, {found['dtype']}, {'not ' if found['uncompiled'] else ''}compiled; "
            f"load of the machine {load['before']:.1f} before, {load['after']:.1f} after",
            table(["what", "tokens/s", "times as fast as it learns"], rows),
            f"tokens in a second of a processor's own time: {own}; {processor['ratio']:.0f} times as fast",
            f"{opening['steps']} steps were opened in {opening['seconds']:.1f} s, into packs of {found['pack_tokens']} "
            f"tokens; {same}",
            f"wanted of {self.workers} worker(s): {targets['times']:g} times as fast as it learns, and "
            f"{targets['tokens_per_second']:,} tokens/s: {'reached' if targets['met'] else 'NOT REACHED'}",
        ]
        return {"text": "\n".join(lines), **found, "config": asdict(self), "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class BenchEnv(Flags, EnvBench):
    """Time Minetest in lock-step: ticks with and without a frame, and resets, one world and more beside each other.

    Example: rig bench env --sizes 64x64 640x360 --worlds 1 2
    """

    def run(self) -> dict[str, Any]:
        """Measure."""
        from rig.bench.env import bench_env
        from rig.cli.tables import table
        from rig.provenance import provenance

        found = bench_env(self.part(EnvBench))
        rows = [
            [
                entry["size"],
                entry["worlds"],
                f"{entry['steps_per_second']:.0f}",
                f"{entry['milliseconds']['median']:.1f}",
                f"{entry['milliseconds']['p99']:.1f}",
                f"{entry['glides_per_second']:.0f}",
                f"{entry['reset_seconds']:.1f}",
                f"{entry['megabytes_per_world']:.0f}",
            ]
            for entry in found["entries"]
        ]
        header = ["frame", "worlds", "steps/s", "ms a step", "p99", "undrawn steps/s", "reset, s", "MB a world"]
        text = f"load of the machine before: {found['load_before']:.1f}\n{table(header, rows)}"
        return {"text": text, **found, "config": asdict(self), "provenance": provenance()}


def _times(ratio: dict[str, float] | None) -> str:
    return "1" if ratio is None else f"{ratio['median']:.1f} [{ratio['min']:.1f}, {ratio['max']:.1f}]"


def _decode_row(entry: dict[str, Any]) -> list[str]:
    faster = entry.get("faster", {})
    ratios = [f"{faster[name]['median']:.2f}" if name in faster else "" for name in ("loop", "generate")]
    same = f"{entry['same_tokens']:.3f}" if "same_tokens" in entry else ""
    share = f"{entry['share_of_bandwidth']:.0%}" if "share_of_bandwidth" in entry else ""
    return [entry["job"], str(entry["batch"]), f"{entry['tokens_per_second']:.0f}", *ratios, same, share]


def _branch_row(entry: dict[str, Any]) -> list[str]:
    forked, apart = (entry["cache_bytes"][way] for way in ("forked", "a row each"))
    faster = f"{entry['faster']['a row each']['median']:.2f}"
    return [entry["job"], str(entry["branches"]), faster, f"{forked / apart:.2f}"]
