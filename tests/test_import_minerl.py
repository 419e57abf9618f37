"""MineRL-V0 becomes exact trajectories: frames by the video's end, keys, turns, rewards, and what has no key."""

import json

import numpy as np
import pytest
from recording_makers import LOSSY, clip, clip_bytes, minerl_arrays, minerl_meta, minerl_recording
from test_data_lazy import Peak
from test_data_roundtrip import assert_same

from rig.actions import MINERL, NOOP
from rig.cli.main import main
from rig.data import Dataset, build_importer, load_report
from rig.data.video_encoding import encode_video
from rig.errors import DatasetError, RigError
from rig.records import Lineage
from rig.stages import import_dataset

TREES = "MineRLTreechop-v0"


def read(source, skipped=None, **config):
    found = build_importer("minerl", config).trajectories(source, skipped=skipped)
    return [one.with_steps(tuple(one.steps)) for one in found]


def test_a_recording_becomes_a_trajectory_and_survives_the_dataset(tmp_path):
    pixels = minerl_recording(tmp_path / TREES / "v3_one")
    (trajectory,) = read(tmp_path)
    assert (trajectory.id, trajectory.environment, trajectory.action_space) == (f"{TREES}_v3_one", "minerl", "minerl")
    assert (trajectory.task, trajectory.setting, trajectory.success, trajectory.samples) == (
        "chop_a_tree",
        "tool",
        True,
        1,
    )
    assert trajectory.lineage == Lineage(stage="s0", actor="minerl")
    steps = trajectory.steps
    actions = ["forward", "forward, attack, camera:[-10,5]", "forward", "forward", "forward"]
    assert [MINERL.format(step.action) for step in steps] == actions
    assert [step.previous_action for step in steps] == [NOOP, *(step.action for step in steps[:-1])]
    assert [step.reward for step in steps] == [0, 0, 1, 0, 0]
    assert {step.instruction for step in steps} == {"chop a tree"}
    assert [step.privileged for step in steps[:2]] == [{"inventory": {}}, {"inventory": {"dirt": 1}}]
    for step in steps:
        assert np.array_equal(step.frame, pixels[3 + step.index])
        assert np.array_equal(step.next_frame, pixels[4 + step.index])
    dataset = import_dataset(tmp_path, "minerl", tmp_path / "out")
    dataset.verify()
    assert_same(dataset[0], trajectory)
    assert load_report(tmp_path / "out").counts == {
        "frames": {"before the first step": 3},
        "keys": {"craft": 1},
        "turns": {"in all": 1, "rounded": 1},
        "degrees": {"pitch": 2.3, "yaw": 2.4},
    }


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_source_is_a_recording_an_environment_or_all_of_them(tmp_path, depth):
    folder = tmp_path / "data" / "MineRLObtainIronPickaxeDense-v0" / "v3_two"
    minerl_recording(folder)
    (trajectory,) = read([folder, folder.parent, folder.parent.parent][depth])
    assert (trajectory.task, trajectory.setting) == ("obtain_iron_pickaxe_dense", "manual")
    assert trajectory.steps[0].instruction == "obtain iron pickaxe dense"
    assert trajectory.id.endswith("v3_two")


def test_the_same_play_rendered_for_two_environments_is_two_trajectories(tmp_path):
    for name in (TREES, "MineRLObtainDiamond-v0"):
        minerl_recording(tmp_path / name / "v3_one")
    assert [one.id for one in read(tmp_path)] == ["MineRLObtainDiamond-v0_v3_one", "MineRLTreechop-v0_v3_one"]


def test_what_the_recordings_do_not_say_is_configured(tmp_path, capsys):
    minerl_recording(tmp_path / "mine" / "v3_one", meta=minerl_meta(success=None))
    with pytest.raises(DatasetError, match=r"nobody knows the task; say --importer-config task=chop_a_tree"):
        read(tmp_path)
    with pytest.raises(DatasetError, match=r"metadata.json does not say .*success=true"):
        read(tmp_path, task="dig")
    command = ["import", "--importer", "minerl", "--source", str(tmp_path / "mine"), "--out", str(tmp_path / "out")]
    words = ["task=dig_down", "success=false", "setting=tool", "seed=7", "environment=malmo"]
    assert main([*command, "--importer-config", *words]) == 0
    (found,) = Dataset(tmp_path / "out")
    assert (found.task, found.success, found.setting, found.seed) == ("dig_down", False, "tool", 7)
    assert (found.environment, found.steps[0].instruction) == ("malmo", "dig down")
    assert "keys that the action space has not: 1 craft" in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(RigError, match=r"unknown field 'taks'. Did you mean 'task'"):
        read(tmp_path, taks="dig")


