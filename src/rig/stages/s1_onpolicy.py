"""S1 on policy: an agent plays, and a teacher beside it says at every step what it would do there (DAgger).

A student of the teacher's own episodes meets states that the teacher never showed, and does not know how to find back.
Here the states are the student's own. Where both do the same, a step is as any other of S1. Where they do not, the step
is a correction (`CORRECTION`): its action is the teacher's, which is to be learned, and its next frame is what that
would have led to, tried in a copy of the world; the episode itself went on with what the student did, and that is the
next step's previous action, as it will be where the agent plays alone.

Or what the student itself thinks and does is kept, and what comes of it (`PRACTICE`): its dreams learn from that where
it errs, for of its mistakes no teacher's episode tells. Where it looked ahead and so found something better than what
it would have done at once, that can be learned in turn (`POLICY`): what it decides slowly it then says at once.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rig.actions import Action
from rig.agents import PolicyActor, agent_name, choosing
from rig.agents.how import HowToPlay
from rig.agents.sources import source_of
from rig.annotators.kit import build_teacher, with_kit
from rig.cluster import HERE, Cluster, crew
from rig.data import Dataset
from rig.envs import World, make_world, refuse_without_saves
from rig.envs.rollout import Actor, Deciding, Episode, PrivilegedDeciding, play
from rig.errors import RigError
from rig.records import CORRECTION, POLICY, PRACTICE, TEACHER, Decision, Lineage, Observation, Step, Trajectory
from rig.stages.base import Opening, run_stage
from rig.stages.config import CollectConfig, PlayerConfig
from rig.stages.s1_collect import Classroom, classroom, id_of, info_of, patiently, training_episodes
from rig.stages.visiting import Visited, visit
from rig.teachers import Teacher


def collect_on_policy(
    config: CollectConfig,
    player: PlayerConfig,
    out: Path | str,
    opening: Opening | None = None,
    *,
    workers: int = 1,
    cluster: Cluster = HERE,
) -> Dataset:
    """Let a player play with the teacher beside it, and write the episodes to the dataset `out`.

    Args:
        config: what to collect; its noise is none.
        player: who plays, and how.
        out: the dataset's folder.
        opening: how to treat what is there.
        workers: processes that look for worlds; the player plays in this one.
        cluster: where they are.

    Raises:
        UnknownNameError: no such world, teacher, task or setting.
        RigError: no teacher is named, and the world's kit has none; noise is asked for; or the player is corrected in
            a world whose states cannot be saved.
        CheckpointError: the player cannot be loaded, or plays in another world.
        DatasetError: `out` holds a dataset and `opening` does not allow to touch it.
        SimulatorError: an engine failed in an episode again and again.
    """
    if config.noise:
        raise RigError(f"noise={config.noise}: a player makes mistakes of its own; leave noise out beside one")
    world = make_world(config.environment)
    if player.record == "said":
        fix = "`rig collect --record done` keeps what the player does, uncorrected"
        refuse_without_saves(world, "a player that a teacher corrects", fix)
    config = with_kit(replace(config, noise=0.0), config.environment)
    tutored, name = _tutored(config, player, world)
    with crew(partial(classroom, config), workers, cluster) as hands, closing(world):
        episodes = training_episodes(config, world, hands)
        room = Classroom(config, world, build_teacher(config.teacher, config.teacher_config))
        info = info_of(config, world, out)
        info = replace(info, config={**info.config, **asdict(player), "player": name})
        return run_stage(out, info, episodes, id_of, partial(_play, room, player, tutored, name), opening or Opening())


def _tutored(config: CollectConfig, player: PlayerConfig, world: World) -> tuple[_Tutored, str]:
    """Return the player with a teacher beside it, and its name for lineage; an agent's has its weights' hash."""
    source, named = source_of(player.player)
    source.world(named, config.environment)
    planner = choosing(player.plans, player.dreams, player.judge, resample=player.resample)
    how = HowToPlay(planner_for=lambda _: planner, temperature=player.temperature, dtype=player.dtype)
    actor = source.actor(named, world, how)
    name = player.player
    if isinstance(actor, PolicyActor):
        name = agent_name(named)
        actor.policy.check_tasks(world.tasks, config.tasks)
    teacher = build_teacher(config.teacher, config.teacher_config)
    is_heard = player.record == "said"
    return _Tutored(actor, teacher, share=player.mixture, seed=config.seed, is_heard=is_heard), name


def _play(
    room: Classroom, player: PlayerConfig, tutored: _Tutored, name: str, episodes: Sequence[Episode]
) -> Iterator[Trajectory]:
    """Yield each episode as the teacher corrects it, in the order given: a run that was cut then ends the same."""
    lineage = Lineage(stage="s1", actor=f"{name} beside {room.teacher.name}")
    waiting, early = deque(episodes), dict[str, Trajectory]()
    for episode, trajectory in _recorded(room, player, tutored, episodes, lineage):
        early[episode.id] = trajectory
        while waiting and waiting[0].id in early:
            yield early.pop(waiting.popleft().id)


def _recorded(
    room: Classroom, player: PlayerConfig, tutored: _Tutored, episodes: Sequence[Episode], lineage: Lineage
) -> Iterator[tuple[Episode, Trajectory]]:
    """Yield each episode with what is kept of it, as they end."""
    make, worlds, most = partial(make_world, room.config.environment), player.batch_size, player.most_steps
    if player.record != "said":
        for played in play(make, tutored, episodes, batch_size=worlds, most_steps=most, lineage=lineage):
            yield played.episode, practice(played.trajectory, learn_better=player.record == "better")
        return
    for visited in visit(make, tutored, episodes, batch_size=worlds, most_steps=most, lineage=lineage):
        said = tutored.said.pop(visited.episode.id)
        job = partial(_corrected, visited, said, player)
        yield visited.episode, patiently(job, room, visited.episode)


def practice(trajectory: Trajectory, *, learn_better: bool = False) -> Trajectory:
    """Return an episode for dreams to learn what comes of what was thought and done.

    Args:
        trajectory: as it was played.
        learn_better: whether what `is_better` is to be imitated.
    """
    actors = (POLICY if learn_better and is_better(step) else PRACTICE for step in trajectory.steps)
    return trajectory.with_steps(
        tuple(_bare(step, actor=actor) for step, actor in zip(trajectory.steps, actors, strict=True))
    )


def is_better(step: Step) -> bool:
    """Return whether what was done was judged better than the first plan, and came true: the frame is another."""
    if not step.chosen:
        return False
    first, done = (step.plans[number].score for number in (0, step.chosen))
    came = step.next_frame is not None and not np.array_equal(step.frame, step.next_frame)
    return came and first is not None and done is not None and done > first


def _corrected(
    visited: Visited, said: Sequence[Action], player: PlayerConfig, room: Classroom, episode: Episode
) -> Trajectory:
    return correct(visited, said, room.world if player.next_frames else None)


def correct(visited: Visited, said: Sequence[Action], world: World | None) -> Trajectory:
    """Return an episode with what the teacher said at each of its steps.

    Args:
        visited: as it was played.
        said: the teacher's action at every step; of an episode that the engine made begin anew, at all before too.
        world: where to try what was said and not done; without one, the next frame of such steps is not known.

    Raises:
        SimulatorError: the world's engine failed.
    """
    steps = visited.trajectory.steps
    last = said[len(said) - len(steps) :]
    corrected = (_as_said(*known, world) for known in zip(steps, last, visited.states, strict=True))
    return visited.trajectory.with_steps(tuple(corrected))


def _as_said(step: Step, said: Action, state: bytes, world: World | None) -> Step:
    if said == step.action:
        return _bare(step, thought=None, actor=TEACHER)
    frame = None
    if world is not None:
        world.load(state)
        frame = world.act(said)[0]
    return _bare(step, thought=None, action=said, next_frame=frame, actor=CORRECTION, reward=0.0)


def _bare(step: Step, **changes: Any) -> Step:
    """Return a step without what led to its action, but for its thought."""
    return replace(step, dreams=(), review=None, candidates=(), chosen=0, **changes)


@dataclass
class _Tutored:
    """A player with a teacher beside it, who says at every step what it would do, and at some does it.

    Attributes:
        player: who decides.
        teacher: who says.
        share: chance that the teacher's action is done at a step in place of the player's.
        seed: of that chance.
        is_heard: whether the teacher is asked where the player acts, too.
        said: what the teacher said in each episode, by the episode's id, in order.
    """

    player: Actor
    teacher: Teacher
    share: float
    seed: int
    is_heard: bool
    said: dict[str, list[Action]] = field(default_factory=lambda: defaultdict(list))

    def deciding(self, places: int) -> PrivilegedDeciding:
        """Return where decisions are made."""
        return _Beside(self, self.player.deciding(places))


class _Beside:
    def __init__(self, tutored: _Tutored, inner: Deciding) -> None:
        self._tutored, self._inner = tutored, inner
        self._worlds: dict[int, World] = {}
        self._taken: deque[tuple[int, Action]] = deque()

    def see(self, key: int, world: World) -> None:
        self._worlds[key] = world

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        tutored, world = self._tutored, self._worlds.pop(key)
        takes_over = np.random.default_rng([tutored.seed, seed]).random() < tutored.share
        if takes_over or tutored.is_heard:
            said = tutored.teacher.act(world)
            tutored.said[Episode(task=world.task.name, setting=world.setting, seed=world.seed).id].append(said)
        if takes_over:
            self._taken.append((key, said))
            return
        if isinstance(self._inner, PrivilegedDeciding):
            self._inner.see(key, world)
        self._inner.submit(key, observation, seed)

    def next(self) -> tuple[int, Decision]:
        if self._taken:
            key, action = self._taken.popleft()
            return key, Decision(action=action)
        return self._inner.next()
