"""The whole loop in miniature, from nothing to the report: one command, run once, and once more to do nothing."""

import json
import re
from dataclasses import replace

from PIL import Image

from rig.agents import agent_name
from rig.agents.checkpoint import read_agent
from rig.cli import main as cli
from rig.cli.main import main
from rig.data import Dataset
from rig.recipes.ladder import ROWS, Ladder
from rig.recipes.presets import LADDERS
from rig.records import CORRECTION

INTERVAL = re.compile(r"-?\d+\.\d+ \[-?\d+\.\d+, -?\d+\.\d+\]")


def tables_of(page):
    """Return the tables of a page, each as rows of cells, by the heading that they stand under."""
    heading, tables, before = "", {}, ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if line.startswith("|"):
            if not before.startswith("|"):
                tables.setdefault(heading, []).append([])
            tables[heading][-1].append([cell.strip() for cell in line.strip("|").split("|")])
        before = line
    return tables


def check_data(ladder):
    """Every stage is complete, and goes back by content hash to the one it was made from."""
    s1, s2, s3, s4 = (Dataset(ladder.root / name) for name in ("s1", "s2", "s3-1", "s4-1"))
    for dataset, stage in ((s1, "s1"), (s2, "s2"), (s3, "s3"), (s4, "s4")):
        dataset.verify()
        assert dataset.info.stage == stage
        assert len(dataset) > 0
    assert [parent.content_hash for parent in s2.info.parent.chain()] == [s1.content_hash]
    origin = read_agent(ladder.agent("basic-1"))["origin"]
    described = Dataset(ladder.root / "described")
    assert [part["content_hash"] for part in origin["data"]] == [s2.content_hash, described.content_hash]
    rehearsed = Dataset(ladder.root / "s4-taught")
    assert [parent.content_hash for parent in rehearsed.info.parent.chain()] == [s2.content_hash, s1.content_hash]
    for dataset in (s3, s4):
        assert dataset.info.config["agent"] == agent_name(ladder.agent("basic-1"))
        for trajectory in dataset:
            assert trajectory.lineage.actor.startswith(f"{agent_name(ladder.agent('basic-1'))} beside ")
            assert all(step.dreams and step.review for step in trajectory.steps)
    for dataset in (s4, rehearsed):
        assert all(dream.real_frame is not None for step in dataset.steps() for dream in step.dreams)
    corrected = Dataset(ladder.root / "s2-corrected-1")
    assert corrected.info.parent.name == "s1-corrected-1"
    assert CORRECTION in {step.actor for step in corrected.steps()}
    played = Dataset(ladder.root / "s1-corrected-1")
    assert played.info.config["player"] == agent_name(ladder.agent("basic-2"))
    assert {s1.entries[0].stage, s2.entries[0].stage} == {"s1", "s2"}


def check_agents(ladder):
    """Every row was trained, on the data that it is said to have, from the agent that it is said to begin with."""
    rows = {f"{row}-{phase}" for row in ROWS for phase in (1, 2)} | {"control-2", "lookahead-1"}
    rows |= {"on-policy-1", "longer-1", "longer-2"}
    reviews = ["s3-1", "s4-1", "s4-taught"]
    names = ["s2", "described", "s2-beside", "s2-corrected-1", *reviews]
    hashes = {name: Dataset(ladder.root / name).content_hash for name in names}
    for run in rows:
        origin = read_agent(ladder.agent(run))["origin"]
        data = ["s2"] if run in {f"{row}-1" for row in ROWS} else ["s2", "s2-beside"]
        data += ["s2-corrected-1"] if run == "on-policy-1" else []
        data += ["described", *(reviews if run in ("control-2", "lookahead-1") else [])]
        assert [part["content_hash"] for part in origin["data"]] == [hashes[name] for name in data]
        if data == ["s2", "described"]:
            assert origin["training"]["start"] == ladder.agent("base")
        steps = ladder.config.steps if data == ["s2", "described"] else ladder.config.second_steps
        assert origin["totals"]["steps"] == steps


