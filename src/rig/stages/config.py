"""Every configuration of the stages."""

from __future__ import annotations

from dataclasses import dataclass

from rig.bundle import Dtype
from rig.errors import RigError, at_least_one
from rig.shipped import DEFAULT_WORLD


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
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first, because another dataset has them.
        noise: chance that a burst of random keys begins at a step.
        burst: the longest burst.
        seed: of the noise.
    """

    environment: str = DEFAULT_WORLD
    teacher: str | None = None
    tasks: tuple[str, ...] = ()
    episodes: int = 100
    skip: int = 0
    noise: float = 0.08
    burst: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.noise <= 1:
            raise RigError(f"noise={self.noise}: a chance, 0 to 1")
        at_least_one(burst=self.burst)


@dataclass(frozen=True, kw_only=True)
class ReasonConfig:
    """How to annotate.

    Attributes:
        reasoner: who writes the thoughts; None: who the kit of the dataset's world names.
        same_actions: how many episodes with the very same actions are kept per task and setting.
        validate: check every claim against the engine's facts.
    """

    reasoner: str | None = None
    same_actions: int = 20
    validate: bool = True

    def __post_init__(self) -> None:
        at_least_one(same_actions=self.same_actions)


@dataclass(frozen=True, kw_only=True)
class RewriteConfig:
    """How to write reviews anew.

    Attributes:
        reviewer: who writes them; None: who the kit of the dataset's world names.
    """

    reviewer: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReviewingConfig:
    """What every stage that makes reviews has in common.

    Attributes:
        teacher: who says what would have been better; None: who the world's kit names.
        reviewer: who writes the reviews; None: who the world's kit names.
        states: the most states taken from one episode.
        horizons: how often n = 1, 2, 3 … dreams are made, relative to each other.
        patience: steps after which the teacher has not finished in time, and nothing is to be gained or lost.
        margin: the least advantage, in steps, that makes the teacher's action the better one.
        seed: of the choice of states and horizons.
    """

    teacher: str | None = None
    reviewer: str | None = None
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
        dtype: what the network computes in: "float32", "bfloat16", or "auto": bfloat16 where the hardware is faster at
            it. In bfloat16 an episode may turn out otherwise in another batch.
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


@dataclass(frozen=True, kw_only=True)
class AlignConfig(LookaheadConfig):
    """What S4 has besides.

    Attributes:
        reasoner: who writes thoughts anew, about what really came of dreams; None: who the world's kit names.
        dreams: how many steps the agent dreams ahead while it plays. Reviews lead it to states that RIG-basic never
            visits, and whoever is to play with reviews must learn from those.
    """

    reasoner: str | None = None
    dreams: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dreams < 0:
            raise RigError(f"dreams={self.dreams}: at least 0")
