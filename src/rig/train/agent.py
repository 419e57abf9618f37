"""From datasets and tokenizers to a trained agent: what `rig train` does.

    train_agent(AgentTraining(preset="small", tokenizers="runs/tok", parts=(DataPart(data="runs/s2"),)), "runs/basic")

Some episodes are held out for previews and the held-out loss (see rig.train.split).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from rig.agents.checkpoint import AgentCheckpoint, encoder_of
from rig.data import CodesCache, Dataset, load_frames
from rig.dialogue import SegmentEncoder, Style, flaw
from rig.errors import RigError
from rig.model import RIG, best_device, pack
from rig.provenance import provenance
from rig.records import TEACHER, Step
from rig.storage import write_json
from rig.train import ranks
from rig.train.config import AgentTraining, DataPart, Execution
from rig.train.conversations import Conversations, ConversationSource, told_left_out
from rig.train.loop import Trainer
from rig.train.loss import means, token_losses
from rig.train.mixture import sources_of
from rig.train.network import build_network
from rig.train.packs import ConversationPacks
from rig.train.parallel import begins_whole
from rig.train.previews import DreamPreview
from rig.train.runs import Run, check_run
from rig.train.split import split
from rig.train.tokenizers import Tokenizers, encode_frames

LEFT_OUT = "left_out.json"
"""What of its data a run does not learn from, and why: in the run's folder."""

_PREVIEWS = 6


def train_agent(
    config: AgentTraining,
    folder: Path | str,
    *,
    resume: bool = False,
    execution: Execution | None = None,
    track: Sequence[str] = (),
) -> Path:
    """Train an agent in `folder`, and return where it lies: `<folder>/agent`.

    Where processes train together (`rig.train.ranks.together`), each calls this; the first one writes.

    Args:
        config: see `AgentTraining`.
        folder: of the run.
        resume: go on with a run that was cut.
        execution: how it uses the machines.
        track: trackers that are told what is logged, as "tensorboard" (see `rig.tracking`).

    Raises:
        RigError: the data do not belong together, `Run` refuses the folder, or there is no such tracker.
        CheckpointError: the tokenizers or the agent to start from cannot be used.
        MissingDependencyError: a tracker's package is not installed.
    """
    execution = execution or Execution()
    check_run(folder, config, resume=resume, track=track)
    tokenizers = Tokenizers.load(config.tokenizers)
    model = build_network(config, tokenizers, whole=begins_whole(execution))
    if not config.parts:
        raise RigError("there is nothing to train on: give a dataset")
    encoder = encoder_of(tokenizers.text, model.config)
    learned = learned_data(config, encoder, tokenizers)
    conversations, info = learned.conversations, learned.datasets[0].info
    with Run(folder, config, resume=resume, track=track) as run:
        preview = _Watch(run.folder, learned.held_out, encoder, info.action_space, config)
        packs = ConversationPacks(conversations, config.training)
        trainer = Trainer(model, packs, config.training, run, preview, execution)
        _record(run.folder, conversations)
        totals, whole = trainer.fit(), trainer.whole()
        if whole is None:
            return run.folder / "agent"
        origin = {
            "training": run.config,
            "legs": run.legs,
            "runs_in": run.runs_in,
            "data": [described(dataset) for dataset in learned.datasets],
            "tokenizers": {"hash": tokenizers.hash, **tokenizers.scores},
            "totals": totals,
            "conversations": len(conversations),
            "left_out": dict(conversations.left_out),
            "provenance": provenance(),
        }
        AgentCheckpoint(
            model=whole,
            tokenizer=tokenizers.text,
            prompt_format=config.prompt_format,
            space=info.action_space,
            environment=info.environment,
            origin=origin,
        ).save(run.folder / "agent")
        return run.folder / "agent"


@dataclass(frozen=True, kw_only=True)
class LearnedData:
    """What a training learns from.

    Attributes:
        datasets: those of the parts, opened.
        conversations: what is drawn.
        held_out: steps that are kept aside, by the style that they would be learned as.
    """

    datasets: Sequence[Dataset]
    conversations: Conversations
    held_out: Mapping[Style, list[Step]]


def learned_data(config: AgentTraining, encoder: SegmentEncoder, tokenizers: Tokenizers | None = None) -> LearnedData:
    """Return what a training with these parts learns from, in the tokens of `encoder`.

    Args:
        config: the parts, and how they are shown.
        encoder: the network's.
        tokenizers: those of the configuration, where they are loaded already.

    Raises:
        RigError: the data do not belong together, or hold nothing to learn.
    """
    tokenizers = tokenizers or Tokenizers.load(config.tokenizers)
    datasets = opened_parts(config, tokenizers, shared=ranks.count() > 1)
    chosen, kept = split(datasets)
    styles: tuple[Style, ...] = ("basic", "describe")
    held_out = {style: steps for style in styles if (steps := _of_style(style, config.parts, kept))}
    conversations = conversations_of(config, datasets, chosen, encoder)
    return LearnedData(datasets=datasets, conversations=conversations, held_out=held_out)


