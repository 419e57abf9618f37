"""`rig inspect` reads whatever a command wrote, and says what it is."""

import json
import sys

import pytest

from rig.cli.main import main
from rig.records import fake_trajectory
from rig.viewer import render_trace


def inspected(capsys, path):
    assert main(["inspect", str(path), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_results_are_read_although_their_folder_holds_a_configuration(capsys, tmp_path):
    out = tmp_path / "eval"
    words = ["eval", "--agent", "teacher:crafter", "--tasks", "place_table/tool", "--episodes", "1", "--out", str(out)]
    assert main(words) == 0
    capsys.readouterr()
    for path in (out, out / "summary.json"):
        found = inspected(capsys, path)
        assert (found["kind"], found["episodes"]) == ("summary.json", 1)
    assert main(["inspect", str(out)]) == 0
    assert "mean success" in capsys.readouterr().out
    assert inspected(capsys, out / "episodes.jsonl")["last"]["task"] == "place_table"
    (out / "summary.json").unlink()
    cut = inspected(capsys, out)
    assert (cut["kind"], cut["episodes"]) == ("unfinished scores", 1)


@pytest.mark.parametrize(
    "name", ["imagination.json", "reviews.json", "causality.json", "vision.json", "scores.json", "run.json"]
)
def test_every_file_of_results_says_what_its_folder_is(capsys, tmp_path, name):
    (tmp_path / name).write_text('{"value": 1}')
    if name == "vision.json":  # beside which its scores lie
        (tmp_path / "scores.json").write_text('{"value": 1}')
    assert inspected(capsys, tmp_path)["kind"] == name
    assert inspected(capsys, tmp_path / name)["value"] == 1


def test_the_result_of_a_command_kept_in_a_file_is_read(capsys, tmp_path):
    (tmp_path / "bench.json").write_text('{"entries": [1]}')
    assert inspected(capsys, tmp_path / "bench.json")["entries"] == [1]


def test_a_page_tells_its_episodes(capsys, tmp_path):
    page = render_trace([fake_trajectory(), fake_trajectory(1)], tmp_path / "page.html", title="Shown")
    found = inspected(capsys, page)
    assert (found["kind"], found["title"], found["episodes"]) == ("page", "Shown", 2)


def test_a_ladders_root_tells_its_jobs(capsys, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "times.jsonl").write_text('{"job": "s1", "seconds": 1, "threads": 1}\n')
    assert inspected(capsys, tmp_path)["jobs"] == ["s1"]


@pytest.mark.parametrize("name", ["page.html", "cut.json", "frame.png"])
def test_what_no_command_wrote_is_refused_by_name(capsys, tmp_path, name):
    (tmp_path / name).write_text("<html>")
    assert main(["inspect", str(tmp_path / name)]) == 2
    assert name in capsys.readouterr().err


def test_what_the_scores_of_dreams_need_is_missed_before_anything_is_dreamed(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    words = ["imagine", "--agent", "checkpoints/rig-crafter-small", "--out", str(tmp_path / "scores")]
    monkeypatch.setattr("rig.evaluate.imagination.AgentCheckpoint", None)  # nothing is even loaded
    assert main(words) == 2
    assert "pip install 'rig-agent[eval]'" in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("missing", ["torchmetrics.functional.image", "matplotlib"])
def test_what_a_ladder_ends_with_is_missed_before_it_begins(capsys, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    root = tmp_path / "ladder"
    assert main(["reproduce", "crafter", "--preset", "debug", "--root", str(root)]) == 2
    assert missing in capsys.readouterr().err
    assert not root.exists()
