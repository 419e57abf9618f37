"""LeRobotDatasets that others made become trajectories by the names of their parts; what is wrong is named."""

import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_makers import CAMERA, DATA, EPISODES, NAMES, VIDEO, pixels, vectors, write_others
from PIL import Image
from test_data_roundtrip import assert_same
from test_lerobot_export import stored

from rig.actions import MINERL, NOOP
from rig.data import ImportReport, build_exporter, build_importer, load_report
from rig.data.video_encoding import LOSSLESS, write_video
from rig.errors import DatasetError, RigError
from rig.records import Lineage
from rig.stages import Opening, import_dataset

INFO = "meta/info.json"
TASKS = "meta/tasks.parquet"


def read(source, **config):
    found = build_importer("lerobot", config).trajectories(source)
    return [one.with_steps(tuple(one.steps)) for one in found]


def change_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def change_table(path, change):
    pq.write_table(change(pq.read_table(path)), path)


def replaced(table, name, values):
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def pressed(vector):
    return {name for name, value in zip(NAMES[:2], vector, strict=False) if value}


def test_parts_with_our_names_are_keys_and_turns(tmp_path):
    dataset = import_dataset(write_others(tmp_path / "in"), "lerobot", tmp_path / "out")
    assert dataset.ids == ["episode-000000", "episode-000001"]
    for seed, trajectory in enumerate(dataset):
        frames, actions = pixels((3, 5)[seed], seed), vectors((3, 5)[seed], seed)
        assert trajectory.lineage == Lineage(stage="s0", actor="lerobot")
        task = ("chop a tree", "dig down")[seed]
        assert (trajectory.environment, trajectory.task, trajectory.success) == ("minerl", task, True)
        for step, frame, action in zip(trajectory.steps, frames, actions, strict=True):
            assert np.array_equal(step.frame, frame)
            assert step.action.keys == pressed(action)
            assert step.instruction == task
        steps = trajectory.steps
        assert [step.previous_action for step in steps] == [NOOP, *(step.action for step in steps[:-1])]
        assert all(np.array_equal(one.next_frame, frames[one.index + 1]) for one in steps[:-1])
        assert steps[-1].next_frame is None
        turned = np.sum([step.action.camera for step in steps], 0)
        assert np.abs(turned - actions[:, 2:].sum(0)).max() <= MINERL.camera.step / 2
    assert load_report(tmp_path / "out").counts["turns"]["in all"] == 8


def test_other_names_are_mapped_by_the_user(tmp_path):
    called = {"motors": ["w", "click", "mouse_y", "mouse_x"]}
    write_others(tmp_path, called=called)
    parts = ["forward", "attack", "camera.pitch", "camera.yaw"]
    assert [one.steps[0].action.keys for one in read(tmp_path, parts=parts)] == [
        pressed(vectors(count, seed)[0]) for seed, count in enumerate((3, 5))
    ]
    turned = read(tmp_path, parts=["-", "-", "-", "camera.yaw"], degrees=-2)[1]
    assert not any(step.action.keys for step in turned.steps)
    total = sum(step.action.camera[1] for step in turned.steps)
    assert abs(total + 2 * vectors(5, 1)[:, 3].sum()) <= MINERL.camera.step / 2
    lightly = read(tmp_path, parts=parts, pressed=2)[0]
    assert not any(step.action.keys for step in lightly.steps)


def test_what_the_dataset_does_not_say_the_user_does(tmp_path):
    write_others(tmp_path)
    (first, _) = read(tmp_path, task="t", instruction="go on", setting="tool", success=False, environment="mine")
    assert (first.task, first.setting, first.environment) == ("t", "tool", "mine")
    assert (first.success, first.samples) == (False, 0)
    assert {step.instruction for step in first.steps} == {"go on"}


def test_rewards_and_success_are_those_of_the_columns(tmp_path):
    lost, won = read(write_others(tmp_path, rewards=True))
    assert (lost.success, won.success, won.samples) == (False, True, 1)
    assert [step.reward for step in won.steps] == [0, 0, 0, 0, 1]


def test_names_and_fps_that_pandas_and_others_wrote_are_read(tmp_path):
    write_others(tmp_path)
    change_table(tmp_path / TASKS, lambda table: table.rename_columns(["task_index", "__index_level_0__"]))
    change_json(tmp_path / INFO, lambda info: info.update(fps=30.0, codebase_version="v3.1", extra={"a": 1}))
    assert [one.task for one in read(tmp_path)] == ["chop a tree", "dig down"]


