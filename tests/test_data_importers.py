"""S0: recorded play becomes exact trajectories; what is malformed is named by file and line, and can be left out."""

import json
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from PIL import Image
from test_data_roundtrip import assert_same, info_for

from rig.actions import MINERL, NOOP, Action
from rig.data import IMPORTERS, Dataset, DatasetWriter
from rig.errors import DatasetError, UnknownNameError
from rig.records import Lineage

META = {
    "environment": "minerl",
    "action_space": "minerl",
    "task": "collect_wood",
    "instruction": "collect wood",
    "setting": "manual",
    "seed": 7,
    "success": True,
    "samples": 3,
}
LINES = [
    {"keys": ["forward", "attack"], "camera": [1.7, -12.6], "thought": "1. A tree.", "reward": 1},
    {"keys": [], "camera": [0, 2.4], "privileged": {"facing": "tree"}},
    {"keys": ["ESC"], "actor": "noise"},
]


def episode(folder, *, lines=LINES, meta=META, frames=4, packed=True, size=8):
    folder.mkdir(parents=True)
    if meta is not None:
        (folder / "meta.json").write_text(json.dumps(meta))
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "episode.jsonl").write_text("\n".join(text) + "\n")
    pixels = np.random.default_rng(1).integers(0, 256, (frames, size, size, 3), np.uint8)
    if packed:
        np.savez(folder / "frames.npz", frames=pixels)
    else:
        (folder / "frames").mkdir()
        for number, frame in enumerate(pixels):
            Image.fromarray(frame).save(folder / "frames" / f"{number:06d}.png")
    return pixels


def read(source, skipped=None):
    return list(IMPORTERS.get("open-folder").trajectories(source, skipped=skipped))


@pytest.mark.parametrize("packed", [True, False], ids=["npz", "png"])
def test_an_episode_becomes_a_trajectory_and_survives_the_dataset(tmp_path, packed):
    pixels = episode(tmp_path / "in" / "ep1", packed=packed)
    (trajectory,) = read(tmp_path / "in")
    assert (trajectory.id, trajectory.seed, trajectory.samples) == ("ep1", 7, 3)
    assert trajectory.lineage == Lineage(stage="s0", actor="open-folder")
    steps = trajectory.steps
    assert [MINERL.format(step.action) for step in steps] == ["forward, attack, camera:[0,-15]", "camera:[0,5]", "ESC"]
    assert [step.previous_action for step in steps] == [NOOP, steps[0].action, steps[1].action]
    assert [step.actor for step in steps] == ["teacher", "teacher", "noise"]
    assert [step.reward for step in steps] == [1.0, 0.0, 0.0]
    assert (steps[0].thought, steps[1].thought, steps[1].privileged) == ("1. A tree.", None, {"facing": "tree"})
    for step in steps:
        assert np.array_equal(step.frame, pixels[step.index])
        assert np.array_equal(step.next_frame, pixels[step.index + 1])
    with DatasetWriter(tmp_path / "out", info_for(MINERL, environment="minerl", stage="s0")) as writer:
        writer.append(trajectory)
    assert_same(Dataset(tmp_path / "out")[0], trajectory)


def test_a_recording_may_end_without_the_frame_after_the_last_action(tmp_path):
    episode(tmp_path / "ep1", frames=3)
    assert read(tmp_path)[0].steps[-1].next_frame is None


def test_defaults_serve_every_episode_that_does_not_say_otherwise(tmp_path):
    episode(tmp_path / "b", meta=None)
    episode(tmp_path / "a", meta={"task": "dig_down", "seed": 8})
    (tmp_path / "defaults.json").write_text(json.dumps(META))
    assert [(one.id, one.task, one.seed) for one in read(tmp_path)] == [("a", "dig_down", 8), ("b", "collect_wood", 7)]


