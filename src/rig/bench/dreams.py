"""`rig bench dreams`: what the ways to write an image take, side by side, over the same weights and contexts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rig.agents.checkpoint import AgentCheckpoint, running_dtype
from rig.bench.config import DreamBench
from rig.bench.timing import Timing, ratio, side_by_side, wait
from rig.dialogue import ReadImage, Role, Segment, SegmentEncoder, Text, TokenSequence, train_bpe
from rig.engine import (
    GREEDY,
    ONE_BY_ONE,
    Conversation,
    Engine,
    Fork,
    GeneratedImage,
    GenerateImage,
    Prefill,
    Slot,
    Speculation,
    Stream,
)
from rig.evaluate.chains import real_chains
from rig.evaluate.config import ImaginationConfig
from rig.evaluate.imagination import asked_to_dream
from rig.model import PRESETS, RIG, best_device
from rig.records import Codes

_PLAIN = "code by code"
_PROMPT_TOKENS = 150


@dataclass(frozen=True, kw_only=True, eq=False)
class _Timed:
    """An image, and when its writing began and ended."""

    image: GeneratedImage
    began: float
    ended: float


class _Scene:
    """Where dreams begin: questions up to where an image is to be written, and the codes of the frames that they show.

    Attributes:
        engine: what writes.
        written: the images of each way.
    """

    def __init__(self, engine: Engine, questions: Sequence[Sequence[TokenSequence]], drafts: Sequence[Codes]) -> None:
        self.engine, self.written = engine, dict[str, list[GeneratedImage]]()
        self._questions, self._drafts = questions, drafts

    def dream(self, way: str, speculation: Speculation) -> float:
        """Write every conversation's image; return the seconds of that alone, all questions read and run."""
        stream: Stream[_Timed] = self.engine.stream(len(self._questions))
        for question, draft in zip(self._questions, self._drafts, strict=True):
            stream.submit(0, partial(self._converse, question=question, draft=draft, speculation=speculation))
        timed = stream.finish()
        self.written[way] = [one.image for one in timed]
        return max(one.ended for one in timed) - max(one.began for one in timed)

    def _converse(
        self, slot: Slot, question: Sequence[TokenSequence], draft: Codes, speculation: Speculation
    ) -> Conversation[_Timed]:
        """Let a fork dream: what it begins with has been run."""
        for tokens in question:
            yield Prefill(tokens=tokens)
        (timed,) = yield Fork(programs=[partial(self._dream, draft=draft, speculation=speculation)])
        return timed

    def _dream(self, slot: Slot, draft: Codes, speculation: Speculation) -> Conversation[_Timed]:
        wait()
        began = time.perf_counter()
        image: GeneratedImage = yield GenerateImage(sampler=GREEDY, speculation=speculation, draft=draft)
        wait()
        return _Timed(image=image, began=began, ended=time.perf_counter())


def bench_dreams(config: DreamBench) -> dict[str, Any]:
    """Run the benchmark; return one entry per batch and way.

    Raises:
        CheckpointError: the agent cannot be loaded.
    """
    checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype) if config.agent else None
    model = checkpoint.model if checkpoint else _random(config)
    entries = []
    for batch in config.batches:
        scene = _of_agent(checkpoint, config.agent, batch) if checkpoint else _of_noise(model, batch)
        ways = _ways(scene.engine, config, batch)
        contenders = {way: partial(scene.dream, way, speculation) for way, speculation in ways.items()}
        timings = side_by_side(contenders, rounds=config.rounds, name=f"{batch} dreams")
        entries += [_entry(scene, way, timings) for way in ways]
    return {
        "dreamer": config.agent or f"{config.preset}, random weights",
        **model.runs_in,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "entries": entries,
    }


def _ways(engine: Engine, config: DreamBench, batch: int) -> dict[str, Speculation]:
    """Return the ways by name; several may come to the same where a network writes a stride."""
    ways = {_PLAIN: ONE_BY_ONE}
    if engine.speculation_for(batch) != ONE_BY_ONE:
        ways["exact, guessed"] = engine.speculation_for(batch)
    for diagonal_offset in config.diagonal_offsets:
        ways[f"diagonal, lead {diagonal_offset}"] = engine.speculation_for(batch, diagonal_offset=diagonal_offset)
    if config.agent:
        ways[f"where sure, {config.entropy_threshold:g} nats"] = engine.speculation_for(
            batch, entropy_threshold=config.entropy_threshold
        )
    return {**ways, "one pass": Speculation(codes=None, entropy_threshold=inf)}


def _entry(scene: _Scene, way: str, timings: dict[str, Timing]) -> dict[str, Any]:
    timing, written = timings[way], scene.written[way]
    same = [image.codes == plain.codes for image, plain in zip(written, scene.written[_PLAIN], strict=True)]
    return {
        "batch": len(written),
        "way": way,
        "passes": float(np.mean([image.passes for image in written])),
        "seconds": timing.to_json(),
        "dreams_per_second": len(written) / timing.median,
        "faster": ratio(timing, timings[_PLAIN]),
        "same_codes": float(np.mean(same)),
    }


def _of_agent(checkpoint: AgentCheckpoint, agent: str, batch: int) -> _Scene:
    wanted = ImaginationConfig(agent=agent, chains=batch, depth=1, split="validation")
    steps = [chain.steps[0] for chain in real_chains(checkpoint, wanted)]
    asked = [asked_to_dream(step, step.frame, checkpoint.space, checkpoint.prompt_format) for step in steps]
    return _begun(checkpoint.model, checkpoint.encoder, asked, np.stack([step.frame for step in steps]))


def _of_noise(model: RIG, batch: int) -> _Scene:
    side = model.config.vision.image_size
    frames = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), np.uint8)
    encoder = SegmentEncoder(train_bpe([], vocabulary_size=300), model.config.layout)
    text = Text(text="x" * _PROMPT_TOKENS, role=Role.PROMPT)
    return _begun(model, encoder, [[ReadImage(frame=frame), text] for frame in frames], frames)


def _begun(model: RIG, encoder: SegmentEncoder, asked: Sequence[list[Segment]], frames: NDArray[np.uint8]) -> _Scene:
    questions = [encoder.encode(segments) for segments in asked]
    opened = [[tokens, encoder.open_image(tokens.next_position)] for tokens in questions]
    room = model.config.layout.write_stride + model.config.layout.write_tokens
    engine = Engine(model, capacity=max(map(len, questions)) + room)
    return _Scene(engine, opened, list(engine.encode_images(frames)))


def _random(config: DreamBench) -> RIG:
    device = best_device()
    model = RIG(PRESETS.get(config.preset), seed=0)
    model.place(device, running_dtype(config.dtype, device))
    return model
