"""The command on machines that refuse things: one line that names the path and the fix, and no traceback."""

import pytest
from test_cli import rig

VERBS = {
    "collect": "--tasks collect_wood --episodes 1",
    "import": "--source {made.data}",
    "reason": "--source {made.root}/s1",
    "rehearse": "--source {made.data}",
    "review": "--agent {made.agent} --tasks collect_wood --episodes 1",
    "align": "--agent {made.agent} --tasks collect_wood --episodes 1",
    "train": "--data {made.data} --tokenizers {made.tokenizers} --preset debug --steps 1 --no-compile",
    "train-tokenizer": "--data {made.data} --preset debug --steps 1 --held-out 4",
    "train-vision": "--data {made.root}/s1 --preset debug --steps 1",
    "play": "--agent teacher:crafter --quiet",
    "eval": "--agent teacher:crafter --episodes 1 --tasks collect_wood",
    "imagine": "--agent {made.agent} --chains 2 --steps 1",
    "view": "--data {made.data} --episodes 1",
    "export-janus": "{made.agent}",
    "publish": "--agent {made.agent} --title An_agent --results {made.root}",
    "demo": "--agent {made.agent} --tasks collect_wood/tool --dreams 0",
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_where_a_folder_must_be_is_told_in_a_line(capsys, made, tmp_path, verb):
    (tmp_path / "file").write_text("mine")
    words = VERBS[verb].format(made=made).split()
    status, _, err = rig(capsys, verb, *words, "--out", tmp_path / "file" / "x")
    assert status == 2, err
    told = err.splitlines()[-1]
    assert "Traceback" not in err
    print(told)
    assert (tmp_path / "file").read_text() == "mine"
