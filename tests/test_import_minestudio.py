"""MineStudio's datasets become trajectories, frame for frame; what is damaged or missing costs its own episode."""

import json
import pickle

import numpy as np
import pytest
from minestudio_makers import (
    CHUNK,
    action_chunks,
    actions,
    fact_chunks,
    facts,
    image_chunks,
    pixels,
    write_dataset,
    write_part,
)
from test_data_lazy import Peak
from test_data_roundtrip import assert_same

from rig.actions import MINERL, NOOP
from rig.cli.main import main
from rig.data import Dataset, ImportReport, build_importer, load_report
from rig.data.lmdb_reading import FILE_NAME
from rig.data.video_encoding import LOSSLESS
from rig.errors import DatasetError, RigError
from rig.records import Lineage
from rig.stages import import_dataset


def read(source, **config):
    found = build_importer("minestudio", config).trajectories(source)
    return [one.with_steps(tuple(one.steps)) for one in found]


def test_episodes_come_back_with_every_frame_action_and_fact(tmp_path):
    made = write_dataset(tmp_path / "in", {"b-episode": 8, "a-episode": 4})
    dataset = import_dataset(tmp_path / "in", "minestudio", tmp_path / "out")
    assert dataset.ids == ["a-episode", "b-episode"]
    for name, (frames, wanted) in made.items():
        trajectory = dataset[name]
        assert trajectory.lineage == Lineage(stage="s0", actor="minestudio")
        assert (trajectory.environment, trajectory.task, trajectory.success) == ("minerl", "play", True)
        turned = np.zeros(2)
        for step, frame in zip(trajectory.steps, frames, strict=True):
            assert np.array_equal(step.frame, frame)
            assert step.action.keys == {key for key in wanted if key != "camera" and wanted[key][step.index]}
            assert step.instruction == "play freely"
            assert step.privileged == facts(step.index + 1)[-1]
            turned += step.action.camera
        assert np.abs(turned - wanted["camera"].sum(0)).max() <= MINERL.camera.step / 2
        steps = trajectory.steps
        assert [step.previous_action for step in steps] == [NOOP, *(step.action for step in steps[:-1])]
        assert all(np.array_equal(step.next_frame, frames[step.index + 1]) for step in steps[:-1])
        assert steps[-1].next_frame is None
    report = load_report(tmp_path / "out")
    assert (report.episodes, report.steps, report.counts["turns"]["in all"]) == (2, 12, 12)


def test_older_folders_have_other_names_and_the_task_is_the_users(tmp_path):
    write_dataset(tmp_path, {"a": 4}, image="video", meta_info="contractor_info")
    (trajectory,) = read(tmp_path, task="chop_tree", instruction="chop a tree", facts=False, success=False)
    assert (trajectory.task, trajectory.steps[0].instruction, trajectory.success) == ("chop_tree", "chop a tree", False)
    assert trajectory.steps[0].privileged == {}


def test_an_episode_may_lie_in_another_part_of_each_modality_and_end_within_a_chunk(tmp_path):
    frames, keys = pixels(6), actions(6)
    write_part(tmp_path / "image" / "part-1", {"x": image_chunks(pixels(4, 9))})
    write_part(tmp_path / "image" / "part-2", {"a": image_chunks(frames)}, frames={"a": 6})
    columns = {"x": action_chunks(actions(4, 9)), "a": action_chunks(keys)}
    write_part(tmp_path / "action" / "part-7", columns, frames={"a": 6})
    first, second = read(tmp_path)
    assert (first.id, len(first.steps), second.id, len(second.steps)) == ("a", 6, "x", 4)
    assert all(np.array_equal(step.frame, frames[step.index]) for step in first.steps)


def test_keys_that_the_action_space_lacks_are_counted(tmp_path):
    write_dataset(tmp_path / "in", {"a": 4}, meta_info="")
    columns = actions(4) | {"swapHands": np.array([1, 0, 1, 1]), "pickItem": np.zeros(4), "ESC": np.ones(4)}
    (tmp_path / "in" / "action" / "part-1" / FILE_NAME).unlink()
    write_part(tmp_path / "in" / "action" / "part-1", {"a": action_chunks(columns)})
    dataset = import_dataset(tmp_path / "in", "minestudio", tmp_path / "out")
    assert load_report(tmp_path / "out").counts["keys"] == {"swapHands": 3}
    assert "ESC" in dataset[0].steps[0].action.keys


class Runs:
    def __reduce__(self):
        return eval, ("1/0",)


def columns_with(**changes):
    return {"a": action_chunks(actions(4) | changes)}


