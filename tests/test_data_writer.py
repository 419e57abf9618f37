"""A dataset survives kills, full disks and second thoughts: complete shards stay, resuming ends at the same bytes."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_data_roundtrip import assert_same, info_for, write

from rig.actions import MINERL
from rig.data import Dataset, DatasetWriter, Manifest
from rig.errors import DatasetError, RigError
from rig.records import fake_trajectory

SLOW_WRITER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from test_data_roundtrip import info_for
from rig.data import DatasetWriter
from rig.records import fake_trajectory
with DatasetWriter(sys.argv[1], info_for(size=32), shard_steps=8) as writer:
    for seed in range(1000):
        writer.append(fake_trajectory(seed, size=32))
        time.sleep(0.01)
"""


def refuse_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def fakes(count, size=8):
    return [fake_trajectory(seed, size=size) for seed in range(count)]


def files_of(path):
    return sorted(part.name for part in (path / "shards").iterdir())


def test_a_killed_writer_resumes_behind_the_last_shard_and_ends_at_the_same_bytes(tmp_path):
    path = tmp_path / "set"
    command = [sys.executable, "-c", SLOW_WRITER, str(path), str(Path(__file__).parent)]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (path / "shards" / "steps-00002.parquet").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(DatasetError, match=r"unfinished.*resume"):
        Dataset(path)
    left = Dataset(path, allow_incomplete=True)
    assert len(left) >= 4
    left.verify()
    with DatasetWriter(path, info_for(size=32), resume=True, shard_steps=8) as writer:
        assert writer.done == {f"fake-{seed}" for seed in range(len(left))}
        for trajectory in fakes(16, size=32):
            if trajectory.id not in writer.done:
                writer.append(trajectory)
    whole = Dataset(write(tmp_path / "whole", fakes(16, size=32), info_for(size=32), shard_steps=8))
    assert Dataset(path).content_hash == whole.content_hash
    assert files_of(path) == files_of(tmp_path / "whole")
    assert len(Dataset(path).manifest.provenance) == 2


def test_resuming_a_dataset_that_is_not_there_begins_it(tmp_path):
    path = write(tmp_path / "set", fakes(2), resume=True)
    with DatasetWriter(path, info_for(), resume=True) as writer:
        assert len(writer.done) == 2
    assert len(Dataset(path).manifest.provenance) == 1


def test_a_complete_dataset_can_be_added_to(tmp_path):
    path = write(tmp_path / "set", fakes(2))
    with DatasetWriter(path, info_for(), resume=True) as writer:
        writer.append(fake_trajectory(9, size=8))
        writer.flush()
        with pytest.raises(DatasetError, match="unfinished"):
            Dataset(path)
    assert Dataset(path).ids == ["fake-0", "fake-1", "fake-9"]


