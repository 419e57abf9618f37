"""S0: recorded play becomes exact trajectories; what is malformed is named by file and line, and can be left out."""

import json
import re
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from PIL import Image
from test_data_lazy import Peak
from test_data_roundtrip import assert_same, info_for

from rig.actions import MINERL, NOOP, Action
from rig.cli.main import main
from rig.data import IMPORTERS, Dataset, DatasetWriter, build_importer
from rig.data.importers.recorded_frames import open_frames
from rig.errors import DatasetError, RigError, UnknownNameError
from rig.lazy import lazily
from rig.records import Lineage
from rig.stages import import_dataset

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
    found = build_importer("open-folder").trajectories(source, skipped=skipped)
    return [one.with_steps(tuple(one.steps)) for one in found]


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


def test_images_must_be_rgb(tmp_path):
    episode(tmp_path / "ep1", packed=False)
    image = tmp_path / "ep1" / "frames" / "000001.png"
    Image.new("L", (8, 8)).save(image)
    with pytest.raises(DatasetError, match=r"000001.png is of mode L; convert"):
        read(tmp_path)
    image.write_bytes(b"not a png")
    with pytest.raises(DatasetError, match=r"000001.png cannot be read.*write it again"):
        read(tmp_path)


def test_a_folder_without_episodes_and_an_unknown_importer_are_named(tmp_path):
    with pytest.raises(DatasetError, match=r"no episode: a folder in it must hold episode.jsonl"):
        read(tmp_path)
    with pytest.raises(UnknownNameError, match="Did you mean 'open-folder'"):
        IMPORTERS.get("open_folder")


def test_frames_are_those_of_the_array_in_whatever_order_they_are_asked_for_and_stored(tmp_path):
    pixels = episode(tmp_path / "a")
    for save in (np.savez, np.savez_compressed):
        for stored in (pixels, np.asfortranarray(pixels)):
            save(tmp_path / "a" / "frames.npz", frames=stored)
            frames = open_frames(tmp_path / "a")
            for index in (2, 0, 0, 3, -1, 1):
                assert np.array_equal(frames[index], pixels[index])
                assert not frames[index].flags.writeable
            assert np.array_equal(np.stack(list(frames)), pixels)
    (tmp_path / "a" / "frames.npz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"frames.npz cannot be read.*np.savez"):
        open_frames(tmp_path / "a")


def test_a_recording_of_any_length_is_imported_with_few_frames_in_memory(tmp_path, monkeypatch):
    length, size = 60, 96
    monkeypatch.setattr("rig.data.frames.GROUP_BYTES", 3 * size * size * 3)
    for name, packed in (("npz", True), ("png", False)):
        episode(tmp_path / name / "ep", lines=[LINES[1]] * length, frames=length + 1, packed=packed, size=size)
        with Peak() as peak:
            found = import_dataset(tmp_path / name, "open-folder", tmp_path / "out" / name)
        assert found.num_steps == length
        held = found[0].with_steps(tuple(found[0].steps[:2]))
        assert peak.bytes < 30 * size * size * 3, name
    assert np.array_equal(held.steps[0].next_frame, held.steps[1].frame)
    assert Dataset(tmp_path / "out" / "png").content_hash == Dataset(tmp_path / "out" / "npz").content_hash


def resized_recording(tmp_path):
    """An episode of 8 x 8, one of 6 x 12, and one of images of which one is 4 x 4."""
    episode(tmp_path / "in" / "a")
    episode(tmp_path / "in" / "b")
    np.savez(tmp_path / "in" / "b" / "frames.npz", frames=np.full((4, 6, 12, 3), 200, np.uint8))
    episode(tmp_path / "in" / "c", packed=False)
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "in" / "c" / "frames" / "000002.png")
    return tmp_path / "in"


def test_frames_of_other_sizes_are_refused_by_name_and_brought_to_one_where_it_is_said(tmp_path, capsys):
    source = resized_recording(tmp_path)
    with pytest.raises(DatasetError, match=r"'b', step 0: a frame is uint8 \[6, 12, 3\] .* --frame-size 8 8` does"):
        import_dataset(source, "open-folder", tmp_path / "strict")
    skipped = []
    assert import_dataset(source, "open-folder", tmp_path / "some", skipped=skipped).ids == ["a"]
    assert [(one.place, "[4, 4, 3]" in one.reason) for one in skipped] == [
        ("trajectory 'b'", False),
        ("trajectory 'c'", True),
    ]
    command = ["import", "--source", str(source), "--out", str(tmp_path / "out"), "--frame-size", "32", "48"]
    assert main(command) == 0
    found = Dataset(tmp_path / "out")
    assert (found.ids, found.info.frame_size, found.info.config["frame_size"]) == (["a", "b", "c"], (32, 48), [32, 48])
    found.verify()
    wide, small = found["b"].steps[0].frame, found["c"].steps[1].next_frame
    assert (wide[4:28] == 200).all()
    assert (wide[:4] == 127).all(), "its proportions are kept, and the rest is filled"
    assert (small[:, 8:40] == 9).all()
    assert (small[:, 40:] == 127).all()
    same = import_dataset(source, "open-folder", tmp_path / "same", frame_size=(8, 8), skipped=[])
    assert_same(same["a"], read(source, [])[0])
    for size in ((0, 8), (8, -1), (8, 9000)):
        with pytest.raises(RigError, match=rf"frames of {size[0]} x {size[1]}: give a height and a width of 1 to 8192"):
            import_dataset(source, "open-folder", tmp_path / "none", frame_size=size, skipped=[])
    assert not (tmp_path / "none").exists()


