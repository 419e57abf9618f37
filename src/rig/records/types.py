"""The typed records that everything passes around.

One `Step` serves the whole loop: a teacher makes it, the dataset stores it, the dialogue renders it for training, and
the policy produces it live. The paper's letters: x is `Step.frame`, Y a `thought`, A an `action`, P a dream's `frame`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rig.actions import NOOP, Action
from rig.errors import RigError

Frame = NDArray[np.uint8]
"""An RGB image, uint8 [height, width, 3]."""

Codes = NDArray[np.uint16]
"""The VQ codes of one image in raster order, uint16 [rows * columns]."""

TEACHER = "teacher"
NOISE = "noise"
POLICY = "policy"
RANDOM = "random"
CORRECTION = "correction"
PRACTICE = "practice"
"""Who chose a step's action. `noise` perturbs a teacher's play, `practice` is an agent's own: both are dreamed about,
never imitated. A `correction` is imitated: what a teacher would have done, its `next_frame` what comes of that."""

MOST_EARLIER = 63
"""How many executed actions an observation and a step know at the most, beside the last one."""


def remembered(previous: Action, earlier: Sequence[Action]) -> tuple[Action, ...]:
    """Return the `earlier_actions` of what is observed next, where the last action and those before it are these.

    Equal actions in it are one object, so that many take little room.
    """
    known = tuple(earlier[: MOST_EARLIER - 1])
    return (next((action for action in known if action == previous), previous), *known)


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where a record comes from: which stage wrote it, who acted, who wrote its texts, and from what.

    Attributes:
        stage: "s0" … "s4", "live" for a policy's own episode, or "branch" for what was tried from states of one.
        actor: the teacher's, policy's or importer's name, with its version or checkpoint hash.
        annotator: name and version of what wrote thoughts and reviews; empty where nobody did.
        prompt: hash of the prompt or rule set that the annotator followed; empty where there is none.
        parent: id of the record this one was made from; empty for a first record.
    """

    stage: str
    actor: str
    annotator: str = ""
    prompt: str = ""
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class Dream:
    """One imagined step of a lookahead: what was thought and chosen, and the frame imagined to follow.

    Attributes:
        thought: Y⁻ of the dreamed step.
        action: A⁻ of the dreamed step.
        frame: the imagined frame as pixels, or None where only codes exist (or nothing was dreamed: the control row).
        codes: the imagined frame as VQ codes, or None.
        real_frame: what the engine really showed after replaying the actions up to here, or None before alignment.
        real_codes: `real_frame` as VQ codes, or None where no tokenizer has seen it yet.
        privileged: the engine's facts at `real_frame`; empty before alignment.
        entropy: of the imagined codes' distributions, in nats per code, averaged over the image; None where nobody
            knows. Datasets do not keep it.
    """

    thought: str | None
    action: Action
    frame: Frame | None = None
    codes: Codes | None = None
    real_frame: Frame | None = None
    real_codes: Codes | None = None
    privileged: Mapping[str, Any] = field(default_factory=dict)
    entropy: float | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Review:
    """What follows "Wait! Let's re-observe...": the revised thought and action. Only this action touches the world.

    Attributes:
        thought: Y*.
        action: A*.
        helped: True where the revised action differs from the first proposal.
    """

    thought: str | None
    action: Action
    helped: bool = False


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is said of a plan that was dreamed, or could have been.

    Attributes:
        outcome: where the plan leads, in the words of the world's annotator; empty where it has none for that.
        term: what that is worth, one of the terms of a scale (`rig.dialogue.SCALES`).
    """

    outcome: str
    term: str


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a policy may know when it decides: x_IMG and x_TXT.

    Attributes:
        frame: the current frame, uint8 [H, W, 3].
        instruction: the task as text.
        previous_action: the last action that the world executed; NOOP at the start.
        earlier_actions: what stood there before, newest first, as far as it is known and `MOST_EARLIER` at the most;
            the NOOP of the start is the last of them.
    """

    frame: Frame
    instruction: str
    previous_action: Action
    earlier_actions: tuple[Action, ...] = ()

    @property
    def executed(self) -> tuple[Action, ...]:
        """The actions that led here, newest first."""
        return (self.previous_action, *self.earlier_actions)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a decision took.

    Attributes:
        read_tokens: tokens put into the context: prompts, and features of read images.
        text_tokens: tokens of thoughts and actions written.
        image_tokens: VQ codes written.
        seconds: time, shared evenly by the decisions made together.
    """

    read_tokens: int = 0
    text_tokens: int = 0
    image_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            read_tokens=self.read_tokens + other.read_tokens,
            text_tokens=self.text_tokens + other.text_tokens,
            image_tokens=self.image_tokens + other.image_tokens,
            seconds=self.seconds + other.seconds,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledTokens:
    """Tokens as a model wrote them: what learning from reward needs of a decision.

    Attributes:
        ids: int32 [n], thought and action as they were written, with the phrases that end them.
        log_probs: float32 [n], of each token in the distribution that it was drawn from; None where nobody asked.
    """

    ids: NDArray[np.int32]
    log_probs: NDArray[np.float32] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A way to go on: what was thought and chosen, what was dreamed to come of it, and what that is worth.

    Attributes:
        thought: Y⁻, or None.
        action: A⁻.
        dreams: the imagined steps, first to last; the first is that of `action`. Empty where nothing was dreamed.
        votes: how many proposals chose this action.
        score: what a judge of plans made of it, higher is better; None where nobody judged.
        judgement: what the agent itself said of it, in words; None where it was not asked.
        tokens: how thought and action were written; None where no model wrote them. Datasets do not keep it.
    """

    thought: str | None
    action: Action
    dreams: tuple[Dream, ...] = ()
    votes: int = 1
    score: float | None = None
    judgement: str | None = None
    tokens: SampledTokens | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a policy or teacher decides.

    Attributes:
        action: the action to execute.
        thought: the reasoning that led to it, or None.
        plans: what was considered; empty where nothing but the action is known, as of a teacher.
        chosen: which of them was followed or reviewed.
        review: the review that ended the lookahead, or None; its action equals `action`.
        tokens: how the thought and the action that were decided for were written; None where no model wrote them.
        cost: what it took.
    """

    action: Action
    thought: str | None = None
    plans: tuple[Plan, ...] = ()
    chosen: int = 0
    review: Review | None = None
    tokens: SampledTokens | None = field(default=None, compare=False)
    cost: Cost = field(default_factory=Cost)

    @property
    def dreams(self) -> tuple[Dream, ...]:
        """The imagined steps of the plan that was chosen, first to last."""
        return self.plans[self.chosen].dreams if self.plans else ()

    @property
    def judgement(self) -> str | None:
        """What the agent itself said of the plan that was chosen; None where it was not asked."""
        return self.plans[self.chosen].judgement if self.plans else None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One decision, and what came of it; a `CodedStep` where a tokenizer has seen what came of it.

    Attributes:
        index: position in the episode, from 0.
        frame: the observed frame, uint8 [H, W, 3].
        instruction: the task as text, for example "collect wood".
        previous_action: the last action that the world executed; NOOP at the start.
        earlier_actions: what stood there before, as in `Observation`; of a step that does not know it, a dataset has
            it from the steps before.
        action: the action that the world executed at this step; of a correction, the one that is better.
        thought: the reasoning that led to `action`, or None where nobody wrote one.
        next_frame: the frame after the action, uint8 [H, W, 3], or None where it is not known.
        dreams: the imagined steps of a lookahead, or of the plan that was chosen among several; empty without one.
        review: the review that ended the lookahead, or None without one. Its action equals `action`.
        candidates: the plans that were weighed against each other, as they were proposed; empty where there was one
            alone. The chosen one is without its dreams, which are the step's own; `plans` has them all.
        chosen: which of the candidates was followed or reviewed.
        judgement: of a branch, what is to be said of its plan; None elsewhere. Datasets do not keep it: it follows from
            what they know of the branch.
        tokens: how `thought` and `action` were written; None where no model wrote them. Datasets do not keep it.
        actor: who chose the action: "teacher", "noise", "policy", "random", "correction" or "practice".
        reward: the task's reward of this step.
        privileged: JSON-like facts of the engine that pixels need not show; for teachers, annotators and checks only.
    """

    index: int
    frame: Frame
    instruction: str
    action: Action
    previous_action: Action = NOOP
    earlier_actions: tuple[Action, ...] = ()
    thought: str | None = None
    next_frame: Frame | None = None
    dreams: tuple[Dream, ...] = ()
    review: Review | None = None
    candidates: tuple[Plan, ...] = ()
    chosen: int = 0
    judgement: Judgement | None = None
    tokens: SampledTokens | None = field(default=None, compare=False)
    actor: str = POLICY
    reward: float = 0.0
    privileged: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.candidates)
        if not 0 <= self.chosen < max(1, count):
            raise RigError(f"step {self.index}: chosen={self.chosen}, and it has {count} candidates, counted from 0")
        if count and self.candidates[self.chosen].dreams:
            raise RigError(
                f"step {self.index}: its chosen candidate {self.chosen} has dreams of its own, which are to be those "
                "of the step; give plans to Step.with_plans"
            )
        if len(self.earlier_actions) > MOST_EARLIER:
            raise RigError(
                f"step {self.index}: {len(self.earlier_actions)} earlier actions, and {MOST_EARLIER} are the most; "
                "leave the oldest out"
            )

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans that were weighed against each other, each with its dreams."""
        plans = list(self.candidates)
        if plans:
            plans[self.chosen] = replace(plans[self.chosen], dreams=self.dreams)
        return tuple(plans)

    @property
    def every_dream(self) -> tuple[Dream, ...]:
        """Its dreams, and behind them those of the candidates that were not chosen."""
        return (*self.dreams, *(dream for plan in self.candidates for dream in plan.dreams))

    def with_plans(self, plans: Sequence[Plan], chosen: int = 0) -> Step:
        """Return the step with the plans that were considered, and the dreams of the one that was chosen.

        A plan that was alone, proposed once and judged by nobody was weighed against nothing: its dreams say it all.
        """
        dreams = plans[chosen].dreams if plans else ()
        if len(plans) < 2 and all((plan.votes, plan.score, plan.judgement) == (1, None, None) for plan in plans):
            return self.with_dreams(dreams)
        weighed = (replace(plan, dreams=()) if number == chosen else plan for number, plan in enumerate(plans))
        return replace(self, dreams=dreams, candidates=tuple(weighed), chosen=chosen)

    def with_dreams(self, dreams: tuple[Dream, ...]) -> Step:
        """Return the step with a lookahead of one plan, which is weighed against no other."""
        return replace(self, dreams=dreams, candidates=(), chosen=0)

    def with_next_codes(self, codes: Codes | None) -> Step:
        """Return the step as a `CodedStep`; or, given None, as one whose next frame no tokenizer has seen."""
        values = {each.name: getattr(self, each.name) for each in fields(Step)}
        return Step(**values) if codes is None else CodedStep(**values, next_codes=codes)

    @property
    def observation(self) -> Observation:
        """What a policy may know of this step when it decides."""
        return Observation(
            frame=self.frame,
            instruction=self.instruction,
            previous_action=self.previous_action,
            earlier_actions=self.earlier_actions,
        )

    @property
    def executed(self) -> tuple[Action, ...]:
        """The actions that led here, newest first."""
        return (self.previous_action, *self.earlier_actions)

    @property
    def proposal(self) -> Action:
        """Return the action chosen before any review."""
        if self.dreams:
            return self.dreams[0].action
        return self.candidates[self.chosen].action if self.candidates else self.action


@dataclass(frozen=True, kw_only=True)
class CodedStep(Step):
    """A step whose next frame a tokenizer has seen: what a model that dreams learns from.

    Attributes:
        next_codes: `next_frame` as VQ codes.
    """

    next_codes: Codes


def next_codes_of(step: Step) -> Codes | None:
    """Return a step's next frame as VQ codes; None of one that is no `CodedStep`."""
    return step.next_codes if isinstance(step, CodedStep) else None


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """An episode, or the part of one that a stage kept.

    Attributes:
        id: unique in its dataset, stable over reruns with the same configuration.
        environment: registry name of the environment.
        task: name of the task.
        setting: "manual" or "tool".
        seed: the world's seed.
        action_space: registry name of the action space.
        steps: the decisions, in order: a tuple, or `rig.lazy.Lazy`, as of a stored episode, where the frames of a step
            are read when it is asked for.
        success: whether the task's test was met.
        samples: how many of the task's samples were obtained.
        lineage: where the trajectory comes from.
    """

    id: str
    environment: str
    task: str
    setting: str
    seed: int
    action_space: str
    steps: Sequence[Step]
    success: bool
    samples: int
    lineage: Lineage

    def with_steps(self, steps: Sequence[Step]) -> Trajectory:
        """Return the same trajectory with other steps."""
        return replace(self, steps=steps)
