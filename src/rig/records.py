"""The typed records that everything passes around, and factories of fakes for tests.

One `Step` serves the whole loop: a teacher makes it, the dataset stores it, the dialogue renders it for training, and
the policy produces it live. The paper's letters: x is `Step.frame`, Y a `thought`, A an `action`, P a dream's `frame`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rig.actions import CRAFTER, NOOP, Action, ActionSpace

Frame = NDArray[np.uint8]
"""An RGB image, uint8 [height, width, 3]."""

Codes = NDArray[np.uint16]
"""The VQ codes of one image in raster order, uint16 [rows * columns]."""

TEACHER = "teacher"
NOISE = "noise"
POLICY = "policy"
RANDOM = "random"
"""Who chose a step's action. A `noise` action perturbs a teacher's episode: it is dreamed about, never imitated."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where a record comes from: which stage wrote it, who acted, who wrote its texts, and from what.

    Attributes:
        stage: "s0" … "s4", or "live" for a policy's own episode.
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
class Observation:
    """What a policy may know when it decides: x_IMG and x_TXT.

    Attributes:
        frame: the current frame, uint8 [H, W, 3].
        instruction: the task as text.
        previous_action: the last action that the world executed; NOOP at the start.
    """

    frame: Frame
    instruction: str
    previous_action: Action


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
        tokens: how thought and action were written; None where no model wrote them.
    """

    thought: str | None
    action: Action
    dreams: tuple[Dream, ...] = ()
    votes: int = 1
    score: float | None = None
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

    def with_dreams(self, dreams: tuple[Dream, ...]) -> Decision:
        """Return the same decision with other dreams of the plan that was chosen."""
        plans = list(self.plans)
        plans[self.chosen] = replace(plans[self.chosen], dreams=dreams)
        return replace(self, plans=tuple(plans))


@dataclass(frozen=True, kw_only=True)
class Step:
    """One decision, and what came of it.

    Attributes:
        index: position in the episode, from 0.
        frame: the observed frame, uint8 [H, W, 3].
        instruction: the task as text, for example "collect wood".
        previous_action: the last action that the world executed; NOOP at the start.
        action: the action that the world executed at this step.
        thought: the reasoning that led to `action`, or None where nobody wrote one.
        next_frame: the frame after the action, uint8 [H, W, 3], or None where it is not known.
        next_codes: `next_frame` as VQ codes, or None where no tokenizer has seen it yet.
        dreams: the imagined steps of a lookahead, first to last; empty without one.
        review: the review that ended the lookahead, or None without one. Its action equals `action`.
        actor: who chose the action: "teacher", "noise", "policy" or "random".
        reward: the task's reward of this step.
        privileged: JSON-like facts of the engine that pixels need not show; for teachers, annotators and checks only.
    """

    index: int
    frame: Frame
    instruction: str
    action: Action
    previous_action: Action = NOOP
    thought: str | None = None
    next_frame: Frame | None = None
    next_codes: Codes | None = None
    dreams: tuple[Dream, ...] = ()
    review: Review | None = None
    actor: str = POLICY
    reward: float = 0.0
    privileged: Mapping[str, Any] = field(default_factory=dict)

    @property
    def observation(self) -> Observation:
        """What a policy may know of this step when it decides."""
        return Observation(frame=self.frame, instruction=self.instruction, previous_action=self.previous_action)

    @property
    def proposal(self) -> Action:
        """Return the action chosen before any review."""
        return self.dreams[0].action if self.dreams else self.action


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


def fake_frame(random: np.random.Generator, size: int = 32) -> Frame:
    """Return a random RGB frame, uint8 [size, size, 3]."""
    return random.integers(0, 256, (size, size, 3), dtype=np.uint8)


def fake_action(random: np.random.Generator, space: ActionSpace = CRAFTER) -> Action:
    """Return a random legal action of `space`."""
    count = int(random.integers(0, 2 if space.exclusive else 4))
    keys = frozenset(str(key) for key in random.choice(space.keys, size=count, replace=False))
    if space.camera is None:
        return Action(keys=keys)
    pitch, yaw = (int(angle) for angle in random.choice(list(space.camera.angles()), size=2))
    return Action(keys=keys, camera=(pitch, yaw))


def fake_thought(random: np.random.Generator) -> str:
    """Return a short numbered thought."""
    things = random.choice(["tree", "stone", "water", "cow", "table"], size=3)
    return " ".join(f"{number}. The {thing} is near." for number, thing in enumerate(things, 1))


def fake_dream(random: np.random.Generator, space: ActionSpace = CRAFTER, size: int = 32) -> Dream:
    """Return a random dream with a thought, an action and both frames."""
    return Dream(
        thought=fake_thought(random),
        action=fake_action(random, space),
        frame=fake_frame(random, size),
        real_frame=fake_frame(random, size),
        privileged={"facing": "water"},
    )


def fake_step(
    seed: int = 0, *, index: int = 0, space: ActionSpace = CRAFTER, size: int = 32, num_dreams: int = 0
) -> Step:
    """Return a random step; with `num_dreams` > 0 it holds that lookahead and its review."""
    random = np.random.default_rng([seed, index])
    dreams = tuple(fake_dream(random, space, size) for _ in range(num_dreams))
    action, thought = fake_action(random, space), fake_thought(random)
    review = Review(thought=thought, action=action, helped=action != dreams[0].action) if dreams else None
    return Step(
        index=index,
        frame=fake_frame(random, size),
        instruction="collect wood",
        previous_action=fake_action(random, space),
        action=action,
        thought=thought,
        next_frame=fake_frame(random, size),
        dreams=dreams,
        review=review,
        privileged={"facing": "tree", "inventory": {"wood": int(random.integers(0, 9))}},
    )


def fake_trajectory(
    seed: int = 0, *, length: int = 4, space: ActionSpace = CRAFTER, size: int = 32, num_dreams: int = 0
) -> Trajectory:
    """Return a random trajectory whose frames and previous actions chain from step to step."""
    steps: list[Step] = []
    for index in range(length):
        step = fake_step(seed, index=index, space=space, size=size, num_dreams=num_dreams)
        if steps:
            steps[-1] = replace(steps[-1], next_frame=step.frame)
            step = replace(step, previous_action=steps[-1].action)
        else:
            step = replace(step, previous_action=NOOP)
        steps.append(step)
    return Trajectory(
        id=f"fake-{seed}",
        environment="crafter",
        task="collect_wood",
        setting="manual",
        seed=seed,
        action_space=space.name,
        steps=tuple(steps),
        success=True,
        samples=1,
        lineage=Lineage(stage="s1", actor="fake"),
    )
