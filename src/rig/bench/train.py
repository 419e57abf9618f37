"""Training speed: our packs beside padded batches under Hugging Face's Trainer, with the same weights and samples.

A sample is a conversation of one image that is read, some text and one image that is written: a quarter of the text
stands before the image that is read, and everything behind that image is predicted. Theirs is `Trainer` as it comes,
over the modules of transformers' `JanusForConditionalGeneration`; since that class has no loss on image codes, the
lines of `Padded.forward` stand around it. Both make the same steps: as many samples each, AdamW, gradients clipped.

    rig bench train --preset small --rounds 5
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from threading import Semaphore, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rig.bench.config import TrainBench
from rig.bench.janus import both, transformers
from rig.bench.timing import peak_memory, ratio, side_by_side
from rig.dialogue import Kind, Role, TokenSequence
from rig.model import (
    RIG,
    best_device,
    compute_dtype,
    frames_to_pixels,
    keep_freed_memory,
    pack,
)
from rig.model.flops import FlopCount, Work, peak_flops
from rig.registry import require
from rig.train.compiling import why_not_compile
from rig.train.config import OptimiserConfig, RoleWeights
from rig.train.loss import Objective, weight_of
from rig.train.optimise import build_optimiser, take_step

IGNORED = -100
_OPTIMISER = OptimiserConfig(learning_rate=1e-4)
_TEXT = 0.25, 0.75
"""Shares of the text before and behind the image that is read."""

_PLAIN, _READ, _CODE = int(Kind.TEXT), int(Kind.READ), int(Kind.CODE)  # as torch.compile can compare them


Samples = list[TokenSequence]
Contender = Callable[[], None]


def bench_training(config: TrainBench) -> dict[str, Any]:
    """Time both side by side in this process, and take each one's memory in a process of its own.

    Returns:
        `contenders` (name to seconds, useful tokens a second, MFU and bytes), `ratios` (to theirs), `padding` (share of
        tokens), `samples` and `tokens` of a round, `uncompiled`: why the compiled contender is left out, or None.

    Raises:
        MissingDependencyError: transformers or accelerate cannot be imported.
        UnknownNameError: there is no such preset.
    """
    transformers()
    require("accelerate", "bench")
    packs = draw_packs(config)
    samples = [sample for step in packs for sample in step]
    uncompiled = why_not_compile(best_device())
    contenders = {name: build for name, build in CONTENDERS.items() if not (uncompiled and name == COMPILED)}
    memory = {name: _memory_of(name, config) for name in contenders}
    keep_freed_memory()
    built = {name: build(config, packs) for name, build in contenders.items()}
    taken = side_by_side(built, rounds=config.rounds, name="bench train")
    tokens = sum(map(len, samples))
    cost = _cost(config, samples)
    peak = peak_flops(best_device())
    found = {
        name: {
            "seconds": timing.to_json(),
            "tokens_per_second": tokens / timing.median,
            "mfu": cost / timing.median / peak if peak else None,
            "peak_bytes": memory[name],
        }
        for name, timing in taken.items()
    }
    return {
        "contenders": found,
        "ratios": {name: ratio(timing, taken[THEIRS]) for name, timing in taken.items() if name != THEIRS},
        "uncompiled": uncompiled,
        "padding": {"ours": _spare(packs, config.pack_tokens), "theirs": _spare(packs, 0)},
        "samples": len(samples),
        "tokens": tokens,
        "peak_flops": peak,
    }


def draw_packs(config: TrainBench) -> list[Samples]:
    """Return the samples of every step of a round: whole ones, as many as fit a pack."""
    random = np.random.default_rng(config.seed)
    packs: list[Samples] = [[]]
    while True:
        sample = draw_sample(config, random)
        if sum(map(len, packs[-1])) + len(sample) > config.pack_tokens:
            if len(packs) == config.steps:
                return packs
            packs.append([])
        packs[-1].append(sample)


def draw_sample(config: TrainBench, random: np.random.Generator) -> TokenSequence:
    """Return a conversation: text, an image that is read, text and a written image, both of which are predicted."""
    network = config.network
    size, layout = network.vision.image_size, network.layout
    count = int(random.integers(config.text_tokens // 3, 5 * config.text_tokens // 3 + 1))
    before, behind = (max(1, round(count * share)) for share in _TEXT)
    lengths = [before, layout.read_tokens, behind, layout.write_tokens]
    parts = [
        random.integers(1, network.decoder.vocab_size, before),
        np.zeros(layout.read_tokens, np.int64),
        random.integers(1, network.decoder.vocab_size, behind),
        random.integers(0, network.vq.codebook_size, layout.write_tokens),
    ]
    kinds = np.repeat([Kind.TEXT, Kind.READ, Kind.TEXT, Kind.CODE], lengths).astype(np.uint8)
    roles = np.repeat([Role.PROMPT, Role.PROMPT, Role.THOUGHT, Role.IMAGE], lengths).astype(np.uint8)
    return TokenSequence(
        ids=np.concatenate(parts).astype(np.int32),
        kinds=kinds,
        roles=roles,
        weights=(np.arange(len(kinds)) >= before + layout.read_tokens).astype(np.float32),
        positions=np.arange(len(kinds), dtype=np.int32),
        frames=(random.integers(0, 256, (size, size, 3), dtype=np.uint8),),
    )


class Packed:
    """Our training: each step one pack. Calling it makes the steps of a round."""

    def __init__(self, config: TrainBench, packs: Sequence[Samples], *, compiled: bool) -> None:
        self.config, self.packs = config, packs
        self.device = best_device()
        self.model = RIG(config.network, seed=config.seed).to(self.device).train()
        self.objective = Objective(self.model, RoleWeights())
        self.parameters = self.model.trainable_parameters()
        self.optimiser = build_optimiser(self.parameters, _OPTIMISER)
        if compiled:
            self.model.compile_blocks()

    def __call__(self) -> None:
        """Make the steps of a round."""
        for samples in self.packs:
            self.loss(samples).backward()
            take_step(self.optimiser, self.parameters.values(), _OPTIMISER.learning_rate, _OPTIMISER.clip)

    def loss(self, samples: Samples) -> Tensor:
        """Return the mean loss over the predicted tokens of `samples`."""
        batch = pack(samples, length=self.config.pack_tokens)
        dtype = compute_dtype(self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            loss, _ = self.objective(batch.to(self.device))
        return loss / weight_of(batch, RoleWeights())


class Padded(nn.Module):
    """transformers' modules with a loss on text and image codes, fed with padded batches.

    Args:
        config: whose weights those of `Packed` are.
    """

    def __init__(self, config: TrainBench) -> None:
        super().__init__()
        _, self.janus = both(config.network, torch.device("cpu"), torch.float32, seed=config.seed)
        self.janus.model.vqmodel.requires_grad_(False)

    def forward(
        self, ids: Tensor, kinds: Tensor, attention_mask: Tensor, pixels: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return the mean loss of a padded batch [B, T] over the tokens whose label is not `IGNORED`."""
        janus, body = self.janus, self.janus.model
        codes = kinds == _CODE
        x = body.language_model.embed_tokens(ids.where(kinds == _PLAIN, 0))
        read = body.aligner(body.vision_model(pixels).last_hidden_state)
        x = x.masked_scatter((kinds == _READ)[..., None], read.to(x.dtype))
        written = janus.prepare_embeddings_for_image_generation(ids[codes])
        x = x.masked_scatter(codes[..., None], written.to(x.dtype))
        out = body.language_model(inputs_embeds=x, attention_mask=attention_mask, use_cache=False)
        hidden = out.last_hidden_state[:, :-1]
        predicted, of_code = labels[:, 1:] != IGNORED, codes[:, 1:]
        text, image = predicted & ~of_code, predicted & of_code
        text_loss = F.cross_entropy(janus.lm_head(hidden[text]).float(), labels[:, 1:][text], reduction="sum")
        logits = body.generation_head(hidden[image])
        code_loss = F.cross_entropy(logits.float(), labels[:, 1:][image], reduction="sum")
        return {"loss": (text_loss + code_loss) / predicted.sum()}


