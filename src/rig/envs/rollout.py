"""Plays episodes in many worlds side by side: one that ends makes room for the next, and no world waits for another.

A world takes its step as soon as its own decision is made, while others are still being thought about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from zlib import crc32

from rig.actions import NOOP, Action
from rig.envs.base import World
from rig.records import POLICY, Cost, Decision, Frame, Lineage, Observation, Step, Trajectory


@dataclass(frozen=True, kw_only=True)
class Episode:
    """What to play: a task in a setting, in the world of a seed."""

    task: str
    setting: str
    seed: int

    @property
    def id(self) -> str:
        """A name that is the same wherever the same episode is played."""
        return f"{self.task}-{self.setting}-{self.seed}"

    def decision_seed(self, index: int) -> int:
        """Return the seed of the decision at step `index`: the same whoever plays beside this episode."""
        return crc32(f"{self.id}/{index}".encode())

    def begin(self, world: World) -> tuple[Frame, dict[str, Any]]:
        """Begin this episode in `world`; return what `World.reset` returns."""
        return world.reset(seed=self.seed, options={"task": self.task, "setting": self.setting})


class Deciding(Protocol):
    """Decisions in the making, in several worlds at once."""

    def submit(self, key: int, world: World, observation: Observation, seed: int) -> None:
        """Hand in what is observed in a world, under a key of the caller's; the world is not changed."""
        ...

    def next(self) -> tuple[int, Decision]:
        """Return the next decision that is made, and its key."""
        ...


class Actor(Protocol):
    """Decides."""

    def deciding(self, places: int) -> Deciding:
        """Return where decisions are made, `places` of them at once."""
        ...


@dataclass
class _Seat:
    """A world and the episode that is being played in it."""

    world: World
    episode: Episode
    frame: Frame
    facts: dict[str, Any]
    steps: list[Step] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)

    @property
    def previous_action(self) -> Action:
        return self.steps[-1].action if self.steps else NOOP

    @property
    def observation(self) -> Observation:
        return Observation(
            frame=self.frame, instruction=self.world.task.instruction, previous_action=self.previous_action
        )


@dataclass(frozen=True, kw_only=True)
class Played:
    """An episode that has ended.

    Attributes:
        episode: what was played.
        trajectory: what happened.
        cost: what its decisions took in all.
    """

    episode: Episode
    trajectory: Trajectory
    cost: Cost


def play(
    make: Callable[[], World],
    actor: Actor,
    episodes: Iterable[Episode],
    *,
    batch_size: int = 64,
    lineage: Lineage,
    actor_kind: str = POLICY,
    before: Callable[[Episode, World, int], None] | None = None,
) -> Iterator[Played]:
    """Play `episodes`, and yield each when it ends; the order of ending need not be the order given.

    Args:
        make: builds a world; called at most `batch_size` times.
        actor: who decides.
        episodes: what to play.
        batch_size: worlds side by side.
        lineage: goes into every trajectory.
        actor_kind: `Step.actor` of every step.
        before: called with (episode, world, step index) before each step, the world as observed.
    """
    waiting = deque(episodes)
    count = min(batch_size, len(waiting))
    deciding = actor.deciding(max(1, count))
    seats: dict[int, _Seat] = {}

    def observe(key: int, seat: _Seat) -> None:
        seats[key] = seat
        if before is not None:
            before(seat.episode, seat.world, len(seat.steps))
        deciding.submit(key, seat.world, seat.observation, seat.episode.decision_seed(len(seat.steps)))

    for key in range(count):
        observe(key, _sit(make(), waiting.popleft()))
    while seats:
        key, decision = deciding.next()
        seat = seats.pop(key)
        if not _advance(seat, decision, actor_kind):
            observe(key, seat)
            continue
        trajectory = trajectory_of(seat.world, seat.episode, seat.steps, lineage)
        yield Played(episode=seat.episode, trajectory=trajectory, cost=seat.cost)
        if waiting:
            observe(key, _sit(seat.world, waiting.popleft()))


def _sit(world: World, episode: Episode) -> _Seat:
    frame, info = episode.begin(world)
    return _Seat(world, episode, frame, info["privileged"])


def _advance(seat: _Seat, decision: Decision, actor_kind: str) -> bool:
    """Execute a decision; return whether the episode has ended."""
    frame, reward, terminated, truncated, info = seat.world.act(decision.action)
    seat.steps.append(
        Step(
            index=len(seat.steps),
            frame=seat.frame,
            instruction=seat.world.task.instruction,
            previous_action=seat.previous_action,
            action=decision.action,
            thought=decision.thought,
            next_frame=frame,
            dreams=decision.dreams,
            review=decision.review,
            actor=actor_kind,
            reward=reward,
            privileged=seat.facts,
        )
    )
    seat.frame, seat.facts, seat.cost = frame, info["privileged"], seat.cost + decision.cost
    return terminated or truncated


def trajectory_of(world: World, episode: Episode, steps: Sequence[Step], lineage: Lineage) -> Trajectory:
    """Return `episode`, which has just ended in `world` after `steps`."""
    return Trajectory(
        id=episode.id,
        environment=world.name,
        task=episode.task,
        setting=episode.setting,
        seed=episode.seed,
        action_space=world.actions.name,
        steps=tuple(steps),
        success=world.samples >= world.task.target,
        samples=world.samples,
        lineage=lineage,
    )
