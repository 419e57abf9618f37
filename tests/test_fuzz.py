"""Every fuzzer in small; `python scripts/fuzz.py` runs them in full."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SMALL = {
    "recordings": 25,
    "verbs": 25,
    **dict.fromkeys(("lerobot", "minerl", "minestudio", "vpt"), 12),
    "actions": 150,
    "page": 100,
}
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in TESTS.glob("fuzz_*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_spoilt_is_refused_by_name_or_works(name):
    count = SMALL.get(name, 60)
    outcomes = import_module(f"fuzz_{name}").run(count, seed=1)
    assert sum(outcomes.values()) in (count, 3 * count), "actions are tried in three worlds"
    assert len(outcomes) > 1, "some are refused and some are not"


def test_the_command_names_what_failed_and_counts_the_rest(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "tests").mkdir()
    script = TESTS.parent / "scripts" / "fuzz.py"
    (tmp_path / "scripts" / "fuzz.py").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "tests" / "fuzz_good.py").write_text("def run(count, seed):\n    return {'refused': count}\n")
    (tmp_path / "tests" / "fuzz_bad.py").write_text("def run(count, seed):\n    assert seed, f'seed {seed}, case 7'\n")
    command = [sys.executable, tmp_path / "scripts" / "fuzz.py", "--count", "130"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["good"]["outcomes"] == {"refused": 130}
    assert found["bad"]["failed"] == "seed 0, case 7"
    assert "seed 0, case 7" in done.stdout.splitlines()[0]
    wrong = subprocess.run([*command, "nothing"], capture_output=True, encoding="utf-8", check=False)
    assert wrong.returncode == 2
    assert "no fuzzer nothing; there are bad, good" in wrong.stderr
