"""Every configuration of the evaluations, free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rig.agents.checkpoint import Dtype
from rig.errors import RigError, at_least_one

BY_TEACHER = "teacher:"
"""What a teacher's name begins with where an agent's folder could stand."""

REFUSED_AT_RANDOM = 0.1
"""Share of the plans that are refused by who refuses some at random: the control of a planner whose judge does."""


@dataclass(frozen=True, kw_only=True)
class EmbodiedConfig:
    """What to evaluate, where, how often.

    Attributes:
        agent: folder of a trained agent, or "teacher:crafter", "teacher:random"; or "ws://HOST:PORT" of a `rig serve`
            that was given the same flags.
        environment: the world; where empty, an agent's own, and for a teacher the one in whose kit it is; Crafter for
            "teacher:random".
        tasks: "task" or "task/setting"; all where none is given.
        episodes: episodes per task and setting.
        skip: episodes per task and setting to leave out first.
        split: "evaluation" for numbers; "validation" for tuning.
        dreams: n of the lookahead; 0 acts at once.
        stop_entropy: dream no further than a dream whose entropy, in nats per code, is above this; None dreams all n.
        entropy_threshold: write a code of a dream at once where its entropy, in nats, is below this, which takes few
            passes (0.1 is a good choice); 0 writes a dream exactly as one code after the other.
        plans: k, how many plans are proposed; of more than one the best is taken (the planner "best-of"), each dreamed
            `dreams` steps ahead; of one alone, the paper's lookahead.
        judge: who says what each of several plans is worth; "majority" takes the one that was proposed most often,
            "effect" the first of whose dream something comes, "stillness" the one of which it is least likely that
            nothing comes, or beside `resample` the first of which that is unlikely enough; "change" weighs the votes
            with how much of the frame a dream changes, "said" with what the agent itself says of it, where it has
            learned to.
        resample: judge one plan at first, and propose the others of `plans` only where it is refused (the planner
            "resample"); of a `judge` that looks.
        planner: another way to decide, by its name; where given, `dreams`, `stop_entropy`, `plans`, `judge`,
            `resample` and `imagine` are not for it.
        planner_options: of that planner, each as "name=value"; the value is JSON, or else a text.
        read_back: how dreams are read: "pixels" or "codes".
        dreams_from: what is shown in the place of every dream: "own" for nothing else; what "true"ly comes, the bound
            on what better dreams could bring (the agent is then told what no agent knows, so such a score is none of
            its own); a "still" copy of what is observed; the agent's dream of an "other-plan" from the same state; one
            of an "other-episode"; or a "blank" frame.
        true_dreams: the same as `dreams_from` "true".
        bind_verdicts: a review that says "keep the plan" does what was planned, whatever action it would have
            written; where the world's claim checker can read that.
        thought_tokens: the longest thought.
        temperature: of thoughts and actions; 0 takes the likeliest. Dreams always take the likeliest.
        batch_size: worlds side by side; None: 64, or one for each core where a world is an engine of its own.
        most_steps: cut episodes after so many decisions; None leaves them to the task's own limit.
        dtype: what the network computes in: "float32", "bfloat16", or "auto": float32 on a CPU, bfloat16 on a GPU
            that multiplies it. In bfloat16 an episode may turn out otherwise in another batch.
        imagine: without a lookahead, dream the next frame all the same, to be shown; costs time and changes nothing.
        follow_dreams: also do in a copy of the world what was dreamed, to show what would have come; the same is true.
        valued: the share of decisions of which a teacher says, playing on from copies of the world, what the first
            proposal and what is done lose in steps; 0 asks nobody.
        patience: steps after which the teacher has not finished in time.
    """

    agent: str
    environment: str = ""
    tasks: tuple[str, ...] = ()
    episodes: int = 50
    skip: int = 0
    split: Literal["evaluation", "validation"] = "evaluation"
    dreams: int = 0
    stop_entropy: float | None = None
    entropy_threshold: float = 0.0
    plans: int = 1
    judge: str = "majority"
    resample: bool = False
    planner: str = ""
    planner_options: tuple[str, ...] = ()
    read_back: Literal["pixels", "codes"] = "pixels"
    dreams_from: str = "own"
    true_dreams: bool = False
    bind_verdicts: bool = True
    thought_tokens: int = 96
    temperature: float = 0.5
    batch_size: int | None = None
    most_steps: int | None = None
    dtype: Dtype = "auto"
    imagine: bool = False
    follow_dreams: bool = False
    valued: float = 0.0
    patience: int = 80

    def __post_init__(self) -> None:
        at_least_one(batch_size=self.batch_size, most_steps=self.most_steps, plans=self.plans, patience=self.patience)
        if not 0 <= self.valued <= 1:
            raise RigError(f"valued={self.valued}: a share of the decisions, 0 to 1")
        if self.true_dreams and self.dreams_from not in ("own", "true"):
            raise RigError(f"--true-dreams and --dreams-from {self.dreams_from}: only one of them can be shown")

    @property
    def dream_source(self) -> str:
        """The name of what is shown in the place of dreams."""
        return "true" if self.true_dreams else self.dreams_from


@dataclass(frozen=True, kw_only=True)
class CausalityConfig(EmbodiedConfig):
    """Which agent's dreams to exchange, for what; how it plays and where is said as in `EmbodiedConfig`.

    Attributes:
        dreams: n, the steps dreamed of each plan; at least 1.
        valued: the share of decisions, drawn by their seeds, of which a teacher says what the first proposal and what
            is done lose in steps; 0 asks nobody.
        rows: which, by their names, in this order: dream sources (`dreams_from`), and "no-dreams", "majority", "random"
            and "first"; all where none is given.
        votes: k, of the three last rows where the planner has one plan; where it has several, it is their number.
    """

    dreams: int = 1
    valued: float = 0.1
    rows: tuple[str, ...] = ()
    votes: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(votes=self.votes)
        if self.dream_source != "own":
            raise RigError(f"dreams from {self.dream_source!r}: name what is to be shown among the --rows")
        if len(set(self.rows)) < len(self.rows):
            raise RigError(f"--rows {' '.join(self.rows)}: each once")


@dataclass(frozen=True, kw_only=True)
class ReviewsConfig:
    """Which lookaheads to review, and what to show in the place of their dreams.

    Attributes:
        agent: folder of a trained agent that has learned to review.
        data: folders of S3's or S4's datasets, from worlds that the agent has not learned from. S4 holds states in
            which a plan deserves to be kept as well.
        shown: in the place of each dream: the "real" frame that came, the one that was "dreamed" when the data were
            made, or the "still" one that was observed. A control, which has no dreams, is shown none.
        depth: show the first so many dreams of each lookahead.
        tasks: "task" or "task/setting"; all where none is given.
        read_back: as in `EmbodiedConfig`.
        thought_tokens: as in `EmbodiedConfig`.
        temperature: as in `EmbodiedConfig`.
        batch_size: reviews side by side.
        seed: of what is drawn.
        dtype: as in `EmbodiedConfig`.
    """

    agent: str
    data: tuple[str, ...]
    shown: tuple[Literal["real", "dreamed", "still"], ...] = ("real", "dreamed", "still")
    depth: int = 1
    tasks: tuple[str, ...] = ()
    read_back: Literal["pixels", "codes"] = "pixels"
    thought_tokens: int = 96
    temperature: float = 0.5
    batch_size: int = 64
    seed: int = 0
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        at_least_one(depth=self.depth, batch_size=self.batch_size, thought_tokens=self.thought_tokens)
        if not self.shown or not self.data:
            raise RigError("--data and --shown: at least one of each")


@dataclass(frozen=True, kw_only=True)
class JudgementsConfig:
    """Which plans to judge, and what to show of them.

    Attributes:
        agent: folder of a trained agent that has learned to judge.
        data: folders of `rig branch`'s datasets, from worlds that the agent has not learned from; sets of its own play
            tell most.
        given: what it is shown of a plan: the "real" frames that came, the "dreams" that were made with the sets, or
            "nothing" but the plan.
        tasks: "task" or "task/setting"; all where none is given.
        batch_size: judgements side by side.
        dtype: as in `EmbodiedConfig`.
    """

    agent: str
    data: tuple[str, ...]
    given: tuple[Literal["real", "dreams", "nothing"], ...] = ("real", "dreams", "nothing")
    tasks: tuple[str, ...] = ()
    batch_size: int = 64
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        at_least_one(batch_size=self.batch_size)
        if not self.given or not self.data:
            raise RigError("--data and --given: at least one of each")


@dataclass(frozen=True, kw_only=True)
class ImaginationConfig:
    """What to dream about.

    Attributes:
        agent: folder of a trained agent that dreams.
        tasks: "task" or "task/setting"; all where none is given.
        chains: chains of actions in all.
        depth: k, the longest dream.
        actions: whose actions are dreamed about: the "teacher"'s, with the noise of S1 and the Reasoner's thoughts, the
            same for every agent; or the "agent"'s own as RIG-basic, with its own thoughts, as in a lookahead.
        context: "fresh": each dream begins a new conversation with the last dream as what is observed; "lookahead":
            all dreams of a chain stand in one conversation, as in a lookahead.
        entropy_threshold: as in `EmbodiedConfig`.
        diagonal_offset: write a code as soon as those to its left are known, and those above up to so many columns
            further (diagonal decoding); None: all of them.
        read_back: how dreams are read back inside a lookahead conversation.
        split: "evaluation" for numbers; "validation" for tuning.
        teacher: who plays, if it is a teacher; None: who the world's kit names.
        reasoner: who writes the thoughts that are given beside the teacher's actions; None: who the kit names.
        reasoner_config: what its own `Config` is made of.
        batch_size: chains, or worlds of the agent, side by side; None: 64, or fewer worlds, as in `EmbodiedConfig`.
        most_steps: of the agent's episodes; as in `EmbodiedConfig`.
        dtype: as in `EmbodiedConfig`.
    """

    agent: str
    tasks: tuple[str, ...] = ()
    chains: int = 512
    depth: int = 5
    actions: Literal["teacher", "agent"] = "teacher"
    context: Literal["fresh", "lookahead"] = "fresh"
    entropy_threshold: float = 0.0
    diagonal_offset: int | None = None
    read_back: Literal["pixels", "codes"] = "pixels"
    split: Literal["evaluation", "validation"] = "evaluation"
    teacher: str | None = None
    reasoner: str | None = None
    reasoner_config: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    most_steps: int | None = None
    dtype: Dtype = "auto"

    def __post_init__(self) -> None:
        at_least_one(chains=self.chains, depth=self.depth, batch_size=self.batch_size, most_steps=self.most_steps)
