"""`rig bench walk` times walks in one process and over a real playground."""

from rig.bench.config import WalkBench
from rig.bench.walk import SERVED, bench_walk


def test_a_walk_is_timed_in_one_process_and_on_the_page(made):
    config = WalkBench(agent=str(made.agent), frames=2, rounds=1, entropy_thresholds=(0.0, 99.0), dtype="float32")
    found = bench_walk(config)
    assert [entry["way"] for entry in found["entries"]] == ["exact", "where sure, 99 nats", SERVED]
    assert all(entry["frames_per_second"] > 0 for entry in found["entries"])
