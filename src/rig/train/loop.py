"""Trains the network on packed conversations.

Whole conversations are packed end to end into rows of one constant length (nothing is cropped; attention stays inside
each; positions restart), one pack a step. A run is its configuration and a step number: order, packs and schedule
follow from them, so a resumed run repeats bit by bit what an uninterrupted one does on the same machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from tqdm import tqdm

from rig.dialogue import TokenSequence
from rig.errors import RigError
from rig.model import RIG, PackedBatch, compute_dtype, keep_freed_memory, pack
from rig.train.config import TrainingConfig
from rig.train.conversations import Conversations
from rig.train.loss import means, token_losses, weight_of
from rig.train.optimise import build_optimiser, learning_rate, take_step
from rig.train.runs import Run

_PROBE = 512
_ROUNDING = 64


class Packer:
    """Fills packs of one constant length with conversations, in order.

    Args:
        conversations: what to draw.
        batch_size: conversations per pack, on average; sets the length.
    """

    def __init__(self, conversations: Conversations, batch_size: int) -> None:
        self._conversations = conversations
        lengths = [len(conversations.draw(number)) for number in range(_PROBE)]
        mean = batch_size * sum(lengths) / len(lengths)
        self.length = -(-int(max(mean, max(lengths))) // _ROUNDING) * _ROUNDING
        self._next = 0
        self._waiting: TokenSequence | None = None

    @property
    def drawn(self) -> int:
        """The number of conversations put into packs so far."""
        return self._next - (self._waiting is not None)

    def skip_to(self, drawn: int) -> None:
        """Go on behind the first `drawn` conversations."""
        self._next, self._waiting = drawn, None

    def next_pack(self) -> tuple[PackedBatch, int]:
        """Return the next pack, and how many conversations it holds.

        Raises:
            RigError: a conversation is longer than a whole pack.
        """
        chosen: list[TokenSequence] = []
        room = self.length
        while True:
            sequence = self._waiting or self._conversations.draw(self._next)
            if self._waiting is None:
                self._next += 1
            self._waiting = None
            if len(sequence) > room:
                if not chosen:
                    raise RigError(
                        f"a conversation of {len(sequence)} tokens is longer than a pack of {self.length}; "
                        "raise batch_size"
                    )
                self._waiting = sequence
                return pack(chosen, length=self.length), len(chosen)
            chosen.append(sequence)
            room -= len(sequence)


Preview = Callable[[RIG, int], Mapping[str, float]]
"""Called with (model, step); draws what it likes into the run's folder and returns values to log."""


class Trainer:
    """Trains `model` on `conversations` inside `run`.

    Args:
        model: the network, on its device.
        conversations: what to learn.
        config: how.
        run: where; a state in it is gone on from.
        preview: called every `preview_every` steps.
    """

    def __init__(
        self, model: RIG, conversations: Conversations, config: TrainingConfig, run: Run, preview: Preview | None = None
    ) -> None:
        self.model, self.config, self.run, self.preview = model, config, run, preview
        self.packer = Packer(conversations, config.batch_size)
        self.parameters = model.trainable_parameters()
        self.optimiser = build_optimiser(self.parameters, config.optimiser)
        self.step = self.tokens = self.seen = 0
        self.seconds = 0.0
        state = run.load_state()
        if state is not None:
            self._restore(state)
        if config.compile:
            model.compile_blocks()

    def fit(self) -> dict[str, float]:
        """Train to the last step; return the totals: steps, conversations, tokens, seconds."""
        config = self.config
        keep_freed_memory()
        self.model.train()
        totals = torch.zeros(())
        with tqdm(total=config.steps, initial=self.step, desc="train", unit="step", dynamic_ncols=True) as bar:
            while self.step < config.steps:
                started = time.perf_counter()
                batch, count = self.packer.next_pack()
                sums, norm, rate = self._train_on(batch)
                self.step += 1
                self.seen += count
                self.tokens += len(batch)
                self.seconds += time.perf_counter() - started
                totals = totals.to(sums.device) + sums
                bar.update()
                if self.step % config.log_every == 0 or self.step == config.steps:
                    bar.set_postfix(self._log(totals, norm, rate))
                    totals = torch.zeros(())
                self._keep()
        return {
            "steps": float(self.step),
            "conversations": float(self.seen),
            "tokens": float(self.tokens),
            "seconds": self.seconds,
        }

    def _train_on(self, batch: PackedBatch) -> tuple[torch.Tensor, float, float]:
        device = self.model.device
        dtype = compute_dtype(device)
        moved = batch.to(device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            losses = token_losses(self.model, moved, self.config.weights)
        (losses.loss / weight_of(batch, self.config.weights)).backward()
        rate = learning_rate(self.step, self.config.steps, self.config.optimiser)
        norm = take_step(self.optimiser, self.parameters.values(), rate, self.config.optimiser.clip)
        if not torch.isfinite(norm):
            raise RigError(
                f"the gradient of step {self.step + 1} is not finite; lower --learning-rate and continue with --resume "
                f"from the last saved state"
            )
        return losses.sums, float(norm), rate

    def _log(self, totals: torch.Tensor, norm: float, rate: float) -> dict[str, str]:
        values = means(totals)
        speed = self.tokens / max(self.seconds, 1e-9)
        progress = {"tokens": self.tokens, "conversations": self.seen, "tokens_per_second": speed}
        self.run.log(self.step, {**values, "norm": norm, "rate": rate, **progress})
        shown: dict[str, str] = {name: f"{value:.3f}" for name, value in values.items() if name.endswith("_loss")}
        return shown | {"tok/s": f"{speed:.0f}"}

    def _keep(self) -> None:
        config, last = self.config, self.step == self.config.steps
        if self.preview is not None and config.preview_every and (self.step % config.preview_every == 0 or last):
            self.run.log(self.step, self.preview(self.model, self.step))
            self.model.train()
        if self.step % config.save_every == 0 or last:
            self.run.save_state(self._state())  # last, so that whatever a saved step logs is logged by then

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seen": self.seen,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "model": {name: value.detach() for name, value in self.parameters.items()},
            "optimiser": self.optimiser.state_dict(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(state["model"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seen, self.tokens = (int(state[name]) for name in ("step", "seen", "tokens"))
        self.seconds = float(state["seconds"])
        self.packer.skip_to(self.seen)
