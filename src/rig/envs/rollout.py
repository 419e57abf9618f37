"""Plays episodes in many worlds side by side: one that ends makes room for the next, and no world waits for another.

A world takes its step as soon as its own decision is made, while others are still being thought about. Where a world's
engine is a process of its own (`World.most_at_once`), its steps and resets are waited for in a thread: not in another
process, as `rig.workers` would, since actors look at the very worlds. Steps are kept out of memory (`spool`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable
from zlib import crc32

from rig.actions import NOOP, Action
from rig.envs.base import World
from rig.envs.forks import Forks, with_executed
from rig.envs.spool import StepSpool
from rig.errors import SimulatorError
from rig.lazy import Lazy
from rig.records import POLICY, Cost, Decision, Frame, Lineage, Observation, Step, Trajectory, remembered

MOST_WORLDS = 64
"""Worlds side by side where nothing else is said."""
ATTEMPTS = 3
"""How often an episode is begun at the most, where the engine fails in it."""


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

    @property
    def previous_action(self) -> Action:
        """What was executed last before it begins: nothing, where it begins with a reset."""
        return NOOP

    @property
    def earlier_actions(self) -> tuple[Action, ...]:
        """What was executed before that, newest first; see `Observation.earlier_actions`."""
        return ()

    def decision_seed(self, index: int) -> int:
        """Return the seed of the decision at step `index`: the same whoever plays beside this episode."""
        return crc32(f"{self.id}/{index}".encode())

    def begin(self, world: World) -> tuple[Frame, dict[str, Any]]:
        """Begin this episode in `world`; return what `World.reset` returns."""
        return world.reset(seed=self.seed, options={"task": self.task, "setting": self.setting})


class Deciding(Protocol):
    """Decisions in the making, several at once."""

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        """Hand in what is observed, under a key of the caller's."""
        ...

    def next(self) -> tuple[int, Decision]:
        """Return the next decision that is made, and its key."""
        ...


@runtime_checkable
class PrivilegedDeciding(Deciding, Protocol):
    """Decisions by one who sees more than what is observed: the worlds themselves, with all their state."""

    def see(self, key: int, world: World) -> None:
        """Look at the world whose observation is handed in next under `key`; the world is not changed."""
        ...


class Actor(Protocol):
    """Decides, from observations alone; where what `deciding` returns is a `PrivilegedDeciding`, from the worlds."""

    def deciding(self, places: int) -> Deciding:
        """Return where decisions are made, `places` of them at once."""
        ...


