"""Dream sources: what an agent is shown where its own dreams would stand, to tell whether these cause what it decides.

    class Night(DreamSource):
        def substitute(self, world):
            return Fixed(lambda seen: seen // 4)

    DREAM_SOURCES.add("night", Night)

Whatever is shown stands in the conversation as a dream of the agent's own would: as codes that it wrote, read back as
its form says. Nothing else of a decision is exchanged, and the seeds of what is drawn are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Protocol
from zlib import crc32

import numpy as np

from rig.actions import Action
from rig.agents.actors import PolicyActor
from rig.agents.deciding import PolicyDeciding
from rig.agents.planners import Basic, merged
from rig.agents.policy import Policy
from rig.agents.state import DecisionState, Imagined, Substitute
from rig.dialogue import is_speakable
from rig.engine import Conversation
from rig.envs import Split, World, make_world, refuse_without_saves
from rig.envs.forks import SimulatorDynamics
from rig.envs.rollout import Episode, PrivilegedDeciding, play
from rig.records import Decision, Dream, Frame, Lineage, Observation, Plan
from rig.registry import Registry

OWN = "own"
"""The agent's own dreams: nothing is exchanged."""

_PROPOSALS = 4
"""How often a plan other than the one at hand is asked for, before any other action is taken for it."""

_POOL_STEPS = 24
"""Decisions in each of the episodes from which dreams of other episodes are taken."""


class OracleDynamics(Protocol):
    """Knows what really comes of actions in one world."""

    def follow(self, action: Action) -> Frame:
        """Return the frame after one more action; the observed world itself stays as it is."""
        ...

    def fork(self) -> OracleDynamics:
        """Return one that goes on from the same actions, for another way to go on."""
        ...


class DreamSource:
    """Makes substitutes for the dreams of one agent.

    Args:
        policy: the agent's.
        spare: a world of the kind in which it plays, to try things in.
        tasks: what it is to play, each as "task" or "task/setting"; all where there is none.
    """

    def __init__(self, policy: Policy, spare: World, tasks: Sequence[str] = ()) -> None:
        self.policy, self.spare, self.tasks = policy, spare, tasks

    def prepare(self) -> None:
        """Get ready; called before decisions are made."""

    def substitute(self, world: World) -> Substitute:
        """Return what stands in for the dreams of the next decision in `world`, which is not to be changed."""
        raise NotImplementedError


DREAM_SOURCES: Registry[Callable[[Policy, World, Sequence[str]], DreamSource] | None] = Registry(
    "dream source", "rig.dream_sources"
)
"""Dream sources, each made of a `DreamSource`'s arguments; nothing is made of the agent's own."""


class TrueFuture:
    """Shows what really comes: the bound on what better dreams could bring.

    Args:
        oracle: of the world in which is decided.
    """

    def __init__(self, oracle: OracleDynamics) -> None:
        self._oracle = oracle

    def show(self, state: DecisionState) -> Conversation[Imagined]:
        """Return the frame that comes of the last action."""
        yield from ()
        return Imagined(frame=self._oracle.follow(state.action))

    def fork(self) -> TrueFuture:
        """Return one for another way to go on."""
        return TrueFuture(self._oracle.fork())


class Fixed:
    """Shows the same whatever is done.

    Args:
        shown: gives it of the observed frame.
    """

    def __init__(self, shown: Callable[[Frame], Frame]) -> None:
        self._shown = shown

    def show(self, state: DecisionState) -> Conversation[Imagined]:
        """Return what is shown of the observed frame."""
        yield from ()
        return Imagined(frame=self._shown(state.observation.frame))

    def fork(self) -> Fixed:
        """Return itself."""
        return self


class OtherPlan:
    """Shows what the agent dreams of another plan in the same state: a real dream of its own, of the wrong action.

    The other plan is the next of those that were proposed; where no other was, one that the agent proposes when it is
    asked a few times more; and where it never wants anything else, an action at random under the same thought.

    Args:
        others: what might be done at random.
        depth: the steps that are dreamed at the most.
    """

    def __init__(self, others: Sequence[Action], depth: int) -> None:
        self._others, self._depth = others, depth
        self._dreams: tuple[Dream, ...] = ()

    def show(self, state: DecisionState) -> Conversation[Imagined]:
        """Return the other plan's dream of the same depth."""
        if not self._dreams:
            own, known = Plan(thought=state.thought, action=state.action), list(state.proposals)
            self._dreams = yield from state.aside(partial(self._dream_of_another, own=own, known=known))
        return _as_imagined(self._dreams[len(state.dreams)])

    def fork(self) -> OtherPlan:
        """Return one that shows the same plan, if it has one yet."""
        return copy(self)

    def _dream_of_another(
        self, state: DecisionState, own: Plan, known: Sequence[Plan]
    ) -> Conversation[tuple[Dream, ...]]:
        yield from state.observe()
        other = _next_to(own, known)
        if other is None:
            other = _next_to(own, (yield from state.fork([DecisionState.answer] * _PROPOSALS)))
        yield from state.retell(other or self._at_random(own, state.seed))
        return (yield from state.look_ahead(self._depth))

    def _at_random(self, own: Plan, seed: int) -> Plan:
        others = [action for action in self._others if action != own.action]
        drawn = others[int(np.random.default_rng(seed).integers(len(others)))]
        return Plan(thought=own.thought if is_speakable(own.thought) else "", action=drawn)


