"""An instruction that a policy has no room for is refused before playing begins, in words that say what to mend."""

from dataclasses import replace

import pytest

from rig.agents.checkpoint import AgentCheckpoint
from rig.bench.policy import PolicyBench, bench_policy
from rig.cli.main import main
from rig.envs.crafter.world import CrafterWorld
from rig.envs.tasks import TaskTable
from rig.errors import RigError
from rig.evaluate.config import ReviewsConfig
from rig.evaluate.reviews import RecordedLookahead, review_all
from rig.records import fake_step, fake_trajectory


@pytest.mark.parametrize(
    ("verb", "out"), [("eval", "scores"), ("play", "page.html"), ("demo", "demo"), ("picture", "p.gif")]
)
def test_a_long_instruction_names_its_task_its_length_and_the_room(capsys, tmp_path, made, monkeypatch, verb, out):
    tasks = [replace(task, instruction="place a table " * 60) for task in CrafterWorld.tasks]
    monkeypatch.setattr(CrafterWorld, "tasks", TaskTable(tasks))
    monkeypatch.setattr(CrafterWorld, "step", None)  # nothing is played
    monkeypatch.setattr("rig.evaluate.parallel.usable_cores", lambda: 1)
    words = [verb, "--agent", str(made.agent), "--tasks", "place_table/tool", "--out", str(tmp_path / out)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "task 'place_table': its instruction 'place a table" in said
    assert "room for 64; shorten it where the task is defined" in said
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize(
    "words",
    [
        ["imagine", "--chains", "1", "--depth", "1"],
        ["imagine", "--chains", "1", "--depth", "1", "--actions", "agent"],
        ["review", "--episodes", "1"],
        ["align", "--episodes", "1"],
    ],
    ids=["imagine", "imagine its own", "review", "align"],
)
def test_it_is_refused_before_anything_is_dreamed_or_reviewed(capsys, tmp_path, made, monkeypatch, words):
    tasks = [replace(task, instruction="place a table " * 60) for task in CrafterWorld.tasks]
    monkeypatch.setattr(CrafterWorld, "tasks", TaskTable(tasks))
    monkeypatch.setattr(CrafterWorld, "act", None)  # nothing is played
    words = [*words, "--agent", str(made.agent), "--tasks", "place_table/tool", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "task 'place_table': its instruction 'place a table" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_recorded_lookaheads_of_a_long_instruction_are_refused(made):
    checkpoint = AgentCheckpoint.load(made.agent)
    step = replace(fake_step(1, num_dreams=1), instruction="place a table " * 60)
    lookahead = RecordedLookahead(step=step, trajectory=replace(fake_trajectory(), task="place_table"))
    config = ReviewsConfig(agent=str(made.agent), data=("x",))
    with pytest.raises(RigError, match="task 'place_table': its instruction 'place a table"):
        review_all(checkpoint, [lookahead], "real", config)


def test_decisions_about_it_are_not_timed(made, monkeypatch):
    tasks = [replace(task, instruction="place a table " * 60) for task in CrafterWorld.tasks]
    monkeypatch.setattr(CrafterWorld, "tasks", TaskTable(tasks))
    monkeypatch.setattr(CrafterWorld, "act", None)
    with pytest.raises(RigError, match="task 'place_table': its instruction 'place a table"):
        bench_policy(PolicyBench(agent=str(made.agent), tasks="place_table/tool", worlds=(1,), dreams=(0, 1)))