@dataclass
class _Seat:
    """A world and the episode that is being played in it, the one with `number` in the order given."""

    world: World
    episode: Episode
    number: int
    frame: Frame
    facts: dict[str, Any]
    steps: StepSpool = field(default_factory=StepSpool)
    cost: Cost = field(default_factory=Cost)
    attempt: int = 1
    has_ended: bool = False
    failure: SimulatorError | None = None

    @property
    def previous_action(self) -> Action:
        return self.steps[-1].action if self.steps else self.episode.previous_action

    @property
    def earlier_actions(self) -> tuple[Action, ...]:
        if not self.steps:
            return self.episode.earlier_actions
        return remembered(self.steps[-1].previous_action, self.steps[-1].earlier_actions)

    @property
    def observation(self) -> Observation:
        return Observation(
            frame=self.frame,
            instruction=self.world.task.instruction,
            previous_action=self.previous_action,
            earlier_actions=self.earlier_actions,
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
    batch_size: int | None = None,
    most_steps: int | None = None,
    lineage: Lineage,
    actor_kind: str = POLICY,
    before: Callable[[Episode, World, int], None] | None = None,
    follow_dreams: bool = False,
) -> Iterator[Played]:
    """Play `episodes`, and yield each when it ends; the order of ending need not be the order given.

    Where worlds are waited for in threads, it is: what happens first there differs from run to run. An episode in which
    the engine fails begins anew, and what was played of it before counts for nothing.

    Args:
        make: builds a world; called at most `batch_size` times.
        actor: who decides.
        episodes: what to play.
        batch_size: worlds side by side; as many as `World.most_at_once` says, and 64 at the most, where it is None.
        most_steps: after which an episode is cut; None leaves that to the task.
        lineage: goes into every trajectory.
        actor_kind: `Step.actor` of every step.
        before: called with (episode, world, step index) before each step, the world as observed; where an episode
            begins anew, from 0 again.
        follow_dreams: also do what was dreamed, in copies of the worlds: each dream then knows what really comes of it
            (`Dream.real_frame`, `Dream.privileged`), where their states can be saved. The episodes are the same with
            it and without.

    Raises:
        SimulatorError: the engine failed in every attempt at an episode, or did not start.
    """
    waiting = deque(enumerate(episodes))
    if not waiting:
        return
    worlds = [make()]
    most = worlds[0].most_at_once
    count = min(len(waiting), min(MOST_WORLDS, most or MOST_WORLDS) if batch_size is None else batch_size)
    worlds += [make() for _ in range(count - 1)]
    deciding = actor.deciding(max(1, count))
    turns: _Turns = _AtOnce() if most is None else _InThreads(count)
    forks = Forks(make) if follow_dreams and worlds[0].can_save else None
    advance = partial(_advance, actor_kind=actor_kind, most=most_steps, forks=forks)
    with closing(turns):
        ended = _play(worlds, deciding, waiting, turns, advance, before)
        seats = ((seat.number, _played(seat, lineage)) for seat in ended)
        yield from (played for _, played in seats) if most is None else _in_order(seats)


def _play(
    worlds: list[World],
    deciding: Deciding,
    waiting: deque[tuple[int, Episode]],
    turns: _Turns,
    advance: Callable[[_Seat, Decision], _Seat],
    before: Callable[[Episode, World, int], None] | None,
) -> Iterator[_Seat]:
    """Yield each seat as its episode ends, before its world begins with the next of `waiting`."""
    thinking: dict[int, _Seat] = {}
    for key, world in enumerate(worlds):
        turns.begin(key, partial(_sit, world, *waiting.popleft()))
    while thinking or turns.any_left:
        for key, seat in turns.ended(patiently=not thinking):
            if seat.failure is not None:
                turns.begin(key, partial(_sit_again, seat))
                continue
            if seat.has_ended:
                yield seat
                if waiting:
                    turns.begin(key, partial(_sit, seat.world, *waiting.popleft()))
                continue
            thinking[key] = seat
            if before is not None:
                before(seat.episode, seat.world, len(seat.steps))
            if isinstance(deciding, PrivilegedDeciding):
                deciding.see(key, seat.world)
            deciding.submit(key, seat.observation, seat.episode.decision_seed(len(seat.steps)))
        if thinking:
            key, decision = deciding.next()
            turns.begin(key, partial(advance, thinking.pop(key), decision))


class _Turns(Protocol):
    """The turns of worlds, resets and steps, by the key of the seat."""

    @property
    def any_left(self) -> bool:
        """Whether turns were begun that `ended` has not yielded."""
        ...

    def begin(self, key: int, turn: Callable[[], _Seat]) -> None:
        """Begin a world's turn."""
        ...

    def ended(self, *, patiently: bool) -> Iterator[tuple[int, _Seat]]:
        """Yield the turns that are over; where none is, wait for one if `patiently`."""
        ...

    def close(self) -> None:
        """Wait for what still runs."""
        ...


class _AtOnce:
    """A turn is over as soon as it is begun."""

    def __init__(self) -> None:
        self._over: deque[tuple[int, _Seat]] = deque()

    @property
    def any_left(self) -> bool:
        return bool(self._over)

    def begin(self, key: int, turn: Callable[[], _Seat]) -> None:
        self._over.append((key, turn()))

    def ended(self, *, patiently: bool) -> Iterator[tuple[int, _Seat]]:
        while self._over:
            yield self._over.popleft()

    def close(self) -> None:
        self._over.clear()