class OtherEpisode:
    """Shows dreams from elsewhere, drawn anew for each plan and step.

    Args:
        pool: the dreams to draw from.
    """

    def __init__(self, pool: Sequence[Dream]) -> None:
        self._pool = pool

    def show(self, state: DecisionState) -> Conversation[Imagined]:
        """Return one of the dreams: which, follows from the seed, the plan and the depth."""
        yield from ()
        plan = state.dreams[0].action if state.dreams else state.action
        named = crc32(state.speaker.space.format(plan).encode())
        random = np.random.default_rng([state.seed, named, len(state.dreams)])
        return _as_imagined(self._pool[int(random.integers(len(self._pool)))])

    def fork(self) -> OtherEpisode:
        """Return itself."""
        return self


def _as_imagined(dream: Dream) -> Imagined:
    assert dream.frame is not None
    return Imagined(frame=dream.frame, codes=dream.codes, entropy=dream.entropy or 0.0)


def _next_to(own: Plan, plans: Sequence[Plan]) -> Plan | None:
    """Return the plan behind `own` among distinct ones, the first behind the last; None where there is no other."""
    distinct = merged(plans)
    place = next((number for number, plan in enumerate(distinct) if plan.action == own.action), -1)
    following = distinct[(place + 1) % len(distinct)] if distinct else own
    return None if following.action == own.action else following


class TrueFutures(DreamSource):
    """What really comes, tried in the spare world."""

    def __init__(self, policy: Policy, spare: World, tasks: Sequence[str] = ()) -> None:
        refuse_without_saves(spare, "what really comes, in the place of dreams,")
        super().__init__(policy, spare, tasks)

    def substitute(self, world: World) -> Substitute:
        """Return what shows the futures of `world`."""
        return TrueFuture(SimulatorDynamics(self.spare, world))


class StillCopies(DreamSource):
    """The observed frame once more."""

    def substitute(self, world: World) -> Substitute:
        """Return what shows the present."""
        return Fixed(np.copy)


class BlankFrames(DreamSource):
    """A black frame."""

    def substitute(self, world: World) -> Substitute:
        """Return what shows nothing."""
        return Fixed(np.zeros_like)


class OtherPlans(DreamSource):
    """Dreams of another plan from the same state."""

    def substitute(self, world: World) -> Substitute:
        """Return what shows another plan's dreams."""
        return OtherPlan(self.spare.alternatives(), self.policy.config.planner.dreams)


class OtherEpisodes(DreamSource):
    """The agent's own dreams from other episodes: of the first training seed of each task, which it plays first."""

    pool: Sequence[Dream] = ()

    def prepare(self) -> None:
        """Play and dream, once."""
        self.pool = self.pool or tuple(self._dreamed())

    def substitute(self, world: World) -> Substitute:
        """Return what shows dreams from elsewhere."""
        return OtherEpisode(self.pool)

    def _dreamed(self) -> list[Dream]:
        policy = self.policy
        acting = replace(policy.config, planner=Basic(imagine=True))
        played = play(
            partial(make_world, self.spare.name),
            PolicyActor(policy.configured(acting)),
            self._episodes(),
            most_steps=_POOL_STEPS,
            lineage=Lineage(stage="live", actor="dreams of other episodes"),
        )
        trajectories = sorted((one.trajectory for one in played), key=lambda trajectory: trajectory.id)
        return [step.dreams[0] for trajectory in trajectories for step in trajectory.steps]

    def _episodes(self) -> list[Episode]:
        return [
            Episode(task=task.name, setting=setting, seed=seed)
            for task, setting in self.spare.tasks.variants(self.tasks)
            for seed in self.spare.episode_seeds(task, setting, Split.TRAIN, 1)
        ]


class SubstitutingActor:
    """A policy whose dreams are exchanged.

    Args:
        policy: who decides.
        source: what it is shown.
    """

    def __init__(self, policy: Policy, source: DreamSource) -> None:
        self.policy, self.source = policy, source

    def deciding(self, places: int) -> PrivilegedDeciding:
        """Return where the policy's decisions are made."""
        self.source.prepare()
        return _SubstitutingDeciding(self.policy.deciding(places), self.source)


class _SubstitutingDeciding:
    def __init__(self, inner: PolicyDeciding, source: DreamSource) -> None:
        self._inner, self._source = inner, source
        self._substitutes: dict[int, Substitute] = {}

    def see(self, key: int, world: World) -> None:
        self._substitutes[key] = self._source.substitute(world)

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        self._inner.submit(key, observation, seed, self._substitutes.pop(key))

    def next(self) -> tuple[int, Decision]:
        return self._inner.next()


DREAM_SOURCES.add(OWN, None)
DREAM_SOURCES.add("true", TrueFutures)
DREAM_SOURCES.add("still", StillCopies)
DREAM_SOURCES.add("other-plan", OtherPlans)
DREAM_SOURCES.add("other-episode", OtherEpisodes)
DREAM_SOURCES.add("blank", BlankFrames)
