"""VPT's recordings become exact trajectories, with all that is peculiar about them: each in a test of its own."""

import json
import sys

import numpy as np
import pytest
from recording_makers import LOSSY, WALK, clip, clip_bytes, vpt_line, vpt_recording, walk
from test_data_lazy import Peak
from test_data_roundtrip import assert_same

from rig.actions import MINERL, NOOP
from rig.cli.main import main
from rig.data import Dataset, ImportReport, build_importer, load_report
from rig.data.importers.cursor import draw_cursor
from rig.data.importers.vpt_lines import DEGREES_PER_PIXEL
from rig.data.video_encoding import encode_video
from rig.errors import DatasetError, RigError
from rig.records import Lineage
from rig.stages import import_dataset


def read(source, skipped=None, **config):
    found = build_importer("vpt", config).trajectories(source, skipped=skipped)
    return [one.with_steps(tuple(one.steps)) for one in found]


def played(tmp_path, lines, **config):
    """Return the actions of a recording of these lines by their indices, and the report."""
    vpt_recording(tmp_path / "in" / "a", lines)
    importer, report = build_importer("vpt", config), ImportReport()
    (recording,) = importer.recordings(tmp_path / "in")
    trajectory = importer.read(recording, report, None)
    return {step.index: MINERL.format(step.action) for step in trajectory.steps}, report.counts


def test_a_recording_becomes_a_trajectory_and_survives_the_dataset(tmp_path):
    lines = [
        vpt_line(0, keys=WALK),
        vpt_line(1, keys=("w", "space"), buttons=(0,), dx=100, dy=-34),
        vpt_line(2),
        vpt_line(3, keys=("left.shift", "s")),
    ]
    pixels = vpt_recording(tmp_path / "in" / "10.0" / "cheeky-cornflower", lines, video=clip_bytes(5))
    (trajectory,) = read(tmp_path / "in")
    assert (trajectory.id, trajectory.task) == ("10.0_cheeky-cornflower", "obtain_diamond_pickaxe")
    assert (trajectory.environment, trajectory.setting, trajectory.success) == ("minerl", "manual", True)
    assert trajectory.lineage == Lineage(stage="s0", actor="vpt")
    steps = trajectory.steps
    assert [step.index for step in steps] == [0, 1, 3]
    assert [MINERL.format(step.action) for step in steps] == [
        "forward",
        "forward, jump, attack, camera:[-5,15]",
        "back, sneak",
    ]
    assert [step.previous_action for step in steps] == [NOOP, steps[0].action, steps[1].action]
    assert steps[0].instruction == "obtain a diamond pickaxe"
    assert steps[0].privileged == {
        "inventory": {"oak_planks": 123},
        "is_gui_open": False,
        "xpos": 841.364694513396,
        "ypos": 63.0,
        "zpos": 24.956354839537802,
        "yaw": -112.35006,
        "pitch": 8.099996,
    }
    pixels = clip(5)
    for step in steps:
        assert np.array_equal(step.frame, pixels[step.index])
        assert np.array_equal(step.next_frame, pixels[step.index + 1])
    dataset = import_dataset(tmp_path / "in", "vpt", tmp_path / "out")
    dataset.verify()
    assert_same(dataset[0], trajectory)
    assert load_report(tmp_path / "out").counts == {
        "steps": {"null action": 1},
        "turns": {"in all": 1, "rounded": 1},
        "degrees": {"pitch": 0.1},
    }


def test_pixels_are_degrees_and_a_slow_turn_is_a_turn(tmp_path):
    assert DEGREES_PER_PIXEL == 0.15
    found, counts = played(tmp_path, [vpt_line(tick, dx=10) for tick in range(60)], null_actions="keep")
    assert [found[index] for index in range(3)] == ["noop", "camera:[0,5]", "noop"]
    turned = sum(int(text.split(",")[1][:-1]) for text in found.values() if text != "noop")
    assert turned == 90 == 60 * 10 * 0.15
    assert counts["turns"] == {"in all": 60, "rounded": 60}
    assert counts.get("degrees", {"yaw": 0})["yaw"] < 1e-6


@pytest.mark.parametrize(("version", "turn"), [("6.9", 60), ("5.7", 15), ("6.13", 30), (None, 30)])
def test_the_mouse_in_a_menu_is_scaled_by_the_recorders_version(tmp_path, version, turn):
    lines = [vpt_line(0, dx=200, gui=True), vpt_line(1, dx=200)]
    config = {"version": version} if version else {}
    assert played(tmp_path, lines, **config)[0] == {0: f"camera:[0,{turn}]", 1: "camera:[0,30]"}


