"""Recordings shared out among processes: the same dataset and report for any number, and a death costs one of them."""

import json
import os
import pickle
import signal

import numpy as np
import pytest
from test_data_importers import clips, episode  # noqa: F401 - a fixture
from test_import_report import LONG, SLOW, read, recordings

from rig.cli.main import main
from rig.data import IMPORTERS, Dataset
from rig.data.importers.open_folder import OpenFolderImporter
from rig.envs.spool import StepSpool
from rig.errors import RigError
from rig.records import fake_trajectory
from rig.stages import import_dataset


class Fragile(OpenFolderImporter):
    """Dies of one recording, as a decoder does that meets what it was not made for."""

    def read(self, recording, report, skipped):
        if recording.id.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(recording, report, skipped)


@pytest.fixture
def source(tmp_path):
    """Seven episodes, of which two are bad, one in part."""
    found = recordings(tmp_path / "in")
    for name in ("d", "e", "f"):
        episode(found / name, lines=SLOW, frames=4)
    episode(found / "g", lines=LONG, frames=len(LONG), size=9)
    return found


def imported(source, out, importer="open-folder", **given):
    skipped = []
    dataset = import_dataset(source, importer, out, skipped=skipped, **given)
    dataset.verify()
    return dataset.content_hash, read(out), skipped


def test_the_dataset_and_what_is_told_of_it_are_the_same_for_any_number(tmp_path, source, capsys):
    """In a folder where an import was killed before its first shard."""
    wanted = imported(source, tmp_path / "alone", frame_size=(12, 16))
    assert len(wanted[2]) == 5
    (tmp_path / "out" / "spool.tmp").mkdir(parents=True)
    (tmp_path / "out" / "spool.tmp" / "1.steps").write_bytes(b"half")
    command = ["import", "--source", str(source), "--frame-size", "12", "16", "--skip-bad", "--workers", "2", "--json"]
    assert main([*command, "--out", str(tmp_path / "out"), "--resume"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Dataset(tmp_path / "out").content_hash == wanted[0]
    assert read(tmp_path / "out") == wanted[1] == told["report"]
    assert [line.split(": ")[0] for line in told["skipped"]] == [
        entry.reason.split(": ")[0] if entry.reason.startswith(entry.place) else entry.place for entry in wanted[2]
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "alone").iterdir()
    }


def test_a_recording_that_kills_its_process_costs_itself_alone(tmp_path, source, monkeypatch):
    monkeypatch.setitem(IMPORTERS._entries, "fragile", Fragile)
    wanted = imported(source, tmp_path / "whole")
    episode(source / "deadly")
    found = imported(source, tmp_path / "out", "fragile", workers=2)
    assert found[0] == wanted[0]
    assert found[1]["episodes_left_out"] == wanted[1]["episodes_left_out"] + 1
    (killed,) = (entry for entry in found[2] if entry not in wanted[2])
    assert killed.place.endswith("deadly")
    assert "was killed by SIGKILL, as the system does where memory runs out" in killed.reason


def test_an_importer_that_reads_all_in_one_go_is_not_shared_out(tmp_path, clips):  # noqa: F811
    with pytest.raises(RigError, match=r"'clips' reads its source in one go, which 2 .*leave out --workers"):
        import_dataset(tmp_path / "in", "clips", tmp_path / "out", importer_config={"task": "run"}, workers=2)
    with pytest.raises(RigError, match="workers=0: at least 1"):
        import_dataset(tmp_path / "in", "clips", tmp_path / "out", importer_config={"task": "run"}, workers=0)
    assert not (tmp_path / "out").exists()


def test_a_spool_in_a_file_is_taken_over_and_its_name_is_gone(tmp_path):
    steps = fake_trajectory(1, length=5).steps
    spool = StepSpool(path=tmp_path / "a.steps")
    for step in steps:
        spool.append(step)
    sent = pickle.dumps(spool)
    assert len(sent) < 1000
    taken = pickle.loads(sent)
    assert not list(tmp_path.iterdir())
    for found, wanted in zip(taken, steps, strict=True):
        assert np.array_equal(found.frame, wanted.frame)
        assert found.action == wanted.action
    with pytest.raises(RigError, match=r"cannot be kept in .*none"):
        StepSpool(path=tmp_path / "none" / "a.steps")
