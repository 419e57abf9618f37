"""What a ladder spends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rig.errors import RigError
from rig.evaluate.config import REFUSED_AT_RANDOM
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
            votes of as many plans, plans refused at random, and dreams weighed in place of drawn.
        refused: shares of first plans that are refused at random: as many as drawn dreams refuse, and as weighed ones.
        weighed: whether there is a row of dreams weighed in place of drawn, and one that refuses as many at random.
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
    refused: tuple[float, float] = (REFUSED_AT_RANDOM, 0.4)
    weighed: bool = True
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


class Part(NamedTuple):
    """How much a run learns.

    Attributes:
        steps: of the optimiser.
        rate: peak learning rate.
        batch_size: conversations a step.
        describe_share: of descriptions among them.
        practice_share: of the agent's own play among its single steps, where there is any.
    """

    steps: int
    rate: float
    batch_size: int
    describe_share: float
    practice_share: float = 0.0


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
        corrections_tried: whether what the teacher says in them and the agent does not do is tried in a copy of the
            world, so that it can be dreamed too; where worlds are slow to go back in, most of a round is spent on it.
        corrected_lookahead: whether the agent of the last on-policy round goes on to learn reviews, in `second_steps`
            more, from S4 in states of its own and from the rehearsal; and so does a control without dreams.
        practice_rounds: rounds in which RIG-basic, and then the agent of the round before, plays by itself, and its
            dreams learn what comes of what it does, on the play of all rounds so far. Every round takes `second_steps`
            more, and so does a control without practice. Without, a row that dreams knows only what comes of a
            teacher's play, and dreams that whatever it does succeeds. None where 0.
        practice_episodes: of a round, per task and setting.
        practice_share: of that play among the single steps which are learned then; the rest is imitation, which
            practice must not cost, and which has little left to give by then.
        practice_describe_share: of descriptions among all that is learned then.
        ahead_episodes: per task and setting that the agent of the last round of practice then plays by its dreams, as
            `planning.shown` says: what it found better than its first plan is imitated, in `second_steps` more, so
            that it decides so at once; and a control has the same play as practice alone. None where 0.
        better_share: of what it found better among the single steps.
        better_practice_share: of practice among the others.
        with_planning: whether there are rows of several plans, of judges, of dreams that are exchanged, and of learning
            from its own play.
        planning: what they spend.
        tokenizer_steps: optimiser steps of the VQ tokenizer.
        tokenizer_held_out: frames kept aside to score it.
        vision_steps: optimiser steps of the vision tower.
        vision_augment: show it frames mirrored, moved and lit otherwise.
        base_steps: optimiser steps of the base.
        steps: optimiser steps of the first part.
        second_steps: optimiser steps of the second part.
        describe_share: of descriptions among all that the first part learns.
        second_describe_share: the same, of the second part and of what is learned behind RIG-basic, without practice:
            eyes that have learned to see leave more room for imitation.
        history: how many of its last actions an agent is told.
        lookahead_share: share of the reviews among the conversations that are not descriptions, in the rows that
            review. They must learn to see as well as thoughts do, which have the first part for it.
        read_back: how dreams are read in them, every entry as often as every other.
        batch_size: conversations a step.
        more_batch_size: the same, of all that is learned behind RIG-basic: corrections, practice, what is taught back,
            and the controls of each. Twice as many let practice take nothing from imitation. 0: `batch_size`.
        base_rate: peak learning rate of the base.
        learning_rate: peak of the first part. Much above this, the first steps undo what the base can see.
        second_rate: peak of the second part.
        fractions: shares of the first part's episodes for the curve of success against data.
        epochs: a share's training stops at `steps`, or after so many passes over it if that is sooner.
        steps_per_episode: taught steps that an episode has on average, from which passes are reckoned before any is
            played. What matters is that every row of a share takes the same.
        evaluation_episodes: per task, setting and row.
        claim_episodes: the same, of the rows that tell whether practised dreams pay: at once, with drawn dreams, with
            as many refusals at random, distilled, and the controls; 0 for as many as other rows have.
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
    corrections_tried: bool = True
    corrected_lookahead: bool = False
    practice_rounds: int = 0
    practice_episodes: int = 12
    practice_share: float = 0.8
    practice_describe_share: float = 0.05
    ahead_episodes: int = 0
    better_share: float = 0.12
    better_practice_share: float = 0.7
    with_planning: bool = False
    planning: PlanningConfig = field(default_factory=PlanningConfig)
    tokenizer_steps: int
    tokenizer_held_out: int = 256
    vision_steps: int
    vision_augment: bool = False
    base_steps: int
    steps: int
    second_steps: int
    describe_share: float = 0.4
    second_describe_share: float = 0.4
    history: int = 1
    lookahead_share: float = 0.7
    read_back: tuple[Literal["pixels", "codes"], ...] = ("pixels", "pixels", "pixels", "codes")
    batch_size: int = 32
    more_batch_size: int = 0
    base_rate: float = 1e-3
    learning_rate: float = 4e-4
    second_rate: float = 3e-4
    fractions: tuple[float, ...] = ()
    epochs: int = 12
    steps_per_episode: int = 20
    evaluation_episodes: int = 50
    claim_episodes: int = 0
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
        if self.ahead_episodes and not self.practice_rounds:
            raise RigError("ahead_episodes: who plays by dreams has to have practised them first; give practice_rounds")

    @property
    def base_part(self) -> Part:
        """What the base learns, which is nothing but descriptions."""
        return Part(self.base_steps, self.base_rate, self.batch_size, 1.0)

    @property
    def first_part(self) -> Part:
        """What every row learns first."""
        return Part(self.steps, self.learning_rate, self.batch_size, self.describe_share)

    @property
    def second_part(self) -> Part:
        """What every row learns then."""
        return Part(self.second_steps, self.second_rate, self.batch_size, self.second_describe_share)

    @property
    def more_part(self) -> Part:
        """What is learned behind RIG-basic, a round at a time."""
        return self.second_part._replace(batch_size=self.more_batch_size or self.batch_size)

    @property
    def practice_part(self) -> Part:
        """What a round of practice learns, with nearly no descriptions: its dreams take their place."""
        return self.more_part._replace(describe_share=self.practice_describe_share, practice_share=self.practice_share)

    @property
    def ahead_part(self) -> Part:
        """What is learned from play by dreams."""
        return self.practice_part._replace(practice_share=self.better_practice_share)
