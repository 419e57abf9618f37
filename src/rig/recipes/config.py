"""The budgets of a ladder, as complete named presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from rig.errors import RigError
from rig.registry import Registry
from rig.shipped import DEFAULT_WORLD
from rig.stages.config import USUAL_NOISE


@dataclass(frozen=True, kw_only=True)
class PlanningConfig:
    """What a ladder spends on choosing among several plans, and on learning from its own play; of RIG-basic.

    Attributes:
        corrected: whether all of it begins with the RIG-basic of the last on-policy round, where there is one, or with
            the paper's; whose dreams are practised first where the ladder practises.
        plans: numbers of plans that are scored, rising.
        dreams: numbers of dreams of each plan, rising; with 0 most votes decide, with more others are proposed where
            nothing comes of the first. Every number of plans is scored with the first two of them, the last with all.
        tasks: "task/setting" on which those are scored, and exchanged dreams; all of the ladder's where empty.
        episodes: of these scores, per task and setting; 0 for as many as rows have.
        branch_episodes: training episodes per task and setting whose states are branched, for a judge to learn from.
        held_out_episodes: validation episodes per task and setting that judges are scored on.
        states: branched, of an episode.
        proposals: in each state.
        judge_steps: optimiser steps of the judge.
        judge_share: of its conversations.
        said: (plans, dreams) that are scored with the judge.
        shown: (plans, dreams) of the rows in which dreams are exchanged; scored on everything as well, beside most
            votes of as many plans.
        rows: which of these rows; all where none is named.
        valued: share of their decisions that a teacher values.
        rounds: of learning from its own play; each of the ways to learn takes as many.
        groups: states of a round, from each of which `attempts` are played; eight times as many in dreams.
        attempts: at each.
        decisions: learned of a round.
        improve_rate: peak learning rate.
    """

    corrected: bool = True
    plans: tuple[int, ...] = (2, 4, 8)
    dreams: tuple[int, ...] = (0, 1, 2, 3, 5)
    tasks: tuple[str, ...] = ()
    episodes: int = 0
    branch_episodes: int = 12
    held_out_episodes: int = 4
    states: int = 8
    proposals: int = 8
    judge_steps: int = 1500
    judge_share: float = 0.8
    said: tuple[int, int] = (4, 1)
    shown: tuple[int, int] = (4, 1)
    rows: tuple[str, ...] = ()
    valued: float = 0.1
    rounds: int = 20
    groups: int = 28
    attempts: int = 8
    decisions: int = 1024
    improve_rate: float = 1e-4

    @property
    def grid(self) -> list[tuple[int, int]]:
        """The pairs of plans and dreams that are scored."""
        return [(k, n) for k in self.plans for n in (self.dreams if k == self.plans[-1] else self.dreams[:2])]


@dataclass(frozen=True, kw_only=True)
class LadderConfig:
    """What a ladder spends.

    Every row begins with the same base, whose eyes have learned what patches show and whose decoder has learned to say
    it, as Janus has before RIG. It sees the same taught episodes and takes the same optimiser steps, in two parts:
    `steps` on the first episodes; then, since S3 and S4 need an agent to play, `second_steps` more on those and on the
    teacher's side of S3. The lookahead and the control learn their reviews in the second part.

    Attributes:
        preset: the network's sizes.
        title: of the report.
        environment: the world.
        teacher: who plays S1, and beside the agent in S3; None: who the world's kit names.
        reasoner: who thinks in S2 and S4; None: who the kit names.
        reviewer: who reviews in S3 and S4; None: who the kit names.
        labeller: who names the patches of S1's frames, for the first vision tower; None: who the kit names. Where
            nobody does, or this is empty, the tower begins untaught.
        describer: who says what S1's frames show, for the base; None: who the kit names. Where nobody does, or this is
            empty, there is no base, and every row begins where the base would have.
        tasks: "task" or "task/setting"; all where empty.
        episodes: S1 episodes per task and setting.
        noise: chance of a slip at a step of S1.
        repeats: of its steps that do what the step before did, how many the rows learn from, as a share.
        review_episodes: S3 and S4 episodes per task and setting and round.
        review_states: the most states that S3 takes from one of them. All of its reviews change the plan, so too many
            teach that plans are to be changed.
        align_states: the most states that S4 takes from one of them; its reviews change what deserves it.
        rehearsed_states: the most of the teacher's own steps that S4 takes from one episode of S2, to be reviewed as
            if the agent had dreamed them. They hold what an agent seldom reaches.
        rehearsed_slips: the most steps of its noise.
        patience: steps in which the teacher must finish from a state, for its advantage there to count.
        rounds: rounds of S3 and S4, each with the agent that the one before made; from the second on, S4's states are
            those that it reaches with its reviews. A round's agent begins with the first part's RIG-basic again and
            learns from the reviews of all rounds so far, so it takes no more steps than the other rows.
        on_policy: rounds behind RIG-basic in which it, and then the agent of the round before, plays and is corrected:
            the share of the teacher's steps in each. Every round takes `second_steps` more than the paper's rows have,
            on all taught and corrected episodes so far, and so does a control without corrections. None where empty.
        on_policy_episodes: of a round, per task and setting.
        corrected_lookahead: whether the agent of the last on-policy round goes on to learn reviews, in `second_steps`
            more, from S4 in states of its own and from the rehearsal; and so does a control without dreams.
        practice_episodes: training episodes per task and setting that RIG-basic plays by itself, for its dreams to
            learn what comes of what it does, in `second_steps` more; none where 0. Without, a row that dreams knows
            only what comes of a teacher's play, and dreams that whatever it does succeeds.
        practice_share: of that play among the single steps which are learned then; the rest is imitation, which
            practice must not cost, and which has little left to give by then.
        practice_describe_share: of descriptions among all that is learned then.
        with_planning: whether there are rows of several plans, of judges, of dreams that are exchanged, and of learning
            from its own play.
        planning: what they spend.
        tokenizer_steps: optimiser steps of the VQ tokenizer.
        tokenizer_held_out: frames kept aside to score it.
        vision_steps: optimiser steps of the vision tower.
        base_steps: optimiser steps of the base.
        steps: optimiser steps of the first part.
        second_steps: optimiser steps of the second part.
        history: how many of its last actions an agent is told.
        lookahead_share: share of the reviews among the conversations that are not descriptions, in the rows that
            review. They must learn to see as well as thoughts do, which have the first part for it.
        read_back: how dreams are read in them, every entry as often as every other.
        batch_size: conversations a step.
        base_rate: peak learning rate of the base.
        learning_rate: peak of the first part. Much above this, the first steps undo what the base can see.
        second_rate: peak of the second part.
        fractions: shares of the first part's episodes for the curve of success against data.
        epochs: a share's training stops at `steps`, or after so many passes over it if that is sooner.
        steps_per_episode: taught steps that an episode has on average, from which passes are reckoned before any is
            played. What matters is that every row of a share takes the same.
        evaluation_episodes: per task, setting and row.
        teacher_episodes: of the teacher, per task and setting: it plays faster than agents that fail; 0 for as many.
        most_steps: after which episodes of agents and of random keys are cut, in S3 and S4 too; None leaves them to
            the tasks. An agent that fails plays to its limit, which takes most of a ladder's time.
        worlds: that are played side by side, and chains that are dreamed so.
        dreams: numbers of dreams scored on everything.
        sweep: numbers of dreams scored on `sweep_tasks`.
        sweep_tasks: the subset for the sweep.
        chains: chains of actions dreamed about, per row that dreams.
        compile: compile the network's blocks.
    """

    preset: str
    title: str
    environment: str = DEFAULT_WORLD
    teacher: str | None = None
    reasoner: str | None = None
    reviewer: str | None = None
    labeller: str | None = None
    describer: str | None = None
    tasks: tuple[str, ...] = ()
    episodes: int
    noise: float = USUAL_NOISE
    repeats: float = 1.0
    review_episodes: int
    review_states: int = 2
    align_states: int = 12
    rehearsed_states: int = 3
    rehearsed_slips: int = 1
    patience: int = 80
    rounds: int = 1
    on_policy: tuple[float, ...] = ()
    on_policy_episodes: int = 20
    corrected_lookahead: bool = False
    practice_episodes: int = 0
    practice_share: float = 0.8
    practice_describe_share: float = 0.05
    with_planning: bool = False
    planning: PlanningConfig = field(default_factory=PlanningConfig)
    tokenizer_steps: int
    tokenizer_held_out: int = 256
    vision_steps: int
    base_steps: int
    steps: int
    second_steps: int
    history: int = 1
    lookahead_share: float = 0.7
    read_back: tuple[Literal["pixels", "codes"], ...] = ("pixels", "pixels", "pixels", "codes")
    batch_size: int = 32
    base_rate: float = 1e-3
    learning_rate: float = 4e-4
    second_rate: float = 3e-4
    fractions: tuple[float, ...] = ()
    epochs: int = 12
    steps_per_episode: int = 20
    evaluation_episodes: int = 50
    teacher_episodes: int = 0
    most_steps: int | None = None
    worlds: int = 64
    dreams: tuple[int, ...] = (1,)
    sweep: tuple[int, ...] = ()
    sweep_tasks: tuple[str, ...] = ()
    chains: int = 512
    compile: bool = True

    def __post_init__(self) -> None:
        if self.corrected_lookahead and not self.on_policy:
            raise RigError("corrected_lookahead: there are no on-policy rounds to learn reviews behind; give on_policy")


LADDERS: Registry[LadderConfig] = Registry("ladder", "rig.ladders")
"""Named `<ladder>/<preset>`."""

LADDERS.add(
    "crafter/debug",
    LadderConfig(
        preset="debug",
        title="Crafter: the ladder in miniature",
        tasks=("collect_wood/manual", "place_table/tool"),
        episodes=6,
        review_episodes=2,
        review_states=4,
        align_states=4,
        on_policy_episodes=2,
        practice_episodes=1,
        planning=PlanningConfig(
            plans=(2,),
            dreams=(0, 1),
            tasks=("place_table/tool",),
            episodes=1,
            branch_episodes=2,
            held_out_episodes=2,
            states=2,
            proposals=3,
            judge_steps=5,
            said=(2, 1),
            shown=(2, 1),
            rows=("own", "true", "no-dreams"),
            valued=0.2,
            rounds=1,
            groups=2,
            attempts=2,
            decisions=4,
        ),
        tokenizer_steps=30,
        tokenizer_held_out=16,
        vision_steps=10,
        base_steps=10,
        steps=20,
        second_steps=10,
        batch_size=8,
        fractions=(0.5,),
        evaluation_episodes=2,
        teacher_episodes=3,
        dreams=(1,),
        sweep=(2,),
        sweep_tasks=("place_table/tool",),
        chains=4,
        # An agent of 20 steps plays to the limit of every task, and does no more in 100 decisions than in 12.
        most_steps=12,
        compile=False,
    ),
)
_CRAFTER = LadderConfig(
    preset="small",
    title="Crafter: from nothing to RIG-lookahead",
    episodes=100,
    review_episodes=40,
    tokenizer_steps=6000,
    vision_steps=2000,
    base_steps=1500,
    steps=3000,
    second_steps=3000,
    batch_size=8,
    fractions=(1 / 16, 1 / 8, 1 / 4, 1 / 2),
    epochs=6,
    dreams=(1,),
    sweep=(2, 3, 4, 5),
    # Neither always won nor never.
    sweep_tasks=("place_table/manual", "collect_wood/manual", "collect_stone/tool", "collect_coal/tool"),
)
LADDERS.add("crafter/small", _CRAFTER)
LADDERS.add(
    "crafter/small-frame",
    replace(
        _CRAFTER,
        title="Crafter: from nothing to RIG-lookahead, by a teacher that knows no more than its student",
        teacher="crafter-frame",
        reasoner="crafter-frame",
        reviewer="crafter-frame",
        # Eight core hours in all, with planning: less of everything than the preset small.
        episodes=80,
        review_episodes=20,
        tokenizer_steps=4000,
        vision_steps=1500,
        base_steps=1200,
        steps=1800,
        second_steps=1500,
        lookahead_share=0.5,
        history=8,
        on_policy=(0.2,),
        on_policy_episodes=20,
        fractions=(),
        sweep=(),
        evaluation_episodes=12,
        chains=64,
        practice_episodes=12,
        planning=PlanningConfig(
            corrected=False,
            # Found or dug for by hand, which is where there is most to gain.
            tasks=("collect_stone/manual", "collect_coal/manual", "collect_iron/manual", "explore/manual"),
            episodes=10,
            branch_episodes=4,
            states=6,
            proposals=6,
            judge_steps=600,
            # Still and blank frames, and no dreams, leave the first plan as it is: RIG-basic.
            rows=("own", "true", "other-plan", "other-episode", "majority", "random"),
            rounds=4,
            groups=14,
            decisions=768,
            improve_rate=2e-4,
        ),
    ),
)

_SIX = tuple(
    f"{task}/{setting}"
    for task in ("chop_a_tree", "break_grass", "collect_dirt", "dig_down", "go_explore", "build_a_tower")
    for setting in ("manual", "tool")
)
"""The tasks of the paper."""


LADDERS.add(
    "minetest/debug",
    LadderConfig(
        environment="minetest",
        preset="debug-128",
        title="Minetest: the ladder in miniature",
        tasks=("dig_down/tool", "build_a_tower/manual"),
        episodes=4,
        review_episodes=1,
        review_states=2,
        align_states=2,
        rehearsed_slips=0,
        patience=100,
        tokenizer_steps=20,
        tokenizer_held_out=8,
        vision_steps=5,
        base_steps=5,
        steps=10,
        second_steps=5,
        batch_size=4,
        evaluation_episodes=1,
        worlds=2,
        chains=2,
        compile=False,
    ),
)
LADDERS.add(
    "minetest/small",
    LadderConfig(
        environment="minetest",
        preset="small-128",
        title="Minetest: from nothing to RIG-lookahead",
        tasks=_SIX,
        episodes=40,
        # A slip undoes what was dug so far, and bare hands dig a trunk for 15 steps.
        noise=0.03,
        # Three in five of the expert's steps do what the one before did, most of them digging.
        repeats=0.25,
        review_episodes=4,
        align_states=6,
        on_policy_episodes=8,
        # Every slip is judged by playing its episode again, in an engine of its own.
        rehearsed_slips=0,
        # A tree takes bare hands a hundred steps.
        patience=200,
        tokenizer_steps=3000,
        vision_steps=2000,
        base_steps=1500,
        steps=2000,
        second_steps=1000,
        batch_size=8,
        steps_per_episode=45,
        # More than twice what the teacher needs at the most, and a third of the tasks' own limit.
        most_steps=250,
        # Half the paper's: agents that fail play six times as long as the teacher.
        evaluation_episodes=5,
        teacher_episodes=50,
        worlds=16,
        dreams=(1,),
        sweep_tasks=("dig_down/tool", "chop_a_tree/tool"),
        chains=32,
    ),
)
