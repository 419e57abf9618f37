"""Work on a Ray cluster: the same as here, also where actors are lost on the way."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_jobs import a_list, fall_always, fall_once, note, nothing_at_all, stumble, two_of
from makers import TASKS
from test_data_roundtrip import assert_same

from rig.annotators import REASONERS, Reasoner
from rig.cluster import HERE, TRIES, Cluster, RayWorkers, crew
from rig.errors import RigError, UnknownNameError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied
from rig.evaluate.saved import read_rows
from rig.stages import CollectConfig, LookaheadConfig, ReasonConfig, collect, reason, review
from rig.workers import Workers

ray = pytest.importorskip("ray")
LOCAL = Cluster(ray="local")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A cluster of this machine's own, with room for two actors; what is asked for joins it."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths.strip(os.pathsep))  # actors are made of functions of this module
        patch.setattr("builtins.print", print)  # Ray puts one of its own there
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


def test_who_works_is_asked_for_in_one_place():
    assert isinstance(crew(a_list, 2), Workers)
    assert isinstance(crew(a_list, 2, HERE), Workers)
    assert isinstance(crew(a_list, 2, LOCAL), RayWorkers)
    with pytest.raises(RigError, match="workers=0"):
        crew(a_list, 0, LOCAL)
    with pytest.raises(RigError, match="give --ray too"):
        Cluster(ray_gpus=0.5)


def pieces_seen(noted):
    """Return how many pieces the actors together remember to have seen."""
    remembered = Counter()
    for _, process, seen in noted:
        remembered[process] = max(remembered[process], seen)
    return remembered.total()


def test_what_comes_is_in_the_order_of_the_work_and_each_actor_keeps_its_state():
    with crew(a_list, 2, LOCAL) as hands:
        found = list(hands.map(note, range(12)))
        again = list(hands.map(note, range(2)))
        assert sorted(hands.each(two_of, range(3))) == [0, 1, 2, 100, 101, 102]
        assert list(hands.map(note, ())) == []
    assert [piece for piece, *_ in found] == list(range(12))
    processes = {process for _, process, _ in found + again}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert pieces_seen(found) == 12
    assert pieces_seen(found + again) == 14


def test_a_lost_actors_piece_is_done_by_another_and_nothing_comes_twice(tmp_path):
    mark = tmp_path / "seen"
    with crew(a_list, 2, LOCAL) as hands:
        assert list(hands.map(fall_once, [(number, mark) for number in range(8)])) == list(range(8))
        assert mark.exists()


def test_a_piece_that_ends_whoever_has_it_costs_itself_alone():
    with crew(a_list, 1, LOCAL) as hands:
        named = hands.map(fall_always, range(3), lambda piece: f"piece {piece}", lost=lambda piece, error: str(error))
        first, lost, last = named
    assert (first, last) == (0, 2)
    assert lost.startswith(f"piece 1 ended {TRIES} workers of the cluster")


def test_mistakes_arrive_as_they_are():
    with crew(a_list, 1, LOCAL) as hands, pytest.raises(UnknownNameError, match="two is no name"):
        list(hands.map(stumble, range(4)))
    with crew(nothing_at_all, 1, LOCAL) as hands, pytest.raises(UnknownNameError, match="no such agent"):
        list(hands.map(note, range(4)))


@pytest.fixture
def losses(monkeypatch):
    """Lose a worker as soon as the first thing has come of a job; tell how many were lost."""
    lost = []

    def losing(original):
        def lossy(self, *given, **named):
            for number, found in enumerate(original(self, *given, **named)):
                yield found
                if number == 0:
                    lost.append(self._hands[0])
                    ray.kill(lost[-1])

        return lossy

    for name in ("map", "each"):
        monkeypatch.setattr(RayWorkers, name, losing(getattr(RayWorkers, name)))
    return lost


def test_stages_and_scores_are_those_of_this_machine_though_workers_are_lost(tmp_path, made, losses):
    """Collected, thought about, reviewed and scored on the cluster: record for record what one process makes."""
    config = CollectConfig(tasks=TASKS, episodes=2, skip=6)
    here = collect(config, tmp_path / "s1")
    there = collect(config, tmp_path / "far" / "s1", workers=2, cluster=LOCAL)
    assert there.content_hash == here.content_hash

    thought = reason(here.path, ReasonConfig(), tmp_path / "s2")
    far = reason(there.path, ReasonConfig(), tmp_path / "far" / "s2", workers=2, cluster=LOCAL)
    assert far.content_hash == thought.content_hash

    plays = LookaheadConfig(
        agent=str(made.agent), tasks=TASKS, episodes=2, skip=8, states=2, most_steps=6, patience=12, dtype="float32"
    )
    reviewed = review(plays, tmp_path / "s3")
    far = review(replace(plays, batch_size=2), tmp_path / "far" / "s3", workers=2, cluster=LOCAL)
    assert sorted(far.ids) == sorted(reviewed.ids)
    for name in reviewed.ids:
        assert_same(far[name], reviewed[name])

    short = {"episodes": 2, "most_steps": 6, "thought_tokens": 16, "dtype": "float32"}
    scored = EmbodiedConfig(agent=str(made.agent), tasks=TASKS, **short)
    evaluate_embodied(scored, tmp_path / "eval")
    evaluate_embodied(scored, tmp_path / "far" / "eval", workers=2, cluster=LOCAL)

    def rows(folder):
        return sorted(
            ({**row, "cost": {**row["cost"], "seconds": 0}} for row in read_rows(folder)),
            key=lambda row: (row["task"], row["seed"]),
        )

    assert rows(tmp_path / "far" / "eval") == rows(tmp_path / "eval")
    assert len(losses) >= 5, "one in each search for worlds, and in each of the four"


class Waiting(Reasoner):
    name, concurrency, batch_size = "waiting", 4, 1

    def annotate(self, batch):
        return ["I wait." for _ in batch]


def test_who_waits_for_a_server_is_not_shared_out(tmp_path, made, monkeypatch):
    monkeypatch.setitem(REASONERS._entries, "waiting", Waiting)
    with pytest.raises(RigError, match="asked 4 questions at once from one machine"):
        reason(made.data, ReasonConfig(reasoner="waiting"), tmp_path / "s2", workers=2, cluster=LOCAL)


class Billed(Waiting):
    name, concurrency, is_billed = "billed", 1, True


def test_who_is_paid_for_is_not_shared_out_and_nothing_is_written(tmp_path, made, monkeypatch):
    monkeypatch.setitem(REASONERS._entries, "billed", Billed)
    with pytest.raises(RigError, match="billed is paid for from one machine"):
        reason(made.data, ReasonConfig(reasoner="billed"), tmp_path / "s2", workers=2, cluster=LOCAL)
    assert not (tmp_path / "s2").exists()


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**given):
        raise ConnectionError(f"nothing at {given['address']}")

    monkeypatch.setattr(ray, "init", refuse)
    with (
        pytest.raises(RigError, match=r"--ray 10\.0\.0\.1:6379: no cluster answers \(nothing at 10"),
        crew(a_list, 1, Cluster(ray="10.0.0.1:6379")),
    ):
        pass