def test_images_in_the_table_are_frames_too(tmp_path):
    write_others(tmp_path, lengths=(3,))

    def stored(frame):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": "frame.png"}

    images = pa.array([stored(frame) for frame in pixels(3)])
    change_table(tmp_path / DATA, lambda table: table.append_column("wrist", images))
    feature = {"dtype": "image", "shape": [8, 8, 3], "names": None}
    change_json(tmp_path / INFO, lambda info: info["features"].update(wrist=feature))
    with pytest.raises(
        DatasetError, match=f"2 videos and images: {CAMERA}, wrist; choose one as the importer's camera"
    ):
        read(tmp_path)
    with pytest.raises(DatasetError, match=f"no video or images 'front'; it has {CAMERA}, wrist"):
        read(tmp_path, camera="front")
    (trajectory,) = read(tmp_path, camera="wrist")
    assert all(np.array_equal(step.frame, frame) for step, frame in zip(trajectory.steps, pixels(3), strict=True))
    damaged = pa.array([{"bytes": b"PNG", "path": ""}] * 3)
    change_table(tmp_path / DATA, lambda table: table.drop_columns("wrist").append_column("wrist", damaged))
    with pytest.raises(DatasetError, match="episode 0, wrist 0 cannot be read"):
        read(tmp_path, camera="wrist")


def test_a_dataset_of_version_2_is_named_with_the_command_that_converts_it(tmp_path):
    write_others(tmp_path)
    change_json(tmp_path / INFO, lambda info: info.update(codebase_version="v2.1"))
    with pytest.raises(DatasetError, match=r"LeRobotDataset of v2.1.*convert_dataset_v21_to_v30"):
        read(tmp_path)
    (tmp_path / INFO).unlink()
    (tmp_path / "meta" / "episodes.jsonl").write_text("{}\n")
    with pytest.raises(DatasetError, match=r"of version 2.*convert_dataset_v21_to_v30"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("config", "called", "message"),
    [
        ({}, None, None),
        (
            {},
            ["w", "a", "s", "d"],
            r"its 4 parts are called w, a, s, d; 'w' is none of 'minerl'.*parts say.*forward, back",
        ),
        ({}, [], "has 4 parts, and 0 are named; have the importer's parts say"),
        ({"parts": ["forward"]}, None, "has 4 parts, and 1 are named"),
        ({"parts": ["forward", "forward", "-", "-"]}, None, "'forward' comes twice"),
        ({"parts": ["-"] * 4}, None, "no part of 'action' is of the action"),
        ({"action": "task_index", "parts": ["jump"]}, None, None),
        ({"action": "actions"}, None, "has no vector 'actions'; choose the importer's action among action, timestamp"),
        ({"action": CAMERA}, None, "has no vector"),
        ({"action_space": "mine"}, None, "action_space: unknown action space 'mine'"),
        ({"action_space": "crafter"}, None, "'forward' is none of 'crafter'.*move_left"),
        ({"degrees": 300.0}, None, "episode 0, step 0: the camera turns by.*mend degrees"),
    ],
)
def test_a_mapping_that_does_not_fit_says_what_is_there(tmp_path, config, called, message):
    write_others(tmp_path, called=called)
    if message is None:
        assert len(read(tmp_path, **config)) == 2
        return
    with pytest.raises(RigError, match=message):
        read(tmp_path, **config)


def without(info, name):
    del info[name]


