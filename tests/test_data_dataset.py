"""Parts of a dataset, its columns, its frames in memory and its codes; and everything that can be broken, named."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_roundtrip import TOKENIZER, assert_same, info_for, write

from rig.data import CodesCache, Dataset, Manifest, load_frames, summary
from rig.data.writer import _described
from rig.errors import DatasetError
from rig.records import CodedStep, Lineage, fake_trajectory

FRAMES = ("frame", "next_frame", "real_frame")


def varied(count, num_dreams=0):
    for seed in range(count):
        yield replace(
            fake_trajectory(seed, size=8, num_dreams=num_dreams),
            task=["wood", "stone", "dig"][seed % 3],
            setting=["manual", "tool"][seed % 2],
            success=seed % 4 == 0,
            lineage=Lineage(stage="s1" if seed < count // 2 else "s2", actor="expert@1"),
        )


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "set", varied(12), shard_steps=16)


def alter_rows(path, change, shard=0):
    """Rewrite a steps file with changed rows, as a careless tool would, and the manifest with it."""
    file = path / "shards" / f"steps-{shard:05d}.parquet"
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), file)
    manifest = Manifest.load(path)
    shards = list(manifest.shards)
    shards[shard] = replace(shards[shard], steps_file=_described(file))
    replace(manifest, shards=tuple(shards)).save(path)


def test_access_by_position_and_id(path):
    dataset = Dataset(path)
    assert len(dataset) == 12
    assert dataset.num_steps == 48
    assert len(list(dataset.steps())) == 48
    for key in (7, "fake-7", -5):
        assert_same(dataset[key], list(varied(12))[7])
    with pytest.raises(DatasetError, match=r"no trajectory 'fake-77'. Did you mean 'fake-7'"):
        dataset["fake-77"]
    with pytest.raises(IndexError):
        dataset[12]


def test_filters_choose_and_combine(path):
    dataset = Dataset(path)
    assert dataset.filter(task="wood", setting="tool").ids == ["fake-3", "fake-9"]
    assert len(dataset.filter(task=["wood", "dig"])) == 8
    part = dataset.filter(stage="s2")
    assert [trajectory.id for trajectory in part] == part.ids == [f"fake-{seed}" for seed in range(6, 12)]
    with pytest.raises(DatasetError, match=r"no task 'wod'. Did you mean 'wood'. It has: dig, stone, wood"):
        dataset.filter(task="wod")
    with pytest.raises(DatasetError, match="It has: s2"):
        part.filter(stage="s1")


def test_fractions_are_nested_stratified_and_repeatable(tmp_path):
    dataset = Dataset(write(tmp_path / "set", varied(192)))
    shares = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    parts = [dataset.fraction(share, seed=3) for share in shares]
    for share, part in zip(shares, parts, strict=True):
        assert Counter((entry.task, entry.setting) for entry in part.entries) == Counter(
            {(entry.task, entry.setting): 32 * share for entry in dataset.entries}
        )
    for smaller, larger in pairwise(parts):
        assert set(smaller.ids) < set(larger.ids)
    assert Dataset(dataset.path).fraction(1 / 8, seed=3).ids == parts[1].ids
    assert dataset.fraction(1 / 8, seed=4).ids != parts[1].ids
    assert parts[-1].ids == dataset.ids
    assert len(dataset.fraction(1e-9)) == 6
    for share in (0, -1, 1.5):
        with pytest.raises(DatasetError, match=r"\(0, 1\]"):
            dataset.fraction(share)


def test_columns_are_read_without_frames(path):
    for file in (path / "shards").glob("frames-*"):
        file.write_bytes(b"\0" * file.stat().st_size)  # nobody looks at them
    part = Dataset(path).filter(task="stone")
    table = part.table(["trajectory", "index", "action"])
    assert table.column("trajectory").to_pylist() == [name for name in part.ids for _ in range(4)]
    assert table.column("index").to_pylist() == [0, 1, 2, 3] * 4
    with pytest.raises(DatasetError, match=r"no column 'actoin'. Did you mean 'action'"):
        part.table(["actoin"])


def test_frames_in_memory_are_distinct_and_give_the_same_steps(tmp_path):
    wanted = [*varied(6, num_dreams=2), *(replace(one, id=f"{one.id}-again") for one in varied(6, num_dreams=2))]
    dataset = Dataset(write(tmp_path / "set", wanted, shard_steps=8))
    store = load_frames(dataset, progress=False)
    assert store.frames.shape == (6 * (5 + 4 * 2 * 2), 8, 8, 3)
    assert len({frame.tobytes() for frame in store.frames}) == len(store)
    for found, one in zip(dataset.with_frames(store), wanted, strict=True):
        assert_same(found, one)
    assert next(dataset.with_frames(store).steps()).frame.base is store.frames
    reader, table = next(dataset.shard_tables(["frame"]))
    rows = store.rows(reader.frames_hash, table.column("frame").to_numpy())
    assert np.array_equal(store.frames[rows[1]], wanted[0].steps[1].frame)
    part = dataset.filter(task="dig")
    small = load_frames(part, progress=False)
    assert len(small) == len(store) // 3
    assert_same(part.with_frames(small)[0], wanted[2])
    with pytest.raises(DatasetError, match="not in this bank; load_frames"):
        dataset.with_frames(small)[0]


def test_datasets_share_the_frames_that_both_show(tmp_path):
    first, second = list(varied(4)), list(varied(6))
    sets = [
        Dataset(write(tmp_path / "a", first)),
        Dataset(write(tmp_path / "b", second, shard_steps=8)),
        Dataset(write(tmp_path / "copy", first)).filter(task="dig"),
        Dataset(write(tmp_path / "copy-too", first)),
    ]
    assert sets[0].manifest.shards[0].frames_file.sha256 == sets[3].manifest.shards[0].frames_file.sha256
    store = load_frames(*sets[::-1], progress=False)
    assert len(store) == len(load_frames(sets[1], progress=False))
    for dataset in sets:
        for found, one in zip(dataset.with_frames(store), dataset, strict=True):
            assert_same(found, one)
    small = Dataset(write(tmp_path / "small", [], info_for(size=4)))
    with pytest.raises(DatasetError, match=r"a has frames of \(8, 8\) and .*small of \(4, 4\) pixels; use datasets"):
        load_frames(sets[0], small)


def mean_codes(frames):
    """A tokenizer of three codes: the sum of each channel."""
    assert frames.dtype == np.uint8
    return frames.astype(np.uint32).sum(axis=(1, 2)).astype(np.uint16)


def code(frame):
    return mean_codes(frame[None])[0]


def test_codes_are_computed_once_and_fill_the_steps(tmp_path):
    wanted = list(varied(6, num_dreams=2))
    dataset = Dataset(write(tmp_path / "set", wanted, shard_steps=8))
    cache = CodesCache(dataset, "vq-1")
    calls = []

    def encode(frames):
        calls.append(len(frames))
        return mean_codes(frames)

    with pytest.raises(DatasetError, match=r"lacks codes.*CodesCache.fill"):
        dataset.with_codes(cache)[0]
    part = CodesCache(dataset.filter(task="dig"), "vq-1")
    assert part.fill(encode, batch_size=5, progress=False) == sum(calls) == 2 * (4 + 16)
    assert max(calls) == 5
    with pytest.raises(DatasetError, match="lacks codes"):
        dataset.with_codes(cache)["fake-0"]
    assert cache.fill(encode, progress=False) == 4 * (4 + 16)
    assert CodesCache(dataset, "vq-1").fill(encode, progress=False) == part.fill(encode, progress=False) == 0
    for found, one in zip(dataset.with_codes(cache), wanted, strict=True):
        for step, before in zip(found.steps, one.steps, strict=True):
            assert np.array_equal(step.next_codes, code(before.next_frame))
            for dream, real in zip(step.dreams, before.dreams, strict=True):
                assert np.array_equal(dream.codes, code(real.frame))
                assert np.array_equal(dream.real_codes, code(real.real_frame))
    with pytest.raises(DatasetError, match="holds 3"):
        cache._add(dataset.manifest.shards[0], [0], [np.zeros((1, 4), np.uint16)])


def test_a_cache_that_another_fills_is_seen(tmp_path):
    dataset = Dataset(write(tmp_path / "set", varied(2)))
    reader, filler = CodesCache(dataset, "vq"), CodesCache(dataset, "vq")
    with pytest.raises(DatasetError, match="lacks codes"):
        dataset.with_codes(reader)[0]
    reader.folder.mkdir(parents=True)
    (reader.folder / ".killed.npz.1.new.tmp").write_text("half")
    filler.fill(mean_codes, progress=False)
    assert isinstance(dataset.with_codes(reader)[0].steps[0], CodedStep)
    assert not list(reader.folder.glob(".*.tmp"))


def dreamt(**changes):
    plain = fake_trajectory(1, length=1, size=8, num_dreams=1)
    step = plain.steps[0]
    return plain.with_steps((replace(step, dreams=(replace(step.dreams[0], **changes),)),))


def test_a_dreams_own_codes_stand_for_their_tokenizer_only(tmp_path):
    own = np.array([1, 2, 3], np.uint16)
    trajectory = dreamt(codes=own)
    dataset = Dataset(write(tmp_path / "set", [trajectory], info_for(tokenizer=TOKENIZER)))
    for tokenizer, wanted in ((TOKENIZER, own), ("another", code(trajectory.steps[0].dreams[0].frame))):
        cache = CodesCache(dataset, tokenizer)
        cache.fill(mean_codes, progress=False)
        assert np.array_equal(dataset.with_codes(cache)[0].steps[0].dreams[0].codes, wanted)
    blind = Dataset(write(tmp_path / "blind", [dreamt(codes=own, frame=None)], info_for(tokenizer=TOKENIZER)))
    cache = CodesCache(blind, "another")
    cache.fill(mean_codes, progress=False)
    with pytest.raises(DatasetError, match="another tokenizer and no pixels"):
        blind.with_codes(cache)[0]


def test_steps_without_a_next_frame_have_no_codes(tmp_path):
    plain = fake_trajectory(1, length=1, size=8)
    trajectory = plain.with_steps((replace(plain.steps[0], next_frame=None),))
    dataset = Dataset(write(tmp_path / "set", [trajectory]))
    cache = CodesCache(dataset, "vq")
    assert cache.fill(mean_codes, progress=False) == 0
    assert not isinstance(dataset.with_codes(cache)[0].steps[0], CodedStep)


def test_bad_encoders_names_and_cache_files_are_named(path):
    dataset = Dataset(path)
    cache = CodesCache(dataset, "vq")
    with pytest.raises(DatasetError, match=r"encode returned float64 \[\d+, 2\].*uint16 \[\d+, N\]"):
        cache.fill(lambda frames: np.zeros((len(frames), 2)), progress=False)
    with pytest.raises(DatasetError, match="cannot name a tokenizer"):
        CodesCache(dataset, "../vq")
    cache.fill(mean_codes, progress=False)
    next((path / "codes" / "vq").glob("*.npz")).write_bytes(b"PK\3\4 half")
    with pytest.raises(DatasetError, match="delete it, and the codes are computed"):
        list(dataset.with_codes(CodesCache(dataset, "vq")))


def test_a_missing_or_malformed_manifest_is_named(path, tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere/manifest.json is missing"):
        Dataset(tmp_path / "nowhere")
    file = path / "manifest.json"
    good = json.loads(file.read_text())
    bad = {
        "{": "is not JSON",
        "[]": "holds a list, not an object",
        "{}": "has no format version",
        json.dumps({**good, "format": 99}): "format 99 and this version reads up to 1; upgrade",
        json.dumps({key: value for key, value in good.items() if key != "frame_size"}): "lacks the field 'frame_size'",
        json.dumps({**good, "frame_size": [1, 2, 3]}): "frame_size",
        json.dumps({**good, "shards": [{"steps": 3}]}): "unknown field|steps_file",
        json.dumps({**good, "action_space": {**good["action_space"], "keys": ["noop"]}}): "'noop' cannot be a key",
    }
    for text, message in bad.items():
        file.write_text(text)
        with pytest.raises(DatasetError, match=message):
            Dataset(path)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_byte(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("kind", ["steps", "frames"])
@pytest.mark.parametrize("harm", [truncate, lambda file: file.unlink()], ids=["truncated", "missing"])
def test_a_truncated_or_missing_file_is_named_at_once_and_the_rest_can_be_read(path, kind, harm):
    file = path / "shards" / f"{kind}-00001.parquet"
    harm(file)
    for read in (lambda: Dataset(path), Dataset(path, skip_bad=True).verify):
        with pytest.raises(DatasetError, match=rf"{file.name}: it (is missing|has|is altered).*Restore the files"):
            read()
    dataset = Dataset(path, skip_bad=True)
    assert [trajectory.id for trajectory in dataset] == [f"fake-{seed}" for seed in (0, 1, 2, 3, 8, 9, 10, 11)]
    assert [entry.place for entry in dataset.skipped] == [str(file)]
    assert file.name in summary(dataset)["skipped"][0]


@pytest.mark.parametrize("kind", ["steps", "frames"])
def test_an_altered_byte_is_found_and_the_rest_can_be_read(path, kind):
    file = path / "shards" / f"{kind}-00001.parquet"
    flip_a_byte(file)
    with pytest.raises(DatasetError, match=rf"{file.name}: it is altered.*with the command that made it"):
        list(Dataset(path))
    dataset = Dataset(path, skip_bad=True)
    with pytest.raises(DatasetError, match=rf"{file.name}: it is altered.*Restore"):
        dataset.verify()
    good = [trajectory.id for trajectory in dataset]
    assert good == [f"fake-{seed}" for seed in (0, 1, 2, 3, 8, 9, 10, 11)]
    assert dataset.skipped
    store = load_frames(dataset, progress=False)
    cache = CodesCache(dataset, "vq")
    cache.fill(mean_codes, progress=False)
    whole = dataset.with_frames(store)
    for trajectory in whole:
        assert_same(trajectory, list(varied(12))[int(trajectory.id[5:])])
    assert [trajectory.id for trajectory in whole] == good
    assert [trajectory.id for trajectory in whole.with_codes(cache)] == good


@pytest.mark.parametrize("kind", ["steps", "frames"])
def test_no_altered_byte_passes_for_data(tmp_path, kind):
    wanted = [fake_trajectory(1, length=3, size=8)]
    path = write(tmp_path / "set", wanted)
    file = path / "shards" / f"{kind}-00000.parquet"
    data = file.read_bytes()
    for place in range(0, len(data), len(data) // 20):
        file.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(DatasetError, match="altered"):
            Dataset(path).verify()
        assert list(Dataset(path, skip_bad=True)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": "chop"}, "'chop' is not a key of 'crafter'"),
        ({"previous_action": "use, use"}, "canonical"),
        ({"frame": 99}, "no frame 99"),
        ({"next_frame": -1}, "no frame -1"),
        ({"privileged": "{"}, "privileged is not JSON"),
        ({"review": {"thought": None, "action": "?", "helped": False}}, "not a key"),
    ],
)
def test_a_bad_row_names_file_row_trajectory_and_step(path, change, message):
    alter_rows(path, lambda rows: rows[6].update(change))
    dataset = Dataset(path)
    with pytest.raises(DatasetError, match=rf"steps-00000.parquet, row 6 \(trajectory 'fake-1', step 2\): .*{message}"):
        list(dataset)
    tolerant = Dataset(path, skip_bad=True)
    assert [trajectory.id for trajectory in tolerant] == [f"fake-{seed}" for seed in range(12) if seed != 1]
    assert [entry.place for entry in tolerant.skipped] == ["trajectory 'fake-1'"]
    assert "row 6" in tolerant.skipped[0].reason
    list(tolerant)
    assert len(tolerant.skipped) == 1
    with pytest.raises(DatasetError, match="row 6"):
        tolerant["fake-1"]
    cache = CodesCache(tolerant, "vq")
    cache.fill(mean_codes, progress=False)
    prepared = tolerant.with_frames(load_frames(tolerant, progress=False)).with_codes(cache)
    with pytest.raises(DatasetError, match=message):
        prepared["fake-1"]
    assert_same(prepared["fake-0"].steps[1].frame, next(varied(1)).steps[1].frame)


def test_a_file_of_something_else_is_not_taken_for_a_shard(path):
    file = path / "shards" / "steps-00000.parquet"
    alter_rows(path, lambda rows: None)
    pq.write_table(pq.read_table(file).drop_columns(["reward"]), file)
    manifest = Manifest.load(path)
    shards = (replace(manifest.shards[0], steps_file=_described(file)), *manifest.shards[1:])
    replace(manifest, shards=shards).save(path)
    with pytest.raises(DatasetError, match="lacks the columns reward"):
        Dataset(path)[0]


def test_summary_counts_what_is_there_without_frames(tmp_path):
    parent = Dataset(write(tmp_path / "parent", varied(2)))
    some = [*varied(4, num_dreams=2), *varied(7)]
    some = [replace(one, id=str(number)) for number, one in enumerate(some)]
    mute = tuple(replace(step, thought=None, actor="noise") for step in some[-1].steps)
    some[-1] = some[-1].with_steps(mute)
    held = [(step, *step.dreams) for one in some for step in one.steps]
    pixels = {
        getattr(holder, name, holder.frame).tobytes() for several in held for holder in several for name in FRAMES
    }
    path = write(tmp_path / "child", some, info_for(name="child", stage="s2", parent=parent.as_parent()))
    for file in (path / "shards").glob("frames-*"):
        file.write_bytes(b"\0" * file.stat().st_size)
    found = summary(Dataset(path))
    assert json.loads(json.dumps(found)) == found
    assert (found["trajectories"], found["steps"], found["stored_frames"]) == (11, 44, len(pixels))
    assert found["lineage"] == [{"name": "fakes", "stage": "s1", "content_hash": parent.content_hash}]
    assert found["success_rate"] == pytest.approx(3 / 11)
    assert found["trajectories_by"]["task"] == {"wood": 5, "dig": 3, "stone": 3}
    assert found["success_by_task"] == {"wood": 0.4, "dig": 0.0, "stone": pytest.approx(1 / 3)}
    assert found["steps_by"]["actor"] == {"policy": 40, "noise": 4}
    assert found["thoughts"]["coverage"] == pytest.approx(40 / 44)
    assert found["thoughts"]["mean_words"] == 15.0
    assert found["lookahead"]["dreams"] == found["lookahead"]["dreams_with_real_frame"] == 32
    assert found["lookahead"]["steps_by_dreams"] == {"0": 28, "2": 16}
    assert found["lookahead"]["reviews"] == 16
    assert sum(found["actions"].values()) == 44
    assert found["skipped"] == []


def test_an_empty_dataset_is_legal(tmp_path):
    dataset = Dataset(write(tmp_path / "set", []))
    assert len(dataset) == len(list(dataset)) == dataset.table().num_rows == 0
    assert len(load_frames(dataset, progress=False)) == 0
    assert summary(dataset)["success_rate"] is None
    assert len(dataset.fraction(0.5)) == 0