def test_the_version_is_the_folders_name(tmp_path):
    for folder in ("6.9", "7.6", "elsewhere"):
        vpt_recording(tmp_path / folder / "a", [vpt_line(0, dx=100, gui=True)])
    found = {one.id: (MINERL.format(one.steps[0].action), one.task) for one in read(tmp_path)}
    assert found == {
        "6.9_a": ("camera:[0,30]", "play"),
        "7.6_a": ("camera:[0,15]", "play"),
        "elsewhere_a": ("camera:[0,15]", "play"),
    }


def test_attack_that_is_stuck_down_at_the_start_is_let_go_until_it_is_pressed(tmp_path):
    stuck = [vpt_line(0, keys=WALK, buttons=(0,), new=(0,))] + [
        vpt_line(tick, keys=WALK, buttons=(0,)) for tick in (1, 2)
    ]
    pressed = [vpt_line(3, keys=WALK, buttons=(0,), new=(0,)), vpt_line(4, keys=WALK, buttons=(0,))]
    found, counts = played(tmp_path, stuck + pressed)
    assert list(found.values()) == ["forward"] * 3 + ["forward, attack"] * 2
    assert counts["mended"] == {"attack that was stuck down": 3}


@pytest.mark.parametrize("new", [(), (1,), (0, 1)])
def test_attack_that_is_down_for_another_reason_is_attack(tmp_path, new):
    found, counts = played(tmp_path, [vpt_line(0, buttons=(0,), new=new), vpt_line(1, buttons=(0,))])
    assert list(found.values()) == ["attack", "attack"]
    assert "mended" not in counts


def test_a_change_of_the_hotbars_slot_is_its_key(tmp_path):
    lines = [vpt_line(tick, keys=WALK, slot=slot) for tick, slot in enumerate((4, 4, 8, 8, 0))]
    found, _ = played(tmp_path, lines)
    assert list(found.values()) == ["forward", "forward", "forward, hotbar.9", "forward", "forward, hotbar.1"]


def test_versions_that_do_not_track_the_hotbar_have_its_keys_alone(tmp_path):
    lines = [vpt_line(0, keys=("3",), hotbar="absent"), vpt_line(1, keys=("9", "w"), hotbar="absent")]
    assert list(played(tmp_path, lines)[0].values()) == ["hotbar.3", "forward, hotbar.9"]


def test_escape_closes_a_menu_and_is_itself_elsewhere(tmp_path):
    """Held for two ticks each time, over which the menu closes, and opens."""
    esc = ("escape",)
    lines = [vpt_line(0, keys=("e",)), vpt_line(1, keys=("e",), gui=True)]
    lines += [vpt_line(2, keys=esc, gui=True), vpt_line(3, keys=esc), vpt_line(4, keys=WALK)]
    lines += [vpt_line(5, keys=esc), vpt_line(6, keys=esc, gui=True), vpt_line(7, keys=WALK, gui=True)]
    lines += [vpt_line(8, keys=esc)]
    found, counts = played(tmp_path, lines)
    assert list(found.values()) == [*["inventory"] * 4, "forward", "ESC", "ESC", "forward", "inventory"]
    assert counts["mended"]["escape that closes a menu"] == 3


def test_what_the_space_has_no_key_for_is_counted_and_the_rest_is_kept(tmp_path):
    lines = [
        vpt_line(0, keys=("w", "f", "left.alt")),
        vpt_line(1, keys=("f3",), buttons=(1, 2)),
        vpt_line(2, keys=("f",), buttons=(4,)),
    ]
    found, counts = played(tmp_path, lines)
    assert found == {0: "forward", 1: "use"}
    assert counts["keys"] == {
        "swapHands": 2,
        "key.keyboard.left.alt": 1,
        "key.keyboard.f3": 1,
        "pickItem": 1,
        "mouse button 4": 1,
    }
    assert counts["steps"] == {"null action": 1}


