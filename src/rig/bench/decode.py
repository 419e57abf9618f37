"""`rig bench decode`: how fast thoughts, dreams and whole lookaheads are written, beside transformers' Janus.

Both sides have the same random weights, read the same frames and texts, take the likeliest token, and write the same
number of tokens. Theirs is a loop over transformers' own modules, eager, over its own cache, because its `generate`
cannot do this: it ignores the image that it should imagine from, and does not go on from text to image. Where it can do
the job, a thought and an action, it is measured as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.agents.checkpoint import running_dtype
from rig.bench.branches import NAMES, Branches
from rig.bench.config import DecodeBench
from rig.bench.janus import both, expressible, transformers
from rig.bench.timing import Timing, ratio, side_by_side, wait
from rig.dialogue import Kind, Role, TokenSequence
from rig.engine import (
    GREEDY,
    Conversation,
    Engine,
    GeneratedImage,
    GenerateImage,
    GenerateText,
    Prefill,
    Slot,
    Speculation,
    Stream,
)
from rig.model import PRESETS, RIG, best_device, frames_to_pixels, pixels_to_frames

JOBS = ("thought and action", "one dream", "lookahead decision")
AGAIN = 30
"""Text tokens that are put behind a dream."""


def bench_decode(config: DecodeBench) -> dict[str, Any]:
    """Run the benchmark; return one entry per batch and job, the branches, and what the machine's memory allows."""
    device = best_device()
    dtype = running_dtype(config.dtype, device)
    sizes = expressible(PRESETS.get(config.preset))
    ours, theirs = both(sizes, device, dtype)
    bandwidth = copy_bandwidth(device)
    entries = []
    for batch in config.batches:
        question = _Question.make(sizes, config, batch)
        mine, loop = OurSide(ours, config, question), TheirLoop(theirs, config, question)
        for job in JOBS:
            contenders: dict[str, Callable[[], object]] = {
                "ours": partial(mine.run, job),
                "loop": partial(loop.run, job),
            }
            if job == JOBS[0] and config.generate:
                contenders["generate"] = loop.generate
            timings = side_by_side(contenders, rounds=config.rounds, name=f"{job}, {batch} at once")
            entries.append(_entry(job, batch, timings, mine.written(job), mine.agrees(loop, job)))
        entries.append({"job": "text tokens alone", "batch": batch, **mine.steady(bandwidth)})
    forks = mine.branches(config.branches)
    return {
        "preset": config.preset,
        **ours.runs_in,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers().__version__,
        "copy_bandwidth": bandwidth,
        "entries": entries,
        "branches": [forks.measure(name, config.rounds) for name in NAMES],
    }


def copy_bandwidth(device: torch.device) -> float:
    """Return bytes a second, read and written, of a large copy: the best of five."""
    size = 2**30 if device.type == "cuda" else 2**28
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    best = 0.0
    for _ in range(5):
        wait()
        started = time.perf_counter()
        target.copy_(source)
        wait()
        best = max(best, 2 * size / (time.perf_counter() - started))
    return best