def test_versions_before_the_third_have_other_names_and_count_no_frames(tmp_path):
    minerl_recording(
        tmp_path / TREES / "v1_one", arrays=minerl_arrays(sign="_"), meta=minerl_meta(true_video_frame_count=None)
    )
    (found,) = read(tmp_path)
    assert np.array_equal(found.steps[0].frame, clip(9)[3])
    assert MINERL.format(found.steps[1].action) == "forward, attack, camera:[-10,5]"


def test_a_video_without_its_last_frames_costs_the_steps_behind(tmp_path):
    minerl_recording(tmp_path / TREES / "cut", video=clip_bytes(7))
    minerl_recording(tmp_path / TREES / "even", video=clip_bytes(5), meta=minerl_meta(true_video_frame_count=5))
    dataset = import_dataset(tmp_path, "minerl", tmp_path / "out")
    assert [len(one.steps) for one in dataset] == [4, 5]
    assert [one.steps[-1].next_frame is None for one in dataset] == [True, True]
    assert load_report(tmp_path / "out").counts["steps"] == {"no frame": 1}


def test_what_the_metadata_says_otherwise_is_counted(tmp_path):
    minerl_recording(tmp_path / TREES / "a", meta=minerl_meta(duration_steps=6, total_reward=2))
    import_dataset(tmp_path, "minerl", tmp_path / "out")
    assert load_report(tmp_path / "out").counts["contradictions"] == {"duration_steps": 1, "total_reward": 1}


def test_other_actions_are_counted_whatever_they_are_written_as(tmp_path):
    smelt, vector = np.array([0, 3, 3, 0, 0]), np.zeros((5, 4), np.float32)
    vector[2, 1] = 0.5
    place = np.array(["none", "dirt", "", "torch", "null"])
    more = {"action$nearbySmelt": smelt, "action$place": place, "action$vector": vector, "action$craft": None}
    minerl_recording(tmp_path / TREES / "a", arrays=minerl_arrays(**more))
    import_dataset(tmp_path, "minerl", tmp_path / "out")
    assert load_report(tmp_path / "out").counts["keys"] == {"nearbySmelt": 2, "place": 2, "vector": 1}


def test_a_bad_row_costs_its_step_and_the_one_behind(tmp_path):
    arrays = minerl_arrays()
    arrays["action$camera"][1] = np.nan
    arrays["action$forward"][4] = 7
    minerl_recording(tmp_path / TREES / "a", arrays=arrays)
    with pytest.raises(DatasetError, match=r"rendered.npz, row 1: camera \[nan, nan\] is no turn of at most 360"):
        read(tmp_path)
    skipped = []
    dataset = import_dataset(tmp_path, "minerl", tmp_path / "out", skipped=skipped)
    assert [step.index for step in dataset[0].steps] == [0, 3]
    assert [entry.place.split(", ")[-1] for entry in skipped] == ["row 1", "row 4"]
    assert skipped[1].reason == "forward is 7, and 1 presses a key, 0 does not"
    assert load_report(tmp_path / "out").counts["steps"] == {"malformed row": 2, "unknown previous action": 1}