def pad(samples: Samples) -> dict[str, Tensor]:
    """Return a batch for `Padded`, as long as its longest sample."""
    longest = max(map(len, samples))

    def rows(values: Sequence[np.ndarray], filled: int) -> Tensor:
        joined = [np.pad(value.astype(np.int64), (0, longest - len(value)), constant_values=filled) for value in values]
        return torch.from_numpy(np.stack(joined))

    return {
        "ids": rows([sample.ids for sample in samples], 0),
        "kinds": rows([sample.kinds for sample in samples], Kind.TEXT),
        "attention_mask": rows([np.ones(len(sample)) for sample in samples], 0),
        "pixels": frames_to_pixels(torch.from_numpy(np.stack([sample.frames[0] for sample in samples]))),
        "labels": rows([np.where(sample.targets, sample.ids, IGNORED) for sample in samples], IGNORED),
    }


class UnderTrainer:
    """`Trainer.train` over padded batches of the same steps. Calling it makes the steps of a round.

    It trains in a thread that stands still between rounds, so that what `train` sets up at its start is not timed.
    """

    def __init__(self, config: TrainBench, packs: Sequence[Samples]) -> None:
        self._go, self._done = Semaphore(0), Semaphore(0)
        self._trainer = build_trainer(config, packs)
        self._trainer.add_callback(_gate(self._go, self._done, len(packs)))
        self._failure: BaseException | None = None
        Thread(target=self._train, daemon=True).start()

    def __call__(self) -> None:
        """Make the steps of a round."""
        self._go.release()
        self._done.acquire()
        if self._failure:
            raise self._failure

    def _train(self) -> None:
        try:
            self._trainer.train()
        except BaseException as error:  # told by whoever waits
            self._failure = error
            self._done.release()


