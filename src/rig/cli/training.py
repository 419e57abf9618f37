"""Verbs that train."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from rig.cli.flags import Flags
from rig.dialogue import PromptFormat
from rig.errors import RigError
from rig.improve.config import ImproveConfig, LessonsConfig, PlayConfig, training_of
from rig.train.config import (
    AgentTraining,
    Execution,
    FrameTraining,
    JudgeTraining,
    Mixture,
    NetworkTraining,
    OptimiserConfig,
    RoleWeights,
    StepsConfig,
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
        track: who is told what is logged: tensorboard, trackio, wandb, or a tracker of your own.
    """

    data: str
    out: str
    preset: str = "small"
    steps: int
    batch_size: int
    learning_rate: float
    seed: int = 0
    resume: bool = False
    track: tuple[str, ...] = ()

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
            track=self.track,
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
        augment: show frames mirrored, moved and lit otherwise whenever they are learned from, for labellers whose
            labels hold wherever in a frame a thing is: fewer episodes then teach as much.
    """

    labeller: str | None = None
    augment: bool = False
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

        config = self._tuned(VisionTraining(model=PRESETS.get(self.preset).vision, augment=self.augment))
        dataset = Dataset(self.data)
        named = kit_name(dataset.info.environment, "labeller") if self.labeller is None else self.labeller
        labeller = LABELLERS.get(named)()
        scores = train_vision(dataset, labeller, config, self.out, resume=self.resume, track=self.track)
        text = (
            f"{self.out}: names {scores['accuracy']:.1%} of the patches of {scores['frames']:.0f} held-out frames "
            f"right ({scores['balanced_accuracy']:.1%} over {scores['labels']:.0f} labels)"
        )
        return {"text": text, "out": self.out, **scores, "provenance": provenance()}


@dataclass(frozen=True, kw_only=True)
class Train(Flags, Execution, StepsConfig, NetworkTraining, JudgeTraining, Mixture):
    """Train an agent: RIG-basic on thoughts and next frames, RIG-lookahead on reviews and aligned dreams besides.

    With --judge it learns to say what its plans are worth.

    Example: rig train --preset small --data runs/s2 --tokenizers runs/tokenizers --out runs/basic --steps 3000

    Attributes:
        out: folder of the run; the agent is written to <out>/agent.
        tokenizers: folder that `rig train-tokenizer` wrote, or an agent or a base to take them from; `start` where
            empty.
        thought: whether the agent reasons.
        dream: whether the agent imagines the next frame.
        read_back: how dreams are read in lookahead conversations, each entry in an equal share of them; a way that
            is named twice gets two.
        reobserve: whether a review is shown the observed frame again.
        history: how many of the executed actions the prompt tells, newest first; None: as many as the agent in `start`
            is told, or the last one alone.
        learn_kept: whether a lookahead's first proposal is learned too where the review keeps it; it is then what a
            single turn should say.
        learning_rate: the peak.
        warmup: steps of linear warm-up; a tenth of all steps if that is fewer.
        action_weight: weight of action tokens in the loss.
        image_weight: weight of image tokens in the loss.
        compile: compile the network's blocks.
        seed: of weights and order.
        resume: go on with a run that was cut; with more `steps` than a finished run has, go on with that for another
            leg, whose learning rate rises and falls anew.
        track: who is told what is logged: tensorboard, trackio, wandb, or a tracker of your own.
    """

    out: str
    tokenizers: str = ""
    preset: str = "small"
    thought: bool = True
    dream: bool = True
    read_back: tuple[Literal["pixels", "codes"], ...] = ("pixels", "codes")
    reobserve: bool = True
    history: int | None = None
    learn_kept: bool = True
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: int = 100
    action_weight: float = 1.0
    image_weight: float = 1.0
    compile: bool = True
    resume: bool = False
    track: tuple[str, ...] = ()

    def run(self) -> dict[str, Any]:
        """Train."""
        from rig.train import train_agent
        from rig.train.ranks import is_first, together

        config = self.config()
        with together():
            agent = train_agent(config, self.out, resume=self.resume, execution=self.part(Execution), track=self.track)
            if not is_first():
                return {}
        return _told(agent)

    def config(self) -> AgentTraining:
        """Return what the flags ask for.

        Raises:
            RigError: there are no tokenizers, or a folder holds no dataset.
        """
        from rig.train.mixture import parts_of

        if not (self.tokenizers or self.start):
            raise RigError("give --tokenizers (`rig train-tokenizer` makes them) or --start, which brings its own")
        inherited = self._inherited()
        return self.part(
            AgentTraining,
            tokenizers=self.tokenizers or self.start,
            parts=parts_of(self.part(Mixture)),
            prompt_format=PromptFormat(
                thought=self.thought,
                dream=self.dream,
                reobserve=self.reobserve,
                judgement=self.judge_scale if self.judge else None,
                about=inherited.about,
                history=inherited.history if self.history is None else self.history,
            ),
            judging=self.part(JudgeTraining) if self.judge else None,
            read_backs=self.read_back,
            training=self.part(
                TrainingConfig,
                optimiser=self.part(OptimiserConfig),
                weights=RoleWeights(action=self.action_weight, image=self.image_weight),
            ),
            model_seed=self.seed,
        )

    def _inherited(self) -> PromptFormat:
        """Return a format that tells what that of `start` does, or else what the world of the data is about."""
        from rig.agents.checkpoint import AGENT_FILE, about_agent
        from rig.data import Manifest
        from rig.envs import about_of

        if self.start and (Path(self.start) / AGENT_FILE).is_file():
            return about_agent(self.start).form
        first = next(
            iter((*self.data, *self.practice, *self.better, *self.describe, *self.lookahead, *self.judge)), None
        )
        return PromptFormat(about=about_of(Manifest.load(Path(first)).info.environment) if first else None)


@dataclass(frozen=True, kw_only=True)
class Improve(Flags, PlayConfig, LessonsConfig):
    """Have an agent learn from its own play: several attempts from each of many states, and what each was worth.

    With --plans and --learn won it learns what it decides when it thinks longer (expert iteration); with --in-dreams,
    what it dreams to come of its plans, and does nothing.

    Example: rig improve --agent runs/rig/agent --data runs/s2 --out runs/improved --rounds 20

    Attributes:
        agent: folder of the agent to begin with.
        out: folder of the run; what the agent became is written to <out>/agent.
        data: datasets of single steps (S2) that go on being learned beside, so that dreams are not forgotten.
        rounds: how often is played, and learned of it.
        save_every: rounds between saved states.
        learning_rate: the peak.
        warmup: steps of linear warm-up; a tenth of all steps if that is fewer.
        seed: of worlds, states and order.
        resume: go on with a run that was cut; with more `rounds` than a finished run has, go on with that.
        track: who is told what is logged: tensorboard, trackio, wandb, or a tracker of your own.
    """

    agent: str
    out: str
    data: tuple[str, ...] = ()
    rounds: int = 20
    save_every: int = 1
    learning_rate: float = 1e-4
    warmup: int = 8
    seed: int = 0
    resume: bool = False
    track: tuple[str, ...] = ()

    def run(self) -> dict[str, Any]:
        """Play and learn, round after round."""
        from rig.agents.checkpoint import about_agent
        from rig.improve.agent import improve_agent, said_of
        from rig.provenance import provenance
        from rig.train.mixture import parts_of

        lessons = self.part(LessonsConfig)
        optimiser = OptimiserConfig(learning_rate=self.learning_rate, warmup=self.warmup, weight_decay=0.0)
        config = ImproveConfig(
            agent=self.agent,
            play=self.part(PlayConfig),
            lessons=lessons,
            parts=parts_of(Mixture(data=self.data)) if self.data else (),
            training=training_of(self.rounds, lessons.updates, optimiser, seed=self.seed, save_every=self.save_every),
        )
        agent = improve_agent(config, self.out, resume=self.resume, track=self.track)
        rounds = about_agent(agent).origin["improved"][-1]["rounds"]
        text = (
            f"{agent}: {len(rounds)} rounds; in the first {said_of(rounds[0])}, in the last {said_of(rounds[-1])}, "
            "in training worlds; score it with `rig eval`"
        )
        return {"text": text, "agent": str(agent), "rounds": rounds, "provenance": provenance()}


def _told(agent: Path) -> dict[str, Any]:
    """Return what to say of a trained agent."""
    from rig.agents.checkpoint import origin_of

    origin = origin_of(agent)
    totals = origin["totals"]
    text = (
        f"{agent}: {totals['steps']:.0f} steps, {totals['conversations']:.0f} conversations, "
        f"{totals['tokens'] / 1e6:.1f} M tokens in {totals['seconds'] / 60:.1f} min"
    )
    return {"text": text, "agent": str(agent), "totals": totals, "provenance": origin["provenance"]}
