"""Trains the understanding encoder to name what each patch of a frame shows, before a policy reads with it.

Janus brings SigLIP along, eyes that were taught on images and their texts. A small network that starts from nothing
would have to learn to see from the one or two places that a thought names, which takes it very long; every patch of a
frame at once is learned in minutes. Each patch learns to say what it shows and which patch it is: a tower that is only
asked what it shows lets go of its places, and a decoder then takes far longer to learn where things are. Only the tower
is kept; the two heads are dropped.

folder/
  vision.json          the tower's sizes, the labels and who gave them
  vision.safetensors   the tower's weights
  scores.json          shares of held-out patches named right
  …                    the run (see rig.train.runs)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rig.annotators import Labeller
from rig.data import Dataset, load_frames
from rig.errors import CheckpointError, RigError
from rig.model import (
    VisionConfig,
    VisionModel,
    best_device,
    compute_dtype,
    frames_to_pixels,
    initialise,
    save_weights,
)
from rig.model.checkpoint import load_part
from rig.records import Step
from rig.storage import read_json, write_json
from rig.train.augmentation import UNKNOWN, augmented
from rig.train.config import VisionTraining
from rig.train.optimise import build_optimiser, learned_tensors, learning_rate, take_step
from rig.train.order import nth_batch
from rig.train.runs import Run, advance, check_run
from rig.train.split import split
from rig.validation import validated

VISION_CONFIG, VISION_WEIGHTS, SCORES = "vision.json", "vision.safetensors", "scores.json"
_CHUNK = 256


def train_vision(
    dataset: Dataset,
    labeller: Labeller,
    config: VisionTraining,
    folder: Path | str,
    *,
    resume: bool = False,
    track: Sequence[str] = (),
) -> dict[str, float]:
    """Train a tower on the frames of `dataset`, save it in `folder`, and return its scores on held-out episodes.

    The scores: `accuracy` (share of patches named right), `balanced_accuracy` (the mean of every label's share),
    `frames` and `labels`. Trackers, named in `track`, are told what is logged.

    Raises:
        RigError: the frames have another size than the preset, the labeller names another number of patches or, where
            frames are shown otherwise, does not say what stays where it is; `Run` refuses the folder, or there is no
            such tracker.
        MissingDependencyError: a tracker's package is not installed.
    """
    check_run(folder, config, resume=resume, track=track)
    if dataset.info.frame_size != (config.model.image_size, config.model.image_size):
        raise RigError(
            f"frames of {dataset.info.frame_size} where this preset reads {config.model.image_size} pixels a side; "
            f"choose a preset for these frames"
        )
    if config.augment and labeller.display is None:
        raise RigError(
            f"the labels of {labeller.name} hold for a frame as it is, and not for its mirror image; train without "
            f"--augment, or give the Labeller a `display`"
        )
    (taught,), (aside,) = split([dataset.with_frames(load_frames(dataset))])
    names: dict[str, int] = {}
    labels = _label(taught, labeller, config.model, names)
    known = len(names)
    held_out = _label(aside, labeller, config.model, names)
    with Run(folder, config, resume=resume, track=track) as run:
        trainer = _VisionTrainer(config, taught, labels, known, labeller.display or (), run)
        advance(run, config, trainer, name="train-vision")
        scores = trainer.score(aside, held_out) | {"labels": float(known)}
        run.log(config.steps, {f"held_out/{name}": value for name, value in scores.items()})
        save_weights(trainer.tower, run.folder / VISION_WEIGHTS)
        write_json(run.folder / SCORES, scores)
        about = {"model": asdict(config.model), "labeller": labeller.name, "labels": list(names)[:known]}
        write_json(run.folder / VISION_CONFIG, about)
    return scores


def load_vision(folder: Path | str, config: VisionConfig) -> dict[str, Tensor]:
    """Return the weights of the tower that `train_vision` saved in `folder`.

    Raises:
        CheckpointError: a file is missing or truncated, or the tower has other sizes than `config`.
    """
    path = Path(folder) / VISION_CONFIG
    fix = "restore it from a copy, or make a whole vision tower with `rig train-vision`"
    about = validated(read_json(path, fix, CheckpointError), _About, path, fix, CheckpointError)
    if about.model != config:
        raise CheckpointError(
            f"{folder} holds a tower of {about.model}, where this preset has {config}; train one for it"
        )
    with torch.device("meta"):
        tower = VisionModel(config)
    load_part(tower, Path(folder) / VISION_WEIGHTS, VISION_CONFIG)
    return {name: value.detach() for name, value in tower.state_dict().items()}


@dataclass(frozen=True, kw_only=True)
class _About:
    """What `vision.json` says: the tower, and who taught it which labels."""

    model: VisionConfig
    labeller: str
    labels: tuple[str, ...]


class _VisionTrainer:
    """Trains a tower with its two heads: what a patch shows, and which patch it is."""

    def __init__(
        self,
        config: VisionTraining,
        steps: Sequence[Step],
        labels: NDArray[np.int64],
        known: int,
        display: tuple[int, ...],
        run: Run,
    ) -> None:
        self.config, self.steps, self.labels, self.display = config, steps, labels, display
        self.device = best_device()
        self.tower = VisionModel(config.model)
        self.what = nn.Linear(config.model.hidden_size, known)
        self.where = nn.Linear(config.model.hidden_size, config.model.num_tokens)
        modules = nn.ModuleDict({"tower": self.tower, "what": self.what, "where": self.where})
        initialise(modules, config.seed)
        self.modules = modules.to(self.device)
        self.parameters = dict(modules.named_parameters())
        self.optimiser = build_optimiser(self.parameters, config.optimiser)
        self.step = 0
        state = self.state()
        if run.load_state(state):
            self.step = int(state["step"])
        run.note_runs_in(self.step, self.device)

    def train_step(self) -> dict[str, float]:
        """Train on one batch; return what to log."""
        config = self.config
        chosen = self._draw()
        frames, labels = _frames([self.steps[index] for index in chosen]), self.labels[chosen]
        if config.augment:
            frames, labels = augmented(frames, labels, self.display, (config.seed, self.step))
        targets = torch.from_numpy(labels).to(self.device)
        dtype = compute_dtype(self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            features = self._read(frames)
            what, where = self.what(features), self.where(features)
        places = torch.arange(where.shape[1], device=self.device).expand(len(chosen), -1)
        loss = F.cross_entropy(what.float().flatten(0, 1), targets.flatten(), ignore_index=UNKNOWN)
        place_loss = F.cross_entropy(where.float().flatten(0, 1), places.flatten())
        (loss + place_loss).backward()
        rate = learning_rate(self.step, config.steps, config.optimiser)
        norm = take_step(self.optimiser, self.parameters.values(), rate, config.optimiser.clip)
        values = {"loss": loss.detach(), "place_loss": place_loss.detach(), "norm": norm}
        accuracy = (what.argmax(-1) == targets)[targets != UNKNOWN].float().mean()
        return {**{name: float(value) for name, value in values.items()}, "accuracy": float(accuracy), "rate": rate}

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run begins with: the trainer's own tensors, and a copy of its step."""
        return {"step": torch.tensor(self.step), **learned_tensors(self.parameters, self.optimiser)}

    def score(self, steps: Sequence[Step], labels: NDArray[np.int64]) -> dict[str, float]:
        """Return the shares of patches named right."""
        right = torch.zeros(int(labels.max(initial=0)) + 1, dtype=torch.float64)
        count = torch.zeros_like(right)
        with torch.no_grad():
            for start in range(0, len(steps), _CHUNK):
                targets = torch.from_numpy(labels[start : start + _CHUNK])
                found = self.what(self._read(_frames(steps[start : start + _CHUNK]))).argmax(-1).cpu()
                right += torch.bincount(targets[found == targets], minlength=len(right))
                count += torch.bincount(targets.flatten(), minlength=len(right))
        shares = (right / count)[count > 0]
        return {
            "accuracy": float(right.sum() / count.sum()),
            "balanced_accuracy": float(shares.mean()),
            "frames": float(len(steps)),
        }

    def _read(self, frames: NDArray[np.uint8]) -> Tensor:
        """Return the features [B, N, C] of frames."""
        return self.tower(frames_to_pixels(torch.from_numpy(frames).to(self.device)))

    def _draw(self) -> NDArray[np.int64]:
        """Return which steps batch `self.step` holds."""
        return nth_batch(self.step, self.config.batch_size, len(self.steps), (self.config.seed,))


def _frames(steps: Sequence[Step]) -> NDArray[np.uint8]:
    return np.stack([step.frame for step in steps])


def _label(steps: Sequence[Step], labeller: Labeller, config: VisionConfig, names: dict[str, int]) -> NDArray[np.int64]:
    """Return the labels [steps, patches] as numbers; `names` maps labels to numbers, and gains the new ones."""
    found = np.empty((len(steps), config.num_tokens), np.int64)
    for start in range(0, len(steps), _CHUNK):
        for index, words in enumerate(labeller.label(steps[start : start + _CHUNK]), start):
            if len(words) != config.num_tokens:
                raise RigError(
                    f"{labeller.name} names {len(words)} patches where this preset reads {config.num_tokens}; choose "
                    f"a preset or a labeller to match"
                )
            found[index] = [names.setdefault(word, len(names)) for word in words]
    return found