def _gate(go: Semaphore, done: Semaphore, steps: int) -> Any:
    """Return a callback of a Trainer: before every so many steps it waits for `go`, behind them it says `done`."""
    theirs: Any = transformers()

    class Gate(theirs.TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            go.acquire()

        def on_step_end(self, arguments: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % steps == 0:
                done.release()
                go.acquire()

    return Gate()


def build_trainer(config: TrainBench, packs: Sequence[Samples]) -> Any:
    """Return a Trainer over `Padded`, set up as ours is; each step's samples come as one item, which is padded."""
    theirs: Any = transformers()
    arguments = theirs.TrainingArguments(
        output_dir=tempfile.mkdtemp(prefix="rig-bench-"),
        max_steps=10**9,
        per_device_train_batch_size=1,
        learning_rate=_OPTIMISER.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=_OPTIMISER.weight_decay,
        adam_beta2=_OPTIMISER.betas[1],
        max_grad_norm=_OPTIMISER.clip,
        optim="adamw_torch_fused",
        bf16=compute_dtype(best_device()) == torch.bfloat16,
        torch_compile=config.compile_theirs,
        use_cpu=best_device().type == "cpu",
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    return theirs.Trainer(
        model=Padded(config), args=arguments, train_dataset=list(packs), data_collator=lambda items: pad(items[0])
    )


COMPILED, THEIRS = "rig", "transformers"
CONTENDERS: dict[str, Callable[[TrainBench, Sequence[Samples]], Contender]] = {
    COMPILED: partial(Packed, compiled=True),
    "rig, not compiled": partial(Packed, compiled=False),
    THEIRS: UnderTrainer,
}
"""Ours as `rig train` trains, ours without a compiler, and theirs, which does not compile unless it is told to."""


def _memory_of(name: str, config: TrainBench) -> int:
    """Return the bytes that a contender needs over what its libraries take, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_measure, name, config).result()


def _measure(name: str, config: TrainBench) -> int:
    transformers().JanusForConditionalGeneration  # noqa: B018
    before = peak_memory()
    CONTENDERS[name](config, draw_packs(config))()
    return peak_memory() - before


def _cost(config: TrainBench, samples: Samples) -> float:
    cost = FlopCount(RIG(config.network, seed=None))
    return cost(Work.of(pack(samples), len(samples)))


def _spare(packs: Sequence[Samples], length: int) -> float:
    """Return the share of padding in packs of `length` tokens, or in batches as long as their longest where it is 0."""
    used = sum(len(sample) for samples in packs for sample in samples)
    held = sum(length or len(samples) * max(map(len, samples)) for samples in packs)
    return 1 - used / held
