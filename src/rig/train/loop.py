"""Trains the network on packs.

A step learns from one or several packs, shared out over the processes that train together; its loss is the mean over
all tokens predicted in them. `rig.train.batches` says where packs come from. A run on datasets is its configuration and
a step number: order, packs and schedule follow from them, so a resumed run repeats bit by bit what an uninterrupted one
does on the same machine, and one on more or fewer processes learns the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from rig.errors import RigError
from rig.model import RIG, PackedBatch, compute_dtype, keep_freed_memory
from rig.model.flops import FlopCount, Work, peak_flops
from rig.train import ranks
from rig.train.batches import Batches, BatchProgress, check_batches
from rig.train.compiling import reason, why_not_compile
from rig.train.config import Execution, TrainingConfig
from rig.train.loss import ROLES, Objective, means, weight_of
from rig.train.optimise import build_optimiser, learned_tensors, learning_rate, leg_of, take_step
from rig.train.parallel import exchanging, gathered, spread
from rig.train.prefetch import prefetched
from rig.train.previews import Preview, previewed
from rig.train.runs import Run


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    """A process's packs of one step, ready to be learned from.

    Attributes:
        batches: the packs, on the device.
        weight: of the tokens that they predict: what their loss is divided by.
        flops: what learning from them takes.
        progress: behind them.
    """

    batches: list[PackedBatch]
    weight: float
    flops: float
    progress: BatchProgress


class Trainer:
    """Trains `model` on `batches` inside `run`.

    Args:
        model: the network; it is brought to where it is trained.
        batches: what to learn from.
        config: how.
        run: where; a state in it is gone on from.
        preview: called every `preview_every` steps, in the first process.
        execution: how it uses the machines.

    Raises:
        RigError: `batches` cannot be learned from for so many steps.
        CheckpointError: the run's state cannot be read.
    """

    def __init__(
        self,
        model: RIG,
        batches: Batches,
        config: TrainingConfig,
        run: Run,
        preview: Preview | None = None,
        execution: Execution | None = None,
    ) -> None:
        check_batches(batches, config.steps)
        self.model, self.batches, self.config, self.run, self.preview = model, batches, config, run, preview
        self._objective = spread(Objective(model, config.weights), execution or Execution())
        self.parameters = model.trainable_parameters()
        self.optimiser = build_optimiser(self.parameters, config.optimiser)
        self.step = 0
        self.seconds = 0.0
        self._progress = batches.progress()
        self._device = model.device
        self._totals = torch.zeros(len(ROLES), 3, device=self._device)
        self._cost, self._peak = FlopCount(model), _peak_named(self._device)
        self._flops = self._since = 0.0
        state = self._state()
        if run.load_state(state):
            self._restore(state)
        run.note_runs_in(self.step, self._device)
        self._untried = config.compile and self._try_to_compile()

    def fit(self) -> dict[str, float]:
        """Train to the last step; return the totals: steps, conversations, tokens, seconds."""
        config = self.config
        keep_freed_memory()
        self.model.train()
        hidden = None if ranks.is_first() else True
        bar = tqdm(total=config.steps, initial=self.step, desc="train", unit="step", dynamic_ncols=True, disable=hidden)
        with bar, closing(self._coming()) as packs:
            while self.step < config.steps:
                started = time.perf_counter()
                norm, rate = self._take_step(next(packs))
                self.step += 1
                self._since += time.perf_counter() - started
                bar.update()
                if self.step % config.log_every == 0 or self.step == config.steps:
                    bar.set_postfix(self._log(norm, rate))
                self._keep()
        self.run.finish_saving()
        totals = {name: float(count) for name, count in self._counts().items()}
        return {"steps": float(self.step), **totals, "seconds": self.seconds}

    def whole(self) -> RIG | None:
        """Return the network as it is now, whole, in the first process and None in the others; all have to ask."""
        return gathered(self.model)

    def _try_to_compile(self) -> bool:
        """Compile the blocks where that works for every process; else go on without, and say why."""
        why = why_not_compile(self._device)
        if float(ranks.add_up(torch.tensor(float(why is not None)))):
            self._go_on_uncompiled(why or "it does not work for another process")
            return False
        self.model.compile_blocks()
        return True

    def _go_on_uncompiled(self, why: str) -> None:
        self.run.note_uncompiled(self.step, why)
        if ranks.is_first():
            tqdm.write(f"training goes on without compiling, which does not work here: {why}", sys.stderr)

    def _coming(self) -> Generator[_Drawn, None, None]:
        """Yield the packs of every step that is left."""
        left = self.config.steps - self.step
        if self.batches.ahead:
            yield from prefetched(self._draw, left)
            return
        for _ in range(left):
            drawn = self._draw()
            self.model.train()  # an engine that wrote them has put it into evaluation mode
            yield drawn

    def _draw(self) -> _Drawn:
        """Return this process's packs of the next step, on their way to the device; where ahead, a thread calls it."""
        drawn = self.batches.next_packs()
        if not drawn.packs:
            raise RigError(f"{type(self.batches).__name__} gave a step without a pack; give one, if of padding alone")
        return _Drawn(
            batches=[batch.to(self._device) for batch, _ in drawn.packs],
            weight=sum(weight_of(batch, self.config.weights) for batch, _ in drawn.packs),
            flops=sum(self._cost(Work.of(batch, documents)) for batch, documents in drawn.packs),
            progress=drawn.progress,
        )

    def _take_step(self, packs: _Drawn) -> tuple[float, float]:
        """Learn from this process's packs of a step; return the gradient's norm and the learning rate."""
        self._progress = packs.progress
        weight = float(ranks.add_up(torch.tensor(packs.weight, dtype=torch.float64)))
        begun, end = leg_of(self.step, self.run.legs or [self.config.steps])
        rate = learning_rate(self.step - begun, end - begun, self.config.optimiser)
        if not weight:  # nothing is predicted: what is remembered of the steps before moves nothing either
            return 0.0, rate
        self._flops += packs.flops
        # The processes' gradients are averaged, where the sum over all tokens is wanted.
        self._learn_all(packs.batches, weight / ranks.count())
        norm = take_step(self.optimiser, self.parameters.values(), rate, self.config.optimiser.clip)
        if not torch.isfinite(norm):
            raise RigError(
                f"the gradient of step {self.step + 1} is not finite; lower --learning-rate and continue with --resume "
                f"from the last saved state"
            )
        return float(norm), rate

    def _learn_all(self, batches: list[PackedBatch], weight: float) -> None:
        """Learn from a step's packs; where the first ones cannot be compiled after all, learn from them without."""
        before = self._totals.clone()
        try:
            self._learn_each(batches, weight)
        except Exception as error:  # if it is none of the compiler's, it comes again
            if not self._untried or ranks.are_several():
                raise
            self._go_on_uncompiled(reason(error))
            self.model.uncompile_blocks()
            self._totals.copy_(before)
            self.optimiser.zero_grad(set_to_none=True)
            self._learn_each(batches, weight)
        self._untried = False

    def _learn_each(self, batches: list[PackedBatch], weight: float) -> None:
        for number, batch in enumerate(batches, start=1):
            with exchanging(self._objective, number == len(batches)):
                self._learn(batch, weight)

    def _learn(self, batch: PackedBatch, weight: float) -> None:
        """Add the gradients of a pack's loss, divided by `weight`, and note what it is made of."""
        dtype = compute_dtype(self._device)
        with torch.autocast(self._device.type, dtype, enabled=dtype != torch.float32):
            loss, sums = self._objective(batch)
        (loss / weight).backward()
        self._totals += sums

    def _log(self, norm: float, rate: float) -> dict[str, str]:
        values = means(ranks.add_up(self._totals))
        self._totals.zero_()
        values |= self._utilisation()
        counts = self._counts()
        speed = counts["tokens"] / max(self.seconds, 1e-9)
        progress = {**counts, "tokens_per_second": speed}
        self.run.log(self.step, {**values, "norm": norm, "rate": rate, **progress})
        shown: dict[str, str] = {name: f"{value:.3f}" for name, value in values.items() if name.endswith("_loss")}
        return shown | {"tok/s": f"{speed:.0f}"}

    def _utilisation(self) -> dict[str, float]:
        """Return the share of the devices' peak that went into the model since the last line; nothing if not known."""
        flops, taken = float(ranks.add_up(torch.tensor(self._flops, dtype=torch.float64))), self._since
        self.seconds += taken
        self._flops = self._since = 0.0
        return {"mfu": flops / (taken * self._peak * ranks.count())} if self._peak else {}

    def _keep(self) -> None:
        config, last = self.config, self.step == self.config.steps
        try:
            if self.preview is not None and config.preview_every and (self.step % config.preview_every == 0 or last):
                whole = self.whole()
                if whole is not None:
                    self.run.log(self.step, previewed(self.preview, whole, self.step))
                self.model.train()
        finally:  # an interrupted preview does not take the state with it
            if self.step % config.save_every == 0 or last:
                self.run.save_state(self._state())  # last, so that whatever a saved step logs is logged by then

    def _counts(self) -> dict[str, int]:
        """Return the tokens and conversations learned from, in all processes; every one has to ask.

        What is drawn ahead does not count: a run that goes on draws it again.
        """
        mine = torch.tensor([self._progress.tokens, self._progress.conversations])
        tokens, conversations = ranks.add_up(mine).tolist()
        return {"tokens": tokens, "conversations": conversations}

    def _state(self) -> dict[str, Tensor]:
        return {
            "step": torch.tensor(self.step),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            **{name: ranks.add_up(value).clone() for name, value in self._progress.state.items()},
            **learned_tensors(self.parameters, self.optimiser),
        }

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what is not among the tensors that were filled in place."""
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.batches.go_on(self.step, {name: state[name] for name in self._progress.state})
        self._progress = self.batches.progress()


def _peak_named(device: torch.device) -> float | None:
    """Return what `device` can do at most, and say so where that is not known."""
    peak = peak_flops(device)
    if peak is None and ranks.is_first():
        name = torch.cuda.get_device_name(device)
        tqdm.write(f"the log will have no mfu: what {name} can do at most is not in rig.model.flops.PEAKS", sys.stderr)
    return peak
