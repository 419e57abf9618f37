"""Recordings of episodes, read back by Rerun's own reader: `make rerun` installs it; skipped where it is not there."""

import io
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from rig.actions import CRAFTER, Action
from rig.cli.main import main
from rig.data import DatasetInfo, DatasetWriter
from rig.errors import RigError
from rig.records import Plan, Review, fake_trajectory
from rig.viewer import recording

needs_rerun = pytest.mark.skipif(find_spec("rerun") is None, reason="needs rerun-sdk: make rerun")


def rows_of(path):
    """Return what a recording holds, in the order of its decisions: {place: [(decision, values), ...]}."""
    found = {}
    for chunk in import_module("rerun.chunk").RrdReader(path).stream():
        batch = chunk.to_record_batch()
        if recording.DECISION not in batch.schema.names:
            continue
        kept = [name for name in batch.schema.names if name != "log_time"]  # in nanoseconds, which Python lacks
        for row in batch.select(kept).to_pylist():
            values = [value[0] for name, value in row.items() if ":" in name and value]
            times = tuple(row[name] for name in (recording.DECISION, recording.EPISODE, recording.STEP))
            found.setdefault(chunk.entity_path, []).append((times, values))
    return {place: sorted(rows, key=lambda row: row[0]) for place, rows in found.items()}


def texts_of(rows, place):
    return {times[0]: values[0] for times, values in rows.get(place, ()) if isinstance(values[0], str)}


def frames_of(rows, place):
    """Return the pictures that stand at a place, by their decisions."""
    data = {times[0]: [value for value in values if isinstance(value, list | bytes)] for times, values in rows[place]}
    return {decision: np.asarray(Image.open(io.BytesIO(bytes(value[0])))) for decision, value in data.items() if value}


def cleared_at(rows, place):
    return {times[0] for times, values in rows[place] if values == [True]}


def several_plans(step):
    plans = (
        Plan(thought="1. I walk.", action=Action.press("use"), dreams=step.dreams, score=-1.5, votes=3),
        Plan(thought=None, action=Action.press("move_left"), dreams=step.dreams[:1], judgement="2 lost"),
    )
    return replace(step, review=None).with_plans(plans, 1)


@needs_rerun
def test_everything_of_every_decision_is_on_the_timeline(tmp_path):
    first, second = fake_trajectory(1, length=2, num_dreams=2), fake_trajectory(2, length=1)
    looked, chose = first.steps
    looked = replace(looked, review=Review(thought="1. I keep it.", action=looked.action))
    first = replace(first, steps=(looked, several_plans(chose)), success=True)
    assert recording.write_recording(tmp_path / "a.rrd", [first, second], title="two") == 3
    rows = rows_of(tmp_path / "a.rrd")
    assert [times for times, _ in rows["/observed"]] == [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 1, 0), (4, 1, 1)]
    observed = frames_of(rows, "/observed")
    wanted = (looked.frame, chose.frame, chose.next_frame, second.steps[0].frame, second.steps[0].next_frame)
    assert all(np.array_equal(observed[number], frame) for number, frame in enumerate(wanted))
    for number, dream in enumerate(looked.dreams, 1):
        assert np.array_equal(frames_of(rows, f"/dreams/{number}")[0], dream.frame)
    assert cleared_at(rows, "/dreams") == {0, 1, 2, 3, 4}, "no dream stays beside another decision"
    assert {times[0] for times, values in rows["/dreams/2"] if not values} == {1, 2, 3, 4}
    assert texts_of(rows, "/thought")[0] == looked.dreams[0].thought
    assert texts_of(rows, "/review") == {0: "1. I keep it."}
    assert texts_of(rows, "/plans/2/judgement") == {1: "2 lost"}
    assert texts_of(rows, "/plans/2/said") == {1: "move left (chosen)\n\n2 lost"}
    assert rows["/plans/1/score"] == [((1, 0, 1), [-1.5])]
    assert rows["/plans/1/votes"] == [((1, 0, 1), [3.0])]
    assert np.array_equal(frames_of(rows, "/plans/1")[1], chose.dreams[-1].frame)
    assert rows["/success"] == [((2, 0, 2), [1.0]), ((4, 1, 1), [float(second.success)])]
    assert [value for _, (value,) in rows["/reward"]] == [step.reward for step in (looked, chose, *second.steps)]
    assert set(texts_of(rows, "/action")) == {0, 1, 3}
    assert {"success", f"review: {looked.review.thought}"} <= {text for _, (text, *_) in rows["/log"]}
    stores = import_module("rerun.chunk").RrdReader(tmp_path / "a.rrd")
    assert len(stores.recordings()) == len(stores.blueprints()) == 1


@needs_rerun
def test_texts_of_any_kind_and_frames_of_any_shape_are_kept(tmp_path):
    (step,) = fake_trajectory(3, length=1, num_dreams=1).steps
    wide = np.random.default_rng(0).integers(0, 255, (36, 64, 3), np.uint8)
    odd = replace(step, frame=wide, next_frame=None, instruction="\ud800é", dreams=(), thought="x" * 200_000)
    assert recording.write_recording(tmp_path / "a.rrd", [replace(fake_trajectory(3, length=1), steps=(odd,))]) == 1
    rows = rows_of(tmp_path / "a.rrd")
    assert np.array_equal(frames_of(rows, "/observed")[1], wide)
    assert texts_of(rows, "/instruction")[0] == "?é"
    assert len(texts_of(rows, "/thought")[0]) == 100_000


@needs_rerun
def test_nothing_is_left_where_nothing_is_whole(tmp_path, monkeypatch):
    empty = replace(fake_trajectory(0, length=1), steps=())
    with pytest.raises(RigError, match="no step to show"):
        recording.write_recording(tmp_path / "a.rrd", [empty])
    streams = import_module("rerun").RecordingStream
    monkeypatch.setattr(streams, "disconnect", lambda self: None)  # the end of the file is never written
    with pytest.raises(RigError, match="not whole"):
        recording.write_recording(tmp_path / "a.rrd", [fake_trajectory(0, length=1)])
    assert list(tmp_path.iterdir()) == []


@needs_rerun
def test_verbs_write_one_beside_the_page(tmp_path, capsys):
    data, out, file = tmp_path / "data", tmp_path / "page.html", tmp_path / "a.rrd"
    info = DatasetInfo(name="d", stage="s2", environment="crafter", action_space=CRAFTER, frame_size=(32, 32))
    with DatasetWriter(data, info) as writer:
        writer.append(fake_trajectory(0, length=2))
    assert main(["view", "--data", str(data), "--out", str(out), "--rerun", str(file)]) == 0
    assert f"{file}: 2 decisions" in capsys.readouterr().out
    assert len(frames_of(rows_of(file), "/observed")) == 3
    words = ("play", "--agent", "teacher:crafter", "--tasks", "place_table/tool", "--out", str(tmp_path / "p.html"))
    assert main([*words, "--rerun", str(tmp_path / "played.rrd"), "--quiet"]) == 0
    assert rows_of(tmp_path / "played.rrd")["/success"][-1][1] == [1.0]


def test_what_cannot_be_written_is_told_before_anything_is_done(tmp_path, capsys, monkeypatch):
    words = ("view", "--data", str(tmp_path), "--out", str(tmp_path / "page.html"), "--rerun")
    assert main([*words, str(tmp_path / "a.mp4")]) == 2
    assert "a recording of Rerun's ends with .rrd" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main([*words, str(tmp_path / "a.rrd")]) == 2
    assert "pip install 'rig-agent[rerun]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
