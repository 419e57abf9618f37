"""The two tokenizers of a small model, trained on a dataset: byte-pair merges for its texts, VQ codes for its frames.

An agent's folder and a base bring both too. Else

folder/
  tokenizer.json             text
  vq.json, vq.safetensors    frames
  scores.json                PSNR and codebook use on held-out frames
  …                          the VQ run itself (see rig.train.runs)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from rig.actions import ActionSpace
from rig.actions.text import NOOP_TEXT
from rig.agents.checkpoint import is_network
from rig.data import Dataset, load_frames
from rig.dialogue import TextTokenizer, prompt, train_bpe
from rig.errors import CheckpointError
from rig.model import VQConfig, VQModel, load_vq, save_weights
from rig.model.checkpoint import load_part
from rig.storage import read_json, write_json
from rig.train.runs import check_run
from rig.train.tokenizer import TokenizerTraining, train_tokenizer
from rig.validation import validated

VQ_CONFIG, VQ_WEIGHTS, SCORES = "vq.json", "vq.safetensors", "scores.json"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokenizers:
    """A text tokenizer and a VQ tokenizer.

    Attributes:
        text: for thoughts, actions and prompts.
        vq: for frames.
        scores: what the VQ tokenizer reached on held-out frames, where that is known.
    """

    text: TextTokenizer
    vq: VQModel
    scores: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """Name of the codes that `vq` gives: equal weights give equal codes."""
        return vq_hash(self.vq)

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizers:
        """Read the tokenizers that `train_tokenizers` wrote, or those of an agent or a base.

        The latter's VQ tokenizer is held in full precision, in whatever it is stored, and has no scores.

        Raises:
            CheckpointError: a file is missing, truncated or of another shape.
        """
        folder = Path(folder)
        text = TextTokenizer.load(folder)
        if is_network(folder):
            return cls(text=text, vq=load_vq(folder, dtype=torch.float32), scores={})
        config, scores = _read(folder / VQ_CONFIG, VQConfig), _read(folder / SCORES, dict[str, float])
        with torch.device("meta"):
            vq = VQModel(config, seed=None)
        load_part(vq, folder / VQ_WEIGHTS, VQ_CONFIG)
        return cls(text=text, vq=vq.eval(), scores=scores)


def _read(path: Path, kind: type[T]) -> T:
    fix = "restore it from a copy, or make whole tokenizers with `rig train-tokenizer`"
    return validated(read_json(path, fix, CheckpointError), kind, path, fix, CheckpointError)


def vq_hash(vq: VQModel) -> str:
    """Return a hash of a VQ tokenizer's configuration and weights."""
    digest = hashlib.sha256(repr(vq.config).encode())
    for name, value in sorted(vq.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def train_tokenizers(
    dataset: Dataset,
    config: TokenizerTraining,
    folder: Path | str,
    *,
    vocabulary_size: int,
    sentences: Iterable[str] = (),
    terms: Iterable[str] = (),
    about: str | None = None,
    resume: bool = False,
    track: Sequence[str] = (),
) -> Tokenizers:
    """Train both tokenizers on `dataset`, and save them in `folder`.

    Args:
        dataset: its frames and thoughts.
        config: how to train the VQ tokenizer.
        folder: where to.
        vocabulary_size: of the text tokenizer, terms, atoms and special tokens included.
        sentences: further text that models will read or write: an annotator's wordings, for example.
        terms: phrases that are single tokens wherever they stand: an annotator's places, for example.
        about: what the system phrase calls the task; as in `PromptFormat`.
        resume: go on with a run that was cut.
        track: trackers that are told what is logged, as "tensorboard" (see `rig.tracking`).
    """
    folder = Path(folder)
    check_run(folder, config, resume=resume, track=track)
    vq, scores = train_tokenizer(load_frames(dataset).frames, config, folder, resume=resume, track=track)
    text = train_bpe(
        [*_texts(dataset), *sentences],
        vocabulary_size=vocabulary_size,
        atoms=text_atoms(dataset.info.action_space, about),
        terms=terms,
    )
    text.save(folder)
    save_weights(vq, folder / VQ_WEIGHTS)
    write_json(folder / VQ_CONFIG, asdict(config.model))
    write_json(folder / SCORES, scores)
    return Tokenizers(text=text, vq=vq.eval(), scores=scores)


def text_atoms(space: ActionSpace, about: str | None = None) -> list[str]:
    """Return what a small text tokenizer writes as single tokens: the prompt's phrases and terms, and the space's keys.

    Args:
        space: the keys.
        about: what the system phrase calls the task; as in `PromptFormat`.
    """
    return [*prompt.literals(prompt.PromptFormat(about=about)), *prompt.TERMS, *space.keys, NOOP_TEXT]


def encode_frames(vq: VQModel, frames: Any) -> Any:
    """Return VQ codes uint16 [B, N] of frames uint8 [B, H, W, 3]; what `CodesCache.fill` calls."""
    with torch.inference_mode():
        return vq.encode_frames(frames)


def _texts(dataset: Dataset) -> list[str]:
    """Return every thought and instruction of a dataset; no frame is read."""
    table = dataset.table(["thought", "instruction"])
    return [text for name in ("thought", "instruction") for text in table.column(name).to_pylist() if text]