def check_scores(ladder):
    for job in ladder.jobs():
        if job.name.startswith("eval-"):
            summary = json.loads(job.result.read_text())
            cells = summary["config"]["tasks"]
            config = ladder.config
            each = config.teacher_episodes if job.name == "eval-teacher" else config.evaluation_episodes
            if re.match("eval-(plans|said)-", job.name):
                assert tuple(cells) == config.planning.tasks
                each = config.planning.episodes
            assert summary["episodes"] == each * len(cells)
            assert sorted(summary["cells"]) == sorted(cells)
            assert min(summary["seeds"]) >= 2 << 28


def check_planning(tables):
    """Several plans were played and judged, it learned from its own play, and the page says how that did."""
    assert [row[:2] for row in tables["Several plans"][0][2:]] == [["2", "0"], ["2", "1"], ["2", "2"], ["2", "1, said"]]
    ranks, verdicts = tables["What plans are worth"]
    assert [row[0] for row in verdicts[2:]] == ["real", "dreams", "nothing"]
    assert {"said, given dreams", "change, real"} <= {row[0] for row in ranks[2:]}
    shown = [row[0] for row in tables["What dreams cause"][0][2:]]
    assert shown == ["own dreams", "true futures", "no dreams"]
    learned = {row[0]: row[4] for row in tables["Learning from its own play"][0][2:]}
    assert list(learned.values()) == ["1"] * 3
    told = {row[0]: row[6] for row in tables["Learning from its own play"][0][2:]}
    assert [name for name, won in told.items() if won.startswith("in dreams, worth")] == [
        "RIG-basic, improved in its dreams"
    ]


