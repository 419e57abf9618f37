"""What an import lost: counted while it streams, true of the whole set however often it was killed, told in a line."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from test_data_importers import LINES, episode

from rig.cli.main import main
from rig.data import Dataset, load_report
from rig.errors import DatasetError
from rig.stages import Opening, import_dataset

SLOW = [{"keys": [], "camera": [1, 2]}] * 3
LONG = [*LINES, {"keys": ["fly"]}, *LINES, {"keys": [], "thought": "human: x"}]
PLACES = ["episode.jsonl:4", "trajectory 'b', step 7", "c"]


def recordings(folder):
    """Three episodes: one good, one with lines that are left out, one without frames."""
    episode(folder / "a", lines=SLOW, frames=3)
    episode(folder / "b", lines=LONG, frames=len(LONG))
    episode(folder / "c")
    (folder / "c" / "frames.npz").unlink()
    return folder


def read(folder):
    return json.loads((folder / "imported.json").read_text())


def test_what_was_lost_is_counted_kept_and_told_in_the_last_line(tmp_path, capsys):
    source = recordings(tmp_path / "in")
    assert main(["import", "--source", str(source), "--out", str(tmp_path / "out"), "--skip-bad"]) == 0
    told = capsys.readouterr().out.splitlines()[-1]
    report = read(tmp_path / "out")
    assert (report["episodes"], report["episodes_left_out"], report["steps"]) == (2, 1, 8)
    assert report["counts"] == {
        "steps": {"malformed line": 1, "no conversation can hold it": 1, "unknown previous action": 1},
        "turns": {"in all": 7, "rounded": 7},
        "degrees": {"pitch": 3.6, "yaw": 1.4},
    }
    assert report["most_degrees"] == 2
    assert told.startswith("imported 2 of 3 episodes, 8 steps; steps left out: 1 malformed line, 1 ")
    assert "turns of the camera: 7 in all, 7 rounded; degrees of turns lost: 3.6 pitch, 1.4 yaw; of one" in told
    assert [fault["place"].split("/")[-1] for fault in report["left_out"]] == PLACES
    found = Dataset(tmp_path / "out")
    found.verify()
    assert sum(len(one.steps) for one in found) == report["steps"]
    assert json.loads(json.dumps(asdict(load_report(tmp_path / "out")))) == report


def test_an_import_that_is_killed_and_resumed_reports_of_the_whole_set(tmp_path):
    """Killed while the last of four episodes is written, three of them in shards; and before all is called complete."""
    source = recordings(tmp_path / "in")
    for name in ("d", "e"):
        episode(source / name, lines=SLOW, frames=3)
    import_dataset(source, "open-folder", tmp_path / "whole", skipped=[])
    for killed in ("note", "finalize"):
        code = KILLED.format(source=str(source), out=str(tmp_path / killed), killed=killed)
        ended = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent)
        assert ended.returncode == -signal.SIGKILL
        assert (tmp_path / killed / "imported.json").exists() == (killed == "finalize")
        import_dataset(source, "open-folder", tmp_path / killed, opening=Opening(resume=True), skipped=[])
        assert read(tmp_path / killed) == read(tmp_path / "whole")
        assert Dataset(tmp_path / killed).ids == ["a", "b", "d", "e"]


KILLED = """
import os, signal
from rig.data import DatasetWriter
from rig.data.importers.report import ImportLog
from rig.stages import import_dataset
owner = DatasetWriter if {killed!r} == "finalize" else ImportLog
before, noted = getattr(owner, {killed!r}), []
def killing(self, *given):
    noted.append(given)
    if {killed!r} != "note" or given[0].id == "e":
        os.kill(os.getpid(), signal.SIGKILL)
    return before(self, *given)
setattr(owner, {killed!r}, killing)
from rig.data import writer
writer.DatasetWriter.__init__.__kwdefaults__["shard_steps"] = 3
import_dataset({source!r}, "open-folder", {out!r}, skipped=[])
"""


def test_a_mended_recording_is_told_of_no_longer(tmp_path):
    source = recordings(tmp_path / "in")
    import_dataset(source, "open-folder", tmp_path / "out", skipped=[])
    np.savez(source / "c" / "frames.npz", frames=np.zeros((3, 8, 8, 3), np.uint8))
    import_dataset(source, "open-folder", tmp_path / "out", opening=Opening(resume=True), skipped=[])
    report = load_report(tmp_path / "out")
    assert (report.episodes, report.episodes_left_out, report.steps) == (3, 0, 11)
    assert [fault.place.split("/")[-1] for fault in report.left_out] == PLACES[:2]


def test_an_import_by_an_earlier_version_is_said_to_be_unknown(tmp_path):
    source = recordings(tmp_path / "in")
    import_dataset(source, "open-folder", tmp_path / "out", skipped=[])
    (tmp_path / "out" / "imported.jsonl").unlink()
    (tmp_path / "out" / "imported.json").unlink()
    with pytest.raises(DatasetError, match=r"imported\.json is missing: .*import it again"):
        load_report(tmp_path / "out")
    import_dataset(source, "open-folder", tmp_path / "out", opening=Opening(resume=True), skipped=[])
    report = load_report(tmp_path / "out")
    assert (report.episodes, report.episodes_unknown, report.steps, report.counts) == (2, 2, 0, {})
    assert "nothing is known of 2 episodes" in report.text()


def test_another_import_in_its_place_has_its_own_report(tmp_path):
    source = recordings(tmp_path / "in")
    import_dataset(source, "open-folder", tmp_path / "out", skipped=[])
    episode(tmp_path / "other" / "a")
    import_dataset(tmp_path / "other", "open-folder", tmp_path / "out", opening=Opening(overwrite=True))
    report = load_report(tmp_path / "out")
    assert (report.episodes, report.episodes_left_out, report.left_out) == (1, 0, ())
    assert len((tmp_path / "out" / "imported.jsonl").read_text().splitlines()) == 1


def test_a_failed_import_has_no_report_of_the_whole(tmp_path):
    source = recordings(tmp_path / "in")
    with pytest.raises(DatasetError, match=r"episode.jsonl:4"):
        import_dataset(source, "open-folder", tmp_path / "out")
    assert not (tmp_path / "out" / "imported.json").exists()
    assert Dataset(tmp_path / "out", allow_incomplete=True).ids == ["a"]
