"""What is exported to LeRobotDataset v3 comes back as it was, every field and, but for the video, every pixel."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from makers import make_data
from test_data_roundtrip import TOKENIZER, assert_same, info_for, write

from rig.actions import CRAFTER, MINERL, NOOP
from rig.cli.main import main
from rig.data import Dataset, build_exporter
from rig.data.video import Video
from rig.errors import RigError, UnknownNameError
from rig.records import fake_frame, fake_trajectory
from rig.stages import RehearseConfig, import_dataset, rehearse

STEPS = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
VIDEO = "videos/observation.images.main/chunk-000/file-000.mp4"
PARTS = {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
SIZE = 16


def fakes(space=MINERL, size=SIZE):
    """Return trajectories with all that a record can hold: dreams, plans, gaps, corrections, unknown next frames."""
    plain = [fake_trajectory(1, length=3, space=space, size=size)]
    dreamed = fake_trajectory(2, length=4, space=space, size=size, num_dreams=2)
    weighed = fake_trajectory(3, length=3, space=space, size=size, num_dreams=1, num_plans=3)
    random = np.random.default_rng(0)
    odd = fake_trajectory(4, length=5, space=space, size=size)
    steps = list(odd.steps)
    steps[0] = replace(steps[0], next_frame=None, thought=None, reward=0.1, actor="noise")
    steps[1] = replace(steps[1], next_frame=fake_frame(random, size), actor="correction", instruction="é\n木")
    steps[3] = replace(steps[3], privileged={"at": [1.5, None, {"ä": "\0"}], "big": 2**60})
    steps[4] = replace(steps[4], index=9, previous_action=NOOP, next_frame=steps[4].frame)
    unknown = [replace(dream, frame=None, real_frame=None, thought=None) for dream in dreamed.steps[1].dreams]
    dreamed_steps = [*dreamed.steps[:1], replace(dreamed.steps[1], dreams=tuple(unknown)), *dreamed.steps[2:]]
    return [
        *plain,
        dreamed.with_steps(tuple(dreamed_steps)),
        weighed,
        replace(odd.with_steps(tuple(steps[:2] + steps[3:])), success=False, samples=7, seed=-(2**40), task="a/b"),
    ]


def stored(path, space=MINERL, size=SIZE):
    trajectories = [replace(one, environment=space.name) for one in fakes(space, size)]
    write(path, trajectories, info_for(space, size=size, environment=space.name), shard_steps=6)
    return Dataset(path)


def exported(dataset, out, **config):
    return build_exporter("lerobot", config).export(dataset, out)


@pytest.mark.parametrize("space", [CRAFTER, MINERL], ids=lambda space: space.name)
def test_export_then_import_is_the_identity(tmp_path, space):
    dataset = stored(tmp_path / "set", space)
    report = exported(dataset, tmp_path / "out", lossless=True)
    assert (report.trajectories, report.steps, report.left_out) == (4, 14, {})
    assert all(loss["psnr"] is None and loss["exact"] == loss["frames"] for loss in report.loss.values())
    back = import_dataset(tmp_path / "out", "lerobot", tmp_path / "back")
    back.verify()
    assert back.info.stage == "s0"
    for found, wanted in zip(back, dataset, strict=True):
        assert_same(found, wanted)


def without_pixels(step):
    def bare(dreams):
        return tuple(replace(dream, frame=None, real_frame=None) for dream in dreams)

    plans = tuple(replace(plan, dreams=bare(plan.dreams)) for plan in step.candidates)
    return replace(step, frame=step.frame[:0], next_frame=None, dreams=bare(step.dreams), candidates=plans)


def psnr(one, other):
    return 10 * math.log10(255**2 / np.square(one.astype(int) - other).mean())


def test_what_the_video_loses_is_what_the_report_says_and_nothing_else_changes(tmp_path):
    rehearse(make_data(tmp_path, episodes=1), RehearseConfig(), tmp_path / "s4")
    dataset = Dataset(tmp_path / "s4")
    report = exported(dataset, tmp_path / "out", colours="full")
    back = import_dataset(tmp_path / "out", "lerobot", tmp_path / "back")
    lost = []
    for found, wanted in zip(back, dataset, strict=True):
        for one, other in zip(found.steps, wanted.steps, strict=True):
            assert_same(without_pixels(one), without_pixels(other))
            assert (one.next_frame is None) == (other.next_frame is None)
            lost.append(psnr(one.frame, other.frame))
    assert report.loss["frames"]["psnr"] == {"mean": round(np.mean(lost), 2), "lowest": round(min(lost), 2)}
    assert report.loss["frames"]["frames"] == dataset.num_steps == back.num_steps
    assert report.pictures > 0
    assert min(lost) > 30


def test_files_and_columns_are_those_of_the_format(tmp_path):
    dataset = stored(tmp_path / "set")
    exported(dataset, tmp_path / "out", fps=10)
    info = json.loads((tmp_path / "out" / "meta" / "info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": "minerl",
        "total_episodes": 4,
        "total_frames": 14,
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": 10,
        "splits": {"train": "0:4"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    assert features["observation.images.main"]["dtype"] == "video"
    assert features["observation.images.main"]["shape"] == [SIZE, SIZE, 3]
    assert features["observation.images.main"]["info"]["video.codec"] == "h264"
    names = [*MINERL.keys, "camera.pitch", "camera.yaw"]
    assert features["action"] == {"dtype": "float32", "shape": [len(names)], "names": names}
    seen = [name for name in features if name.startswith(("observation", "action"))]
    assert seen == ["observation.images.main", "action"], "policies take these, and no other"
    table = pq.read_table(tmp_path / "out" / STEPS)
    assert set(table.column_names) == set(features) - {"observation.images.main"}
    assert table.schema.field("action").type == pa.list_(pa.float32(), len(names))
    assert table.schema.field("timestamp").type == pa.float32()
    assert table.column("episode_index").to_pylist() == [0] * 3 + [1] * 4 + [2] * 3 + [3] * 4
    assert table.column("frame_index").to_pylist() == [*range(3), *range(4), *range(3), *range(4)]
    assert table.column("index").to_pylist() == list(range(14))
    assert np.allclose(table.column("timestamp").to_pylist()[3:7], [0, 0.1, 0.2, 0.3])
    assert table.column("next.done").to_pylist()[:3] == [False, False, True]
    assert table.column("rig.action").to_pylist()[0] == MINERL.format(dataset[0].steps[0].action)
    vector = dict(zip(names, table.column("action").to_pylist()[0], strict=True))
    action = dataset[0].steps[0].action
    assert {name for name in MINERL.keys if vector[name]} == action.keys
    assert (vector["camera.pitch"], vector["camera.yaw"]) == action.camera


def test_episodes_say_where_their_rows_and_frames_are(tmp_path):
    exported(stored(tmp_path / "set"), tmp_path / "out", fps=10)
    rows = pq.read_table(tmp_path / "out" / EPISODES).to_pylist()
    assert [row["length"] for row in rows] == [3, 4, 3, 4]
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(0, 3), (3, 7), (7, 10), (10, 14)]
    key = "videos/observation.images.main"
    seconds = [(row[f"{key}/from_timestamp"], row[f"{key}/to_timestamp"]) for row in rows]
    assert np.allclose(seconds, [(0, 0.3), (0.3, 0.7), (0.7, 1.0), (1.0, 1.4)])
    for name in ("data/chunk_index", "data/file_index", f"{key}/file_index", "meta/episodes/file_index"):
        assert {row[name] for row in rows} == {0}
    assert [row["tasks"] for row in rows] == [["collect wood"]] * 3 + [["collect wood", "é\n木"]]
    with Video(tmp_path / "out" / VIDEO) as video:
        assert (video.count(), video.info.fps) == (14, 10)


def test_tasks_are_a_table_whose_rows_go_by_the_task(tmp_path):
    exported(stored(tmp_path / "set"), tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "meta" / "tasks.parquet")
    assert table.to_pydict() == {"task_index": [0, 1], "task": ["collect wood", "é\n木"]}
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_statistics_are_those_of_the_columns(tmp_path):
    dataset = stored(tmp_path / "set")
    exported(dataset, tmp_path / "out")
    stats = json.loads((tmp_path / "out" / "meta" / "stats.json").read_text())
    table = pq.read_table(tmp_path / "out" / STEPS)
    actions = np.array(table.column("action").to_pylist())
    for name, wanted in (("min", actions.min(0)), ("max", actions.max(0)), ("mean", actions.mean(0))):
        assert np.allclose(stats["action"][name], wanted)
    assert np.allclose(stats["action"]["std"], actions.std(0))
    assert stats["action"]["count"] == stats["observation.images.main"]["count"] == [14]
    pixels = np.stack([step.frame for step in dataset.steps()]) / 255
    video = stats["observation.images.main"]
    for name, wanted in (("mean", pixels.mean((0, 1, 2))), ("std", pixels.std((0, 1, 2))), ("max", np.ones(3))):
        assert np.shape(video[name]) == (3, 1, 1)
        assert np.allclose(np.ravel(video[name]), wanted)
    assert all(parts.keys() == PARTS for parts in stats.values())
    row = pq.read_table(tmp_path / "out" / EPISODES).to_pylist()[1]
    assert np.allclose(row["stats/action/mean"], actions[3:7].mean(0))
    assert np.allclose(row["stats/action/q90"], np.quantile(actions[3:7], 0.9, axis=0))


def test_many_episodes_fill_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr("rig.data.lerobot.writing.MB", SIZE * SIZE * 2 * 7 / 8 / 200)
    monkeypatch.setattr("rig.data.lerobot.tables.MB", 1)
    monkeypatch.setattr("rig.data.lerobot.tables.FILES_IN_CHUNK", 2)
    dataset = stored(tmp_path / "set")
    exported(dataset, tmp_path / "out", lossless=True)
    assert len(list((tmp_path / "out" / "videos").rglob("*.mp4"))) == 2
    names = sorted(
        str(path.relative_to(tmp_path / "out" / "data")) for path in (tmp_path / "out" / "data").rglob("*.parquet")
    )
    assert names == [f"chunk-00{chunk}/file-00{file}.parquet" for chunk in (0, 1) for file in (0, 1)]
    for found, wanted in zip(import_dataset(tmp_path / "out", "lerobot", tmp_path / "back"), dataset, strict=True):
        assert_same(found, wanted)


def test_part_of_a_dataset_is_exported_alone_and_odd_sides_are_possible(tmp_path):
    dataset = stored(tmp_path / "set", size=9)
    part = dataset.filter(task="a/b")
    report = exported(part, tmp_path / "out")
    assert (report.trajectories, report.steps) == (1, 4)
    back = import_dataset(tmp_path / "out", "lerobot", tmp_path / "back")
    assert back.ids == ["fake-4"]
    assert back[0].steps[0].frame.shape == (9, 9, 3)


def test_what_the_format_cannot_hold_is_counted_and_named(tmp_path):
    trajectory = fake_trajectory(1, length=3, size=8, num_dreams=1)
    codes = np.arange(6, dtype=np.uint16)
    steps = [
        replace(
            step.with_next_codes(codes),
            thought="",
            dreams=(replace(step.dreams[0], codes=codes, frame=None),),
        )
        for step in trajectory.steps
    ]
    write(tmp_path / "set", [trajectory.with_steps(tuple(steps))], info_for(tokenizer=TOKENIZER))
    report = exported(Dataset(tmp_path / "set"), tmp_path / "out")
    told = {name.split(",")[0]: count for name, count in report.left_out.items()}
    assert told == {"VQ codes": 6, "dreams that are VQ codes alone": 3, "texts that are empty": 3}


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    dataset = stored(tmp_path / "set")
    exported(dataset, tmp_path / "out")
    with pytest.raises(RigError, match="out already exists"):
        exported(dataset, tmp_path / "out")
    before = (tmp_path / "out" / STEPS).read_bytes()
    with pytest.raises(RigError, match="no encoder 'h265x'"):
        build_exporter("lerobot", {"codec": "h265x"}).export(dataset, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / STEPS).read_bytes() == before
    build_exporter("lerobot", {"fps": 7}).export(dataset, tmp_path / "out", overwrite=True)
    assert json.loads((tmp_path / "out" / "meta" / "info.json").read_text())["fps"] == 7
    with pytest.raises(RigError, match=r"it is no LeRobotDataset.*and is not replaced"):
        build_exporter("lerobot").export(dataset, tmp_path / "set", overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"set", "out"}


KILLED = """
import os, signal, sys
from rig.data import Dataset, build_exporter
import rig.data.exporters.lerobot as module
module.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
build_exporter("lerobot").export(Dataset(sys.argv[1]), __import__("pathlib").Path(sys.argv[2]))
"""


def test_a_killed_export_leaves_no_folder_that_looks_whole(tmp_path):
    stored(tmp_path / "set")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "set", tmp_path / "out"], env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_was_lost_and_what_is_wrong(tmp_path, capsys):
    stored(tmp_path / "set")
    words = ["export", "--dataset", str(tmp_path / "set"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "exported 4 trajectories, 14 steps and" in told
    assert "frames: PSNR" in told
    assert main([*words, "--overwrite", "--format", "lerobot", "--exporter-config", "lossless=true", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps"], found["loss"]["frames"]["psnr"]) == (14, None)
    for more, message in (
        (["--format", "lerobo"], "Did you mean 'lerobot'"),
        (["--overwrite", "--exporter-config", "fsp=3"], "Did you mean 'fps'"),
        (["--overwrite", "--exporter-config", "fps=0"], "fps"),
        ([], "already exists"),
    ):
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err


def test_an_exporter_is_found_by_name():
    with pytest.raises(UnknownNameError, match="unknown exporter 'x'"):
        build_exporter("x")
