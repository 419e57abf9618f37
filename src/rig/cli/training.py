"""Verbs that train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from rig.errors import RigError
from rig.train.config import (
    AgentTraining,
    DataPart,
    Execution,
    FrameTraining,
    OptimiserConfig,
    RoleWeights,
    TokenizerTraining,
    TrainingConfig,
    VisionTraining,
)

C = TypeVar("C", bound=FrameTraining)


@dataclass(frozen=True, kw_only=True)
class _OnFrames:
    """What verbs that train on frames alone have in common.

    Attributes:
        data: folder of the dataset.
        out: folder of what is trained.
        preset: whose sizes it has.
        steps: optimiser steps.
        batch_size: frames a step.
        learning_rate: the peak.
        seed: of weights and batches.
        resume: go on with a run that was cut.
    """

    data: str
    out: str
    preset: str = "small"
    steps: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    resume: bool = False

    def _tuned(self, default: C) -> C:
        """Return `default` with the flags in it."""
        optimiser = replace(default.optimiser, learning_rate=self.learning_rate)
        return replace(default, steps=self.steps, batch_size=self.batch_size, seed=self.seed, optimiser=optimiser)


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer(_OnFrames):
    """Train the VQ tokenizer on a dataset's frames, and the text tokenizer on its thoughts.

    Example: rig train-tokenizer --data runs/s2 --preset small --out runs/tokenizers

    Attributes:
        vocabulary: size of the text tokenizer; the preset's where 0.
        reviewer: an annotator whose vocabulary the text tokenizer learns too; None: who the kit of the dataset's world
            names, if it names one; none where empty.
        held_out: frames kept aside for the scores.
    """

    vocabulary: int = 0
    reviewer: str | None = None
    steps: int = 6000
    batch_size: int = 4
    learning_rate: float = 2e-3
    held_out: int = 256

    def run(self) -> dict[str, Any]:
        """Train."""
        from rig.annotators import vocabulary_of
        from rig.annotators.kit import kit_name
        from rig.data import Dataset
        from rig.envs import about_of
        from rig.model import PRESETS
        from rig.provenance import provenance
        from rig.train import train_tokenizers

        preset, dataset = PRESETS.get(self.preset), Dataset(self.data)
        reviewer = self.reviewer
        if reviewer is None:
            reviewer = kit_name(dataset.info.environment, "reviewer", spared=True)
        words = vocabulary_of(reviewer)
        config = replace(self._tuned(TokenizerTraining(model=preset.vq)), held_out=self.held_out)
        tokenizers = train_tokenizers(
            dataset,
            config,
            self.out,
            vocabulary_size=self.vocabulary or preset.decoder.vocab_size,
            sentences=words.sentences,
            terms=words.terms,
            about=about_of(dataset.info.environment),
            resume=self.resume,
        )
        scores = tokenizers.scores
        text = (
            f"{self.out}: PSNR {scores['psnr']:.1f} dB on {scores['frames']:.0f} held-out frames, "
            f"{scores['codebook_use']:.0%} of {preset.vq.codebook_size} codes used (perplexity "
            f"{scores['perplexity']:.0f}); {len(tokenizers.text)} text tokens"
        )
        return {"text": text, "out": self.out, "hash": tokenizers.hash, **scores, "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class TrainVision(_OnFrames):
    """Train the understanding encoder to name what each patch of a dataset's frames shows, before a policy uses it.

    Example: rig train-vision --data runs/s1 --preset small --out runs/vision

    Attributes:
        labeller: who names patches; None: who the kit of the dataset's world names.
    """

    labeller: str | None = None
    steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 1e-3

    def run(self) -> dict[str, Any]:
        """Train."""
        from rig.annotators import LABELLERS
        from rig.annotators.kit import kit_name
        from rig.data import Dataset
        from rig.model import PRESETS
        from rig.provenance import provenance
        from rig.train import train_vision

        config = self._tuned(VisionTraining(model=PRESETS.get(self.preset).vision))
        dataset = Dataset(self.data)
        named = kit_name(dataset.info.environment, "labeller") if self.labeller is None else self.labeller
        labeller = LABELLERS.get(named)()
        scores = train_vision(dataset, labeller, config, self.out, resume=self.resume)
        text = (
            f"{self.out}: names {scores['accuracy']:.1%} of the patches of {scores['frames']:.0f} held-out frames "
            f"right ({scores['balanced_accuracy']:.1%} over {scores['labels']:.0f} labels)"
        )
        return {"text": text, "out": self.out, **scores, "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train an agent: RIG-basic on thoughts and next frames, RIG-lookahead on reviews and aligned dreams besides.

    Example: rig train --preset small --data runs/s2 --tokenizers runs/tokenizers --out runs/basic --steps 3000

    Attributes:
        out: folder of the run; the agent is written to <out>/agent.
        tokenizers: folder that `rig train-tokenizer` wrote, or an agent or a base to take them from; `start` where
            empty.
        data: datasets of single steps (S1, S2).
        describe: datasets whose thoughts say what frames show; alone, they make a base to `start` from.
        describe_share: share of the conversations that come from them beside other datasets.
        lookahead: datasets of lookahead steps (S3, S4).
        lookahead_share: share of the other conversations that come from the lookahead datasets.
        preset: the network's sizes; those of `start` where that is given.
        thought: whether the agent reasons.
        dream: whether the agent imagines the next frame.
        read_back: how dreams are read in lookahead conversations, each entry in an equal share of them; a way that
            is named twice gets two.
        reobserve: whether a review is shown the observed frame again.
        learn_kept: whether a lookahead's first proposal is learned too where the review keeps it; it is then what a
            single turn should say.
        vision: folder that `rig train-vision` wrote, whose tower to begin with.
        start: an agent, or a base that `rig import-janus` made, whose weights to begin with.
        image_stride: codes of an image that one pass writes; as `start` or the preset has it where 0. Another stride
            than that of `start` is learned anew.
        fraction: how much of the trajectories to use.
        repeats: how many of the steps of `data` that do what the step before did are used, as a share.
        steps: optimiser steps.
        batch_size: conversations a pack, on average.
        pack_tokens: tokens of a pack; where 0, as many as `batch_size` conversations have.
        step_tokens: tokens of an optimiser step, in as many packs as come nearest; where 0, one pack.
        learning_rate: the peak.
        warmup: steps of linear warm-up; a tenth of all steps if that is fewer.
        action_weight: weight of action tokens in the loss.
        image_weight: weight of image tokens in the loss.
        compile: compile the network's blocks.
        seed: of weights and order.
        freeze: parts of the network that stay as they are: vision, aligner, embeddings, codes, decoder, heads.
        lora: parts that learn low-rank changes alone, which the agent that is written has merged.
        lora_rank: the rank of those.
        parallel: how processes that torchrun started hold the network: each whole, or sharded over all of them.
        recompute: keep less in memory: the inside of every layer is computed again for its gradients.
        resume: go on with a run that was cut; with more `steps` than a finished run has, go on with that for another
            leg, whose learning rate rises and falls anew.
    """

    out: str
    tokenizers: str = ""
    data: tuple[str, ...] = ()
    describe: tuple[str, ...] = ()
    describe_share: float = 0.4
    lookahead: tuple[str, ...] = ()
    lookahead_share: float = 0.5
    preset: str = "small"
    thought: bool = True
    dream: bool = True
    read_back: tuple[Literal["pixels", "codes"], ...] = ("pixels", "codes")
    reobserve: bool = True
    learn_kept: bool = True
    vision: str = ""
    start: str = ""
    image_stride: int = 0
    fraction: float = 1.0
    repeats: float = 1.0
    steps: int = 3000
    batch_size: int = 8
    pack_tokens: int = 0
    step_tokens: int = 0
    learning_rate: float = 1e-3
    warmup: int = 100
    action_weight: float = 1.0
    image_weight: float = 1.0
    compile: bool = True
    seed: int = 0
    freeze: tuple[str, ...] = ()
    lora: tuple[str, ...] = ()
    lora_rank: int = 16
    parallel: Literal["ddp", "fsdp"] = "ddp"
    recompute: bool = False
    resume: bool = False

    def run(self) -> dict[str, Any]:
        """Train."""
        from rig.dialogue import Format
        from rig.train import train_agent
        from rig.train.ranks import is_first, together

        if not (self.tokenizers or self.start):
            raise RigError("give --tokenizers (`rig train-tokenizer` makes them) or --start, which brings its own")
        config = AgentTraining(
            preset=self.preset,
            tokenizers=self.tokenizers or self.start,
            parts=self._parts(),
            form=Format(thought=self.thought, dream=self.dream, reobserve=self.reobserve, about=self._about()),
            read_backs=self.read_back,
            learn_kept=self.learn_kept,
            vision=self.vision,
            start=self.start,
            image_stride=self.image_stride,
            freeze=self.freeze,
            lora=self.lora,
            lora_rank=self.lora_rank,
            model_seed=self.seed,
            training=TrainingConfig(
                steps=self.steps,
                batch_size=self.batch_size,
                pack_tokens=self.pack_tokens,
                step_tokens=self.step_tokens,
                seed=self.seed,
                optimiser=OptimiserConfig(learning_rate=self.learning_rate, warmup=self.warmup),
                weights=RoleWeights(action=self.action_weight, image=self.image_weight),
                compile=self.compile,
            ),
        )
        with together():
            execution = Execution(parallel=self.parallel, recompute=self.recompute)
            agent = train_agent(config, self.out, resume=self.resume, execution=execution)
            if not is_first():
                return {}
        return _told(agent)

    def _about(self) -> str | None:
        """Return what the agent is told that it reasons about: what that of `start` was, or what its world says."""
        from rig.bundle import AGENT_FILE, about_agent
        from rig.data import Manifest
        from rig.envs import about_of

        if self.start and (Path(self.start) / AGENT_FILE).is_file():
            return about_agent(self.start).form.about
        first = next(iter((*self.data, *self.describe, *self.lookahead)), None)
        return about_of(Manifest.load(Path(first)).info.environment) if first else None

    def _parts(self) -> tuple[DataPart, ...]:
        from rig.train.mixture import parts_of

        return parts_of(
            self.data,
            self.describe,
            self.lookahead,
            describe_share=self.describe_share,
            lookahead_share=self.lookahead_share,
            fraction=self.fraction,
            repeats=self.repeats,
        )


def _told(agent: Path) -> dict[str, Any]:
    """Return what to say of a trained agent."""
    from rig.bundle import origin_of

    origin = origin_of(agent)
    totals = origin["totals"]
    text = (
        f"{agent}: {totals['steps']:.0f} steps, {totals['conversations']:.0f} conversations, "
        f"{totals['tokens'] / 1e6:.1f} M tokens in {totals['seconds'] / 60:.1f} min"
    )
    return {"text": text, "agent": str(agent), "totals": totals, "provenance": origin["provenance"]}