def test_null_actions_are_dropped_or_kept(tmp_path):
    lines = [vpt_line(0), vpt_line(1, keys=WALK), vpt_line(2), vpt_line(3, dx=3), vpt_line(4, keys=("q",))]
    vpt_recording(tmp_path / "a", lines)
    (dropped,), (kept,) = read(tmp_path), read(tmp_path, null_actions="keep")
    assert [step.index for step in dropped.steps] == [1, 4]
    assert [MINERL.format(step.previous_action) for step in dropped.steps] == ["noop", "forward"]
    assert np.array_equal(dropped.steps[0].next_frame, clip(5)[2]), "what came of it, though that tick is no step"
    assert [step.index for step in kept.steps] == [0, 1, 2, 3, 4]
    assert MINERL.format(kept.steps[4].previous_action) == "noop"
    with pytest.raises(RigError, match="`null_actions`"):
        read(tmp_path, null_actions="some")


def test_a_recording_of_null_actions_alone_is_no_fault_and_is_counted(tmp_path):
    vpt_recording(tmp_path / "in" / "a", [vpt_line(0), vpt_line(1)])
    vpt_recording(tmp_path / "in" / "b", walk(2))
    dataset = import_dataset(tmp_path / "in", "vpt", tmp_path / "out")
    report = load_report(tmp_path / "out")
    assert (dataset.ids, report.episodes_left_out, report.left_out) == (["b"], 0, ())
    assert report.counts["segments"] == {"null actions alone": 1}
    assert [one.id for one in read(tmp_path / "in")] == ["b"]
    vpt_recording(tmp_path / "idle" / "a", [vpt_line(0), vpt_line(1)])
    with pytest.raises(RigError, match=r"holds no trajectory that the importer 'vpt' can read$"):
        import_dataset(tmp_path / "idle", "vpt", tmp_path / "none")


def test_ticks_that_are_dropped_and_doubled(tmp_path):
    lines = [vpt_line(tick, keys=WALK) for tick in (0, 1, 1, 2, 5, 6, 3)]
    vpt_recording(tmp_path / "a", lines, video=clip_bytes(8))
    report, importer = ImportReport(), build_importer("vpt")
    trajectory = importer.read(next(importer.recordings(tmp_path)), report, None)
    steps = {step.index: step for step in trajectory.steps}
    shown = {index: step.next_frame for index, step in steps.items()}
    assert list(steps) == [0, 1, 3, 4, 5, 6]
    for index, following in {0: 1, 1: 3, 3: None, 4: 5, 5: None, 6: 7}.items():
        assert (shown[index] is None) == (following is None), index
        assert following is None or np.array_equal(shown[index], clip(8)[following])
    assert report.counts["ticks"]["doubled"] == 1
    assert (report.counts["ticks"]["dropped"], report.counts["ticks"]["out of order"]) == (2, 1)


def test_the_servers_ticks_are_counted_and_change_nothing(tmp_path):
    lines = [vpt_line(tick, keys=WALK, serverTick=9 + server) for tick, server in enumerate((0, 0, 3, 4))]
    found, counts = played(tmp_path, lines)
    assert len(found) == 4
    assert counts["ticks"] == {"server stood still": 1, "server caught up": 2}
    bare = [vpt_line(tick, keys=WALK, tick="absent", serverTick="absent") for tick in range(3)]
    vpt_recording(tmp_path / "bare" / "a", bare)
    assert all(step.next_frame is not None for step in read(tmp_path / "bare")[0].steps[:-1])


def test_a_mouse_or_keyboard_that_is_null_pressed_nothing(tmp_path):
    lines = [vpt_line(0, keys=WALK, mouse=None), vpt_line(1, keyboard=None, buttons=(0,))]
    found, counts = played(tmp_path, lines)
    assert list(found.values()) == ["forward", "attack"]
    assert counts["mended"] == {"mouse or keyboard that was recorded as null": 2}


@pytest.mark.parametrize(("height", "width"), [(360, 640), (720, 1280)])
def test_a_cursor_is_drawn_where_the_mouse_is_while_a_menu_is_open(tmp_path, height, width):
    grey = np.full((3, height, width, 3), 90, np.uint8)
    lines = [
        vpt_line(0, keys=WALK),
        vpt_line(1, buttons=(0,), gui=True, at=(274.0, 338.0)),
        vpt_line(2, buttons=(0,), gui=True, at=(1279.0, 719.0)),
    ]
    vpt_recording(tmp_path / "a", lines, video=encode_video(grey, 20, LOSSY))
    (trajectory,) = read(tmp_path)
    plain, menu, corner = (np.abs(step.frame.astype(int) - 90).max(2) > 20 for step in trajectory.steps)
    size = 16 * height // 360
    top, left = 338 * height // 720, 274 * height // 720
    assert not plain.any()
    rows, columns = np.nonzero(menu)
    assert (rows.min(), columns.min()) == (top, left), "the tip is where the mouse is"
    assert size * 0.8 <= rows.max() - top + 1 <= size
    assert columns.max() - left + 1 <= size
    assert menu[top : top + size, left : left + size].mean() > 0.2
    assert corner[-1, -1]
    assert np.array_equal(trajectory.steps[0].next_frame, trajectory.steps[1].frame)
    (bare,) = read(tmp_path, cursor=False)
    assert np.abs(bare.steps[1].frame.astype(int) - 90).max() <= 20


