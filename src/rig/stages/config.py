"""Every configuration of the stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rig.agents.checkpoint import Dtype
from rig.errors import RigError, at_least_one, within
from rig.shipped import DEFAULT_WORLD

_TOGETHER = 16

USUAL_NOISE = 0.08
"""Chance of a slip at a step of a teacher's own episodes."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How a stage treats what is already in its output folder.

    Attributes:
        resume: go on with an unfinished dataset of the same configuration.
        overwrite: replace what is in the folder.
    """

    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class CollectConfig:
    """What to collect.

    Attributes:
        environment: the world.
        teacher: who plays; None: who the world's kit names.
        teacher_config: what its own `Config` is made of.
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first, because another dataset has them.
        noise: chance that a burst of random keys begins at a step; None: 0.08 where a teacher plays, and none where a
            player does, who makes mistakes of its own.
        burst: the longest burst.
        seed: of the noise, and of the steps at which a teacher takes over from a player.
    """

    environment: str = DEFAULT_WORLD
    teacher: str | None = None
    teacher_config: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    episodes: int = 100
    skip: int = 0
    noise: float | None = None
    burst: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.noise is not None and not 0 <= self.noise <= 1:
            raise RigError(f"noise={self.noise}: a chance, 0 to 1")
        at_least_one(burst=self.burst)

    @property
    def slips(self) -> float:
        """The chance of noise in a teacher's own episodes."""
        return USUAL_NOISE if self.noise is None else self.noise


@dataclass(frozen=True, kw_only=True)
class PlayerConfig:
    """Who plays while the teacher only says what it would do, and how.

    Attributes:
        player: an agent's folder, or whoever else can be named where an agent is asked for; where empty, the teacher
            plays, and the rest is of no use.
        record: what is kept of each step. "said": what the teacher says, to be imitated. "done": what the player itself
            thinks and does and what comes of it, which is dreamed about and not imitated: an agent whose dreams know
            only a teacher's play dreams that what it does succeeds. "better": the same, but what it did in place of its
            first plan, because it found it better by their dreams, is imitated where something came of it.
        plans: k, how many plans an agent proposes; of more than one the best is done.
        dreams: n, the steps it dreams of each of several plans.
        judge: who says what each of several plans is worth.
        resample: judge one plan at first, and propose the others only where it is refused.
        mixture: chance that the teacher's action is done at a step in place of the player's. Rounds may begin with
            much of it, which leads through states that the player does not reach alone, and end with none.
        temperature: of the player's thoughts and actions.
        batch_size: worlds side by side; None: 64, or one for each core where a world is an engine of its own.
        most_steps: cut episodes after so many steps; None leaves them to the task's own limit.
        next_frames: whether what the teacher would have done is tried in a copy of the world, so that an agent that
            dreams can learn what comes of it. Without it, of such steps only thought and action are learned.
        dtype: as in `LookaheadConfig`.
    """

    player: str = ""
    record: Literal["said", "done", "better"] = "said"
    plans: int = 1
    dreams: int = 0
    judge: str = "majority"
    resample: bool = False
    mixture: float = 0.0
    temperature: float = 0.5
    batch_size: int | None = None
    most_steps: int | None = None
    next_frames: bool = True
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        within(0, 1, mixture=self.mixture)
        at_least_one(batch_size=self.batch_size, most_steps=self.most_steps, plans=self.plans)
        within(0, dreams=self.dreams)
        if self.record == "better" and (self.plans < 2 or not self.dreams):
            raise RigError(
                f'record="better" of plans={self.plans} and dreams={self.dreams}: nothing is found better without '
                "dreams to compare; take --plans 7 --dreams 1 --judge effect --resample, say"
            )


@dataclass(frozen=True, kw_only=True)
class ReasonConfig:
    """How to annotate.

    Attributes:
        reasoner: who writes the thoughts; None: who the kit of the dataset's world names.
        reasoner_config: what its own `Config` is made of.
        same_actions: how many episodes with the very same actions are kept per task and setting.
        validate: check every claim against the engine's facts.
    """

    reasoner: str | None = None
    reasoner_config: Mapping[str, Any] = field(default_factory=dict)
    same_actions: int = 20
    validate: bool = True

    def __post_init__(self) -> None:
        at_least_one(same_actions=self.same_actions)


@dataclass(frozen=True, kw_only=True)
class RereviewConfig:
    """How to write reviews anew.

    Attributes:
        reviewer: who writes them; None: who the kit of the dataset's world names.
        reviewer_config: what its own `Config` is made of.
    """

    reviewer: str | None = None
    reviewer_config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReviewingConfig:
    """What every stage that makes reviews has in common.

    Attributes:
        teacher: who says what would have been better; None: who the world's kit names.
        reviewer: who writes the reviews; None: who the world's kit names.
        reviewer_config: what its own `Config` is made of.
        states: the most states taken from one episode.
        horizons: how often n = 1, 2, 3 … dreams are made, relative to each other.
        patience: steps after which the teacher has not finished in time, and nothing is to be gained or lost.
        margin: the least advantage, in steps, that makes the teacher's action the better one.
        seed: of the choice of states and horizons.
    """

    teacher: str | None = None
    reviewer: str | None = None
    reviewer_config: Mapping[str, Any] = field(default_factory=dict)
    states: int = 8
    horizons: tuple[float, ...] = (4, 3, 2, 1, 1)
    patience: int = 80
    margin: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.horizons or min(self.horizons) < 0 or sum(self.horizons) <= 0:
            raise RigError(f"horizons {self.horizons}: weights of n = 1, 2, 3 …, at least one of them positive")
        at_least_one(states=self.states, patience=self.patience)


