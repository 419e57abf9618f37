"""How an agent learns from its own play; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rig.errors import RigError, at_least_one, within
from rig.train.config import DataPart, OptimiserConfig, TrainingConfig

Lesson = Literal["advantage", "won"]
"""What is learned of attempts: each by how much better it did than the others from its state; or those that won."""


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """What is played in each round.

    Attributes:
        tasks: "task" or "task/setting"; all where none is given.
        groups: states in each round, the tasks and settings in turn.
        attempts: at each of them.
        midway: the share of the states that are met on the way, in an episode of the agent's own; the others are where
            episodes begin.
        states: that are met in one such episode.
        in_dreams: nothing is done at those states: an attempt is the first plan, dreamed `dreams` steps ahead, and
            worth what the judge makes of that. The engine is needed to meet states alone.
        discount: what an attempt is worth falls to this with each step that it takes to win, or that a judge's score is
            below 0.
        partial: what an attempt that does not win is worth at the most: so much of it as of the task's target was
            reached.
        plans: k, how many plans are proposed at each step; of more than one the best is taken and learned.
        dreams: n, the steps dreamed of each of several plans.
        judge: who says what each of several plans is worth.
        votes_weight: how much proposals weigh beside the judge; None: as much as beside this one they should.
        resample: judge one plan at first, and propose the others only where it is refused.
        temperature: of thoughts and actions.
        thought_tokens: the longest thought.
        batch_size: worlds side by side; None: 64, or one for each core where a world is an engine of its own.
        most_steps: cut attempts after so many decisions; None leaves them to the task's own limit.
    """

    tasks: tuple[str, ...] = ()
    groups: int = 28
    attempts: int = 8
    midway: float = 0.5
    states: int = 1
    in_dreams: bool = False
    discount: float = 0.99
    partial: float = 0.0
    plans: int = 1
    dreams: int = 0
    judge: str = "majority"
    votes_weight: float | None = None
    resample: bool = False
    temperature: float = 1.0
    thought_tokens: int = 96
    batch_size: int | None = None
    most_steps: int | None = None

    def __post_init__(self) -> None:
        at_least_one(
            groups=self.groups,
            attempts=self.attempts,
            states=self.states,
            plans=self.plans,
            thought_tokens=self.thought_tokens,
            batch_size=self.batch_size,
            most_steps=self.most_steps,
        )
        within(0, 1, midway=self.midway, partial=self.partial)
        within(0, 1, above=True, discount=self.discount)
        within(0, dreams=self.dreams, temperature=self.temperature)
        if self.in_dreams and (self.plans > 1 or not self.dreams):
            raise RigError(
                f"in_dreams with plans={self.plans} and dreams={self.dreams}: an attempt is one plan, of 1 dream or "
                "more; how many there are at a state is for --attempts to say"
            )
        if self.dreams and self.plans < 2 and not self.in_dreams:
            raise RigError(
                f"dreams={self.dreams} of one plan: there is nothing to choose between, and reviews are not learned "
                "from reward; take --plans of 2 or more"
            )


@dataclass(frozen=True, kw_only=True)
class LessonsConfig:
    """What is learned of each round.

    Attributes:
        learn: "advantage": every attempt, by how much more it was worth than the mean of its group; below it, the
            step leads away from what was written. "won": plain imitation of the attempts that won.
        updates: optimiser steps a round.
        decisions: learned a round, at the most; each attempt has its share of them, long or short.
        kl: how much what was written more likely than by the agent at the start counts against it, in nats.
        most_kl: how far the network may move from itself as it played a round, in nats a token of what is learned,
            until the rest of the round's steps are passed over; None: however far. What is imitated only comes nearer.
        replay: the datasets' share, where there are some, of a step's conversations and of what they weigh together.
        pack_tokens: tokens of a pack.
    """

    learn: Lesson = "advantage"
    updates: int = 4
    decisions: int = 1024
    kl: float = 0.02
    most_kl: float | None = 0.05
    replay: float = 0.25
    pack_tokens: int = 8192

    def __post_init__(self) -> None:
        at_least_one(updates=self.updates, decisions=self.decisions, pack_tokens=self.pack_tokens)
        within(0, kl=self.kl)
        if self.most_kl is not None:
            within(0, above=True, most_kl=self.most_kl)
        if not 0 <= self.replay < 1:
            raise RigError(f"replay={self.replay}: a share of the conversations, from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class ImproveConfig:
    """Who learns of what.

    Attributes:
        agent: folder of the agent to begin with.
        play: see `PlayConfig`.
        lessons: see `LessonsConfig`.
        parts: datasets of single steps that go on being learned beside, so that what reward says nothing of, dreams
            above all, is not forgotten.
        training: steps, optimiser and seed.
    """

    agent: str
    play: PlayConfig = field(default_factory=PlayConfig)
    lessons: LessonsConfig = field(default_factory=LessonsConfig)
    parts: tuple[DataPart, ...] = ()
    training: TrainingConfig

    def __post_init__(self) -> None:
        if self.play.in_dreams and self.lessons.learn == "won":
            raise RigError("learn='won' in_dreams: nothing is won there; take learn='advantage'")
        updates = self.lessons.updates
        for name, steps in (("steps", self.training.steps), ("save_every", self.training.save_every)):
            if steps % updates:
                raise RigError(f"{name}={steps}: rounds are of {updates} steps, and are never cut; give a multiple")

    @property
    def rounds(self) -> int:
        """How often is played, and learned of it."""
        return self.training.steps // self.lessons.updates


def training_of(
    rounds: int, updates: int, optimiser: OptimiserConfig, *, seed: int = 0, save_every: int = 1
) -> TrainingConfig:
    """Return how the network is trained: logged after every round, saved between rounds, and never compiled.

    Args:
        rounds: how often is played.
        updates: steps of each.
        optimiser: how weights move.
        seed: of worlds, states and order.
        save_every: rounds between saved states.
    """
    at_least_one(rounds=rounds, save_every=save_every)
    return TrainingConfig(
        steps=rounds * updates,
        optimiser=optimiser,
        compile=False,
        log_every=updates,
        save_every=updates * save_every,
        preview_every=0,
        seed=seed,
    )
