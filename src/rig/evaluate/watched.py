"""What decisions make of their first proposal: how often it is changed and, as a teacher values it, whether rightly.

An actor is watched while it plays. Values are steps that are lost against the teacher's way from the same state
(`rig.stages.advantage`); they are found for a share of the decisions, drawn by the seeds of these alone, so that
whoever plays the same episode is asked in the same steps of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any
from zlib import crc32

from rig.annotators.kit import kit_name
from rig.envs import World, make_world, refuse_without_saves
from rig.envs.rollout import Actor, Deciding, Episode, PrivilegedDeciding
from rig.errors import RigError
from rig.records import Decision, Observation
from rig.stages.advantage import Judge
from rig.teachers import TEACHERS


@dataclass(kw_only=True)
class Changes:
    """What became of first proposals in an episode.

    Attributes:
        decisions: in which something was proposed.
        changed: of these, those in which something else is done than what was proposed first.
        lost: of each decision that was valued, the steps that its first proposal loses, and those that what is done
            loses; decisions in which the teacher itself finds no way in time are not among them.
    """

    decisions: int = 0
    changed: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)


class Watch:
    """Watches an actor's decisions.

    Args:
        actor: who decides.
        share: of the decisions, those to value.
        judge: who values; None for nobody.
    """

    def __init__(self, actor: Actor, share: float = 0.0, judge: Judge | None = None) -> None:
        self._actor, self._share, self._judge = actor, share, judge
        self._changes: defaultdict[Episode, Changes] = defaultdict(Changes)
        self._asked: tuple[Episode, World] | None = None

    def deciding(self, places: int) -> Deciding:
        """Return where the actor's decisions are made, watched."""
        inner = self._actor.deciding(places)
        return _Seeing(inner, self) if isinstance(inner, PrivilegedDeciding) else _Watched(inner, self)

    def before(self, episode: Episode, world: World, index: int) -> None:
        """Look at the world of the next decision; to be called by the rollout (`play(before=...)`)."""
        if index == 0:  # also where the engine failed and the episode begins anew
            self._changes.pop(episode, None)
        self._asked = (episode, world)

    def changes(self, episode: Episode) -> dict[str, Any]:
        """Return the counts of an episode that has ended, and forget them."""
        return asdict(self._changes.pop(episode, Changes()))

    def asked(self, seed: int) -> _Asked:
        """Return what is to be kept of a decision that is asked for now, until it is made."""
        assert self._asked is not None
        episode, world = self._asked
        drawn = self._judge is not None and crc32(f"value/{seed}".encode()) < self._share * (1 << 32)
        return _Asked(episode=episode, state=world.save() if drawn else None)

    def decided(self, asked: _Asked, decision: Decision) -> None:
        """Count a decision."""
        if not decision.plans:
            return
        first, changes = decision.plans[0].action, self._changes[asked.episode]
        changes.decisions += 1
        changes.changed += decision.action != first
        if asked.state is None or self._judge is None:
            return
        best = self._judge.cost_to_go(asked.state)
        if best < self._judge.patience:  # where all is lost nothing more is
            lost = {action: self._judge.cost_to_go(asked.state, action) - best for action in (first, decision.action)}
            changes.lost.append((lost[first], lost[decision.action]))


@dataclass(frozen=True, kw_only=True)
class _Asked:
    episode: Episode
    state: bytes | None


class _Watched:
    def __init__(self, inner: Deciding, watch: Watch) -> None:
        self._inner, self._watch = inner, watch
        self._asked: dict[int, _Asked] = {}

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        self._asked[key] = self._watch.asked(seed)
        self._inner.submit(key, observation, seed)

    def next(self) -> tuple[int, Decision]:
        key, decision = self._inner.next()
        self._watch.decided(self._asked.pop(key), decision)
        return key, decision


class _Seeing(_Watched):
    def __init__(self, inner: PrivilegedDeciding, watch: Watch) -> None:
        super().__init__(inner, watch)
        self._seeing = inner

    def see(self, key: int, world: World) -> None:
        self._seeing.see(key, world)


def judge_in(environment: str, patience: int) -> Judge:
    """Return who values decisions in a world: the teacher of its kit, in a world of its own.

    Raises:
        RigError: its kit has none, or the world's states cannot be saved.
    """
    teacher = kit_name(environment, "teacher", spared=True)
    if not teacher:
        raise RigError(
            f"the world {environment!r} has no teacher to value decisions; take --valued 0, or register the world with "
            "one (docs/extending.md)"
        )
    world = make_world(environment)
    refuse_without_saves(world, "valuing by a teacher", "take --valued 0")
    return Judge(world=world, teacher=TEACHERS.get(teacher)(), patience=patience)
