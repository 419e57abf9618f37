"""From each of the four formats of others to an agent, and out to LeRobot and back, by commands that a user gives."""

import json

import pytest
from lerobot_makers import write_others
from minestudio_makers import write_dataset
from recording_makers import minerl_recording, vpt_recording, walk
from test_data_roundtrip import assert_same

from rig.cli.main import main
from rig.data import Dataset

TASK = ("task=chop a tree", "instruction=chop a tree")


def write_minerl(root):
    for number in range(2):
        minerl_recording(root / "MineRLTreechop-v0" / f"v3_absolute_grape_changeling-{number}_1-2")


def write_vpt(root):
    for name in ("a", "b"):
        vpt_recording(root / f"cheeky-cornflower-setter-{name}", walk(5))


FORMATS = {
    "minerl": (write_minerl, ()),
    "vpt": (write_vpt, TASK),
    "minestudio": (lambda root: write_dataset(root, {"a": 8, "b": 4}), TASK),
    "lerobot": (write_others, ()),
}


def run(capsys, *words):
    """Give a command; return what it says as JSON."""
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_becomes_a_dataset_an_agent_and_a_dataset_again(tmp_path, made, capsys, name):
    write, options = FORMATS[name]
    write(tmp_path / "in")
    words = ("--importer-config", *options) if options else ()
    size = ("--frame-size", 144, 144)
    run(capsys, "import", "--importer", name, "--source", tmp_path / "in", "--out", tmp_path / "s0", *size, *words)
    assert run(capsys, "inspect", tmp_path / "s0", "--verify")["verified"] is True

    learned = ("--preset", "debug", "--tokenizers", made.tokenizers, "--data", tmp_path / "s0", "--no-thought")
    run(capsys, "train", *learned, "--steps", 20, "--batch-size", 2, "--no-compile", "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "agent" / "agent.json").read_text())["action_space"]["name"] == "minerl"

    lossless = ("--exporter-config", "lossless=true")
    run(capsys, "export", "--dataset", tmp_path / "s0", "--out", tmp_path / "out", *lossless)
    run(capsys, "import", "--importer", "lerobot", "--source", tmp_path / "out", "--out", tmp_path / "back")
    assert run(capsys, "inspect", tmp_path / "back", "--verify")["verified"] is True
    imported, back = Dataset(tmp_path / "s0"), Dataset(tmp_path / "back")
    assert len(imported) == len(back) == 2
    for found, wanted in zip(back, imported, strict=True):
        assert_same(found, wanted)