FAULTS = {
    "no video": (lambda folder: (folder / "recording.mp4").unlink(), "recording.mp4 cannot be read .*No such file"),
    "no video in it": (lambda folder: (folder / "recording.mp4").write_bytes(b"x"), "recording.mp4 cannot be read"),
    "no arrays": (lambda folder: (folder / "rendered.npz").unlink(), "rendered.npz cannot be read"),
    "no metadata": (lambda folder: (folder / "metadata.json").unlink(), "metadata.json cannot be read"),
    "bad metadata": (
        lambda folder: (folder / "metadata.json").write_text('{"success": 1}'),
        "got `int` - at `success`",
    ),
}
ARRAY_FAULTS = {
    "no reward": ({"reward": None}, "needs reward and actions such as action.forward; it has action.forward"),
    "reward of text": (
        {"reward": np.array(["a"] * 5)},
        r"reward is <U1 \[5\], and must have 1 to 10 rows of one number",
    ),
    "reward NaN": ({"reward": np.array([0, np.nan, 0, 0, 0])}, "row 1: the reward is nan"),
    "too long": ({"reward": np.zeros(99)}, r"reward is float64 \[99\]"),
    "keys of another length": ({"action$jump": np.zeros(4, int)}, r"action.jump is int64 \[4\], .* 5 to 6 rows"),
    "half a key": ({"action$jump": np.full(5, 0.5)}, "one number that is whole"),
    "a flat camera": ({"action$camera": np.zeros(5)}, "5 to 6 rows of 2 numbers"),
    "objects": ({"action$craft": np.array([{}] * 5, object)}, "action.craft is object"),
    "long texts": ({"action$craft": np.array(["x" * 5000] * 5)}, "action.craft is <U5000"),
    "obfuscated": (
        {"action$vector": np.zeros((5, 64), np.float32)} | {name: None for name in minerl_arrays() if "$" in name},
        "has no key of 'minerl' among reward, action.vector; in place of an obfuscated environment",
    ),
    "fewer frames": (
        {name: np.zeros(9, int) for name in ("reward", "action$jump")},
        r"is int64 \[6\], and must have 9",
    ),
}


@pytest.mark.parametrize("name", [*FAULTS, *ARRAY_FAULTS])
def test_a_bad_recording_is_named_and_can_be_left_out(tmp_path, name):
    if name in FAULTS:
        harm, message = FAULTS[name]
        minerl_recording(tmp_path / TREES / "bad")
        harm(tmp_path / TREES / "bad")
    else:
        changed, message = ARRAY_FAULTS[name]
        minerl_recording(tmp_path / TREES / "bad", arrays=minerl_arrays(**changed))
    minerl_recording(tmp_path / TREES / "good")
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)
    skipped = []
    assert [one.id for one in read(tmp_path, skipped)] == [f"{TREES}_good"]
    assert [entry.place for entry in skipped] == [str(tmp_path / TREES / "bad")]


def test_more_actions_than_frames_are_refused(tmp_path):
    minerl_recording(tmp_path / TREES / "a", meta=minerl_meta(true_video_frame_count=4))
    with pytest.raises(DatasetError, match=r"has 5 actions, and the video .*recording.mp4 4 frames; there must be"):
        read(tmp_path)
    with pytest.raises(DatasetError, match=r"has no recording of MineRL: a folder in it must hold recording.mp4, rend"):
        read(tmp_path / TREES / "a" / "recording.mp4")


def test_a_video_as_recorders_write_it_is_brought_to_the_frame_size(tmp_path):
    minerl_recording(tmp_path / TREES / "a", video=clip_bytes(9, 64, 64, encoding=LOSSY))
    command = ["import", "--importer", "minerl", "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--frame-size", "32", "32"]) == 0
    frame = Dataset(tmp_path / "out")[0].steps[0].frame
    small = clip(9, 64, 64)[3].reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert frame.shape == (32, 32, 3)
    assert np.abs(frame - small).mean() < 40


def test_a_long_recording_is_imported_with_few_frames_in_memory(tmp_path):
    steps, size = 70, 96
    flat = np.repeat(np.arange(steps + 1, dtype=np.uint8), size * size * 3).reshape(-1, size, size, 3)
    meta = minerl_meta(steps, steps + 1, total_reward=None)
    minerl_recording(tmp_path / TREES / "a", arrays=minerl_arrays(steps), meta=meta, video=encode_video(flat, 20))
    del flat
    with Peak() as peak, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rig.data.frames.GROUP_BYTES", 3 * size * size * 3)
        dataset = import_dataset(tmp_path, "minerl", tmp_path / "out")
    assert dataset.num_steps == steps
    assert peak.bytes < 30 * size * size * 3
    assert json.loads((tmp_path / "out" / "imported.json").read_text())["steps"] == steps
