"""A manifest says one thing, of its own files: every field is looked at when it is read, every row by `verify`."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_dataset import alter_rows, varied
from test_data_roundtrip import assert_same, info_for, write

from rig.actions import MINERL, Action
from rig.data import Dataset, DatasetWriter, Manifest
from rig.data.writer import _described
from rig.errors import DatasetError
from rig.records import fake_trajectory

WRITTEN_BEFORE = {
    "format": 1,
    "complete": True,
    "name": "set",
    "stage": "s1",
    "environment": "crafter",
    "tokenizer": "",
    "frame_size": [8, 8],
    "action_space": {"name": "mine", "keys": ["a", "b"], "camera": {"step": 5, "limit": 180}, "exclusive": False},
    "config": {"teacher": {"seed": 1}, "tasks": ["a"], "share": 0.5},
    "parent": {"name": "one", "stage": "s0", "content_hash": "0" * 64, "parent": None},
    "counts": {"trajectories": 0, "steps": 0, "frames": 0},
    "content_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "provenance": [{"version": "0.1.0", "commit": None, "command": ["rig", "collect"], "machine": {"cores": 2}}],
    "shards": [],
}


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "set", varied(4), shard_steps=8)


def test_a_manifest_as_it_was_written_opens(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(WRITTEN_BEFORE))
    dataset = Dataset(tmp_path)
    dataset.verify()
    assert dataset.info.config == WRITTEN_BEFORE["config"]
    assert dataset.info.parent.name == "one"
    assert dataset.info.action_space.camera.limit == 180
    assert dataset.manifest.provenance == tuple(WRITTEN_BEFORE["provenance"])


def shard(value, **changes):
    return {"shards": [{**value["shards"][0], **changes}, *value["shards"][1:]]}


def first_file(value, **changes):
    return shard(value, steps_file={**value["shards"][0]["steps_file"], **changes})


WRONG = {
    "counts": (lambda value: {"counts": {**value["counts"], "steps": 17}}, "counts are .*'steps': 17.* and those of"),
    "the counts of a shard": (lambda value: shard(value, steps=7), "contradicts itself: its counts"),
    "counts that are negative": (lambda value: shard(value, steps=-8), "steps"),
    "complete": (lambda value: {"complete": "no"}, "Expected `bool`, got `str` - at `complete`"),
    "a number for complete": (lambda value: {"complete": 1}, "Expected `bool`, got `int`"),
    "a path in a name": (lambda value: first_file(value, name="../../shards/steps-00000.parquet"), "regex.*name"),
    "an absolute name": (lambda value: first_file(value, name="/etc/passwd"), "regex.*name"),
    "a file twice": (lambda value: {"shards": [value["shards"][0]] * 2}, "contradicts itself"),
    "the content hash": (lambda value: {"content_hash": "0" * 64}, "content_hash is not the hash"),
    "a short hash": (lambda value: first_file(value, sha256="abc"), "regex.*sha256"),
    "a frame size of 0": (lambda value: {"frame_size": [0, 8]}, ">= 1.*frame_size"),
    "a huge frame size": (lambda value: {"frame_size": [10**6, 8]}, "<= 8192.*frame_size"),
    "a frame size that is no number": (lambda value: {"frame_size": [8.0, 8]}, "frame_size"),
    "provenance": (lambda value: {"provenance": "me"}, "provenance"),
    "an unknown field": (lambda value: {"shard": []}, "unknown field 'shard'. Did you mean 'shards'"),
    "the format": (lambda value: {"format": True}, "no format version"),
    "the config": (lambda value: {"config": []}, "config"),
    "the parent": (lambda value: {"parent": {"name": "x"}}, "parent"),
    "a camera of no steps": (
        lambda value: {"action_space": {**value["action_space"], "camera": {"step": 0, "limit": 180}}},
        "action_space.camera.step",
    ),
    "bytes": (lambda value: first_file(value, bytes=10.5), "bytes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named_when_the_dataset_is_opened(path, name):
    file = path / "manifest.json"
    value = json.loads(file.read_text())
    change, message = WRONG[name]
    file.write_text(json.dumps({**value, **change(value)}))
    with pytest.raises(DatasetError, match=rf"manifest.json.*{message}"):
        Dataset(path)


def test_a_nest_without_bottom_and_a_chain_without_end_are_named(path):
    file = path / "manifest.json"
    value = json.loads(file.read_text())
    file.write_text("[" * 100_000)
    with pytest.raises(DatasetError, match=r"manifest.json is not JSON"):
        Dataset(path)
    parent = "null"
    for _ in range(120):
        parent = f'{{"name":"a","stage":"b","content_hash":"{"0" * 64}","parent":{parent}}}'
    file.write_text(json.dumps({**value, "parent": "HERE"}).replace('"HERE"', parent))
    with pytest.raises(DatasetError, match=r"manifest.json names 120 ancestors, and 100 are the most"):
        Dataset(path)


def test_frames_of_another_shape_with_as_many_pixels_are_refused(path):
    file = path / "manifest.json"
    value = json.loads(file.read_text())
    file.write_text(json.dumps({**value, "frame_size": [4, 16]}))
    with pytest.raises(DatasetError, match="does not hold frames of 4x16"):
        Dataset(path).verify()
    with pytest.raises(DatasetError, match="does not hold frames of 4x16"):
        Dataset(path)[0]


def relisted(path, change):
    """Let the manifest's shards be what `change` makes of them."""
    manifest = Manifest.load(path)
    replace(manifest, shards=tuple(change(list(manifest.shards)))).save(path)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"steps": 9}, "2 trajectories in 8 rows, and the manifest says 2 in 9"),
        ({"trajectories": 1}, "and the manifest says 1 in 8"),
        ({"frames": 9}, "altered"),
    ],
)
def test_verify_counts_what_is_there(path, counts, message):
    Dataset(path).verify()
    relisted(path, lambda shards: [replace(shards[0], **counts), shards[1]])
    with pytest.raises(DatasetError, match=message):
        Dataset(path).verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": "camera:[5.0,10.0]"}, "not a key of 'crafter'"),
        ({"frame": 99}, "no frame 99"),
        ({"reward": float("nan")}, r"row 6 .*nan is no number"),
        ({"privileged": '{"at": [NaN]}'}, "row 6 .*privileged is not JSON"),
        ({"privileged": "[]"}, "row 6 .*facts are a list"),
        ({"privileged": "[" * 100_000}, "step 2"),
        ({"trajectory": "fake-0"}, "holds|contradicts|trajectories"),
        ({"trajectory": "fake-3"}, "'fake-3' once more|trajectories"),
    ],
)
def test_verify_reads_every_row(path, change, message):
    alter_rows(path, lambda rows: rows[6].update(change))
    with pytest.raises(DatasetError, match=message):
        Dataset(path).verify()