class _Watch:
    """Looks at a model in training: its loss on held-out steps, and pictures of its dreams where it dreams."""

    def __init__(
        self,
        folder: Path,
        held_out: Mapping[Style, list[Step]],
        encoder: SegmentEncoder,
        space: Any,
        config: AgentTraining,
    ) -> None:
        prompt_format = config.prompt_format
        held_out = {
            style: [step for step in steps if not flaw(step, style, prompt_format)] for style, steps in held_out.items()
        }
        held_out = {style: steps for style, steps in held_out.items() if steps}
        shown = _shown(held_out.get("basic", []))
        self._draw = (
            DreamPreview(folder, shown, encoder, space, prompt_format) if prompt_format.dream and shown else None
        )
        sources = [
            ConversationSource(steps=steps, style=style, prompt_format=prompt_format)
            for style, steps in held_out.items()
        ]
        self._packs = []
        if sources:
            conversations = Conversations(sources, encoder, space, seed=0)
            count = min(256, len(conversations))
            sequences = [conversations.draw(number) for number in range(count)]
            self._packs = [pack(sequences[start : start + 32]) for start in range(0, count, 32)]
        self._weights = config.training.weights

    def __call__(self, model: RIG, step: int) -> Mapping[str, float]:
        values = dict(self._draw(model, step)) if self._draw else {}
        totals = torch.zeros(())
        model.eval()
        with torch.no_grad():
            for batch in self._packs:
                moved = batch.to(model.device)
                totals = totals.to(model.device) + token_losses(model, moved, self._weights).sums
        return values | ({f"held_out/{name}": value for name, value in means(totals).items()} if self._packs else {})


def _record(folder: Path, conversations: Conversations) -> None:
    """Say what is left out, and keep it in the run's folder; the first process does."""
    if ranks.is_first() and conversations.left_out:
        told = told_left_out(conversations.left_out, "left out of training: conversations ")
        tqdm.write(f"{told}; {len(conversations)} are left", sys.stderr)
        write_json(folder / LEFT_OUT, {"left_out": conversations.left_out, "conversations": len(conversations)})


def conversations_of(
    config: AgentTraining, datasets: Sequence[Dataset], chosen: Sequence[Sequence[Step]], encoder: SegmentEncoder
) -> Conversations:
    """Return what is learned of the steps that were chosen of each part.

    Raises:
        RigError: there is no step to learn from.
    """
    info = datasets[0].info
    sources = [
        source
        for part, steps in zip(config.parts, chosen, strict=True)
        for source in sources_of(part, steps, config, info.environment)
    ]
    return Conversations(sources, encoder, info.action_space, config.training.seed)


def opened_parts(config: AgentTraining, tokenizers: Tokenizers, *, shared: bool) -> list[Dataset]:
    """Return the parts with their frames, and with codes where they are dreamed; `shared`: also among processes.

    Raises:
        RigError: their action spaces or frame sizes differ.
    """
    datasets = [Dataset(part.data).fraction(part.fraction) for part in config.parts]
    first = datasets[0]
    for dataset in datasets:
        if dataset.info.action_space != first.info.action_space:
            raise RigError(f"{first.path} and {dataset.path} have different action spaces")
    store = load_frames(*datasets, shared=shared)
    coded = [
        _with_codes(dataset, tokenizers) if config.prompt_format.dream and part.style != "describe" else dataset
        for part, dataset in zip(config.parts, datasets, strict=True)
    ]
    return [dataset.with_frames(store) for dataset in coded]


def _with_codes(dataset: Dataset, tokenizers: Tokenizers) -> Dataset:
    cache = CodesCache(dataset, tokenizers.hash)
    vq = tokenizers.vq.to(best_device())
    cache.fill(partial(encode_frames, vq))
    return dataset.with_codes(cache)


def _of_style(style: Style, parts: Sequence[DataPart], steps: Sequence[list[Step]]) -> list[Step]:
    return [step for part, some in zip(parts, steps, strict=True) if part.style == style for step in some]


def _shown(held_out: list[Step]) -> list[Step]:
    """Return a few taught held-out steps for previews, spread over all."""
    taught = [step for step in held_out if step.actor == TEACHER and step.thought is not None]
    return taught[:: max(1, len(taught) // _PREVIEWS)][:_PREVIEWS]


def described(dataset: Dataset) -> dict[str, Any]:
    """Return what an agent keeps of a dataset that it learned from."""
    return {
        "name": dataset.info.name,
        "stage": dataset.info.stage,
        "content_hash": dataset.content_hash,
        "trajectories": len(dataset),
        "steps": dataset.num_steps,
    }


__all__ = ["AgentTraining", "DataPart", "train_agent"]