def _entry(job: str, batch: int, timings: dict[str, Timing], tokens: int, agreement: float) -> dict[str, Any]:
    ours = timings["ours"]
    return {
        "job": job,
        "batch": batch,
        "tokens": tokens,
        "tokens_per_second": tokens / ours.median,
        "seconds": {name: timing.to_json() for name, timing in timings.items()},
        "faster": {name: ratio(ours, timing) for name, timing in timings.items() if name != "ours"},
        "same_tokens": agreement,
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class _Question:
    """Frames uint8 [B, H, W, 3], ids of the questions [B, prompt_tokens], and of what follows a dream [B, AGAIN]."""

    frames: NDArray[np.uint8]
    ids: NDArray[np.int64]
    again: NDArray[np.int64]

    @staticmethod
    def make(sizes: Any, config: DecodeBench, batch: int) -> _Question:
        random = np.random.default_rng(0)
        side, vocabulary = sizes.vision.image_size, sizes.decoder.vocab_size - 1
        return _Question(
            frames=random.integers(0, 256, (batch, side, side, 3), dtype=np.uint8),
            ids=random.integers(0, vocabulary, (batch, config.prompt_tokens)),
            again=random.integers(0, vocabulary, (batch, AGAIN)),
        )


class FixedLength:
    """A constraint that allows every token and ends after so many."""

    def __init__(self, size: int, limit: int) -> None:
        self.start, self.limit = 0, limit
        self._all = torch.ones(size, dtype=torch.bool)

    def allowed(self, state: int) -> Tensor:
        """Return True for every token."""
        return self._all

    def advance(self, state: int, token: int) -> int:
        """Return the number of tokens written."""
        return state + 1

    def is_done(self, state: int) -> bool:
        """Return True at the limit."""
        return state == self.limit


class OurSide:
    """The engine."""

    def __init__(self, model: RIG, config: DecodeBench, question: _Question) -> None:
        layout, self._config, self._question = model.config.layout, config, question
        turn = layout.read_tokens + layout.write_tokens + config.prompt_tokens + AGAIN + config.answer_tokens
        self.engine = Engine(model, capacity=(config.dreams + 1) * turn)
        self.said: dict[str, list[list[int]]] = {}
        size = model.config.decoder.vocab_size
        self._thought, self._action = (FixedLength(size, n) for n in (config.thought_tokens, config.action_tokens))

    def written(self, job: str) -> int:
        """Return the tokens that a job writes in all rows."""
        codes = self.engine.model.config.vq.num_tokens
        answer = self._config.answer_tokens
        each = {JOBS[0]: answer, JOBS[1]: codes}.get(job, answer + self._config.dreams * (codes + answer))
        return each * len(self._question.ids)

    def run(self, job: str) -> None:
        """Do a job for every row."""
        stream = self.engine.stream(len(self._question.ids))
        for row in range(len(self._question.ids)):
            stream.submit(row, partial(self._converse, row=row, job=job))
        self.said[job] = stream.finish()

    def _converse(self, slot: Slot, row: int, job: str) -> Conversation[list[int]]:
        yield Prefill(tokens=self._tokens(slot, self._question.ids[row], self._question.frames[row]))
        if job == JOBS[1]:
            return (yield from self._dream())[0]
        said = yield from self._speak()
        for _ in range(self._config.dreams if job == JOBS[2] else 0):
            codes, frame = yield from self._dream()
            yield Prefill(tokens=self._tokens(slot, self._question.again[row], frame))
            said = said + codes + (yield from self._speak())
        return said

    def _speak(self) -> Conversation[list[int]]:
        thought = yield GenerateText(constraint=self._thought, sampler=GREEDY)
        action = yield GenerateText(constraint=self._action, sampler=GREEDY)
        return thought.ids + action.ids

    def _dream(self) -> Conversation[tuple[list[int], NDArray[np.uint8]]]:
        drawn: GeneratedImage = yield GenerateImage(sampler=GREEDY, speculation=Speculation(codes=self._config.guesses))
        return drawn.codes.tolist(), self.engine.decode_images(drawn.codes[None])[0]

    def _tokens(self, slot: Slot, ids: NDArray[np.int64], frame: NDArray[np.uint8]) -> TokenSequence:
        """Return a frame and then a text."""
        seen = self.engine.model.config.vision.num_tokens
        length = seen + len(ids)
        return TokenSequence(
            ids=np.concatenate([np.zeros(seen), ids]).astype(np.int32),
            kinds=np.repeat([Kind.READ, Kind.TEXT], [seen, len(ids)]).astype(np.uint8),
            roles=np.full(length, Role.PROMPT, np.uint8),
            weights=np.zeros(length, np.float32),
            positions=np.arange(slot.next_position, slot.next_position + length, dtype=np.int32),
            frames=(frame,),
        )

    def agrees(self, loop: TheirLoop, job: str) -> float:
        """Return the share of tokens that both sides wrote alike."""
        mine, other = np.array(self.said[job]), np.array(loop.said[job])
        return float((mine == other).mean())

    def branches(self, count: int) -> Branches:
        """Return so many branches of the first question."""
        context = self._tokens(Slot(), self._question.ids[0], self._question.frames[0])
        answer = FixedLength(self.engine.model.config.decoder.vocab_size, self._config.answer_tokens)
        return Branches(self.engine.model, context, count, answer, self._config.guesses)

    def steady(self, bandwidth: float, count: int = 64) -> dict[str, Any]:
        """Return the speed of writing text alone, context read, and its share of what memory allows."""
        batch = len(self._question.ids)
        stream: Stream[tuple[float, float, int]] = self.engine.stream(batch)
        for row in range(batch):
            stream.submit(row, partial(self._speak_on, row=row, count=count))
        spoken = stream.finish()
        seconds = max(end for _, end, _ in spoken) - max(start for start, _, _ in spoken)
        read = self.engine.bytes_per_pass(batch * (spoken[0][2] - count // 2))
        return {
            "tokens_per_second": batch * count / seconds,
            "bytes_per_pass": read,
            "share_of_bandwidth": read * count / seconds / bandwidth,
        }

    def _speak_on(self, slot: Slot, row: int, count: int) -> Conversation[tuple[float, float, int]]:
        """Return when so many tokens began and ended to be written, behind a few that have the context run."""
        size = self.engine.model.config.decoder.vocab_size
        yield Prefill(tokens=self._tokens(slot, self._question.ids[row], self._question.frames[row]))
        yield GenerateText(constraint=FixedLength(size, 4), sampler=GREEDY)
        wait()
        start = time.perf_counter()
        yield GenerateText(constraint=FixedLength(size, count), sampler=GREEDY)
        wait()
        return start, time.perf_counter(), slot.length


class TheirLoop:
    """A loop over the modules of transformers' Janus, with its own cache."""

    def __init__(self, model: Any, config: DecodeBench, question: _Question) -> None:
        self._model, self._config = model, config
        device = model.lm_head.weight.device
        self._frames = torch.from_numpy(question.frames).to(device)
        self._ids, self._again = (torch.from_numpy(ids).to(device) for ids in (question.ids, question.again))
        self.said: dict[str, list[list[int]]] = {}

    @torch.inference_mode()
    def run(self, job: str) -> None:
        """Do a job for every row."""
        self._cache = transformers().DynamicCache()
        hidden = self._feed(self._shown(self._frames, self._ids))
        if job == JOBS[1]:
            self.said[job] = self._dream(hidden)[0].tolist()
            return
        said = [*self._speak(hidden)]
        for _ in range(self._config.dreams if job == JOBS[2] else 0):
            codes, frames = self._dream(self._last)
            said += [codes, *self._speak(self._feed(self._shown(frames, self._again)))]
        self.said[job] = torch.cat(said, 1).tolist()

    @torch.inference_mode()
    def generate(self) -> None:
        """Write a thought and an action with `generate`."""
        model = self._model.model
        image = torch.full((len(self._ids), model.config.vision_config.num_image_tokens), model.config.image_token_id)
        ids = torch.cat([image.to(self._ids), self._ids], 1)
        count = self._config.answer_tokens
        self._model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=frames_to_pixels(self._frames).to(self._model.lm_head.weight.dtype),
            generation_mode="text",
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
        )

    def _shown(self, frames: Tensor, ids: Tensor) -> Tensor:
        pixels = frames_to_pixels(frames).to(self._model.lm_head.weight.dtype)
        features = self._model.model.get_image_features(pixels).pooler_output
        return torch.cat([features, self._model.get_input_embeddings()(ids)], 1)

    def _feed(self, x: Tensor) -> Tensor:
        out = self._model.model.language_model(inputs_embeds=x, past_key_values=self._cache, use_cache=True)
        self._last = out.last_hidden_state[:, -1]
        return self._last

    def _speak(self, hidden: Tensor) -> Sequence[Tensor]:
        ids = []
        for _ in range(self._config.answer_tokens):
            ids.append(self._model.lm_head(hidden).argmax(-1, keepdim=True))
            hidden = self._feed(self._model.get_input_embeddings()(ids[-1]))
        return ids

    def _dream(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        codes = []
        for _ in range(self._model.model.config.vision_config.num_image_tokens):
            codes.append(self._model.model.generation_head(hidden).argmax(-1, keepdim=True))
            embedded = self._model.prepare_embeddings_for_image_generation(codes[-1])
            hidden = self._feed(embedded.reshape(len(hidden), 1, -1))
        written = torch.cat(codes, 1)
        return written, pixels_to_frames(self._model.decode_image_tokens(written).permute(0, 3, 1, 2))