def test_verify_finds_columns_of_other_types(path):
    file = path / "shards" / "steps-00000.parquet"
    table = pq.read_table(file)
    table = table.set_column(table.column_names.index("seed"), "seed", table.column("seed").cast(pa.float64()))
    pq.write_table(table, file)
    relisted(path, lambda shards: [replace(shards[0], steps_file=_described(file)), shards[1]])
    with pytest.raises(DatasetError, match="columns of other types"):
        Dataset(path).verify()


def test_an_id_in_two_shards_is_found(path):
    alter_rows(path, lambda rows: [row.update(trajectory="fake-0") for row in rows[:4]], shard=1)
    with pytest.raises(DatasetError, match="trajectory 'fake-0' once more"):
        Dataset(path).verify()


def turning(camera):
    plain = fake_trajectory(1, length=2, size=8, space=MINERL)
    first, second = plain.steps
    action = Action(camera=camera)
    return plain.with_steps((replace(first, action=action), replace(second, previous_action=action)))


def test_what_a_teacher_returns_is_read_back_or_refused(tmp_path):
    """Numbers as numpy makes them are kept; a camera of 5.0 would be written as text that no reader takes."""
    with DatasetWriter(tmp_path / "set", info_for(MINERL)) as writer:
        with pytest.raises(DatasetError, match=r"camera \(5.0, 10.0\) is not of whole numbers; round it"):
            writer.append(turning((5.0, 10.0)))
        writer.append(replace(turning((np.int64(5), np.int32(10))), seed=np.int64(7), success=np.bool_(True)))
    dataset = Dataset(tmp_path / "set")
    dataset.verify()
    assert_same(dataset[0], replace(turning((5, 10)), seed=7))
    assert type(dataset[0].steps[0].action.camera[0]) is int


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (8.0, 8), (True, 8), (10**6, 8)])
def test_a_writer_refuses_an_info_that_no_reader_takes(tmp_path, size):
    with pytest.raises(DatasetError, match=r"the info of dataset 'fakes'.*frame_size"):
        DatasetWriter(tmp_path / "set", info_for(frame_size=size))
    assert not (tmp_path / "set").exists()
