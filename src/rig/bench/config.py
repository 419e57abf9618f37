"""Every configuration of the benchmarks, free of torch, so that a command line can read them in no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rig.agents.checkpoint import Dtype
from rig.errors import at_least_one

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
class DreamBench:
    """What is measured of dreaming.

    Attributes:
        agent: folder of a trained agent, which dreams of validation states; where empty, random weights of `preset`
            dream of noise, which tells what a pass takes and not how many are needed.
        preset: the network's sizes where there is no agent.
        batches: dreams at once.
        diagonal_offsets: of diagonal decoding.
        entropy_threshold: as in `rig eval`.
        rounds: counted rounds; each way runs once in each.
        dtype: what the network computes in.
    """

    agent: str = ""
    preset: str = "small"
    batches: tuple[int, ...] = (1, 16, 64)
    diagonal_offsets: tuple[int, ...] = (1, 0)
    entropy_threshold: float = 0.1
    rounds: int = 3
    dtype: Dtype = "auto"


@dataclass(frozen=True, kw_only=True)
class WalkBench:
    """What is measured of a walk through dreams.

    Attributes:
        agent: folder of a trained agent.
        task: "task/setting", where the walk begins, in the first validation world; the world's first where empty.
        frames: that are dreamed in a round, one for each key.
        entropy_thresholds: as in `rig eval`; 0 is exact.
        rounds: counted rounds; each way runs once in each.
        dtype: what the network computes in.
    """

    agent: str = "checkpoints/rig-crafter-small"
    task: str = ""
    frames: int = 40
    entropy_thresholds: tuple[float, ...] = (0.0, 0.1)
    rounds: int = 5
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        at_least_one(frames=self.frames, rounds=self.rounds)


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
class ServeBench:
    """What is measured of serving.

    Attributes:
        agent: folder of a trained agent.
        clients: how many ask, each as soon as it is answered.
        decisions: of a round, at the least two for each client.
        dreams: of a decision.
        tasks: "task/setting" whose first frames are shown.
        batch: decisions that share the engine's passes, served and in one process alike.
        rounds: counted rounds; each way runs once in each.
        dtype: what the network computes in.
    """

    agent: str = "checkpoints/rig-crafter-small"
    clients: tuple[int, ...] = (1, 16, 64)
    decisions: int = 64
    dreams: int = 0
    tasks: str = "collect_wood/manual"
    batch: int = 16
    rounds: int = 3
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        at_least_one(
            decisions=self.decisions, batch=self.batch, rounds=self.rounds, clients=min(self.clients, default=0)
        )


@dataclass(frozen=True, kw_only=True)
class LoopBench:
    """What is done of the whole way, from a teacher's play to an agent's.

    Attributes:
        agent: folder of a trained agent, whose weights and tokenizers are begun with.
        teacher: who plays first.
        tasks: "task/setting".
        episodes: per task and setting, of the teacher and of the agent, in worlds that are generated for it.
        steps: optimiser steps, not compiled.
        batch_size: conversations a step, on average.
        most_steps: cut the agent's episodes after so many decisions.
    """

    agent: str = "checkpoints/rig-crafter-small"
    teacher: str = "crafter"
    tasks: tuple[str, ...] = ("collect_wood/manual", "place_table/tool", "collect_stone/tool", "explore/manual")
    episodes: int = 4
    steps: int = 12
    batch_size: int = 8
    most_steps: int = 50


@dataclass(frozen=True, kw_only=True)
class DataBench:
    """What is measured of reading for training.

    Attributes:
        agent: folder of a trained agent of the preset `small`, whose tokenizers code the frames and whose network
            learns.
        data: datasets of single steps (S1, S2); where there is none, a teacher plays some episodes first.
        lookahead: datasets of lookahead steps (S3, S4).
        teacher: who plays where there is no `data`.
        tasks: "task/setting" that it plays.
        episodes: per task and setting.
        workers: processes that read beside each other, each the packs of a lane of its own.
        batch_size: conversations a pack, on average.
        packs: that are read in a round.
        steps: optimiser steps in a round, each of one pack.
        rounds: counted rounds; each way runs once in each.
        compile: compile the network's blocks, as training does.
    """

    agent: str = "checkpoints/rig-crafter-small"
    data: tuple[str, ...] = ()
    lookahead: tuple[str, ...] = ()
    teacher: str = "crafter"
    tasks: tuple[str, ...] = ("collect_wood/manual", "place_table/tool", "collect_stone/tool", "explore/manual")
    episodes: int = 8
    workers: int = 2
    batch_size: int = 16
    packs: int = 24
    steps: int = 2
    rounds: int = 5
    compile: bool = True


@dataclass(frozen=True, kw_only=True)
class EnvBench:
    """What is measured of Minetest.

    Attributes:
        sizes: of the observed frame, as WIDTHxHEIGHT.
        worlds: how many worlds run beside each other, each in a process.
        ticks: of a round, in each world; the player walks and turns all the time.
        rounds: counted rounds, and resets of all worlds at once; the middle one is told.
        seed: of the first world; each further one has the next.
        view_range: how far one sees, in nodes.
        display: what the engine draws at the least, as WIDTHxHEIGHT; below 640x360 its display cannot be read.
        turn: turn on the spot in place of walking, so that nothing is generated while the clock runs.
    """

    sizes: tuple[str, ...] = ("64x64", "128x128", "640x360")
    worlds: tuple[int, ...] = (1, 2)
    ticks: int = 100
    rounds: int = 3
    seed: int = 5
    view_range: int = 40
    display: str = "640x360"
    turn: bool = False


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
