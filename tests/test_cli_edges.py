"""The command where the machine refuses, interrupts or cannot show things: a line that says so, and no traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import mistake, result, rig

from rig.cli.terminal import harmless
from rig.teachers.crafter import CrafterExpert

VERBS = {
    "collect": "--tasks collect_wood --episodes 1",
    "reason": "--source {made.root}/s1",
    "review": "--agent {made.agent} --tasks collect_wood --episodes 1",
    "train": "--data {made.data} --tokenizers {made.tokenizers} --preset debug --steps 1 --no-compile",
    "train-tokenizer": "--data {made.data} --preset debug --steps 1 --held-out 4",
    "play": "--agent teacher:crafter --quiet",
    "eval": "--agent teacher:crafter --episodes 1 --tasks collect_wood",
    "view": "--data {made.data} --episodes 1",
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_where_a_folder_must_be_is_told_in_a_line(capsys, made, tmp_path, verb):
    (tmp_path / "file").write_text("mine")
    status, out, err = rig(capsys, verb, *VERBS[verb].format(made=made).split(), "--out", tmp_path / "file" / "x")
    told = err.splitlines()[-1]
    assert (status, out) == (2, "")
    assert told.startswith(f"rig {verb}: {tmp_path / 'file'}")
    assert "; choose another path, or move" in told
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_that_is_too_long_is_told_in_a_line(capsys, made, tmp_path):
    assert "the name is longer" in mistake(capsys, "inspect", tmp_path / ("n" * 300))


def as_somebody(*words, **environment):
    """Run Python as a user whom the system does not know, with nothing but `environment` around it."""
    become = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", sys.executable]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [*become, *words], env=kept | environment, cwd="/", capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def somebody():
    """`as_somebody`, where that may be done: by root, and if that user may read this Python and its packages."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None or as_somebody("-c", "import rig, numpy").returncode:
        pytest.skip("there is no other user here who could run this Python")
    return as_somebody


EXAMINE = "import json; from rig.cli.doctor import _home, _cache; print(json.dumps([_home(), _cache()]))"


@pytest.mark.parametrize(
    ("environment", "oks", "found"),
    [
        ({}, [False, False], "the system knows none for this user"),
        ({"HOME": "/proc"}, [False, False], "where this user may not write to /proc"),
        ({"RIG_CACHE": "/dev/shm/rig"}, [True, True], "RIG_CACHE is used in its place"),
        ({"RIG_CACHE": "/etc/passwd/rig"}, [True, False], "where /etc/passwd is no folder"),
    ],
)
def test_the_doctor_examines_users_without_a_home(somebody, environment, oks, found):
    done = somebody("-c", EXAMINE, **environment)
    checks = json.loads(done.stdout)
    assert [check["ok"] for check in checks] == oks
    assert found in done.stdout
    assert all("RIG_CACHE" in check["mend"] for check in checks if not check["ok"])


def test_a_user_without_a_cache_is_told_in_a_line_what_to_set(somebody):
    words = ("-m", "rig", "play", "--agent", "teacher:random", "--out", "/dev/shm/never.html")
    done = somebody(*words, HOME="/nonexistent")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("rig play: /nonexistent: this user may not read or write there")
    assert line.endswith("; set RIG_CACHE to a folder that you can write to")


# What a terminal can show


def plan(root, **environment):
    command = [sys.executable, "-m", "rig", "reproduce", "crafter", "--preset", "debug", "--plan", "--root", root]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, check=False)


def test_what_a_terminal_cannot_encode_is_escaped_and_ends_nothing():
    done = plan("caf\u00e9", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"caf\\xe9" in done.stdout
    assert done.stdout.isascii()


def test_a_text_has_no_power_over_a_terminal():
    done = plan("a\x1b[2J\x07\x9b\u202eb\rc")
    assert done.returncode == 0
    assert b"a\\x1b[2J\\x07\\x9b\\u202eb\\rc" in done.stdout
    assert harmless("line\n\ttab, caf\u00e9 \u2192 \u6728") == "line\n\ttab, caf\u00e9 \u2192 \u6728"


def test_an_error_has_no_power_over_a_terminal(capsys):
    assert "\\x1b[31mevil" in mistake(capsys, "inspect", "\x1b[31mevil")


def test_json_is_ascii_and_read_back_as_it_was(capsys, tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"thought": "caf\u00e9 \x1b \u202e"}), encoding="utf-8")
    status, out, _ = rig(capsys, "inspect", tmp_path, "--json")
    assert (status, out.isascii(), "\x1b" in out) == (0, True, False)
    assert json.loads(out)["thought"] == "caf\u00e9 \x1b \u202e"


def test_our_files_are_read_whatever_the_locale(tmp_path):
    (tmp_path / "summary.json").write_text('{"thought": "caf\u00e9"}', encoding="utf-8")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "rig", "inspect", str(tmp_path), "--json"]
    done = subprocess.run(command, env=os.environ | locale, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["thought"] == "caf\u00e9"


def test_a_name_that_the_locale_cannot_write_is_told_in_a_line(capsys, tmp_path):
    name = f"{tmp_path}/\ud800"  # in no encoding of names, as caf\u00e9 is in none of the locale C
    told = mistake(capsys, "collect", "--tasks", "collect_wood", "--episodes", 1, "--out", name)
    assert f"names in {sys.getfilesystemencoding()}, which cannot hold " in told
    assert "\\ud800" in told
    assert "set LC_ALL=C.UTF-8" in told


# Interruptions


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("play --agent teacher:crafter --out {out}", "rig play: interrupted; nothing was written to {out}"),
        (
            "collect --tasks collect_wood --episodes 1 --out {out}",
            "rig collect: interrupted; what is finished is kept. Run it again with --resume.",
        ),
    ],
)
def test_an_interrupted_command_says_what_is_left_of_it(capsys, tmp_path, monkeypatch, words, said):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CrafterExpert, "act", interrupt)
    out = tmp_path / "out"
    status, _, err = rig(capsys, *words.format(out=out).split(" "))
    assert status == 130
    assert err.splitlines()[-1] == said.format(out=out)
    if "resume" in said:
        monkeypatch.undo()
        assert result(capsys, *words.format(out=out).split(" "), "--resume")["trajectories"] == 2


def test_what_is_there_already_is_not_said_to_be_left_out(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(CrafterExpert, "act", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    (tmp_path / "page.html").write_text("old")
    status, _, err = rig(capsys, "play", "--agent", "teacher:crafter", "--out", tmp_path / "page.html")
    assert (status, err.splitlines()[-1]) == (130, "rig play: interrupted")
    assert Path(tmp_path / "page.html").read_text() == "old"


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "rig", "evil"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown verb 'evil'. Did you mean 'eval'?" in done.stderr
