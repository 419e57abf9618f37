"""Frames in a mapped file: the same frames as in memory, written once, shared, and never those of another dataset."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_data_dataset import varied
from test_data_roundtrip import assert_same, write

from rig.data import Dataset, load_frames
from rig.errors import DatasetError


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "set", varied(12, num_dreams=1), shard_steps=16)


def files_of(path):
    return sorted((path / "pixels").glob("*.npy"))


def test_mapped_frames_are_those_in_memory_and_are_written_once(path, monkeypatch):
    dataset = Dataset(path)
    loaded = load_frames(dataset, progress=False)
    assert not files_of(path)
    store = load_frames(dataset, shared=True, progress=False)
    assert isinstance(store.frames.base, np.memmap)
    assert np.array_equal(store.frames, loaded.frames)
    for found, one in zip(dataset.with_frames(store), varied(12, num_dreams=1), strict=True):
        assert_same(found, one)
    with pytest.raises(ValueError, match="read-only"):
        store.frames[0] = 0
    monkeypatch.setattr("rig.data.frame_store._write", lambda *_: pytest.fail("it is there"))
    assert np.array_equal(load_frames(dataset, shared=True, progress=False).frames, loaded.frames)


def test_other_frames_are_in_another_file(path):
    load_frames(Dataset(path), shared=True, progress=False)
    part = Dataset(path).filter(task="dig")
    assert_same(part.with_frames(load_frames(part, shared=True, progress=False))[0], next(iter(part)))
    assert len(files_of(path)) == 2


def test_frames_beyond_the_memory_are_mapped_unasked(path, monkeypatch):
    monkeypatch.setattr("rig.data.frame_store.usable_memory", lambda: 2 * 8 * 8 * 3)
    store = load_frames(Dataset(path), progress=False)
    assert isinstance(store.frames.base, np.memmap)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux says there what is mapped")
def test_processes_that_start_together_share_one_file(path):
    script = f"""
import hashlib
from rig.data import Dataset, load_frames
bank = load_frames(Dataset({str(path)!r}), shared=True, progress=False)
with open("/proc/self/maps") as maps:
    places = [line.split()[4] for line in maps if line.rstrip().endswith(".npy")]
print(places, hashlib.sha256(bank.frames).hexdigest())
"""
    started = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0] * 3
    (told,) = found
    assert f"['{files_of(path)[0].stat().st_ino}']" in told
    assert sorted(file.name for file in (path / "pixels").iterdir()) == [".lock", files_of(path)[0].name]


def test_a_file_that_was_cut_is_named(path):
    load_frames(Dataset(path), shared=True, progress=False)
    (file,) = files_of(path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DatasetError, match=rf"{file.name} cannot be read .*; delete it, and it is made again"):
        load_frames(Dataset(path), shared=True, progress=False)
