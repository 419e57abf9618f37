"""Several ways of one agent to play, side by side: each episode as it is played alone, fewer passes."""

from dataclasses import replace

import pytest

from rig.agents import PolicyDeciding
from rig.errors import RigError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import play_config
from rig.evaluate.ways import play_ways
from rig.records import Cost


@pytest.fixture
def alone(made):
    return EmbodiedConfig(
        agent=str(made.agent),
        tasks=("place_table/tool", "collect_wood/tool"),
        episodes=2,
        most_steps=2,
        thought_tokens=16,
        temperature=1.0,
        dtype="float32",
    )


def ways_of(config):
    best = ("plans=3", "dreams=1", "judge=change", "votes_weight=0.0")
    return {
        "basic": replace(config, imagine=True),
        "teacher": replace(config, agent="teacher:crafter"),
        "lookahead": replace(config, dreams=2),
        "best": replace(config, planner="best-of", planner_options=best),
    }


def plain(played):
    """Return what was played, but for the time that it took."""
    return replace(played, cost=replace(played.cost, seconds=0.0), trajectory=played.trajectory.with_steps(())), [
        (step.action, step.thought, step.review, [dream.action for dream in step.dreams], len(step.plans))
        for step in played.trajectory.steps
    ]


def test_ways_beside_each_other_play_what_each_plays_alone(alone):
    kinds, found = ways_of(alone), {}
    for name, played in play_ways(kinds):
        found.setdefault(name, []).append(played)
    assert set(found) == set(kinds)
    for name, config in kinds.items():
        expected = sorted(play_config(config), key=lambda played: played.episode.id)
        ours = sorted(found[name], key=lambda played: played.episode.id)
        assert list(map(plain, ours)) == list(map(plain, expected)), name
        assert all(type(played.episode) is type(expected[0].episode) for played in ours)
    dreams = {
        name: {len(step.dreams) for one in entries for step in one.trajectory.steps} for name, entries in found.items()
    }
    assert (dreams["basic"], dreams["teacher"], dreams["lookahead"]) == ({1}, {0}, {2})
    assert all(played.cost != Cost() for name in ("basic", "lookahead", "best") for played in found[name])


def test_ways_may_play_other_parts_of_the_episodes(alone):
    kinds = {
        "first": alone,
        "rest": replace(alone, skip=1, episodes=2, plans=2),
        "last": replace(alone, skip=3, episodes=1),
    }
    found = {name: [] for name in kinds}
    for name, played in play_ways(kinds):
        found[name].append(plain(played))
    for name, config in kinds.items():
        expected = sorted(map(plain, play_config(config)), key=str)
        assert sorted(found[name], key=str) == expected, name


def test_one_stream_serves_the_ways_of_one_agent(alone, monkeypatch):
    made, init = [], PolicyDeciding.__init__

    def note(self, *args):
        made.append(self)
        init(self, *args)

    monkeypatch.setattr(PolicyDeciding, "__init__", note)
    kinds = ways_of(alone)
    assert len(list(play_ways(kinds))) == 4 * len(kinds)
    assert len(made) == 1
    made.clear()
    warmer = {name: replace(config, temperature=0.7) for name, config in kinds.items() if name == "best"}
    assert len(list(play_ways(kinds | warmer))) == 4 * len(kinds)
    assert len(made) == 2, "what differs in more than the planner is played by a policy of its own"


def test_a_way_that_cannot_be_gone_is_refused_before_any_is_played(alone):
    kinds = {"basic": alone, "said": replace(alone, plans=2, dreams=1, judge="said")}
    with pytest.raises(RigError, match="has not learned to say what its plans are worth"):
        next(play_ways(kinds))
