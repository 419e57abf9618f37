"""A training run on disk: its configuration, its metrics, and a state from which it goes on bit by bit.

run/
  run.json        resolved configuration, provenance
  metrics.jsonl   one JSON object a line; TensorBoard events beside it where the extra is installed
  state/          weights, optimiser and step: the last whole ones (see rig.train.state)
  …               what the run makes: model files, previews

Where processes train together, all of them open the run; the first one writes, and the others their share of the state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor
from tqdm import tqdm

from rig.data.manifest import differences
from rig.errors import CheckpointError, RigError
from rig.provenance import provenance
from rig.storage import (
    Lock,
    append_json_line,
    full_disk_named,
    read_json_lines,
    refuse_existing,
    write_json,
    write_text,
)
from rig.train import ranks
from rig.train.config import FrameTraining
from rig.train.state import State

RUN_FILE = "run.json"
METRICS_FILE = "metrics.jsonl"


class Steps(Protocol):
    """What `advance` advances.

    Attributes:
        step: steps taken so far.
    """

    step: int

    def train_step(self) -> Mapping[str, float]:
        """Take a step, and return what to log of it; `step` is counted by the caller."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Return what a resumed run begins with; it holds "step"."""
        ...


class Run:
    """A run's folder, opened for training by one process at a time.

    Args:
        folder: where the run lives.
        config: the resolved configuration, a dataclass or a mapping; saved, and compared on resume.
        resume: go on from the state in the folder, or begin where there is none.

    Raises:
        RigError: the folder holds a run and `resume` is false, another process trains in it, or (on resume) it was
            begun with another configuration.
    """

    def __init__(self, folder: Path | str, config: Any, *, resume: bool = False) -> None:
        self.folder = Path(folder)
        self.config = json.loads(json.dumps(asdict(config) if is_dataclass(config) else dict(config), default=str))  # type: ignore[arg-type]
        self.lock = Lock(self.folder.parent / f".{self.folder.name}.lock")
        self._events: Any = None
        if ranks.is_first():
            self.lock.acquire()
        try:
            if ranks.is_first():
                self._open(resume)
            ranks.wait_for_all()
            self._state = State(self.folder)
            if ranks.is_first():
                self._state.clear_unfinished()
        except BaseException:
            self.lock.release()
            raise

    def _open(self, resume: bool) -> None:
        path = self.folder / RUN_FILE
        if not resume:
            refuse_existing(self.folder, "continue it with --resume, or choose another folder with --out")
        if path.is_file():
            begun = _begun(path)
            changed = differences(begun, self.config)
            if changed:
                raise RigError(f"{self.folder} was begun with another configuration: {'; '.join(changed[:5])}")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, {"config": self.config, "provenance": provenance()})

    def load_state(self, tensors: Mapping[str, Tensor]) -> bool:
        """Fill `tensors` from the saved state, and cut the metrics back to its step; return False where there is none.

        Raises:
            CheckpointError: the state cannot be read.
        """
        found = self._state.load(tensors)
        older = self.folder / "state.pt"
        if not found and older.is_file():
            raise CheckpointError(
                f"{older} was saved by an earlier version and cannot be gone on from; remove it to begin this run again"
            )
        if ranks.is_first():
            self._cut_metrics(int(tensors["step"]) if found else 0)
        return found

    def save_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Begin to save `tensors`, which hold "step", in place of the last state; they may change at once.

        Raises:
            RigError: the disk is full, now or when the state before was written.
        """
        self._state.save(tensors)

    def finish_saving(self) -> None:
        """Wait until the state that is being saved is on the disk.

        Raises:
            RigError: the disk is full.
        """
        self._state.finish()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a line to the metrics, and to TensorBoard where it is installed; the first process does."""
        if not ranks.is_first():
            return
        numbers = {name: float(value) for name, value in values.items()}
        append_json_line(self.folder / METRICS_FILE, {"step": step, **numbers})
        with full_disk_named(self.folder / METRICS_FILE):
            events = self._tensorboard()
            for name, value in numbers.items() if events else ():
                events.add_scalar(name, value, step)

    def metrics(self) -> list[dict[str, float]]:
        """Return every whole line of the metrics; a full disk or a kill may have cut the last one."""
        return read_json_lines(self.folder / METRICS_FILE)

    def close(self) -> None:
        """Finish saving, close the run's files and let another process have it."""
        try:
            with full_disk_named(self.folder):
                if self._events:
                    self._events.close()
            self._state.close()
        finally:
            self.lock.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cut_metrics(self, step: int) -> None:
        kept = [json.dumps(line) for line in self.metrics() if line["step"] <= step] if step else []
        write_text(self.folder / METRICS_FILE, "".join(line + "\n" for line in kept))

    def _tensorboard(self) -> Any:
        if self._events is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._events = False
            else:
                self._events = SummaryWriter(str(self.folder))
        return self._events


def advance(
    run: Run,
    config: FrameTraining,
    trainer: Steps,
    *,
    name: str,
    shown: Sequence[str] = ("loss",),
) -> None:
    """Take steps until the last, whatever step the run has reached, with a bar that shows some of what is logged."""
    with tqdm(total=config.steps, initial=trainer.step, desc=name, unit="step") as bar:
        while trainer.step < config.steps:
            values = trainer.train_step()
            trainer.step += 1
            bar.update()
            last = trainer.step == config.steps
            if trainer.step % config.log_every == 0 or last:
                run.log(trainer.step, values)
                bar.set_postfix({key: f"{values[key]:.4f}" for key in shown})
            if trainer.step % config.save_every == 0 or last:
                run.save_state(trainer.state())
    run.finish_saving()


def _begun(path: Path) -> Any:
    """Return the configuration in a run's `run.json`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); restore it, or begin the run in another folder"
        ) from error
