"""Every configuration of the trainers, free of torch, so that a command line can read them in no time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rig.dialogue import USUAL, Learned, PromptFormat, RoleWeights, Style
from rig.errors import RigError, at_least_one, within
from rig.model.config import VisionConfig, VQConfig


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How weights move.

    Attributes:
        learning_rate: the peak.
        final_fraction: the share of the peak at which the cosine ends.
        warmup: steps of linear warm-up; a tenth of all steps if that is fewer.
        weight_decay: on matrices; vectors (norms, biases) never decay.
        betas: AdamW's.
        clip: largest norm of the gradient.
    """

    learning_rate: float = 1e-3
    final_fraction: float = 0.05
    warmup: int = 100
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0

    def __post_init__(self) -> None:
        within(0, above=True, learning_rate=self.learning_rate, clip=self.clip)
        within(0, 1, final_fraction=self.final_fraction)
        within(0, warmup=self.warmup, weight_decay=self.weight_decay)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise RigError(f"betas={self.betas}: at least 0, below 1")


@dataclass(frozen=True, kw_only=True)
class StepsConfig:
    """How many steps are taken, and over what.

    Attributes:
        steps: optimiser steps.
        batch_size: conversations a pack, on average.
        pack_tokens: tokens of a pack; where 0, as many as `batch_size` conversations have.
        step_tokens: tokens of an optimiser step, in as many packs as come nearest; where 0, one pack.
        seed: of the order of conversations.
    """

    steps: int = 3000
    batch_size: int = 32
    pack_tokens: int = 0
    step_tokens: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one(steps=self.steps, batch_size=self.batch_size)
        within(0, seed=self.seed)
        if self.pack_tokens < 0 or self.step_tokens < 0:
            raise RigError(
                f"pack_tokens={self.pack_tokens}, step_tokens={self.step_tokens}: numbers of tokens, or 0 for the usual"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(StepsConfig):
    """How the network is trained.

    Attributes:
        optimiser: see `OptimiserConfig`.
        weights: what each kind of token weighs in the loss.
        compile: compile the blocks; pays from a few hundred steps on.
        log_every: steps between log lines (each the mean since the last).
        save_every: steps between saved states; a multiple of `log_every`, so that a resumed log is the same log.
        preview_every: steps between previews; 0 for none.
    """

    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    weights: RoleWeights = field(default_factory=RoleWeights)
    compile: bool = True
    log_every: int = 25
    save_every: int = 250
    preview_every: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(log_every=self.log_every, save_every=self.save_every)
        within(0, preview_every=self.preview_every)
        if self.save_every % self.log_every:
            raise RigError(f"save_every={self.save_every}: a multiple of log_every={self.log_every}")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run uses the machines; nothing that it learns depends on it, and a run may go on with another.

    Attributes:
        parallel: how processes that torchrun started hold the network: each whole, or sharded over all of them.
        recompute: keep less in memory: the inside of every layer is computed again for its gradients.
    """

    parallel: Literal["ddp", "fsdp"] = "ddp"
    recompute: bool = False


@dataclass(frozen=True, kw_only=True)
class FrameTraining:
    """How something is trained on frames alone.

    Attributes:
        steps: optimiser steps.
        batch_size: frames a step.
        seed: of weights and batches.
        log_every: steps between log lines.
        save_every: steps between saved states.
        optimiser: see `OptimiserConfig`.
    """

    steps: int
    batch_size: int
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    def __post_init__(self) -> None:
        at_least_one(steps=self.steps, batch_size=self.batch_size, log_every=self.log_every, save_every=self.save_every)
        within(0, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class TokenizerTraining(FrameTraining):
    """How the VQ tokenizer is trained.

    Attributes:
        model: the tokenizer's sizes.
        edge_weight: weight of the loss on differences between neighbouring pixels.
        hard_weight: weight of the loss on the worst `hard_share` of the cells.
        hard_share: see `hard_weight`.
        continuous: share of the steps before the codebook comes in. Until then latents pass unquantized; then the
            codebook is set by them. A codebook that is there from the start merges rare pictures for good.
        revive_every: steps after which unused codes are moved; 0 never.
        collages: share of each batch that is put together from distinct cells (see `rig.train.collages`); used where
            the model codes every cell by itself, and 0 elsewhere.
        held_out: frames kept aside for PSNR and codebook use.
    """

    model: VQConfig
    steps: int = 6000
    batch_size: int = 4
    edge_weight: float = 0.5
    hard_weight: float = 1.0
    hard_share: float = 0.05
    continuous: float = 0.4
    revive_every: int = 100
    collages: float = 0.75
    held_out: int = 256
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(learning_rate=2e-3, weight_decay=0.0, betas=(0.9, 0.99))
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        within(0, edge_weight=self.edge_weight, hard_weight=self.hard_weight, revive_every=self.revive_every)
        within(0, 1, above=True, hard_share=self.hard_share)
        within(0, 1, continuous=self.continuous, collages=self.collages)
        at_least_one(held_out=self.held_out)


@dataclass(frozen=True, kw_only=True)
class VisionTraining(FrameTraining):
    """How the understanding encoder is trained.

    Attributes:
        model: the encoder's sizes.
        augment: show frames mirrored, moved and lit otherwise (`rig.train.augmentation`); for labellers that say which
            patches the display covers.
    """

    model: VisionConfig
    steps: int = 2000
    batch_size: int = 16
    augment: bool = False


@dataclass(frozen=True, kw_only=True)
class DataPart:
    """One dataset's part in training.

    Attributes:
        data: folder of the dataset.
        style: "basic"; "lookahead" for datasets with dreams and reviews; "describe" for ones whose thoughts say what
            the frame shows; "judge" for datasets of `rig branch`.
        share: its share of the conversations, relative to the other parts'.
        fraction: how much of its trajectories to use.
        repeats: how many of the steps that do what the step before did are used, as a share. Where long digging is
            most of the data, an agent learns above all to go on with what it did.
        actors: whose steps are used, by who chose the action; all where none is named.
    """

    data: str
    style: Style = "basic"
    share: float = 1.0
    fraction: float = 1.0
    repeats: float = 1.0
    actors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        within(0, share=self.share)
        within(0, 1, above=True, fraction=self.fraction)
        within(0, 1, repeats=self.repeats)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Which datasets are learned, as what, and how much of each; `rig.train.mixture.parts_of` makes the parts of it.

    Attributes:
        data: datasets of single steps (S1, S2).
        practice: datasets of an agent's own play (`rig collect --record done`, or better), of whose practice dreams
            alone are learned.
        practice_share: share of the single steps that come from them beside `data`.
        better: datasets of play by dreams (`rig collect --record better`): what the agent found better than its first
            plan is imitated, and nothing else of them is learned.
        better_share: share of all single steps that come from them beside those two.
        describe: datasets whose thoughts say what frames show; alone, they make a base to `start` from.
        describe_share: share of the conversations that come from them beside other datasets.
        lookahead: datasets of lookahead steps (S3, S4).
        lookahead_share: share of the other conversations that come from the lookahead datasets.
        judge: datasets of `rig branch`: the agent learns to say what a plan is worth.
        judge_share: share of all conversations that come from them beside other datasets.
        fraction: how much of the trajectories to use.
        repeats: how many of the steps of `data` that do what the step before did are used, as a share.
    """

    data: tuple[str, ...] = ()
    practice: tuple[str, ...] = ()
    practice_share: float = 0.5
    better: tuple[str, ...] = ()
    better_share: float = 0.1
    describe: tuple[str, ...] = ()
    describe_share: float = 0.4
    lookahead: tuple[str, ...] = ()
    lookahead_share: float = 0.5
    judge: tuple[str, ...] = ()
    judge_share: float = 0.3
    fraction: float = 1.0
    repeats: float = 1.0

    def __post_init__(self) -> None:
        within(
            0,
            1,
            practice_share=self.practice_share,
            better_share=self.better_share,
            describe_share=self.describe_share,
            lookahead_share=self.lookahead_share,
            judge_share=self.judge_share,
        )


@dataclass(frozen=True, kw_only=True)
class JudgeTraining:
    """How an agent learns to say what plans are worth.

    Attributes:
        judge_scale: in which terms: steps "lost" against the best plan of the same state, or steps "to-go" behind it.
        judge_given: what it is shown of a plan: the "real" frames that came, its own "dreams", or "nothing" but the
            plan; each entry has an equal share, and one that is named twice gets two.
        judge_closed: whether it learns from states too in which all plans are worth the same.
        judge_words: whose words say where plans lead; None: who the kit of the world names as Reviewer, if it names
            one; where empty, nobody's.
        verdict_weight: what the term that a judgement ends with weighs, in the loss, against its words.
    """

    judge_scale: Literal["lost", "to-go"] = "lost"
    judge_given: tuple[Literal["real", "dreams", "nothing"], ...] = ("real",)
    judge_closed: bool = False
    judge_words: str | None = None
    verdict_weight: float = 4.0

    def __post_init__(self) -> None:
        within(0, verdict_weight=self.verdict_weight)
        if not self.judge_given:
            raise RigError('judge_given is empty: one or more of "real", "dreams" and "nothing"')


@dataclass(frozen=True, kw_only=True)
class NetworkTraining:
    """Which network is trained, what it begins with, and which of its parts learn.

    Attributes:
        preset: the network's sizes; those of `start` where that is given.
        tokenizers: folder that `rig train-tokenizer` wrote, or an agent or a base to take them from.
        vision: folder that `rig train-vision` wrote, whose tower to begin with; a fresh one where empty.
        start: an agent, or a base that `rig import-janus` made, whose weights to begin with; fresh ones where empty.
        image_stride: codes of an image that one pass writes; as `start` or the preset has it where 0. Another stride
            than that of `start` is learned anew.
        freeze: parts of the network that stay as they are: vision, aligner, embeddings, codes, decoder, heads.
        lora: parts that learn low-rank changes alone, which the agent that is written has merged.
        lora_rank: the rank of those.
    """

    preset: str
    tokenizers: str
    vision: str = ""
    start: str = ""
    image_stride: int = 0
    freeze: tuple[str, ...] = ()
    lora: tuple[str, ...] = ()
    lora_rank: int = 16

    def __post_init__(self) -> None:
        within(0, image_stride=self.image_stride)


@dataclass(frozen=True, kw_only=True)
class AgentTraining(NetworkTraining):
    """What to train, from what, how.

    Attributes:
        parts: the data.
        prompt_format: the fields that the agent speaks.
        read_backs: how lookahead parts read dreams back; each entry gets an equal share.
        learn_kept: whether lookahead parts learn proposals that their review keeps.
        training: see `TrainingConfig`.
        judging: see `JudgeTraining`; None where no part is judged.
        model_seed: of fresh weights.
    """

    parts: tuple[DataPart, ...]
    prompt_format: PromptFormat = field(default_factory=PromptFormat)
    read_backs: tuple[Literal["pixels", "codes"], ...] = ("pixels", "codes")
    learn_kept: bool = True
    training: TrainingConfig = field(default_factory=TrainingConfig)
    judging: JudgeTraining | None = None
    model_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(0, seed=self.model_seed)
        scale = self.judging and self.judging.judge_scale
        judged = any(part.style == "judge" for part in self.parts)
        if judged != (scale is not None) or self.prompt_format.judgement != scale:
            raise RigError(
                f"judging on {scale!r} and prompt_format.judgement={self.prompt_format.judgement!r}: give both, and "
                "alike, where a part is judged, and neither elsewhere"
            )

    @property
    def learned(self) -> Learned:
        """What of the parts' steps is learned."""
        verdict = self.judging.verdict_weight if self.judging else USUAL.verdict
        return Learned(kept=float(self.learn_kept), verdict=verdict)
