"""Every configuration of the benchmarks, free of torch, so that a command line can read them in no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rig.bundle import Dtype

if TYPE_CHECKING:
    from rig.model import RIGConfig


@dataclass(frozen=True, kw_only=True)
class DecodeBench:
    """What is measured of writing.

    Attributes:
        preset: the network's sizes, brought to what transformers can express.
        batches: conversations at once.
        rounds: counted rounds; each contender runs once in each.
        dreams: of a lookahead decision.
        prompt_tokens: text tokens of a question, beside its frame.
        thought_tokens: of every thought.
        action_tokens: of every action.
        guesses: codes guessed beyond the next one in our dreams; 0 writes them one by one.
        branches: answers and dreams behind one question, which is read once for all of them, or once for each.
        dtype: "auto", "float32" or "bfloat16".
        generate: also measure transformers' `generate`, where it can do the job.
    """

    preset: str = "small"
    batches: tuple[int, ...] = (1, 16, 64)
    rounds: int = 3
    dreams: int = 3
    prompt_tokens: int = 100
    thought_tokens: int = 60
    action_tokens: int = 12
    guesses: int = 0
    branches: int = 8
    dtype: Dtype = "auto"
    generate: bool = True

    @property
    def answer_tokens(self) -> int:
        """Tokens of a thought and an action."""
        return self.thought_tokens + self.action_tokens


@dataclass(frozen=True, kw_only=True)
class PolicyBench:
    """What is measured of decisions.

    Attributes:
        agent: folder of a trained agent.
        tasks: "task/setting", whose worlds are played; validation seeds.
        worlds: how many share the engine.
        dreams: n of the lookaheads.
        decisions: that are timed, in all worlds together; at least two in each.
        rounds: counted rounds.
        dtype: what the network computes in.
    """

    agent: str
    tasks: str = "collect_wood/manual"
    worlds: tuple[int, ...] = (1, 16, 64)
    dreams: tuple[int, ...] = (0, 1, 3)
    decisions: int = 64
    rounds: int = 2
    dtype: Dtype = "auto"


@dataclass(frozen=True, kw_only=True)
class TrainBench:
    """What is measured of training.

    Attributes:
        preset: the network's sizes; its VQ tokenizer, which is not run, takes a shape that transformers knows.
        pack_tokens: tokens of a pack.
        steps: optimiser steps of a round.
        rounds: rounds that count, each of them ours and theirs in turns.
        text_tokens: text of a sample on average, beside an image that is read and one that is written; they vary by up
            to two thirds.
        compile_theirs: let Trainer compile too (`torch_compile`), which takes it minutes at first.
        seed: of weights and samples.
    """

    preset: str = "small"
    pack_tokens: int = 4096
    steps: int = 4
    rounds: int = 5
    text_tokens: int = 150
    compile_theirs: bool = False
    seed: int = 0

    @property
    def network(self) -> RIGConfig:
        """The sizes of both networks."""
        from rig.bench.janus import expressible
        from rig.model import PRESETS

        return expressible(PRESETS.get(self.preset))
