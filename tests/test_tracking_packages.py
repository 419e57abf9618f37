"""trackio and Weights & Biases keep a run on this machine, and ask no network: `make trackers` installs and tests them.

They are skipped where they are not installed, each in a process of its own: what they start lasts as long as Python.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

TELL = """
import os, signal, subprocess, sys
from pathlib import Path
from rig.tracking import Tracking
name, folder, first, last, then = sys.argv[1:]
tracking = Tracking([name])
tracking.begin(Path(folder), {"training": {"steps": 4}}, int(first))
for step in range(int(first) + 1, int(last) + 1):
    tracking.log(step, {"image_loss": 1 / step, "held_out/image_loss": float("nan")})
    tracking.log(step, {"preview/codes_right": 0.5})
if then == "lose":
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    for step in (9, 10, 11):
        tracking.log(step, {"image_loss": 1.0})
tracking.end()
print("done")
"""


def tell(name, folder, first, last, then="end", prefix=()):
    """Have a process track steps; return its status, and what it wrote to stdout and stderr."""
    folder.mkdir(exist_ok=True)
    command = [*prefix, sys.executable, "-c", TELL, name, str(folder), str(first), str(last), then]
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "TRACKIO", "HF_"))}
    env |= {"HOME": str(home), "TRACKIO_DIR": str(folder.parent / "trackio")}
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def asked_of_the_network(name, folder):
    """Return the connections to other machines that tracking makes, of all its processes; None where none can look."""
    prefix = ("strace", "-f", "-qq", "-e", "trace=connect", "-o", str(folder.parent / "calls"))
    if not shutil.which("strace") or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        return None
    assert tell(name, folder, 0, 2, prefix=prefix)[0] == 0
    return [line for line in (folder.parent / "calls").read_text().splitlines() if "AF_INET" in line]


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_no_network_is_asked(name, tmp_path):
    pytest.importorskip(name)
    asked = asked_of_the_network(name, tmp_path / "run")
    if asked is None:
        pytest.skip("needs strace")
    assert asked == []


def test_trackio_shows_a_run_that_was_cut_as_one(tmp_path, monkeypatch):
    pytest.importorskip("trackio")
    run = tmp_path / "run"
    assert tell("trackio", run, 0, 3)[:2] == (0, "done\n")
    assert tell("trackio", run, 2, 4)[:2] == (0, "done\n")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    script = (
        "import json; from trackio.sqlite_storage import SQLiteStorage as S; "
        "runs = S.get_run_records('rig'); print(json.dumps([[one['name'] for one in runs], "
        "S.get_run_config('rig', runs[0]['name']), S.get_logs('rig', runs[0]['name'])], default=str))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    names, config, logs = json.loads(done.stdout)
    known = json.loads((run / "tracking.json").read_text())["id"]
    assert names == [f"run-{known}"]
    assert config["training"] == {"steps": 4}
    losses = {log["step"]: log["image_loss"] for log in logs if "image_loss" in log}
    assert losses == {step: 1 / step for step in (1, 2, 3, 4)}


def records_of(file: Path):
    """Yield the records of a .wandb file, which is a log of LevelDB's kind behind seven bytes of wandb's own."""
    kind = import_module("wandb.proto.wandb_internal_pb2").Record
    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, part = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):
            yield kind.FromString(whole)
            whole = b""


def test_wandb_keeps_a_run_that_was_cut_under_one_id(tmp_path):
    pytest.importorskip("wandb")
    run = tmp_path / "run"
    assert tell("wandb", run, 0, 3)[:2] == (0, "done\n")
    assert tell("wandb", run, 2, 4)[:2] == (0, "done\n")
    known = json.loads((run / "tracking.json").read_text())["id"]
    files = sorted((run / "wandb").glob(f"offline-run-*-{known}/run-{known}.wandb"))
    told = [list(records_of(file)) for file in files]
    assert len(told) == 2
    for records in told:
        (begun,) = [one.run for one in records if one.WhichOneof("record_type") == "run"][:1]
        assert (begun.run_id, begun.display_name, begun.project) == (known, "run", "rig")
    kept = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in one.history.item}
        for records in told
        for one in records
        if one.WhichOneof("record_type") == "history"
    ]
    assert [(line["_step"], line["image_loss"]) for line in kept] == [(step, 1 / step) for step in (1, 2, 3, 3, 4)]
    assert {line["preview/codes_right"] for line in kept} == {0.5}


def test_a_run_goes_on_where_wandbs_own_process_is_lost(tmp_path):
    pytest.importorskip("wandb")
    status, out, err = tell("wandb", tmp_path / "run", 0, 2, then="lose")
    assert (status, out) == (0, "done\n")
    assert err.count("goes on without the tracker wandb, which failed: ") == 1