class _InThreads:
    """Every turn runs in a thread."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="world")
        self._begun: dict[Future[_Seat], int] = {}

    @property
    def any_left(self) -> bool:
        return bool(self._begun)

    def begin(self, key: int, turn: Callable[[], _Seat]) -> None:
        self._begun[self._threads.submit(turn)] = key

    def ended(self, *, patiently: bool) -> Iterator[tuple[int, _Seat]]:
        over, _ = wait(self._begun, timeout=None if patiently else 0, return_when=FIRST_COMPLETED)
        for future in sorted(over, key=self._begun.__getitem__):
            yield self._begun.pop(future), future.result()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


def _in_order(ended: Iterable[tuple[int, Played]]) -> Iterator[Played]:
    """Yield numbered episodes by their numbers; one that ends early is held back."""
    early: dict[int, Played] = {}
    following = 0
    for number, played in ended:
        early[number] = played
        while following in early:
            yield early.pop(following)
            following += 1


def _sit(world: World, number: int, episode: Episode) -> _Seat:
    frame, info = episode.begin(world)
    return _Seat(world, episode, number, frame, info["privileged"])


def _sit_again(failed: _Seat) -> _Seat:
    if failed.attempt == ATTEMPTS:
        raise given_up(failed.episode, failed.failure) from failed.failure
    return replace(_sit(failed.world, failed.number, failed.episode), attempt=failed.attempt + 1)


def given_up(episode: Episode, failure: SimulatorError | None) -> SimulatorError:
    """Return what to raise where the engine failed in every attempt at `episode`, the last time with `failure`."""
    return SimulatorError(
        f"the engine failed in each of {ATTEMPTS} attempts at the episode {episode.id}; in the last one: {failure}"
    )


def _advance(seat: _Seat, decision: Decision, *, actor_kind: str, most: int | None, forks: Forks | None) -> _Seat:
    """Execute a decision; with `forks`, first do what it dreamed in a copy of the world."""
    try:
        decision = decision if forks is None else forks.follow(decision, seat.world)
        frame, reward, terminated, truncated, info = seat.world.act(decision.action)
    except SimulatorError as error:
        seat.failure = error
        return seat
    if forks is not None:
        decision = with_executed(decision, frame, info["privileged"])
    step = Step(
        index=len(seat.steps),
        frame=seat.frame,
        instruction=seat.world.task.instruction,
        previous_action=seat.previous_action,
        earlier_actions=seat.earlier_actions,
        action=decision.action,
        thought=decision.thought,
        next_frame=frame,
        review=decision.review,
        tokens=decision.tokens,
        actor=actor_kind,
        reward=reward,
        privileged=seat.facts,
    )
    seat.steps.append(step.with_plans(decision.plans, decision.chosen))
    seat.frame, seat.facts, seat.cost = frame, info["privileged"], seat.cost + decision.cost
    seat.has_ended = terminated or truncated or len(seat.steps) == most
    return seat


def _played(seat: _Seat, lineage: Lineage) -> Played:
    trajectory = trajectory_of(seat.world, seat.episode, seat.steps, lineage)
    return Played(episode=seat.episode, trajectory=trajectory, cost=seat.cost)


def trajectory_of(world: World, episode: Episode, steps: Sequence[Step], lineage: Lineage) -> Trajectory:
    """Return `episode`, which has just ended in `world` after `steps`."""
    return Trajectory(
        id=episode.id,
        environment=world.name,
        task=episode.task,
        setting=episode.setting,
        seed=episode.seed,
        action_space=world.actions.name,
        steps=steps if isinstance(steps, Lazy) else tuple(steps),
        success=world.samples >= world.task.target,
        samples=world.samples,
        lineage=lineage,
    )