@pytest.mark.parametrize("at", [(-1, 3), (3, -1), (16, 3), (3, 12), (10**9, 0)])
def test_a_cursor_outside_is_not_drawn(at):
    frame = np.zeros((12, 16, 3), np.uint8)
    draw_cursor(frame, *at)
    assert not frame.any()


def index_of(tmp_path, relpaths, basedir="https://example.org/data/"):
    path = tmp_path / "in" / "all_8xx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"basedir": basedir, "relpaths": relpaths}))
    return path


def test_an_index_says_what_there_is_in_which_order_and_what_is_missing_is_counted(tmp_path):
    vpt_recording(tmp_path / "in" / "8.0" / "b", walk(2))
    vpt_recording(tmp_path / "in" / "a", walk(3))
    vpt_recording(tmp_path / "in" / "8.0" / "not-listed", walk(2))
    index = index_of(tmp_path, ["8.0/b", "8.0/gone", "9.1/a", "9.1/gone"])
    dataset = import_dataset(index, "vpt", tmp_path / "out")
    assert [(one.id, one.task, len(one.steps)) for one in dataset] == [
        ("8.0_b", "build_house", 2),
        ("9.1_a", "build_house", 3),
    ]
    assert load_report(tmp_path / "out").counts["segments"] == {"listed and not here": 2}
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({"basedir": "in", "relpaths": ["8.0/b"], "more": 1}))
    assert [one.id for one in read(elsewhere)] == ["8.0_b"]


@pytest.mark.parametrize(
    ("relpaths", "message"),
    [
        (["../in/a"], "lists '../in/a', which leads out of its folder"),
        (["/etc/passwd"], "which leads out"),
        (["a\0b"], "which leads out"),
        (["."], "which leads out"),
        (["x" * 999], "cannot be read .*File name too long.*; give an index file"),
        (["8.0/gone"], "lists 1 recordings, and none of them is in .*in$"),
        ("a", "got `str` - at `relpaths`; give an index file"),
        ([7], "got `int`"),
    ],
)
def test_an_index_that_is_none_is_named(tmp_path, relpaths, message):
    vpt_recording(tmp_path / "in" / "a", walk(1))
    with pytest.raises(DatasetError, match=message):
        read(index_of(tmp_path, relpaths))
    with pytest.raises(DatasetError, match=r"a.mp4 is not JSON .*give an index file, with basedir"):
        read(tmp_path / "in" / "a.mp4")


def test_a_bad_line_costs_its_step_and_the_one_behind(tmp_path):
    long = json.dumps(vpt_line(3, keys=WALK, stats={"x": "y" * (1 << 20)}))
    lines = [*walk(2), "{not json", *[vpt_line(tick, keys=WALK) for tick in (3, 4)], long, vpt_line(6, keys=WALK)]
    lines += [vpt_line(7, keys=WALK, hotbar=9), vpt_line(8, keys=WALK), vpt_line(9, keys=WALK)]
    vpt_recording(tmp_path / "in" / "a", lines)
    with pytest.raises(DatasetError, match=r"a.jsonl:3 is not JSON"):
        read(tmp_path / "in")
    skipped = []
    dataset = import_dataset(tmp_path / "in", "vpt", tmp_path / "out", skipped=skipped)
    assert [step.index for step in dataset[0].steps] == [0, 1, 4, 9]
    assert [entry.place.split(":")[-1] for entry in skipped] == ["3", "6", "8"]
    assert "longer than 1048576 bytes" in skipped[1].reason
    assert "<= 8 - at `hotbar`" in skipped[2].reason
    assert load_report(tmp_path / "out").counts["steps"] == {"malformed line": 3, "unknown previous action": 3}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "Expected `object`, got `array`"),
        ({"keyboard": {"keys": []}}, "missing required field `mouse`"),
        (vpt_line(0, dx=2401), "at `mouse.dx`"),
        (vpt_line(0, dx=float("nan")), "is not JSON"),
        (vpt_line(0, keys=["x" * 300]), "at `keyboard.keys"),
        (vpt_line(0, buttons=["left"]), "at `mouse.buttons"),
        (vpt_line(0, inventory=[{"type": "dirt"}]), "missing required field `quantity` - at `inventory"),
        (vpt_line(-1), "at `tick`"),
        (vpt_line(0, isGuiOpen=1), "at `isGuiOpen`"),
    ],
)
def test_bad_lines_are_named_with_file_and_line(tmp_path, line, message):
    vpt_recording(tmp_path / "a", [vpt_line(0, keys=WALK), line])
    with pytest.raises(DatasetError, match=rf"a.jsonl:2.*{message}.*fetch the recording once more"):
        read(tmp_path)