@dataclass(frozen=True, kw_only=True)
class RehearseConfig(ReviewingConfig):
    """How to review what a teacher did.

    Attributes:
        states: the most of the teacher's own steps taken from one episode, what it seldom does before the rest.
        slips: the most steps of its noise taken from one episode, to be corrected.
    """

    states: int = 6
    slips: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slips < 0:
            raise RigError(f"slips={self.slips}: at least 0")


@dataclass(frozen=True, kw_only=True)
class LookaheadConfig(ReviewingConfig):
    """What S3 and S4 of an agent have in common: the agent plays, and the teacher judges what it proposes.

    Attributes:
        agent: folder of the trained agent (RIG-basic).
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first: the agent learned from them.
        batch_size: worlds side by side; None: 64, or one for each core where a world is an engine of its own.
        most_steps: cut the agent's episodes after so many decisions; None leaves them to the task's own limit.
        dtype: what the network computes in: "float32", "bfloat16", or "auto": float32 on a CPU, bfloat16 on a GPU that
            multiplies it. In bfloat16 an episode may turn out otherwise in another batch.
    """

    agent: str
    tasks: tuple[str, ...] = ()
    episodes: int = 12
    skip: int = 0
    batch_size: int | None = None
    most_steps: int | None = None
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(batch_size=self.batch_size, most_steps=self.most_steps)

    @property
    def together(self) -> int:
        """How many episodes a worker of a cluster has at a time."""
        return self.batch_size or _TOGETHER


@dataclass(frozen=True, kw_only=True)
class AlignConfig(LookaheadConfig):
    """What S4 has besides.

    Attributes:
        reasoner: who writes thoughts anew, about what really came of dreams; None: who the world's kit names.
        reasoner_config: what its own `Config` is made of.
        dreams: how many steps the agent dreams ahead while it plays. Reviews lead it to states that RIG-basic never
            visits, and whoever is to play with reviews must learn from those.
    """

    reasoner: str | None = None
    reasoner_config: Mapping[str, Any] = field(default_factory=dict)
    dreams: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dreams < 0:
            raise RigError(f"dreams={self.dreams}: at least 0")


@dataclass(frozen=True, kw_only=True)
class BranchConfig:
    """Where to branch, and into what.

    Attributes:
        agent: folder of a trained agent that dreams.
        teacher: whose steps to success say what a branch is worth, and who is one of the players and of the plans;
            None: who the world's kit names. Where empty, or where it names nobody, the task's samples say it, and only
            the agent plays and plans.
        players: whose episodes give the states: "agent", "teacher", and "noise", the teacher with slips.
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task, setting and player.
        skip: episodes per task and setting to leave out first.
        split: "train"; or "validation", for sets on which judges are chosen.
        states: the most states taken from one episode.
        plans: the agent's own proposals in each state; equal ones are one branch.
        random: random plans besides.
        dreams: n, how deep branches are dreamed and tried.
        temperature: of thoughts and actions.
        patience: steps after which the teacher has not finished in time.
        noise: chance of a slip at each step of the player "noise".
        batch_size: conversations side by side, and worlds; None: 64, or a world for each core where it is an engine
            of its own.
        most_steps: cut episodes after so many decisions; None leaves them to the task's own limit.
        seed: of the choice of states, random plans and slips.
        dtype: as in `LookaheadConfig`.
    """

    agent: str
    teacher: str | None = None
    players: tuple[Literal["agent", "teacher", "noise"], ...] = ("agent",)
    tasks: tuple[str, ...] = ()
    episodes: int = 12
    skip: int = 0
    split: Literal["train", "validation"] = "train"
    states: int = 8
    plans: int = 4
    random: int = 1
    dreams: int = 1
    temperature: float = 0.5
    patience: int = 80
    noise: float = 0.15
    batch_size: int | None = None
    most_steps: int | None = None
    seed: int = 0
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        at_least_one(
            states=self.states,
            plans=self.plans,
            dreams=self.dreams,
            patience=self.patience,
            batch_size=self.batch_size,
            most_steps=self.most_steps,
        )
        if not 0 <= self.noise <= 1 or self.random < 0:
            raise RigError(f"noise={self.noise} and random={self.random}: a chance, 0 to 1, and at least 0")
        if len(set(self.players)) != len(self.players) or not self.players:
            raise RigError(f"players {self.players}: one or more, each once")
        if self.teacher == "" and set(self.players) != {"agent"}:
            raise RigError(f"players {self.players}: without a teacher only the agent plays")