def test_an_exception_keeps_what_was_appended_and_leaves_it_unfinished(tmp_path):
    def interrupted():
        yield fake_trajectory(0, size=8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set", interrupted())
    assert Dataset(tmp_path / "set", allow_incomplete=True).ids == ["fake-0"]
    writer = DatasetWriter(tmp_path / "set", info_for(), resume=True)
    writer.close()
    with pytest.raises(DatasetError, match="closed; open it again"):
        writer.append(fake_trajectory(1, size=8))


def test_close_leaves_it_unfinished_and_finalize_completes_it(tmp_path):
    writer = DatasetWriter(tmp_path / "set", info_for())
    writer.append(fake_trajectory(0, size=8))
    writer.close()
    writer.close()
    assert not Manifest.load(tmp_path / "set").complete
    DatasetWriter(tmp_path / "set", info_for(), resume=True).finalize()
    assert Dataset(tmp_path / "set").manifest.complete


def test_what_is_there_is_not_overwritten_by_accident(tmp_path):
    path = write(tmp_path / "set", fakes(2))
    with pytest.raises(DatasetError, match=r"already holds a dataset.*resume=True.*overwrite=True"):
        DatasetWriter(path, info_for())
    with pytest.raises(DatasetError, match="exclude each other"):
        DatasetWriter(path, info_for(), resume=True, overwrite=True)
    write(path, [fake_trajectory(5, size=8)], overwrite=True)
    assert Dataset(path).ids == ["fake-5"]
    assert files_of(path) == ["frames-00000.parquet", "steps-00000.parquet"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("")
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(DatasetError, match="not a dataset, and not empty"):
            DatasetWriter(tmp_path / "photos", info_for(), **options)
    with pytest.raises(DatasetError, match="is a file"):
        DatasetWriter(tmp_path / "photos" / "cat.png", info_for())
    assert [part.name for part in (tmp_path / "photos").iterdir()] == ["cat.png"]


def test_resuming_with_another_configuration_names_what_differs(tmp_path):
    path = write(tmp_path / "set", fakes(1))
    parent = Manifest.load(path).as_parent()
    other = info_for(config={"episodes": 5, "teacher": {"seed": 2}, "new": 1}, parent=parent)
    with pytest.raises(DatasetError) as caught:
        DatasetWriter(path, other, resume=True)
    for line in (
        "config.episodes: 4 there, 5 now",
        "config.teacher.seed: 1 there, 2 now",
        "config.new: None there, 1 now",
        "parent: None there, {'name': 'fakes'",
    ):
        assert line in str(caught.value)
    with pytest.raises(DatasetError, match=r"action_space.name: 'crafter' there, 'minerl' now"):
        DatasetWriter(path, info_for(MINERL), resume=True)
    DatasetWriter(path, info_for(), resume=True).close()


def test_a_configuration_that_is_not_json_is_refused(tmp_path):
    path = write(tmp_path / "set", fakes(1))
    with pytest.raises(DatasetError, match="configuration of dataset 'fakes' is not JSON"):
        DatasetWriter(path, info_for(config={"path": Path("x")}), overwrite=True)
    assert len(Dataset(path)) == 1


def test_two_writers_do_not_meet(tmp_path):
    with DatasetWriter(tmp_path / "set", info_for()) as writer:
        with pytest.raises(RigError, match="another process"):
            DatasetWriter(tmp_path / "set", info_for(), resume=True)
        writer.append(fake_trajectory(0, size=8))
    assert len(Dataset(tmp_path / "set")) == 1


@pytest.mark.parametrize("call", ["os.fsync", "pyarrow.parquet.ParquetWriter.write_table", "os.replace"])
def test_a_full_disk_costs_only_the_shard_in_the_making(tmp_path, monkeypatch, call):
    path, trajectories = tmp_path / "set", fakes(5)

    def filling_the_disk():
        yield from trajectories[:3]
        monkeypatch.setattr(call, refuse_space)
        yield from trajectories[3:]

    with pytest.raises(RigError, match="no space left"):
        write(path, filling_the_disk(), shard_steps=8)
    monkeypatch.undo()
    left = Dataset(path, allow_incomplete=True)
    left.verify()
    assert left.ids == ["fake-0", "fake-1"]
    with DatasetWriter(path, info_for(), shard_steps=8, resume=True) as writer:
        for trajectory in trajectories:
            if trajectory.id not in writer.done:
                writer.append(trajectory)
    for found, wanted in zip(Dataset(path), trajectories, strict=True):
        assert_same(found, wanted)
    assert not [name for name in files_of(path) if name.endswith(".tmp")]


def test_a_writer_that_failed_takes_nothing_more(tmp_path, monkeypatch):
    writer = DatasetWriter(tmp_path / "set", info_for(), shard_steps=4)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse_space)
        with pytest.raises(RigError, match="no space left"):
            writer.append(fake_trajectory(0, size=8))
    with pytest.raises(DatasetError, match="closed; open it again with resume=True"):
        writer.append(fake_trajectory(1, size=8))
    DatasetWriter(tmp_path / "set", info_for(), resume=True).close()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk):
    path = small_disk / "set"
    with pytest.raises(RigError, match=r"no space left to write .* MB are free on its disk"):
        write(path, fakes(100, size=32), info_for(size=32), shard_steps=8)
    left = Dataset(path, allow_incomplete=True)
    left.verify()
    assert 2 <= len(left) < 100
    assert_same(left[0], fake_trajectory(0, size=32))
    assert not [name for name in files_of(path) if name.endswith(".tmp")]


def test_the_manifest_can_be_read_by_eye(tmp_path):
    path = write(tmp_path / "set", [replace(fake_trajectory(0, size=8), id="one")])
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["complete"] is True
    assert manifest["counts"] == {"trajectories": 1, "steps": 4, "frames": 5}
    assert manifest["config"] == {"episodes": 4, "teacher": {"seed": 1}}
    assert manifest["action_space"]["keys"][0] == "move_left"
    assert manifest["provenance"][0]["version"]
    assert [shard["steps"] for shard in manifest["shards"]] == [4]