SPOILT = {
    "no video": ("image", {"a": [b"\0" * 500]}, {}, r"part-1/data.mdb, \(0, 0\) cannot be read"),
    "a video too short": ("image", {"a": image_chunks(pixels(3))}, {"frames": {"a": 4}}, "video of 3 frames.*have 4"),
    "a video too long": ("image", {"a": image_chunks(pixels(5), 5)}, {}, "video of more frames"),
    "a missing chunk": ("action", {"a": action_chunks(actions(4))}, {"frames": {"a": 8}}, "8 of action"),
    "no modality": ("image", {"z": image_chunks(pixels(4))}, {}, "'a'.* has action, meta_info, and no image"),
    "no actions": ("action", {"z": action_chunks(actions(4))}, {}, "'a'.*, and no action"),
    "no dict": ("action", {"a": [pickle.dumps([1])]}, {}, "no dict of arrays"),
    "no camera": ("action", {"a": [pickle.dumps({"use": np.zeros(4)})]}, {}, "no dict of arrays with a 'camera'"),
    "a short array": ("action", columns_with(use=np.zeros(3)), {}, r"\(0, 0\): 'use' has the shape \(3,\)"),
    "no numbers": ("action", columns_with(use=np.array(["a"] * 4)), {}, "'use' is no array of numbers"),
    "no key press": ("action", columns_with(use=np.full(4, 2)), {}, "'use' is not 0 or 1"),
    "a turn without end": ("action", columns_with(camera=np.full((4, 2), np.nan)), {}, "camera is no pitch and yaw"),
    "a flat camera": ("action", columns_with(camera=np.zeros(4)), {}, "camera is no pitch and yaw"),
    "a program": ("action", {"a": [pickle.dumps(Runs())]}, {}, r"\(0, 0\): it would call (builtins|__builtin__).eval"),
    "no facts": ("meta_info", {"a": [pickle.dumps({"yaw": 1})]}, {}, "no list of 4 dicts"),
    "odd facts": ("meta_info", {"a": fact_chunks([{"at": float("inf")}] * 4)}, {}, "inf is no fact.*facts=false"),
}


@pytest.mark.parametrize(("modality", "episodes", "options", "message"), SPOILT.values(), ids=SPOILT)
def test_a_fault_names_its_chunk_and_costs_its_episode_alone(tmp_path, modality, episodes, options, message):
    write_dataset(tmp_path / "in", {"a": 4})
    (tmp_path / "in" / modality / "part-1" / FILE_NAME).unlink()
    write_part(tmp_path / "in" / modality / "part-1", episodes, **options)
    for folder, make in (("image", image_chunks), ("action", action_chunks), ("meta_info", fact_chunks)):
        made = {"image": pixels(4), "action": actions(4), "meta_info": facts(4)}[folder]
        write_part(tmp_path / "in" / folder / "part-2", {"good": make(made)})
    with pytest.raises(DatasetError, match=message):
        import_dataset(tmp_path / "in", "minestudio", tmp_path / "strict")
    skipped = []
    assert import_dataset(tmp_path / "in", "minestudio", tmp_path / "out", skipped=skipped).ids == ["good"]
    assert any("'a'" in entry.place for entry in skipped)


def test_a_part_that_is_damaged_costs_the_episodes_that_it_has(tmp_path):
    write_dataset(tmp_path / "in", {"a": 4})
    made = {"image": image_chunks(pixels(4)), "action": action_chunks(actions(4)), "meta_info": fact_chunks(facts(4))}
    for folder, chunks in made.items():
        write_part(tmp_path / "in" / folder / "part-2", {"good": chunks})
    path = tmp_path / "in" / "action" / "part-1" / FILE_NAME
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DatasetError, match=r"action/part-1/data.mdb is damaged \(it has 5000 bytes"):
        import_dataset(tmp_path / "in", "minestudio", tmp_path / "strict")
    skipped = []
    assert import_dataset(tmp_path / "in", "minestudio", tmp_path / "out", skipped=skipped).ids == ["good"]
    assert len(skipped) == 2


def test_an_episode_in_two_parts_is_refused(tmp_path):
    write_dataset(tmp_path, {"a": 4})
    write_part(tmp_path / "action" / "part-2", {"a": action_chunks(actions(4))})
    with pytest.raises(DatasetError, match=r"part-1 and .*part-2 both have its action"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ((), "has no folder image or video.*it holds nothing"),
        (("image",), "has no folder action.*it holds image"),
        (("image", "action", "meta_info"), "image is empty: folders such as part-1, each with a data.mdb"),
    ],
)
def test_what_is_no_such_dataset_is_said_with_what_is_there(tmp_path, made, message):
    for name in made:
        (tmp_path / name).mkdir()
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)


def test_options_are_checked(tmp_path):
    with pytest.raises(RigError, match=r"instructions.*Did you mean 'instruction'"):
        build_importer("minestudio", {"instructions": "x"})


def test_few_frames_of_a_long_episode_are_in_memory(tmp_path):
    count, size, chunk = 256, 128, 16
    frames = np.zeros((chunk, size, size, 3), np.uint8)
    chunks = image_chunks(frames, chunk, LOSSLESS) * (count // chunk)
    write_part(tmp_path / "image" / "part-1", {"a": chunks}, chunk)
    write_part(tmp_path / "action" / "part-1", {"a": action_chunks(actions(count), chunk)}, chunk)
    (trajectory,) = build_importer("minestudio").trajectories(tmp_path)
    with Peak() as peak:
        assert sum(int(step.frame.shape[0] == size) for step in trajectory.steps) == count
    assert peak.bytes < 4 * chunk * size * size * 3


def test_another_process_reads_an_episode_of_what_it_is_sent(tmp_path):
    write_dataset(tmp_path, {"a": 4, "b": 8})
    importer = build_importer("minestudio")
    for recording, wanted in zip(importer.recordings(tmp_path), read(tmp_path), strict=True):
        sent, sent_recording = pickle.loads(pickle.dumps((importer, recording)))
        assert_same(sent.read(sent_recording, ImportReport(), None).steps, wanted.steps)


def test_the_command_reads_them(tmp_path, capsys):
    write_dataset(tmp_path / "in", {"a": CHUNK, "b": CHUNK})
    source, out = str(tmp_path / "in"), str(tmp_path / "out")
    words = ["import", "--importer", "minestudio", "--source", source, "--out", out, "--json"]
    assert main([*words, "--importer-config", "task=chop_tree", "facts=false"]) == 0
    assert json.loads(capsys.readouterr().out)["trajectories"] == 2
    assert Dataset(out)["a"].task == "chop_tree"
