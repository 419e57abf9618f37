"""A training run on disk: its configuration, its metrics, and a state from which it goes on bit by bit.

run/
  run.json        resolved configuration, provenance; its legs, where more steps were asked for; why it did not compile;
                  what it computed in
  metrics.jsonl   one JSON object a line; trackers are told the same (see rig.tracking)
  state/          weights, optimiser and step: the last whole ones (see rig.train.state)
  …               what the run makes: model files, previews

Where processes train together, all of them open the run; the first one writes, and the others their share of the state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor
from tqdm import tqdm

from rig.data.manifest import differences
from rig.errors import CheckpointError, RigError
from rig.model import compute_dtype
from rig.provenance import provenance
from rig.storage import (
    Lock,
    append_json_line,
    read_json,
    read_json_lines,
    refusals_named,
    refuse_existing,
    refuse_unmakeable,
    write_json,
    write_text,
)
from rig.tracking import Tracking, trackers_named
from rig.train import ranks
from rig.train.config import FrameTraining
from rig.train.state import State
from rig.validation import shown

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
        resume: go on from the state in the folder, or begin where there is none. Where the configuration has a part
            "training" with more steps than the finished run in the folder, they are another leg of it.
        track: names of trackers that are told what is logged; nothing else depends on them.

    Attributes:
        legs: the steps at which the legs of the run end, the last one's included; empty where the configuration has no
            part "training".

    Raises:
        RigError: the folder holds a run and `resume` is false, another process trains in it, or (on resume) it was
            begun with another configuration, or is to have more steps before it is finished; or there is no such
            tracker, or its package is not installed.
    """

    def __init__(self, folder: Path | str, config: Any, *, resume: bool = False, track: Sequence[str] = ()) -> None:
        self.folder = Path(folder)
        self.config = plain(config)
        self.lock = Lock(self.folder.parent / f".{self.folder.name}.lock")
        self._tracking = Tracking(track if ranks.is_first() else ())
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
        check_run(self.folder, self.config, resume=resume)
        if not path.is_file():
            with refusals_named(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, {"config": self.config, "provenance": provenance()})
            return
        record = _record(path)
        steps, begun = _steps(self.config), _steps(record["config"])
        if steps is not None and steps != begun:
            legs = record.setdefault("legs", [{"steps": begun, "provenance": record.get("provenance")}])
            legs.append({"steps": steps, "provenance": provenance()})
            write_json(path, record | {"config": self.config})

    @property
    def legs(self) -> list[int]:
        """The steps at which legs end; see the class."""
        steps = _steps(self.config)
        if steps is None:
            return []
        return [int(leg["steps"]) for leg in _record(self.folder / RUN_FILE).get("legs", [])] or [steps]

    def note_uncompiled(self, step: int, why: str) -> None:
        """Record that training goes on from `step` without compiling, and why; the first process does."""
        if ranks.is_first():
            record = _record(self.folder / RUN_FILE)
            record.setdefault("uncompiled", []).append({"from_step": step, "reason": why})
            write_json(self.folder / RUN_FILE, record)

    def note_runs_in(self, step: int, device: torch.device) -> None:
        """Record what training computes in from `step`, device and dtype, where it is not what it was before."""
        if ranks.is_first():
            where = {"device": device.type, "dtype": str(compute_dtype(device)).removeprefix("torch.")}
            known = self.runs_in
            if not known or {name: known[-1].get(name) for name in where} != where:
                record = _record(self.folder / RUN_FILE) | {"runs_in": [*known, {"from_step": step, **where}]}
                write_json(self.folder / RUN_FILE, record)

    @property
    def runs_in(self) -> list[dict[str, Any]]:
        """What training computed in, each with the step that it began at: "from_step", "device", "dtype"."""
        return list(_record(self.folder / RUN_FILE).get("runs_in", []))

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
            step = int(tensors["step"]) if found else 0
            self._cut_metrics(step)
            self._tracking.begin(self.folder, self.config, step)
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
        """Add a line to the metrics, and tell the trackers; the first process does."""
        if not ranks.is_first():
            return
        numbers = {name: float(value) for name, value in values.items()}
        append_json_line(self.folder / METRICS_FILE, {"step": step, **numbers})
        self._tracking.log(step, numbers)

    def metrics(self) -> list[dict[str, float]]:
        """Return every whole line of the metrics; a full disk or a kill may have cut the last one.

        Raises:
            RigError: a line is spoilt.
        """
        path = self.folder / METRICS_FILE
        lines = read_json_lines(path)
        for number, line in enumerate(lines, start=1):
            if not isinstance(line, dict) or not isinstance(line.get("step"), int):
                raise RigError(f"{path}, line {number}, says no step: {shown(line)}; restore the file, or remove it")
        return lines

    def close(self) -> None:
        """Finish saving, close the run's files and let another process have it."""
        try:
            self._tracking.end()
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


