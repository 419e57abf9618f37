"""Counterfactual sets: from one state several plans, each dreamed by the agent, tried in the engine and valued.

A set is what can be learned from and judged: what different actions from the same state really lead to, failures
included. States are those of the agent's own play, of the teacher's, or of the teacher's with noise; plans are the
agent's own distinct proposals, what the teacher would do, and random ones.

Every branch is a step: its dreams are the agent's, its real frames are the engine's, and `privileged["branch"]` says
which set it belongs to and what it was worth (`Branch`). The sets of one episode are one trajectory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from rig.actions import Action
from rig.agents import PolicyActor, PolicyConfig, TeacherActor, agent_name, build_policy, refuse_other_world
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators.kit import with_kit
from rig.data import Dataset, DatasetInfo
from rig.dialogue import is_speakable
from rig.engine import Sampler
from rig.envs import World, make_world, refuse_without_saves
from rig.envs.rollout import MOST_WORLDS, Actor, Episode
from rig.envs.seeds import Split
from rig.errors import DatasetError, RigError
from rig.records import POLICY, RANDOM, TEACHER, Decision, Dream, Lineage, Observation, Plan, Step, Trajectory
from rig.stages.advantage import Judge
from rig.stages.base import Opening, episodes_in_turn, run_stage
from rig.stages.config import BranchConfig
from rig.stages.visiting import Visited, as_came, visit
from rig.teachers import TEACHERS
from rig.validation import validated

BRANCH = "branch"
"""The key of a branch's facts in `Step.privileged`."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """What is known of a branch.

    Attributes:
        state: the step of the played episode whose state it branches from; branches of one episode and state are a set.
        source: whose plan it is: POLICY, TEACHER or RANDOM; of a plan of several, the agent's.
        votes: how many of the agent's proposals chose it.
        totals: steps to success, by depth: those of the plan so far, and the teacher's behind it; `patience` more than
            those of the plan where there is no way in time. One number for each dream; none without a teacher.
        samples: the task's samples after each of its steps.
        lost: what choosing it costs against the best branch of the set: steps, by the first of `totals`; without a
            teacher samples, by the last of `samples`.
        same: whether all branches of the set are worth the same, so that there is nothing to choose.
    """

    state: int
    source: str
    votes: int
    totals: tuple[int, ...]
    samples: tuple[int, ...]
    lost: int
    same: bool


def branch_of(step: Step) -> Branch:
    """Return what is known of a branch.

    Raises:
        DatasetError: the step is none.
    """
    found = step.privileged.get(BRANCH)
    if found is None:
        raise DatasetError(f"step {step.index} is no branch; `rig branch` makes datasets of them")
    return validated(
        found, Branch, f"step {step.index}: {BRANCH}", "make the dataset anew with `rig branch`", DatasetError
    )


def branch(config: BranchConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Play, branch in some states of each episode, and write the sets to the dataset `out`.

    Raises:
        CheckpointError: the agent cannot be loaded.
        RigError: it does not dream, or the world's states cannot be saved.
        DatasetError: `out` may not be touched.
    """
    builder = _BranchBuilder(config)

    def make(pieces: Sequence[_Piece]) -> Iterator[Trajectory | None]:
        for player in config.players:
            played = builder.visits(player, [piece.episode for piece in pieces if piece.player == player])
            while together := list(islice(played, max(1, (config.batch_size or MOST_WORLDS) // config.states))):
                yield from builder.branched(together, player)

    work = [_Piece(player, episode) for episode in builder.episodes() for player in config.players]
    return run_stage(out, builder.info(out), work, lambda piece: piece.id, make, opening or Opening())


@dataclass(frozen=True)
class _Piece:
    """An episode, and who plays it."""

    player: str
    episode: Episode

    @property
    def id(self) -> str:
        return f"{self.episode.id}-{self.player}"


@dataclass(frozen=True, kw_only=True)
class _Start:
    """A state to branch from, and how it was come by."""

    visited: Visited
    index: int

    @property
    def step(self) -> Step:
        return self.visited.trajectory.steps[self.index]

    @property
    def state(self) -> bytes:
        return self.visited.states[self.index]

    @property
    def seed(self) -> int:
        return self.visited.episode.decision_seed(self.index)


class _BranchBuilder:
    """The agent, the teacher and a world to try things in."""

    def __init__(self, config: BranchConfig) -> None:
        self.checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype)
        if not self.checkpoint.prompt_format.dream:
            raise RigError(f"{config.agent} does not dream; branches are dreamed as well as tried")
        self.world: World = make_world(self.checkpoint.environment)
        refuse_without_saves(self.world, "branching")
        self.config = config = with_kit(config, self.checkpoint.environment, spared=["teacher"])
        refuse_other_world(self.world, self.checkpoint.space, self.checkpoint.environment, config.agent)
        settings = PolicyConfig(
            prompt_format=self.checkpoint.prompt_format, text=Sampler(temperature=config.temperature)
        )
        self.policy = build_policy(self.checkpoint, settings, dreams_ahead=config.dreams)
        self.judge: Judge | None = None
        if config.teacher:
            teacher = TEACHERS.get(config.teacher)()
            self.judge = Judge(world=self.world, teacher=teacher, patience=config.patience)
        self.policy.check_tasks(self.world.tasks, config.tasks)

    def info(self, out: Path | str) -> DatasetInfo:
        """Return what the dataset says of itself; its agent is named with its weights' hash."""
        return DatasetInfo(
            name=Path(out).name,
            stage="branch",
            environment=self.checkpoint.environment,
            action_space=self.checkpoint.space,
            frame_size=self.world.observation_space.shape[:2],  # type: ignore[index, arg-type]
            config=asdict(self.config) | {"agent": agent_name(self.config.agent)},
        )

    def episodes(self) -> list[Episode]:
        """Return the episodes to play."""
        config = self.config
        cells = self.world.tasks.variants(config.tasks)
        return episodes_in_turn(
            self.world, cells, Split[config.split.upper()], episodes=config.episodes, skip=config.skip
        )

    def visits(self, player: str, episodes: Sequence[Episode]) -> Iterator[Visited]:
        """Let a player play, and yield each episode with its states."""
        return visit(
            partial(make_world, self.checkpoint.environment),
            self._actor(player),
            episodes,
            batch_size=self.config.batch_size,
            most_steps=self.config.most_steps,
            lineage=Lineage(stage="live", actor=self._name_of(player)),
        )

    def _actor(self, player: str) -> Actor:
        if player == "agent":
            return PolicyActor(self.policy)
        teacher = TeacherActor(TEACHERS.get(self.config.teacher)())
        return teacher if player == "teacher" else _NoisyTeacher(teacher, self.config)

    def _name_of(self, player: str) -> str:
        return agent_name(self.config.agent) if player == "agent" else f"{player} {self.config.teacher}"

    def branched(self, visits: Sequence[Visited], player: str) -> Iterator[Trajectory | None]:
        """Yield the sets of each episode; None where there are none."""
        starts = [start for visited in visits for start in self._starts(visited)]
        others = [self._others(start) for start in starts]
        proposed = self.policy.propose(
            [start.step.observation for start in starts],
            [start.seed for start in starts],
            plans=self.config.plans,
            dreams=self.config.dreams,
            others=[[Plan(thought=None, action=action) for action in more] for more in others],
        )
        sets = list(zip(starts, proposed, others, strict=True))
        for visited in visits:
            yield branch_episode(self, visited, player, [one for one in sets if one[0].visited is visited])

    def _starts(self, visited: Visited) -> list[_Start]:
        random = np.random.default_rng([self.config.seed, crc32(visited.episode.id.encode())])
        return [_Start(visited=visited, index=index) for index in visited.some(self.config.states, random)]

    def _others(self, start: _Start) -> dict[Action, str]:
        """Return the teacher's action and random ones, and whose they are; the thoughts for them are the agent's."""
        found = {} if self.judge is None else {self.judge.action_at(start.state): TEACHER}
        self.world.load(start.state)
        random = np.random.default_rng([self.config.seed, start.seed])
        for _ in range(self.config.random):
            found.setdefault(self.world.random_action(random), RANDOM)
        return found

    def branches(self, start: _Start, plans: Sequence[Plan], others: Mapping[Action, str]) -> list[Step]:
        """Return the branches of a state, tried and compared."""
        tried = [self._try(start, plan) for plan in plans if is_speakable(plan.thought)]
        costs = [one.totals[0] if one.totals else -one.samples[-1] for one in tried]
        facts = [
            Branch(
                state=start.index,
                source=POLICY if one.plan.votes else others[one.plan.action],
                votes=one.plan.votes,
                totals=one.totals,
                samples=one.samples,
                lost=cost - min(costs),
                same=len(set(costs)) == 1,
            )
            for one, cost in zip(tried, costs, strict=True)
        ]
        return [_as_step(start.step, one, fact) for one, fact in zip(tried, facts, strict=True)]

    def _try(self, start: _Start, plan: Plan) -> _Tried:
        """Do what a plan dreamed, from its state; return it beside what came."""
        state, came, totals, samples = start.state, list[Dream](), list[int](), list[int]()
        for depth, dream in enumerate(plan.dreams, 1):
            self.world.load(state)
            frame, _, terminated, _, info = self.world.act(dream.action)
            state = self.world.save()
            samples.append(self.world.samples)
            won = self.world.samples >= self.world.task.target
            if self.judge is not None:
                left = 0 if won else self.config.patience if terminated else self.judge.cost_to_go(state)
                totals.append(depth + left)
            came.append(as_came(dream, frame, info["privileged"]))
            if terminated or won:
                break
        return _Tried(plan=plan, came=tuple(came), totals=tuple(totals), samples=tuple(samples))

    def lineage(self, visited: Visited, player: str) -> Lineage:
        """Return the lineage of the sets of an episode."""
        actor = f"{self._name_of(player)}, branched by {agent_name(self.config.agent)}"
        return Lineage(stage="branch", actor=actor, parent=visited.trajectory.id)


def branch_episode(
    builder: _BranchBuilder,
    visited: Visited,
    player: str,
    sets: Sequence[tuple[_Start, Sequence[Plan], Mapping[Action, str]]],
) -> Trajectory | None:
    """Return the sets of an episode, each of a state, its plans and who else proposed what; None without any."""
    steps = [step for start, plans, others in sets for step in builder.branches(start, plans, others)]
    if not steps:
        return None
    numbered = tuple(replace(step, index=index) for index, step in enumerate(steps))
    played = visited.trajectory
    return replace(played, id=f"{played.id}-{player}", steps=numbered, lineage=builder.lineage(visited, player))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tried:
    """A plan, and what came of it; see `Branch`."""

    plan: Plan
    came: tuple[Dream, ...]
    totals: tuple[int, ...]
    samples: tuple[int, ...]


def _as_step(start: Step, tried: _Tried, facts: Branch) -> Step:
    known = asdict(facts) | {"totals": list(facts.totals), "samples": list(facts.samples)}
    return replace(
        start.with_dreams(tried.came).with_next_codes(None),
        thought=tried.plan.thought,
        action=tried.plan.action,
        next_frame=tried.came[0].real_frame,
        review=None,
        actor=facts.source,
        reward=0.0,
        privileged={**start.privileged, BRANCH: known},
    )


class _NoisyTeacher:
    """A teacher whose hand slips now and then, as in S1."""

    def __init__(self, teacher: TeacherActor, config: BranchConfig) -> None:
        self._teacher, self._config = teacher, config

    def deciding(self, places: int) -> Any:
        """Return where decisions are made."""
        return _Slips(self._teacher.deciding(places), self._config)


class _Slips:
    def __init__(self, inner: Any, config: BranchConfig) -> None:
        self._inner, self._config = inner, config
        self._worlds: dict[int, World] = {}
        self._seeds: dict[int, int] = {}

    def see(self, key: int, world: World) -> None:
        self._worlds[key] = world
        self._inner.see(key, world)

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        self._seeds[key] = seed
        self._inner.submit(key, observation, seed)

    def next(self) -> tuple[int, Decision]:
        key, decision = self._inner.next()
        random = np.random.default_rng([self._config.seed, self._seeds.pop(key)])
        if random.random() < self._config.noise:
            return key, Decision(action=self._worlds[key].random_action(random))
        return key, decision
