"""An instruction that a policy has no room for is refused before playing begins, in words that say what to mend."""

from dataclasses import replace

import pytest

from rig.cli.main import main
from rig.envs.crafter.world import CrafterWorld
from rig.envs.tasks import TaskTable


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