def test_a_bad_line_costs_its_step_and_the_one_that_needs_it(tmp_path):
    episode(tmp_path / "ep1", lines=[LINES[0], {"keys": ["fly"]}, LINES[1], LINES[2]], frames=5)
    with pytest.raises(DatasetError, match=r"ep1/episode.jsonl:2: 'fly' is not a key of 'minerl'.*Keys: forward"):
        read(tmp_path)
    skipped = []
    (trajectory,) = read(tmp_path, skipped)
    assert [step.index for step in trajectory.steps] == [0, 3]
    assert trajectory.steps[1].previous_action == Action(camera=(0, 5))
    assert [entry.place for entry in skipped] == [str(tmp_path / "ep1" / "episode.jsonl:2")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ({"camera": [0, 0]}, '"keys": \\[\\]'),
        ({"keys": "forward"}, "`array`, got `str` - at `keys`; mend the line"),
        ({"keys": [1]}, "got `int` - at `keys"),
        ({"keys": [], "thought": None, "camera": [True, 2]}, "got `bool` - at `camera"),
        ({"keys": [], "camera": [0, 400]}, "<= 360.* at `camera"),
        ('{"keys": [], "camera": [0, ' + "9" * 400 + "]}", "Number out of range - at `camera"),
        ('{"keys": [], "reward": NaN}', "is not JSON"),
        ('{"keys": [], "reward": 1e999}', "is not JSON"),
        ('{"keys": [], "privileged": {"at": [NaN]}}', "is not JSON"),
        ('{"keys": [], "privileged": ' + '{"a":' * 100_000, "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ({"keys": ["inventory", "fly"]}, "'fly' is not a key"),
        ({"keys": [], "camera": [1]}, "length 2, got 1 - at `camera`"),
        ({"keys": [], "camera": ["1", 2]}, "got `str` - at `camera"),
        ('{"keys": [], "camera": [NaN, 2]}', "is not JSON"),
        ({"keys": [], "kamera": [1, 2]}, "unknown field 'kamera'. Did you mean 'camera'"),
        ({"keys": [], "reward": True}, "got `bool` - at `reward`"),
        ({"keys": [], "thought": 3}, "got `int` - at `thought`"),
    ],
)
def test_bad_lines_are_named_with_the_fix(tmp_path, line, message):
    episode(tmp_path / "ep1", lines=[LINES[0], LINES[1], line])
    with pytest.raises(DatasetError, match=rf"episode.jsonl:3.* {message}"):
        read(tmp_path)


def spoil(folder, name):
    {
        "no frames": lambda: (folder / "frames.npz").unlink(),
        "bad npz": lambda: (folder / "frames.npz").write_bytes(b"PK\3\4"),
        "float frames": lambda: np.savez(folder / "frames.npz", frames=np.zeros((4, 8, 8, 3))),
        "few frames": lambda: np.savez(folder / "frames.npz", frames=np.zeros((2, 8, 8, 3), np.uint8)),
        "bad meta": lambda: (folder / "meta.json").write_text("{"),
        "no meta": lambda: (folder / "meta.json").unlink(),
        "seed": lambda: (folder / "meta.json").write_text(json.dumps({**META, "seed": "7"})),
        "space": lambda: (folder / "meta.json").write_text(json.dumps({**META, "action_space": "minrl"})),
        "field": lambda: (folder / "meta.json").write_text(json.dumps({**META, "taks": "x"})),
        "no lines": lambda: (folder / "episode.jsonl").write_text(""),
    }[name]()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("no frames", "neither of frames.npz and frames"),
        ("bad npz", "np.savez"),
        ("float frames", "must be uint8"),
        ("few frames", "3 steps and 2 frames"),
        ("bad meta", "meta.json is not JSON"),
        ("no meta", "lacks 'environment'.*defaults.json"),
        ("seed", "got `str` - at `seed`"),
        ("space", "Did you mean 'minerl'"),
        ("field", "unknown field 'taks'. Did you mean 'task'"),
        ("no lines", "0 steps and 4 frames"),
    ],
)
def test_a_bad_episode_is_named_and_can_be_left_out(tmp_path, harm, message):
    episode(tmp_path / "bad")
    episode(tmp_path / "good")
    spoil(tmp_path / "bad", harm)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)
    skipped = []
    assert [one.id for one in read(tmp_path, skipped)] == ["good"]
    assert [entry.place for entry in skipped] == [str(tmp_path / "bad")]


def test_images_must_be_rgb_of_one_size(tmp_path):
    episode(tmp_path / "ep1", packed=False)
    image = tmp_path / "ep1" / "frames" / "000001.png"
    Image.new("L", (8, 8)).save(image)
    with pytest.raises(DatasetError, match=r"000001.png is of mode L; convert"):
        read(tmp_path)
    Image.new("RGB", (9, 8)).save(image)
    with pytest.raises(DatasetError, match=r"000001.png is \(8, 9\) and .*000000.png \(8, 8\)"):
        read(tmp_path)
    image.write_bytes(b"not a png")
    with pytest.raises(DatasetError, match=r"000001.png cannot be read.*write it again"):
        read(tmp_path)


def test_a_folder_without_episodes_and_an_unknown_importer_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no episode: a folder in it must hold episode.jsonl"):
        read(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'open-folder'"):
        IMPORTERS.get("open_folder")


def test_another_package_adds_an_importer_by_entry_point(monkeypatch):
    point = EntryPoint("mine", "rig.data.open_folder:OPEN_FOLDER", "rig.importers")
    monkeypatch.setattr("rig.registry.entry_points", lambda group: [point] if group == "rig.importers" else [])
    assert IMPORTERS.names() == ["mine", "open-folder"]
    assert IMPORTERS.get("mine").name == "open-folder"
