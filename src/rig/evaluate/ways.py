"""Several ways of one agent to play the same episodes, decided side by side in the passes of one stream.

Each way's last long episodes run beside those of the others and not alone, where every pass would serve few worlds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from rig.agents import OWN, FolderSource, Planner, Policy, PolicyActor, PolicyDeciding, source_of
from rig.agents.checkpoint import about_agent
from rig.envs import World
from rig.envs.rollout import MOST_WORLDS, Episode, Played
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import Setup, planner_for, play_config
from rig.evaluate.verdicts import with_verdicts
from rig.records import Decision, Observation

_OWN_FIELDS = ("skip", "episodes", "dreams", "stop_entropy", "plans", "judge", "planner", "planner_options", "imagine")
"""What ways that are played side by side may differ in: how decisions are come to, and in which episodes."""


def play_ways(kinds: Mapping[str, EmbodiedConfig]) -> Iterator[tuple[str, Played]]:
    """Play the episodes of each of `kinds`, and yield each with its way when it ends.

    Ways that differ only in how one trained agent comes to decisions, and in which of the episodes they play, are
    played side by side; others one after the other. In float32 the episodes are the same as of `play_config`.

    Args:
        kinds: ways to play, by name.

    Raises:
        RigError: as `play_config`.
    """
    alike: defaultdict[EmbodiedConfig, dict[str, EmbodiedConfig]] = defaultdict(dict)
    for name, config in kinds.items():
        alike[_but_own(config)][name] = config
    for bare, ways in alike.items():
        if len(ways) > 1 and bare.dream_source == OWN and isinstance(source_of(bare.agent)[0], FolderSource):
            yield from _play_together(ways)
        else:
            yield from ((name, played) for name, config in ways.items() for played in play_config(config))


def _but_own(config: EmbodiedConfig) -> EmbodiedConfig:
    """Return `config` without what may be its own."""
    return replace(config, **{name: getattr(EmbodiedConfig, name) for name in _OWN_FIELDS})


def _play_together(kinds: Mapping[str, EmbodiedConfig]) -> Iterator[tuple[str, Played]]:
    form = about_agent(source_of(next(iter(kinds.values())).agent)[1]).form
    planners = {name: planner_for(config, form) for name, config in kinds.items()}
    for planner in planners.values():
        planner.check(form)
    widest = kinds[max(planners, key=lambda name: planners[name].dreams)]
    worlds = min(MOST_WORLDS, len(kinds) * widest.batch_size) if widest.batch_size else None
    first, end = min(config.skip for config in kinds.values()), max(map(_end, kinds.values()))
    setup = Setup.of(replace(widest, batch_size=worlds, skip=first, episodes=end - first))
    assert isinstance(setup.actor, PolicyActor)
    asked = [
        _InAWay(**asdict(episode), way=name)
        for episode, number in _numbered(setup.episodes, first)
        for name, config in kinds.items()
        if config.skip <= number < _end(config)
    ]
    for played in setup.play(asked, _InWays(setup.actor.policy, planners)):
        assert isinstance(played.episode, _InAWay)
        trajectory = with_verdicts(played.trajectory, setup.checker)
        yield played.episode.way, replace(played, episode=played.episode.alone, trajectory=trajectory)


def _end(config: EmbodiedConfig) -> int:
    return config.skip + config.episodes


def _numbered(episodes: Iterable[Episode], first: int) -> Iterator[tuple[Episode, int]]:
    """Yield each episode with its number among those of the same task and setting, from `first` on."""
    before: Counter[tuple[str, str]] = Counter()
    for episode in episodes:
        yield episode, first + before[episode.task, episode.setting]
        before[episode.task, episode.setting] += 1


@dataclass(frozen=True, kw_only=True)
class _InAWay(Episode):
    """An episode, and in which way it is played."""

    way: str

    @property
    def alone(self) -> Episode:
        return Episode(task=self.task, setting=self.setting, seed=self.seed)


class _InWays:
    """A policy that decides in the way of the episode that it is asked about."""

    def __init__(self, policy: Policy, planners: Mapping[str, Planner]) -> None:
        self._policy, self._planners = policy, planners
        self.planner = policy.config.planner

    def before(self, episode: Episode, world: World, index: int) -> None:
        """Take the way of the next decision; called by the rollout right before it is asked for."""
        assert isinstance(episode, _InAWay)
        self.planner = self._planners[episode.way]

    def deciding(self, places: int) -> _Deciding:
        """Return where decisions of all ways are made."""
        return _Deciding(self, self._policy.deciding(places))


class _Deciding:
    def __init__(self, ways: _InWays, inner: PolicyDeciding) -> None:
        self._ways, self._inner = ways, inner

    def submit(self, key: int, observation: Observation, seed: int) -> None:
        self._inner.submit(key, observation, seed, planner=self._ways.planner)

    def next(self) -> tuple[int, Decision]:
        return self._inner.next()
