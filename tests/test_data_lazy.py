"""An episode of any length is read and written a step at a time: few of its frames are in memory at once."""

import os
import pickle
import tracemalloc
from collections import Counter
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
from test_data_roundtrip import assert_same, info_for, write
from test_data_writer import refuse_space

from rig.annotators import REASONERS, Evidence, Reasoner
from rig.data import Dataset, DatasetWriter
from rig.data.frames import FrameReader
from rig.errors import DatasetError, RigError
from rig.lazy import Lazy, lazily
from rig.records import fake_trajectory
from rig.stages import ReasonConfig, reason

SIZE = 64
FRAME_BYTES = SIZE * SIZE * 3
LONG = 240


@pytest.fixture
def small_groups(monkeypatch):
    """Have a row group hold three frames."""
    monkeypatch.setattr("rig.data.frames.GROUP_BYTES", 3 * FRAME_BYTES)


def made(index):
    return np.random.default_rng(index).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


def long_steps(length=LONG):
    """Return an episode's steps whose frames are made when asked for."""
    plain = fake_trajectory(0, length=1).steps[0]
    return lazily(lambda i: replace(plain, index=i, frame=made(i), next_frame=made(i + 1)), range(length))


def long_one(length=LONG):
    return fake_trajectory(0, length=1).with_steps(long_steps(length))


class Peak:
    """How many bytes of Python and numpy are held at once within the block, beyond those before it."""

    def __enter__(self):
        tracemalloc.start()
        return self

    def __exit__(self, *_):
        self.bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def test_a_sequence_is_made_item_by_item_and_behaves_as_one():
    asked = []
    found = lazily(lambda one, two: asked.append(one) or one * two, range(5), [10, 20, 30, 40, 50])
    assert not asked
    assert (found[1], found[-1], len(found), asked) == (20, 200, 5, [1, 4])
    part = found[1:4][::2]
    assert isinstance(part, Lazy)
    assert asked == [1, 4]
    assert list(part) == [20, 120]
    assert found == (0, 20, 60, 120, 200) == found
    assert found != (0, 20) and found != (0, 20, 60, 120, 201) and found != "x"  # noqa: PT018
    assert 60 in found
    assert pickle.loads(pickle.dumps(Lazy(str, range(3)))) == ("0", "1", "2")
    for key in (5, -6):
        with pytest.raises(IndexError):
            found[key]
    with pytest.raises(IndexError, match="of an item"):
        list(Lazy(lambda index: (_ for _ in ()).throw(IndexError("of an item")) if index else 0, range(3)))
    with pytest.raises(AssertionError, match="sequences of"):
        lazily(max, range(2), range(3))


def test_few_frames_of_an_episode_are_alive_at_once_and_each_is_read_once(tmp_path, small_groups, monkeypatch):
    dataset = Dataset(write(tmp_path / "set", [long_one()], info_for(size=SIZE)))
    read = Counter()
    original = FrameReader._read_block
    monkeypatch.setattr(FrameReader, "_read_block", lambda self, group: read.update([group]) or original(self, group))
    trajectory = dataset[0]
    assert not read, "opening an episode reads no pixel"
    seen, most = [], 0
    for number, step in enumerate(trajectory.steps):
        assert np.array_equal(step.frame, made(number))
        seen += [ref(step.frame), ref(step.next_frame)]
        most = max(most, len({id(frame) for held in seen if (frame := held()) is not None}))
    assert most <= 3
    assert set(read.values()) == {1}
    assert len(read) == LONG // 3 + 1


def test_writing_steps_as_they_come_holds_few_frames_and_ends_at_the_same_bytes(tmp_path, small_groups):
    with Peak() as peak, DatasetWriter(tmp_path / "a", info_for(size=SIZE)) as writer:
        writer.append(long_one(length=1), (step for step in long_steps()))
    assert peak.bytes < 60 * FRAME_BYTES
    whole = fake_trajectory(0, length=1).with_steps(tuple(long_steps()))
    assert (
        Dataset(tmp_path / "a").content_hash
        == Dataset(write(tmp_path / "b", [whole], info_for(size=SIZE))).content_hash
    )
    assert Dataset(tmp_path / "a").num_steps == LONG