def plain(config: Any) -> dict[str, Any]:
    """Return a configuration, a dataclass or a mapping, as JSON has it."""
    value = asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config)
    return dict(json.loads(json.dumps(value, default=str)))


def check_run(folder: Path | str, config: Any, *, resume: bool, track: Sequence[str] = ()) -> None:
    """Refuse what `Run` would refuse of a folder, a configuration and trackers, before there is anything to lose by it.

    Raises:
        RigError: the folder holds a run and `resume` is false, it or a folder above it is a file or not to be written,
            or (on resume) it was begun with another configuration, or is to have more steps before it is finished; or
            there is no such tracker, or its package is not installed.
    """
    folder = Path(folder)
    trackers_named(track if ranks.is_first() else ())
    refuse_unmakeable(folder)
    if not resume:
        refuse_existing(folder, "continue it with --resume, or choose another folder with --out")
    path = folder / RUN_FILE
    if path.is_file():
        _check_same(folder, _record(path)["config"], plain(config))


def _check_same(folder: Path, begun: Any, wanted: Any) -> None:
    """Refuse a configuration that is not the one begun with, but for more steps once all are taken."""
    steps, more = _steps(begun), _steps(wanted)
    if steps is None or more is None or steps == more:
        changed = differences(begun, wanted)
    else:
        changed = differences(begun, wanted | {"training": wanted["training"] | {"steps": steps}})
        if not changed:
            _check_more(folder, steps, more)
    if changed:
        raise RigError(f"{folder} was begun with another configuration: {'; '.join(changed[:5])}")


def _check_more(folder: Path, steps: int, more: int) -> None:
    if more < steps:
        raise RigError(f"{folder} was begun with {steps} steps, and {more} are fewer; give {steps}, or more to go on")
    last = State.last_in(folder)
    taken = State.step_of(last) if last else 0
    if taken != steps:
        raise RigError(
            f"{folder} has taken {taken} of its {steps} steps; finish it with --resume --steps {steps}, and then go on "
            f"to {more}: its learning rate falls to the end that it was begun with"
        )


def _steps(config: Any) -> int | None:
    """Return the steps in a configuration's part "training"; None where it has none."""
    part = config.get("training") if isinstance(config, dict) else None
    steps = part.get("steps") if isinstance(part, dict) else None
    return steps if _is_count(steps) else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _record(path: Path) -> dict[str, Any]:
    """Return what a run's `run.json` holds, with its configuration and whole legs."""
    record = read_json(path, "restore it, or begin the run in another folder", CheckpointError)
    legs = record.get("legs", [])
    whole = isinstance(legs, list) and all(isinstance(leg, dict) and _is_count(leg.get("steps")) for leg in legs)
    ends = [leg["steps"] for leg in legs] if whole else []
    whole = whole and ends == sorted(set(ends)) and (not ends or ends[-1] == _steps(record.get("config")))
    whole = whole and all(isinstance(record.get(name, []), list) for name in ("uncompiled", "runs_in"))
    whole = whole and all(isinstance(entry, dict) for entry in record.get("runs_in", []))
    if "config" not in record or not whole:
        raise CheckpointError(f"{path} cannot be read; restore it, or begin the run in another folder")
    return record
