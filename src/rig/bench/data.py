"""`rig bench data`: how fast datasets become packs, beside how fast a network learns from them.

Readers make packs exactly as `rig train` does, from frames and codes that lie in its caches: in this process, where
training's own thread does it, and in several, each of which has a lane of its own as where processes train together.

    rig bench data --workers 2
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from rig.agents.checkpoint import about_agent, encoder_of
from rig.bench.config import DataBench
from rig.bench.timing import Timing, ratio, side_by_side
from rig.errors import at_least_one
from rig.model import RIG, PackedBatch, best_device, compute_dtype, keep_freed_memory
from rig.stages import CollectConfig, ReasonConfig, collect, reason
from rig.train import AgentTraining, DataPart, TrainingConfig
from rig.train.agent import conversations_of, opened_parts
from rig.train.compiling import why_not_compile
from rig.train.config import Mixture, OptimiserConfig, RoleWeights
from rig.train.conversations import Conversations
from rig.train.loss import Objective, weight_of
from rig.train.mixture import parts_of
from rig.train.network import build_network
from rig.train.optimise import build_optimiser, take_step
from rig.train.packs import Packer, pack_length
from rig.train.prefetch import prefetched
from rig.train.split import split
from rig.train.tokenizers import Tokenizers
from rig.workers import Workers

TIMES, TOKENS = 5.0, 60_000
"""The least that reading by all workers is to reach: so many times what the network learns, and tokens a second."""

LEARNS, BESIDE, ONE = "learning, packs at hand", "learning, packs read beside it", "reading, one process"


def bench_data(config: DataBench) -> dict[str, Any]:
    """Run the benchmark.

    Returns:
        `contenders` (name to `seconds`, `tokens` of a round, padding included, and `tokens_per_second`), `ratios` (to
        learning alone), `processor`: what learning and one reader do in a second of a processor's time, which other
        work on the machine changes little, and the ratio of these, `opening` (`steps`, `seconds`), `pack_tokens`,
        `same_packs`: whether all readers make the same, `targets`: what is to be reached, and whether it is, `load` of
        the machine, `device`, `dtype`, `threads`.

    Raises:
        RigError: less than one of something is asked for, or the data do not fit the agent.
        CheckpointError: the agent cannot be used.
    """
    at_least_one(
        workers=config.workers, packs=config.packs, steps=config.steps, rounds=config.rounds, episodes=config.episodes
    )
    about_agent(config.agent)
    with TemporaryDirectory() as folder:
        training = _training(config, Path(folder))
        before, started = _load(), time.perf_counter()
        reader = Reader.of(training)
        opening = {"steps": reader.steps, "seconds": time.perf_counter() - started}
        with Workers(partial(_reading, training), config.workers) as workers:
            return {**_timed(config, training, reader, workers), "opening": opening, "load": _loads(before)}


def _training(config: DataBench, root: Path) -> AgentTraining:
    """Return the training whose data are read; where there are none, a teacher makes them."""
    data = config.data
    if not (data or config.lookahead):
        played = CollectConfig(teacher=config.teacher, tasks=config.tasks, episodes=config.episodes)
        collect(played, root / "s1")
        reason(root / "s1", ReasonConfig(), root / "s2")
        data = (str(root / "s2"),)
    parts: tuple[DataPart, ...] = parts_of(Mixture(data=data, lookahead=config.lookahead))
    return AgentTraining(
        preset="small",
        tokenizers=config.agent,
        start=config.agent,
        parts=parts,
        training=TrainingConfig(batch_size=config.batch_size),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Reader:
    """A training's conversations, opened as the training opens them.

    Attributes:
        conversations: what is drawn.
        length: tokens of a pack.
        steps: of the datasets.
    """

    conversations: Conversations
    length: int
    steps: int

    @staticmethod
    def of(training: AgentTraining) -> Reader:
        """Open the data; frames are mapped from a file that all readers share."""
        tokenizers = Tokenizers.load(training.tokenizers)
        datasets = opened_parts(training, tokenizers, shared=True)
        shapes = build_network(training, tokenizers, whole=False)
        chosen, _ = split(datasets)
        conversations = conversations_of(training, datasets, chosen, encoder_of(tokenizers.text, shapes.config))
        length = pack_length(conversations, training.training)
        return Reader(conversations=conversations, length=length, steps=sum(dataset.num_steps for dataset in datasets))

    def read(self, stream: int, streams: int, count: int) -> list[PackedBatch]:
        """Return the first packs of a lane."""
        packer = Packer(self.conversations, self.length, stream=stream, streams=streams)
        return [packer.next_pack()[0] for _ in range(count)]


@contextmanager
def _reading(training: AgentTraining) -> Iterator[Reader]:
    torch.set_num_threads(1)
    yield Reader.of(training)


def _read(reader: Reader, lane: tuple[int, int, int]) -> str:
    """Read so many packs of a lane, as (stream, streams, count), and return a hash of what the first one holds."""
    return _digest(reader.read(*lane)[0])


def _digest(pack: PackedBatch) -> str:
    found = hashlib.sha256()
    for name, value in sorted(vars(pack).items()):
        if isinstance(value, torch.Tensor):
            found.update(name.encode() + value.contiguous().numpy().tobytes())
    return found.hexdigest()


class _Learner:
    """The agent's network, which learns from packs."""

    def __init__(self, training: AgentTraining, *, compiled: bool) -> None:
        self.device = best_device()
        self.model: RIG = build_network(training, Tokenizers.load(training.tokenizers)).to(self.device).train()
        self.objective, self.options = Objective(self.model, RoleWeights()), OptimiserConfig()
        self.parameters = self.model.trainable_parameters()
        self.optimiser = build_optimiser(self.parameters, self.options)
        if compiled:
            self.model.compile_blocks()

    def learn(self, batch: PackedBatch) -> None:
        """Take a step."""
        dtype = compute_dtype(self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            loss, _ = self.objective(batch.to(self.device))
        (loss / weight_of(batch, RoleWeights())).backward()
        take_step(self.optimiser, self.parameters.values(), 1e-6, self.options.clip)


def _timed(config: DataBench, training: AgentTraining, reader: Reader, workers: Workers[Reader]) -> dict[str, Any]:
    keep_freed_memory()
    uncompiled = why_not_compile(best_device()) if config.compile else "it was not asked for"
    learner, count = _Learner(training, compiled=uncompiled is None), config.workers
    several = f"reading, {count} worker{'s' * (count > 1)}"
    lanes = [(stream, count, -(-config.packs // count)) for stream in range(count)]
    at_hand = reader.read(0, 1, config.steps)

    def learns() -> None:
        for batch in at_hand:
            learner.learn(batch)

    def learns_and_reads() -> None:
        packer = Packer(reader.conversations, reader.length)
        with closing(prefetched(lambda: packer.next_pack()[0], config.steps)) as coming:
            for batch in coming:
                learner.learn(batch)

    ways = {
        LEARNS: (learns, config.steps),
        BESIDE: (learns_and_reads, config.steps),
        ONE: (lambda: reader.read(0, 1, config.packs), config.packs),
        several: (lambda: list(workers.map(_read, lanes)), sum(packs for *_, packs in lanes)),
    }
    found = side_by_side({name: way for name, (way, _) in ways.items()}, rounds=config.rounds, name="bench data")
    tokens = {name: packs * reader.length for name, (_, packs) in ways.items()}
    per_token = {
        name: Timing(seconds=tuple(seconds / tokens[name] for seconds in timing.seconds))
        for name, timing in found.items()
    }
    ratios = {name: ratio(timing, per_token[LEARNS]) for name, timing in per_token.items() if name != LEARNS}
    speeds = {name: tokens[name] / timing.median for name, timing in found.items()}
    contenders = {
        name: {"seconds": timing.to_json(), "tokens": tokens[name], "tokens_per_second": speeds[name]}
        for name, timing in found.items()
    }
    met = ratios[several]["median"] >= TIMES and speeds[several] >= TOKENS
    return {
        "agent": config.agent,
        "contenders": contenders,
        "ratios": ratios,
        "targets": {"times": TIMES, "tokens_per_second": TOKENS, "met": met},
        "processor": _of_processors({name: (ways[name][0], tokens[name]) for name in (LEARNS, ONE)}),
        "same_packs": _same(reader, workers, lanes),
        "pack_tokens": reader.length,
        "uncompiled": uncompiled,
        "device": str(best_device()),
        "dtype": str(compute_dtype(best_device())).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }


def _of_processors(ways: Mapping[str, tuple[Callable[[], object], int]]) -> dict[str, Any]:
    """Return how many tokens each of this process's two ways does in a second of processor time, and their ratio."""
    speeds = {}
    for name, (way, tokens) in ways.items():
        started = time.process_time()
        way()
        speeds[name] = tokens / (time.process_time() - started)
    return {"tokens_per_second": speeds, "ratio": speeds[ONE] / speeds[LEARNS]}


def _same(reader: Reader, workers: Workers[Reader], lanes: Sequence[tuple[int, int, int]]) -> bool:
    """Return whether the workers' first packs are those that this process makes."""
    theirs = list(workers.map(_read, [(stream, streams, 1) for stream, streams, _ in lanes]))
    return theirs == [_read(reader, (stream, streams, 1)) for stream, streams, _ in lanes]


def _load() -> float:
    return os.getloadavg()[0]


def _loads(before: float) -> dict[str, float]:
    return {"before": before, "after": _load()}