@pytest.mark.parametrize("fails", [0, 2, 5, 8])
@pytest.mark.parametrize("error", [DatasetError("bad frame"), OSError("no such video"), ZeroDivisionError("theirs")])
def test_an_episode_that_fails_on_the_way_leaves_no_byte(tmp_path, small_groups, fails, error):
    def failing():
        for step in long_steps(9):
            if step.index == fails:
                raise error
            yield step

    good = [fake_trajectory(seed, size=SIZE, length=2 + seed) for seed in range(3)]
    bad = replace(long_one(1), id="bad")
    with DatasetWriter(tmp_path / "set", info_for(size=SIZE)) as writer:
        for trajectory in good:
            with pytest.raises(type(error), match=str(error)):
                writer.append(bad, failing())
            writer.append(trajectory)
        with pytest.raises(DatasetError, match="step 3: a frame is uint8"):
            writer.append(bad, (replace(step, frame=step.frame[step.index == 3 :]) for step in long_steps(9)))
    dataset, plain = Dataset(tmp_path / "set"), Dataset(write(tmp_path / "plain", good, info_for(size=SIZE)))
    assert dataset.content_hash == plain.content_hash
    assert sorted(file.name for file in (tmp_path / "set" / "shards").iterdir()) == [
        "frames-00000.parquet",
        "steps-00000.parquet",
    ]
    for found, wanted in zip(dataset, good, strict=True):
        assert_same(found, wanted)


def test_an_interrupt_within_an_episode_keeps_those_before_it(tmp_path, small_groups):
    def interrupted():
        yield from long_steps(9)
        raise KeyboardInterrupt

    writer = DatasetWriter(tmp_path / "set", info_for(size=SIZE))
    writer.append(fake_trajectory(1, size=SIZE))
    with pytest.raises(KeyboardInterrupt):
        writer.append(long_one(1), interrupted())
    writer.close()
    left = Dataset(tmp_path / "set", allow_incomplete=True)
    left.verify()
    assert left.ids == ["fake-1"]
    assert left.manifest.counts["frames"] == 5


def test_where_a_failed_episode_cannot_be_taken_back_the_shard_is_given_up(tmp_path, small_groups, monkeypatch):
    def failing():
        yield from long_steps(9)
        monkeypatch.setattr("os.replace", refuse_space)
        raise DatasetError("bad frame")

    writer = DatasetWriter(tmp_path / "set", info_for(size=SIZE))
    writer.append(fake_trajectory(1, size=SIZE))
    writer.flush()
    writer.append(fake_trajectory(2, size=SIZE))
    with pytest.raises(RigError, match="no space left"):
        writer.append(long_one(1), failing())
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="closed; open it again with resume=True"):
        writer.append(fake_trajectory(3, size=SIZE))
    assert Dataset(tmp_path / "set", allow_incomplete=True).ids == ["fake-1"]
    assert len(list((tmp_path / "set" / "shards").iterdir())) == 2


def test_frames_that_their_maker_writes_over_are_stored_as_they_were(tmp_path, small_groups):
    buffers = [np.empty((SIZE, SIZE, 3), np.uint8) for _ in range(2)]

    def reusing():
        for step in long_steps(12):
            shown, following = buffers[step.index % 2], buffers[1 - step.index % 2]
            shown[:], following[:] = step.frame, step.next_frame
            yield replace(step, frame=shown, next_frame=following)

    with DatasetWriter(tmp_path / "set", info_for(size=SIZE)) as writer:
        writer.append(long_one(1), reusing())
    for number, step in enumerate(Dataset(tmp_path / "set")[0].steps):
        assert np.array_equal(step.frame, made(number))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux says there which files are open")
def test_many_episodes_can_be_held_and_few_files_are_open(tmp_path):
    wanted = [fake_trajectory(seed, size=8, length=2, num_dreams=1) for seed in range(8)]
    held = list(Dataset(write(tmp_path / "set", wanted, shard_steps=2)))
    for _ in range(2):
        for found, one in zip(held, wanted, strict=True):
            assert_same(found, one)
    opened = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    assert sum(path.startswith(str(tmp_path)) for path in opened) <= 4 < 8


class Teller(Reasoner[Evidence]):
    """Looks at every frame."""

    name, prompt = "teller", ""

    def annotate(self, batch):
        return [f"1. It is {int(seen.frame[0, 0, 0])}." for seen in batch]


def test_thoughts_are_added_to_a_long_episode_with_few_frames_in_memory(tmp_path, small_groups, monkeypatch):
    monkeypatch.setitem(REASONERS._entries, "teller", Teller)
    info = info_for(size=SIZE)
    write(tmp_path / "s1", [replace(long_one(), success=True)], info)
    with Peak() as peak:
        found = reason(tmp_path / "s1", ReasonConfig(reasoner="teller", validate=False), tmp_path / "s2")
    assert peak.bytes < LONG // 2 * FRAME_BYTES, "the rows alone take a third"
    for step in found[0].steps:
        assert np.array_equal(step.frame, made(step.index))
        assert step.thought == f"1. It is {int(made(step.index)[0, 0, 0])}."