def test_an_importer_without_options_refuses_them(tmp_path):
    with pytest.raises(RigError, match="'open-folder' takes no configuration, and was given every; leave it out"):
        import_dataset(tmp_path, "open-folder", tmp_path / "out", importer_config={"every": 2})


OUTSIDE = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from rig.actions import Action
from rig.data import Importer
from rig.lazy import Lazy
from rig.records import Lineage, Step, Trajectory
from rig.validation import Meta


@dataclass(frozen=True, kw_only=True)
class Choices:
    task: str
    every: Annotated[int, Meta(ge=1)] = 1


class Clips(Importer):
    name = "clips-1"
    Config = Choices

    def trajectories(self, source, *, skipped=None):
        for path in sorted(Path(source).glob("*.npy")):
            clip = np.load(path, mmap_mode="r")[:: self.config.every]

            def step(index, clip=clip):
                return Step(
                    index=index,
                    frame=np.array(clip[index]),
                    next_frame=np.array(clip[index + 1]),
                    instruction=self.config.task,
                    action=Action.press("forward"),
                )

            yield Trajectory(
                id=path.stem,
                environment="minerl",
                action_space="minerl",
                task=self.config.task,
                setting="manual",
                seed=0,
                success=True,
                samples=0,
                lineage=Lineage(stage="s0", actor=self.name),
                steps=Lazy(step, range(len(clip) - 1)),
            )
"""


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Another package's importer, and what it reads."""
    (tmp_path / "clips_package.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("clips", "clips_package:Clips", "rig.importers")
    monkeypatch.setattr("rig.registry.entry_points", lambda group: [point] if group == "rig.importers" else [])
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(2).integers(0, 256, (7, 8, 8, 3), np.uint8)
    np.save(tmp_path / "in" / "one.npy", pixels)
    return pixels


def test_another_package_adds_an_importer_that_takes_options(tmp_path, clips, capsys):
    assert {"clips", "open-folder"} <= set(IMPORTERS.names())
    command = ["import", "--source", str(tmp_path / "in"), "--importer", "clips", "--importer-config"]
    options = tmp_path / "options.json"
    options.write_text('{"task": "run", "every": 2}')
    for name, words in (("a", ["task=run", "every=2"]), ("b", [str(options)])):
        assert main([*command, *words, "--out", str(tmp_path / name)]) == 0
        dataset = Dataset(tmp_path / name)
        assert dataset.info.config["importer_config"] == {"task": "run", "every": 2}
        assert [one.task for one in dataset] == ["run"]
        assert np.array_equal(np.stack([step.frame for step in dataset[0].steps]), clips[:-1:2])
    again = ["--out", str(tmp_path / "a"), "--resume"]
    assert main([*command, "task=run", "every=3", *again]) == 2
    assert "importer_config.every: 2 there, 3 now" in capsys.readouterr().err
    assert main([*command, "task=run", "every=2", *again]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the configuration of the importer 'clips': .*missing required field `task`.*fields are task, every"),
        (["task=run", "evry=2"], "unknown field 'evry'. Did you mean 'every'"),
        (["task=run", "every=0"], ">= 1 - at `every`"),
        (["task=run", "every=two"], "got `str` - at `every`"),
        (["task=7"], "got `int` - at `task`"),
    ],
)
def test_options_are_checked_against_the_importers_config(tmp_path, clips, capsys, words, message):
    command = ["import", "--source", str(tmp_path / "in"), "--importer", "clips", "--out", str(tmp_path / "out")]
    assert main([*command, "--importer-config", *words]) == 2
    assert re.search(message, capsys.readouterr().err.replace("Object missing", "missing"))
    assert not (tmp_path / "out").exists()


def test_what_reading_a_step_raises_is_told_of_its_episode(tmp_path, clips):
    np.save(tmp_path / "in" / "two.npy", np.zeros((7, 8, 8, 3), np.uint8))
    config = {"task": "run"}
    importer = build_importer("clips", config)
    first, second = importer.trajectories(tmp_path / "in")
    assert (len(first.steps), len(second.steps)) == (6, 6)
    plain = import_dataset(tmp_path / "in", "clips", tmp_path / "plain", importer_config=config)

    class Failing(type(importer)):
        def trajectories(self, source, *, skipped=None):
            yield first
            yield second.with_steps(lazily(lambda step: step if step.index < 4 else step.frame[99], second.steps))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(IMPORTERS._entries, "failing", Failing)
        with pytest.raises(DatasetError, match=r"trajectory 'two' cannot be read \(index 99 .*mend the recording"):
            import_dataset(tmp_path / "in", "failing", tmp_path / "strict", importer_config=config)
        skipped = []
        found = import_dataset(tmp_path / "in", "failing", tmp_path / "out", importer_config=config, skipped=skipped)
    assert [entry.place for entry in skipped] == ["trajectory 'two'"]
    assert found.ids == ["one"]
    assert_same(found["one"], plain["one"])


def test_what_is_no_importer_is_refused(monkeypatch):
    for wrong in (build_importer("open-folder"), dict, 7):
        monkeypatch.setitem(IMPORTERS._entries, "wrong", wrong)
        with pytest.raises(RigError, match=r"the importer 'wrong' is .*inherits from rig\.data\.Importer"):
            build_importer("wrong")
