"""`rig bench loop` goes the whole way, counts what it did, and leaves nothing behind."""

import os

import pytest

from rig.bench.config import LoopBench
from rig.bench.loop import bench_loop
from rig.envs.crafter import simulator
from rig.errors import CheckpointError, RigError


def test_the_whole_way_is_counted(made, tmp_path, monkeypatch):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    simulator._generated.cache_clear()
    config = LoopBench(
        agent=str(made.agent), tasks=("place_table/tool",), episodes=2, steps=2, batch_size=2, most_steps=3
    )
    found = bench_loop(config)
    counts = {phase["unit"]: phase["count"] for phase in found["phases"]}
    assert [phase["unit"] for phase in found["phases"]] == ["episodes", "steps", "conversations", "episodes"]
    assert counts["episodes"] == 2
    assert counts["steps"] >= 2
    assert counts["conversations"] >= 4
    for phase in found["phases"]:
        assert phase["per_second"] == phase["count"] / phase["seconds"]
        assert phase["processor_seconds"] > 0
    assert found["seconds"] == sum(phase["seconds"] for phase in found["phases"])
    assert 0 < found["decisions_per_second"] <= 6 / found["phases"][-1]["seconds"]
    assert found["dtypes"]["deciding"] == "float32"
    assert os.environ["RIG_CACHE"] == str(tmp_path / "cache")
    assert not list(tmp_path.rglob("*.npz")), "its worlds were its own"
    simulator._generated.cache_clear()


def test_nothing_to_do_and_nobody_to_do_it_are_refused(tmp_path):
    with pytest.raises(RigError, match="steps=0"):
        bench_loop(LoopBench(steps=0))
    with pytest.raises(CheckpointError, match="nobody"):
        bench_loop(LoopBench(agent=str(tmp_path / "nobody")))