def test_parts_of_recordings_that_are_missing_or_short(tmp_path):
    for name in ("no-video", "no-actions", "short", "long", "empty", "good"):
        vpt_recording(tmp_path / "in" / name, walk(3))
    (tmp_path / "in" / "no-video.mp4").unlink()
    (tmp_path / "in" / "no-actions.jsonl").unlink()
    (tmp_path / "in" / "short.mp4").write_bytes(clip_bytes(2))
    (tmp_path / "in" / "long.mp4").write_bytes(clip_bytes(7))
    (tmp_path / "in" / "empty.jsonl").write_bytes(b"")
    skipped = []
    dataset = import_dataset(tmp_path / "in", "vpt", tmp_path / "out", skipped=skipped)
    assert {one.id: len(one.steps) for one in dataset} == {"good": 3, "long": 3, "short": 2}
    assert [entry.reason.split(";")[0].split("/")[-1] for entry in skipped] == [
        "empty.jsonl has no step that can be used",
        "no-actions.jsonl is missing: a recording is a video and its actions",
        "no-video.mp4 is missing: a recording is a video and its actions",
    ]
    counts = load_report(tmp_path / "out").counts
    assert (counts["steps"], counts["frames"]) == ({"no frame": 1}, {"without a line": 3})
    with pytest.raises(DatasetError, match=r"has no recording: NAME.mp4 and NAME.jsonl"):
        read(tmp_path / "none")


def test_a_recording_as_it_comes_is_brought_to_the_frame_size_by_one_command(tmp_path, capsys):
    frames = np.repeat(np.arange(4, dtype=np.uint8) * 60, 360 * 640 * 3).reshape(4, 360, 640, 3)
    vpt_recording(tmp_path / "in" / "a", walk(4), video=encode_video(frames, 20, LOSSY))
    command = ["import", "--importer", "vpt", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    words = ["task=walk", "instruction=walk on", "success=false"]
    assert main([*command, "--frame-size", "144", "144", "--importer-config", *words]) == 0
    (found,) = Dataset(tmp_path / "out")
    assert (found.task, found.success, found.steps[0].instruction) == ("walk", False, "walk on")
    for step in found.steps:
        assert step.frame.shape == (144, 144, 3)
        assert np.abs(step.frame[40:100].astype(int) - 60 * step.index).max() <= 3
    assert capsys.readouterr().out.splitlines()[-1] == "imported 1 of 1 episodes, 4 steps"


def test_without_the_extra_nothing_is_left_out_for_it_and_the_command_is_said(tmp_path, monkeypatch, capsys):
    vpt_recording(tmp_path / "in" / "a", walk(2))
    monkeypatch.setitem(sys.modules, "av", None)
    command = ["import", "--importer", "vpt", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main([*command, "--skip-bad"]) == 2
    assert "Install it: pip install 'rig-agent[video]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_long_recording_is_imported_with_few_frames_in_memory(tmp_path):
    steps, height, width = 70, 96, 96
    flat = np.repeat(np.arange(steps, dtype=np.uint8), height * width * 3).reshape(-1, height, width, 3)
    vpt_recording(tmp_path / "in" / "a", walk(steps), video=encode_video(flat, 20))
    del flat
    with Peak() as peak, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rig.data.frames.GROUP_BYTES", 3 * height * width * 3)
        assert import_dataset(tmp_path / "in", "vpt", tmp_path / "out").num_steps == steps
    assert peak.bytes < 30 * height * width * 3
