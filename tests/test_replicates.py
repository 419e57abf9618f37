"""One ladder climbed several times: what is kept of each, and a page of all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_makers import keep_scores, table_rows

from rig.cli.main import main
from rig.data import Dataset
from rig.errors import RigError
from rig.evaluate.saved import SUMMARY
from rig.recipes.ladder import Ladder
from rig.recipes.presets import LADDERS
from rig.recipes.report import write_report
from rig.recipes.results import Results, keep

CONFIG = LADDERS.get("crafter/debug")


@pytest.fixture
def twice(made, tmp_path):
    """Two ladders: in the first RIG-basic wins all and "+ reason" half, in the second RIG-basic nothing."""
    taught = list(Dataset(made.data))
    here, there = tmp_path / "here", tmp_path / "there"
    keep_scores(here / "eval" / "basic", taught)
    keep_scores(here / "eval" / "reason", [replace(entry, success=entry.seed % 2 == 0) for entry in taught])
    keep_scores(there / "eval" / "basic", [replace(entry, success=False) for entry in taught])
    note_times(here, basic=3600)
    note_times(there, basic=7200, action=1800)
    return here, there, taught


def note_times(root, **jobs):
    (root / "logs").mkdir()
    lines = ({"job": f"{name}-1", "seconds": 1.0, "threads": 1, "busy": busy} for name, busy in jobs.items())
    (root / "logs" / "times.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_rows_are_pooled_and_compared_within_each_training(twice):
    here, there, taught = twice
    results = Results(Ladder(CONFIG, here), [there])
    assert results.trainings == {"basic": 2, "reason": 1}
    assert results.embodied["basic"]["episodes"] == len(results.rows("basic")) == 2 * len(taught)
    assert results.embodied["basic"]["success"]["value"] == pytest.approx(0.5)
    assert [scores["success"]["value"] for scores in results.summaries("basic")] == [1.0, 0.0]
    alone = Results(Ladder(CONFIG, here))
    assert results.difference("basic", "reason") == alone.difference("basic", "reason")
    cells = {(entry.task, entry.setting) for entry in taught}
    assert len(results.rows("basic", each=1)) == 2 * len(cells) == 2 * len(alone.rows("basic", each=1))


def test_the_page_says_how_many_trainings_a_row_has_and_what_one_ladder_costs(twice, tmp_path):
    here, there, _ = twice
    page = write_report(Ladder(CONFIG, here), tmp_path / "page.md", "A title", [there]).read_text()
    assert "**2 trainings** of all agents are pooled" in page
    ladder = table_rows(page.split("## The ladder")[1].split("Paired over")[0].splitlines())
    assert ladder[0][-1] == "trainings"
    assert {row[0]: row[-1] for row in ladder[1:]} == {"RIG-basic": "2", "+ reason": "1"}
    assert "All 2 jobs together: 2.0 core hours (data 0.0, training 2.0, scores 0.0), in the mean over the" in page
    alone = write_report(Ladder(CONFIG, here), tmp_path / "alone.md", "A title").read_text()
    assert "trainings" not in alone.replace("training seeds", "")


def test_what_is_kept_tells_as_much_as_the_ladder_and_holds_neither_data_nor_networks(twice, tmp_path):
    here, there, _ = twice
    (here / "eval" / "half").mkdir()
    agent = Path(Ladder(CONFIG, here).agent("basic-1"))
    agent.mkdir(parents=True)
    for name in ("agent.json", "model.safetensors"):
        (agent / name).write_text("{}")
    assert {"eval-basic", "eval-reason", "basic-1"} == set(keep(Ladder(CONFIG, here), tmp_path / "kept"))
    files = {str(path.relative_to(tmp_path / "kept")) for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    rows = {f"eval/{row}/{file}" for row in ("basic", "reason") for file in ("episodes.jsonl", SUMMARY)}
    assert files == rows | {"train/basic-1/agent/agent.json", "logs/times.jsonl"}
    kept, whole = (Results(Ladder(CONFIG, there), [root]) for root in (tmp_path / "kept", here))
    assert kept.embodied == whole.embodied
    assert (kept.core_hours(), kept.trainings) == (whole.core_hours(), whole.trainings)
    jobs = Ladder(CONFIG, there).jobs()
    assert kept.left(jobs) == whole.left(jobs)
    assert not {"eval-basic", "eval-reason", "basic-1"} & set(kept.left(jobs))


def test_a_dataset_that_was_cut_is_left_to_do_and_one_that_is_whole_elsewhere_is_not(twice):
    here, there, _ = twice
    for root, complete in ((here, False), (there, False)):
        (root / "s1").mkdir()
        (root / "s1" / "manifest.json").write_text(json.dumps({"complete": complete}))
    ladder = Ladder(CONFIG, here)
    assert "s1" in Results(ladder).left(ladder.jobs())
    assert "s1" in Results(ladder, [there]).left(ladder.jobs())
    (there / "s1" / "manifest.json").write_text(json.dumps({"complete": True}))
    assert "s1" not in Results(ladder, [there]).left(ladder.jobs())


def test_a_replicate_without_scores_and_one_that_is_named_twice_are_refused(twice, tmp_path):
    here, there, _ = twice
    for wrong, why in ((tmp_path / "nowhere", "holds no scores"), (here, "named twice"), (here / ".", "named twice")):
        with pytest.raises(RigError, match=why):
            Results(Ladder(CONFIG, here), [there, wrong])


def test_a_page_is_written_of_what_is_there_without_running_anything(twice, tmp_path, capsys):
    here, there, _ = twice
    page, kept = tmp_path / "page.md", tmp_path / "kept"
    words = ["reproduce", "crafter", "--preset", "debug", "--root", str(here), "--report-only"]
    assert main([*words, "--report", str(page), "--keep", str(kept), "--replicates", str(there)]) == 0
    assert str(page) in capsys.readouterr().out
    assert "| RIG-basic |" in page.read_text()
    assert not (here / "logs" / "basic-1.log").exists(), "nothing ran"
    again = tmp_path / "again.md"
    elsewhere = ["--root", str(tmp_path / "new"), "--report", str(again), "--replicates", str(kept), str(there)]
    assert main([*words[:4], "--report-only", *elsewhere]) == 0
    tables, same = (table_rows(found.read_text().splitlines()) for found in (again, page))
    assert tables == same