FAULTS = {
    "no info": (INFO, lambda path: path.unlink(), "is no LeRobotDataset: meta/info.json is missing"),
    "an info that is no JSON": (INFO, lambda path: path.write_text("{"), "info.json is not JSON"),
    "a newer format": (INFO, lambda path: change_json(path, lambda info: info.update(codebase_version="v4.0")), "v4.0"),
    "no features": (INFO, lambda path: change_json(path, lambda info: without(info, "features")), "features are None"),
    "no fps": (INFO, lambda path: change_json(path, lambda info: info.update(fps=0)), "fps"),
    "a path out of the folder": (
        INFO,
        lambda path: change_json(path, lambda info: info.update(data_path="../{chunk_index}")),
        "is no file of this dataset",
    ),
    "a path that asks for more": (
        INFO,
        lambda path: change_json(path, lambda info: info.update(video_path="{video_key.__class__}.mp4")),
        "is no file of this dataset",
    ),
    "no tasks": (TASKS, lambda path: path.unlink(), "tasks.parquet cannot be read"),
    "no episodes": (EPISODES, lambda path: path.unlink(), "meta/episodes holds no row"),
    "damaged episodes": (EPISODES, lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read"),
    "no data": (DATA, lambda path: path.unlink(), "file-000.parquet cannot be read"),
    "no video": (VIDEO, lambda path: path.unlink(), "file-000.mp4 cannot be read"),
}


@pytest.mark.parametrize(("name", "spoil", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_whole_is_named(tmp_path, name, spoil, message):
    write_others(tmp_path)
    spoil(tmp_path / name)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)


def episodes_with(name, values):
    return lambda root: change_table(root / EPISODES, lambda table: replaced(table, name, values))


def data_with(name, values):
    return lambda root: change_table(root / DATA, lambda table: replaced(table, name, values))


EPISODE_FAULTS = {
    "a wrong length": (episodes_with("length", [3, 4]), "has 5 rows of episode 1, which has 4"),
    "a negative length": (episodes_with("length", [3, -1]), "row 1.*length"),
    "another file": (episodes_with("data/file_index", [0, 7]), "file-007.parquet cannot be read"),
    "another video": (episodes_with(f"videos/{CAMERA}/file_index", [0, 7]), "file-007.mp4 cannot be read"),
    "seconds behind the end": (episodes_with(f"videos/{CAMERA}/from_timestamp", [0.0, 9.0]), "ends before frame 0"),
    "no seconds": (episodes_with(f"videos/{CAMERA}/from_timestamp", [0.0, None]), "begin"),
    "an unknown task": (data_with("task_index", [0] * 3 + [7] * 5), "episode 1: there is no task 7"),
    "no numbers": (data_with("action", [[0.0] * 4] * 7 + [[float("nan")] * 4]), "episode 1, step 4 is nan"),
    "a short vector": (data_with("action", [[0.0] * 4] * 7 + [[0.0]]), "step 4: action has 1 parts of 4"),
    "rows in another order": (data_with("frame_index", [0, 1, 2, 0, 1, 3, 2, 4]), "1 are in no order.*frame_index"),
    "rows of an episode apart": (data_with("episode_index", [0, 0, 0, 1, 1, 2, 1, 1]), "has 4 rows of episode 1"),
}


@pytest.mark.parametrize(("spoil", "message"), EPISODE_FAULTS.values(), ids=EPISODE_FAULTS)
def test_a_fault_of_an_episode_costs_that_alone(tmp_path, spoil, message):
    spoil(write_others(tmp_path / "in"))
    with pytest.raises(DatasetError, match=message):
        import_dataset(tmp_path / "in", "lerobot", tmp_path / "strict")
    skipped = []
    found = import_dataset(tmp_path / "in", "lerobot", tmp_path / "out", skipped=skipped)
    assert (found.ids, len(skipped)) == (["episode-000000"], 1)


def test_an_action_that_its_space_has_not_costs_its_episode_alone(tmp_path):
    names = ["move_left", "move_right"]
    write_others(tmp_path / "in", lengths=(2, 6, 2), names=names)
    change_table(tmp_path / "in" / DATA, lambda table: replaced(table, "action", [[1.0, 0.0]] * 9 + [[1.0, 1.0]]))
    given = {"action_space": "crafter", "environment": "crafter"}
    with pytest.raises(DatasetError, match="episode 2, step 1: 'crafter' takes one key a step"):
        import_dataset(tmp_path / "in", "lerobot", tmp_path / "strict", importer_config=given)
    skipped = []
    found = import_dataset(tmp_path / "in", "lerobot", tmp_path / "out", importer_config=given, skipped=skipped)
    assert (found.ids, len(skipped)) == (["episode-000000", "episode-000001"], 1)


OUR_FAULTS = {
    "no action": ("rig.action", "fly", "episode 1, step 1: 'fly' is not a key of 'minerl'"),
    "no JSON": ("rig.dreams", "{", "episode 1, step 1: rig.dreams is not JSON"),
    "no dreams": ("rig.dreams", "[1]", "episode 1, step 1: rig.dreams is no list of objects"),
    "no such picture": ("rig.next_frame", 99, "episode 1, step 1: there is no picture 99"),
    "no such number": ("rig.next_frame", -5, "episode 1, step 1: a picture's number is -5"),
    "no such candidate": ("rig.chosen", 7, "episode 1, step 1: step 1: chosen=7, and it has 0 candidates"),
    "no facts": ("rig.facts", "[]", "episode 1, step 1: its privileged facts are a list"),
}


@pytest.mark.parametrize(("name", "value", "message"), OUR_FAULTS.values(), ids=OUR_FAULTS)
def test_a_fault_in_an_export_of_ours_is_named_and_costs_its_episode_alone(tmp_path, name, value, message):
    export_of_ours(tmp_path / "in")

    def spoilt(table):
        values = table.column(name).to_pylist()
        return replaced(table, name, [*values[:4], value, *values[5:]])

    change_table(tmp_path / "in" / DATA, spoilt)
    with pytest.raises(DatasetError, match=message):
        import_dataset(tmp_path / "in", "lerobot", tmp_path / "strict")
    skipped = []
    found = import_dataset(tmp_path / "in", "lerobot", tmp_path / "out", skipped=skipped)
    assert (found.ids, len(skipped)) == (["fake-1", "fake-3", "fake-4"], 1)


def test_episodes_that_are_missing_are_said_and_the_others_come(tmp_path):
    write_others(tmp_path / "in")
    change_table(tmp_path / "in" / EPISODES, lambda table: table.slice(0, 1))
    with pytest.raises(DatasetError, match=r"meta/episodes has 1 episodes, and meta/info.json says 2"):
        import_dataset(tmp_path / "in", "lerobot", tmp_path / "strict")
    skipped = []
    found = import_dataset(tmp_path / "in", "lerobot", tmp_path / "out", skipped=skipped)
    assert (found.ids, len(skipped)) == (["episode-000000"], 1)


def test_a_video_that_ends_early_is_named_with_the_frame(tmp_path):
    write_others(tmp_path)
    write_video(tmp_path / VIDEO, pixels(6), 30, LOSSLESS)
    with pytest.raises(DatasetError, match=r"file-000.mp4 ends before frame 3 of an episode of 5"):
        read(tmp_path)


def test_rows_in_many_pieces_and_episodes_in_another_order_are_found(tmp_path):
    write_others(tmp_path, lengths=(3, 5, 2))
    table = pq.read_table(tmp_path / DATA)
    pq.write_table(table, tmp_path / DATA, row_group_size=2)
    change_table(tmp_path / EPISODES, lambda rows: rows.take([2, 0, 1]))
    found = {one.id: len(one.steps) for one in read(tmp_path)}
    assert found == {"episode-000000": 3, "episode-000001": 5, "episode-000002": 2}


def test_rows_of_episodes_between_each_other_are_refused(tmp_path):
    write_others(tmp_path, lengths=(3, 3))
    change_table(tmp_path / DATA, lambda table: table.take([0, 3, 1, 4, 2, 5]))
    with pytest.raises(DatasetError, match="rows of episode 0 are in no order, by their episode_index"):
        read(tmp_path)


def test_an_export_of_ours_takes_no_configuration_and_names_what_is_newer(tmp_path):
    build_exporter("lerobot").export(stored(tmp_path / "set"), tmp_path / "in")
    with pytest.raises(DatasetError, match=r"rig.json says all that a configuration could"):
        read(tmp_path / "in", task="t")
    path = tmp_path / "in" / "meta" / "rig.json"
    change_json(path, lambda ours: ours.update(format=2))
    with pytest.raises(DatasetError, match="is of format 2, and this version reads up to 1; upgrade"):
        read(tmp_path / "in")
    change_json(path, lambda ours: ours.update(format=1) or ours["action_space"].update(keys=["jump"]))
    with pytest.raises(DatasetError, match="'minerl' has other actions here"):
        read(tmp_path / "in")
    path.unlink()
    assert read(tmp_path / "in")[0].id == "episode-000000", "without it, it is as others' are"


@pytest.mark.parametrize("make", [write_others, lambda root: export_of_ours(root)], ids=["others", "ours"])
def test_another_process_reads_an_episode_of_what_it_is_sent(tmp_path, make):
    make(tmp_path / "in")
    importer = build_importer("lerobot")
    for recording, wanted in zip(importer.recordings(tmp_path / "in"), read(tmp_path / "in"), strict=True):
        sent, sent_recording = pickle.loads(pickle.dumps((importer, recording)))
        assert_same(sent.read(sent_recording, ImportReport(), None).steps, wanted.steps)


def test_a_cut_import_goes_on(tmp_path):
    write_others(tmp_path / "in")
    wanted = import_dataset(tmp_path / "in", "lerobot", tmp_path / "alone")
    again = import_dataset(tmp_path / "in", "lerobot", tmp_path / "alone", opening=Opening(resume=True))
    assert again.content_hash == wanted.content_hash


def export_of_ours(root):
    build_exporter("lerobot").export(stored(root.parent / "set"), root)
