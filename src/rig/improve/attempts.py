"""Attempts in groups: several from the very same state, which the engine gives exactly.

States are where episodes begin, or are met on the way, in an episode of the agent's own. What an attempt is worth is
the task's success alone, sooner rather than later; or, in dreams, what a judge makes of what its first plan is dreamed
to lead to. Its advantage is how much more that is than the mean of its group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import Any

import numpy as np

from rig.actions import Action
from rig.envs import Task, World, make_world, refuse_without_saves
from rig.envs.rollout import Actor, Episode, Played, play
from rig.envs.seeds import Split
from rig.improve.config import PlayConfig
from rig.records import Frame, Lineage, Trajectory

_SIZE = Split.TRAIN.stop - Split.TRAIN.first


@dataclass(frozen=True, kw_only=True)
class Midway:
    """A state that was met in an episode.

    Attributes:
        state: the world's.
        previous_action: what was executed last before it.
        earlier_actions: what was executed before that, newest first.
    """

    state: bytes
    previous_action: Action
    earlier_actions: tuple[Action, ...]


@dataclass(frozen=True, kw_only=True)
class Attempt(Episode):
    """One of several attempts from one state.

    Attributes:
        group: which state, counted over all rounds.
        number: which of its attempts.
        midway: where it begins; None: where the episode does.
    """

    group: int
    number: int
    midway: Midway | None = None

    @property
    def id(self) -> str:
        """A name that no other attempt has, so that each draws its own thoughts."""
        return f"{super().id}-{self.group}-{self.number}"

    @property
    def previous_action(self) -> Action:
        """What was executed last before it begins."""
        return super().previous_action if self.midway is None else self.midway.previous_action

    @property
    def earlier_actions(self) -> tuple[Action, ...]:
        """What was executed before that, newest first."""
        return super().earlier_actions if self.midway is None else self.midway.earlier_actions

    def begin(self, world: World) -> tuple[Frame, dict[str, Any]]:
        """Begin this attempt in `world`."""
        if self.midway is None:
            return super().begin(world)
        frame = world.load(self.midway.state)
        return frame, {"privileged": world.privileged()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """An attempt that has ended.

    Attributes:
        attempt: what was played.
        trajectory: what happened.
        worth: what that is worth, 0 to 1.
        advantage: how much more than the mean of its group.
    """

    attempt: Attempt
    trajectory: Trajectory
    worth: float
    advantage: float


def play_round(
    config: PlayConfig,
    actor: Actor,
    environment: str,
    *,
    number: int,
    seed: int,
    name: str,
    wanderer: Actor | None = None,
) -> list[list[Outcome]]:
    """Play the groups of a round.

    Args:
        config: what to play.
        actor: who makes the attempts, as it is now.
        environment: where.
        number: of the round; other rounds play in other worlds.
        seed: of worlds and states.
        name: of the agent, for lineage.
        wanderer: who plays the episodes in which states are met; None: the actor.

    Returns:
        The attempts of each group, in order.

    Raises:
        RigError: attempts are to begin midway, in a world whose states cannot be saved.
        SimulatorError: an engine failed again and again.
    """
    lineage = Lineage(stage="live", actor=name)
    playing = partial(play, partial(make_world, environment), batch_size=config.batch_size, lineage=lineage)
    with closing(make_world(environment)) as spare:
        if config.midway:
            fix = "`rig improve --midway 0` has every attempt begin where the episode does"
            refuse_without_saves(spare, "an attempt that begins midway", fix)
        midway = round(config.midway * config.groups)
        met_in = -(-midway // config.states)
        starts = _starts(config, spare, met_in + config.groups - midway, number, seed)
        tasks = spare.tasks
    wandering = partial(playing, wanderer or actor, most_steps=config.most_steps)
    met = _met(starts[:met_in], config.states, wandering, np.random.default_rng([seed, number, 1]))
    begun = [*islice(met, midway), *((start, None) for start in starts[met_in:])]
    attempts = [
        Attempt(**vars(start), group=number * config.groups + group, number=which, midway=state)
        for group, (start, state) in enumerate(begun)
        for which in range(config.attempts)
    ]
    groups: dict[int, list[Played]] = defaultdict(list)
    for played in playing(actor, attempts, most_steps=1 if config.in_dreams else config.most_steps):
        assert isinstance(played.episode, Attempt)
        groups[played.episode.group].append(played)
    return [_outcomes(config, tasks[played[0].episode.task], played) for _, played in sorted(groups.items())]


def _starts(config: PlayConfig, world: World, count: int, number: int, seed: int) -> list[Episode]:
    """Return the episodes of a round: the tasks and settings in turn, in training worlds drawn anew."""
    cells = list(world.tasks.variants(config.tasks))
    random = np.random.default_rng([seed, number, 0])
    order = [cells[(number * count + episode) % len(cells)] for episode in range(count)]
    random.shuffle(order)  # which of them begin midway is then no matter of the task
    return [_start(world, task, setting, random) for task, setting in order]


def _start(world: World, task: Task, setting: str, random: np.random.Generator) -> Episode:
    while True:
        seed = Split.TRAIN.seed(int(random.integers(_SIZE)))
        if world.solvable(task, setting, seed):
            return Episode(task=task.name, setting=setting, seed=seed)


def _met(
    starts: Sequence[Episode], states: int, playing: Any, random: np.random.Generator
) -> Iterator[tuple[Episode, Midway]]:
    """Yield `states` states of an episode from each of `starts`, every step of it as likely as another.

    An episode of fewer steps gives some of them again.
    """
    chance = {start.id: np.random.default_rng(random.integers(2**63)) for start in starts}
    kept: dict[str, list[tuple[int, bytes]]] = {}

    def keep(episode: Episode, world: World, index: int) -> None:
        if index == 0:  # also where the engine failed and the episode begins anew
            kept[episode.id] = []
        place = int(chance[episode.id].random() * (index + 1))
        if index < states:
            kept[episode.id].append((index, world.save()))
        elif place < states:
            kept[episode.id][place] = index, world.save()

    found: dict[str, list[Midway]] = {}
    for played in playing(starts, before=keep):
        steps = played.trajectory.steps
        found[played.episode.id] = [
            Midway(
                state=state,
                previous_action=steps[index].previous_action,
                earlier_actions=steps[index].earlier_actions,
            )
            for index, state in kept.pop(played.episode.id)
        ]
    for start in starts:
        yield from ((start, state) for state in islice(cycle(found[start.id]), states))


def _outcomes(config: PlayConfig, task: Task, group: Sequence[Played]) -> list[Outcome]:
    group = sorted(group, key=lambda played: played.episode.id)
    worth = [worth_of(config, task, played.trajectory) for played in group]
    mean = sum(worth) / len(worth)
    return list(_ended(group, worth, mean))


def _ended(group: Sequence[Played], worth: Sequence[float], mean: float) -> Iterator[Outcome]:
    for played, value in zip(group, worth, strict=True):
        assert isinstance(played.episode, Attempt)
        yield Outcome(attempt=played.episode, trajectory=played.trajectory, worth=value, advantage=value - mean)


def worth_of(config: PlayConfig, task: Task, trajectory: Trajectory) -> float:
    """Return what an attempt is worth, 0 to 1; in dreams what the judge says, 1 where it has nothing against it."""
    if config.in_dreams:
        (plan,) = trajectory.steps[0].plans
        assert plan.score is not None, "it was judged"
        return float(config.discount**-plan.score)
    if trajectory.success:
        return float(config.discount ** len(trajectory.steps))
    return config.partial * min(1.0, trajectory.samples / task.target)
