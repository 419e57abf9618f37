"""`rig bench serve` times a real server beside the same policy in one process."""

import pytest

from rig.bench.config import ServeBench
from rig.bench.serve import HERE, SERVED, bench_serve
from rig.errors import RigError


def test_served_decisions_are_timed_beside_those_of_one_process(made):
    config = ServeBench(agent=str(made.agent), clients=(1, 3), decisions=4, batch=2, rounds=1, tasks="place_table/tool")
    found = bench_serve(config)
    assert [(entry["clients"], entry["way"]) for entry in found["entries"]] == [
        (clients, way) for clients in (1, 3) for way in (HERE, SERVED)
    ]
    for entry in found["entries"]:
        assert entry["decisions"] == max(4, 2 * entry["clients"])
        assert entry["decisions_per_second"] > 0
        assert 0 < entry["milliseconds"]["p50"] <= entry["milliseconds"]["p99"]
    alone = next(entry for entry in found["entries"] if entry["way"] == SERVED)
    assert alone["milliseconds"]["p50"] < 1.5e3 / alone["decisions_per_second"], "one client waits for nobody else"


def test_a_server_that_does_not_begin_is_told(made, monkeypatch):
    with pytest.raises(RigError, match="clients=0"):
        ServeBench(clients=(0,))
    monkeypatch.setenv("RIG_SERVE_TOKEN", "short")
    with pytest.raises(RigError, match=r"`rig serve` does not begin: rig serve: .* the token has 5 characters"):
        bench_serve(ServeBench(agent=str(made.agent), clients=(1,), tasks="place_table/tool"))