def check_report(ladder, page):
    text = page.read_text()
    tables = tables_of(text)
    assert all(len(row) == len(table[0]) for found in tables.values() for table in found for row in table)
    rows = {row[0]: row for row in tables["The ladder"][0][2:]}
    assert list(rows) == [
        "action only",
        "+ imagine",
        "+ reason",
        "RIG-basic",
        "+ on-policy",
        "RIG-basic, dreams practised on its own play",
        "RIG-basic, 1 × the second part more",
        "RIG-basic, 2 × the second part more",
        "most votes of 2 plans",
        "up to 2 plans, 10 % of first ones refused at random",
        "up to 2 plans, 40 % of first ones refused at random",
        "up to 2 plans, weighed by how likely nothing comes of them",
        "up to 2 plans, n = 1",
        "RIG-basic, distilled from its dreams",
        "control: the same play as practice alone",
        "RIG-basic, improved by reward",
        "control: imitates its own attempts that won",
        "RIG-basic, improved in its dreams",
        "RIG-lookahead, n = 0",
        "RIG-lookahead, n = 1",
        "control, no review",
        "control: corrections without dreams",
        "teacher",
        "random",
    ]
    assert all(INTERVAL.fullmatch(cell) for row in rows.values() for cell in row[1:4])
    assert rows["teacher"][1].startswith("1.00 [")
    differences = tables["The ladder"][1][2:]
    assert differences[0][0] == "RIG-basic − action only"
    assert [row[0] for row in differences[4:6]] == [
        "+ on-policy − RIG-basic",
        "+ on-policy − RIG-basic, 1 × the second part more",
    ]
    practised = "RIG-basic, dreams practised on its own play"
    weighed = "up to 2 plans, weighed by how likely nothing comes of them"
    assert [row[0] for row in differences[6:20]] == [
        f"{practised} − RIG-basic",
        f"{practised} − RIG-basic, 2 × the second part more",
        f"up to 2 plans, n = 1 − {practised}",
        "up to 2 plans, n = 1 − RIG-basic, 2 × the second part more",
        "up to 2 plans, n = 1 − most votes of 2 plans",
        "up to 2 plans, n = 1 − up to 2 plans, 10 % of first ones refused at random",
        f"{weighed} − {practised}",
        f"{weighed} − RIG-basic, 2 × the second part more",
        f"{weighed} − most votes of 2 plans",
        f"{weighed} − up to 2 plans, 40 % of first ones refused at random",
        f"{weighed} − up to 2 plans, n = 1",
        f"most votes of 2 plans − {practised}",
        f"up to 2 plans, 10 % of first ones refused at random − {practised}",
        f"up to 2 plans, 40 % of first ones refused at random − {practised}",
    ]
    assert [row[0] for row in differences[20:24]] == [
        f"RIG-basic, distilled from its dreams − {practised}",
        "RIG-basic, distilled from its dreams − control: the same play as practice alone",
        "RIG-basic, distilled from its dreams − RIG-basic, 2 × the second part more",
        "RIG-basic, distilled from its dreams − up to 2 plans, n = 1",
    ]
    assert [row[0] for row in differences[31:]] == [
        "RIG-lookahead, n = 1 − RIG-lookahead, n = 0",
        "control: corrections without dreams − control, no review",
    ]
    assert [row[0] for row in tables["Success by task and setting"][0][2:]] == sorted(ladder.config.tasks)
    assert [row[0] for row in tables["Dreams ahead"][0][2:]] == [
        "RIG-lookahead, n = 0",
        "RIG-lookahead, n = 1",
        "RIG-lookahead, n = 2",
        "RIG-lookahead, n = 1, dreams left as codes",
    ]
    shares = [row[:2] for row in tables["Success against data"][0][2:]]
    assert shares == [[name, share] for name in ("action only", "RIG-basic") for share in ("0.5", "1")]
    depths = [int(row[1]) for row in tables["Imagination"][0][2:] if row[0] == "RIG-basic"]
    assert depths == [1, 2, 3, 4, 5]
    assert {row[0] for row in tables["What was spent"][0][2:]} == {
        path.parent.name for path in (ladder.root / "train").glob("*/agent")
    }
    check_planning(tables)
    figures = re.findall(r"!\[[\w-]+\]\(([\w/.-]+)\)", text)
    drawn = [
        *(f"{name}.svg" for name in ("dreams", "plans", "plans-tokens", "plans-ms", "data", "dream-depth")),
        "dreams-basic.jpg",
        "dreams-lookahead.jpg",
    ]
    assert figures == [f"figures/crafter/{name}" for name in drawn]
    assert all("</svg>" in (page.parent / figure).read_text() for figure in figures[:6])
    assert all(Image.open(page.parent / figure).width > 128 for figure in figures[6:])
    assert text.count("\nrig ") == len(ladder.jobs())


def test_the_whole_loop(tmp_path, capsys, monkeypatch):
    """Collect, annotate, train every row, review, align, train again, score all, report; then find nothing left."""
    verbs, read_verb = [], cli.read_verb

    def note(name, given):
        verbs.append(name)
        return read_verb(name, given)

    monkeypatch.setattr(cli, "read_verb", note)
    ladder = Ladder(replace(LADDERS.get("crafter/debug"), on_policy=(0.5,), with_planning=True), tmp_path / "root")
    page = tmp_path / "crafter.md"
    command = ["reproduce", "crafter", "--preset", "debug", "--workers", "0", "--json"]
    command += ["--root", str(ladder.root), "--report", str(page), "--on-policy", "0.5"]
    command += ["--planning"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["report"], result["jobs"]) == (str(page), len(ladder.jobs()))
    assert sorted(verbs[1:]) == sorted(job.arguments[0] for job in ladder.jobs())
    assert all(job.is_done for job in ladder.jobs())
    check_data(ladder)
    check_agents(ladder)
    check_scores(ladder)
    check_report(ladder, page)

    before, verbs[:] = page.read_text(), []
    times = {path: path.stat().st_mtime_ns for path in ladder.root.rglob("*") if path.is_file()}
    assert main(command) == 2, "without --resume a ladder that is there is left alone"
    assert main([*command, "--resume"]) == 0
    assert verbs == ["reproduce", "reproduce"]
    assert page.read_text() == before
    assert {path: path.stat().st_mtime_ns for path in ladder.root.rglob("*") if path.is_file()} == times
