"""What goes wrong is told, ended and recovered from: nothing hangs, nothing is left behind, nothing is shared."""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from minetest_makers import (
    family,
    first_on_path,
    hold,
    is_alive,
    make_env,
    needs_engine,
    program,
    wait_for_the_end_of,
)

from rig.cli.doctor import _cache
from rig.envs.minetest import SimulatorError
from rig.envs.minetest.native import build
from rig.errors import MissingDependencyError, RigError

A_PARENT = """
import sys
import tempfile
import time
sys.path.insert(0, "tests")
from minetest_makers import make_env, members
env = make_env()
env.reset(seed=1)
env.load(env.save())
print(*members(env), env._engine.folder, flush=True)
sys.stdin.readline()
raise RuntimeError("and nothing is closed")
"""


@needs_engine
def test_a_killed_engine_truncates_the_episode_and_the_next_reset_recovers():
    env = make_env()
    first, _ = env.reset(seed=1)
    before = family(env)
    hold(env, 2)
    os.kill(before["minetest"], signal.SIGKILL)
    outcomes = [env.step({})]
    _, _, terminated, truncated, info = outcomes[-1]
    assert (terminated, truncated) == (False, True)
    assert "Minetest engine ended" in info["engine_failed"]
    assert wait_for_the_end_of(before.values()) == []
    with pytest.raises(RigError, match="call reset first"):
        env.step({})
    again, _ = env.reset(seed=1)
    assert np.array_equal(first["pov"], again["pov"])
    env.close()


@needs_engine
@pytest.mark.parametrize("name", ["keeper", "Xvfb"])
def test_whoever_of_the_family_dies_takes_the_others_along(name):
    env = make_env()
    env.reset(seed=1)
    before, folder = family(env), env._engine.folder
    os.kill(before[name], signal.SIGKILL)
    if name == "keeper":
        assert env.step({})[3]
    env.close()
    assert wait_for_the_end_of(before.values()) == []
    assert not folder.exists()


@needs_engine
def test_an_engine_that_stands_still_is_ended_and_told():
    env = make_env(step_timeout=1.0)
    env.reset(seed=1)
    before = family(env)
    os.kill(before["minetest"], signal.SIGSTOP)
    _, _, _, truncated, info = env.step({})
    assert truncated
    assert "stood still: nothing came of it for 1 s" in info["engine_failed"]
    assert wait_for_the_end_of(before.values()) == []


@needs_engine
@pytest.mark.parametrize("end", ["kill -9", "an exception"])
def test_nothing_outlives_its_parent(end):
    command = [sys.executable, "-c", A_PARENT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    parent = subprocess.Popen(command, **pipes, text=True)
    *processes, folder = parent.stdout.readline().split()
    processes = [int(process) for process in processes]
    assert len(processes) == 4, "with the anchor of a load"
    assert all(map(is_alive, processes))
    if end == "kill -9":
        parent.kill()
        parent.wait()
    else:
        parent.communicate("\n", timeout=30)
    assert wait_for_the_end_of(processes) == []
    assert not Path(folder).exists()


@needs_engine
def test_an_interrupted_step_is_not_mistaken_for_the_next_one(monkeypatch):
    env = make_env()
    env.reset(seed=1)
    before = family(env)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(env._engine._link, "_read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        env.step({})
    assert wait_for_the_end_of(before.values()) == []
    assert env.step({})[3], "the episode is cut"
    assert env.reset(seed=1)[1]["settled"]
    env.close()


@needs_engine
def test_close_leaves_nothing_and_may_be_said_twice():
    env = make_env()
    env.reset(seed=1)
    before, folder = family(env), env._engine.folder
    display = display_of(before["minetest"])
    assert display.exists()
    env.close()
    env.close()
    assert wait_for_the_end_of(before.values(), seconds=0) == []
    assert not folder.exists()
    assert not display.exists()


def display_of(process):
    """Return the socket of the display that a process draws on."""
    variables = Path(f"/proc/{process}/environ").read_text().split("\0")
    (number,) = (one.removeprefix("DISPLAY=:") for one in variables if one.startswith("DISPLAY="))
    return Path(f"/tmp/.X11-unix/X{number}")


@needs_engine
def test_an_occupied_port_is_nothing_to_it_and_worlds_share_nothing():
    """The engine's own port is taken here by another program; two worlds beside each other want it as well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 30000))
        first, second = make_env(), make_env()
        frames = [env.reset(seed=1)[0]["pov"] for env in (first, second)]
        assert np.array_equal(*frames)
        families = [family(env) for env in (first, second)]
        assert not set(families[0].values()) & set(families[1].values())
        assert len({display_of(one["minetest"]) for one in families}) == 2
        for one in families:
            assert _internet_sockets(one["minetest"]) == []
            assert _internet_sockets(one["Xvfb"]) == []
        hold(first, 3, "forward")
        assert first.privileged()["tick"] == second.privileged()["tick"] + 3
        first.close()
        assert hold(second, 1)["tick"]
        second.close()


def _internet_sockets(process):
    """Return the open sockets of a process that a network could reach."""
    tables = [Path(f"/proc/{process}/net/{kind}") for kind in ("tcp", "tcp6", "udp", "udp6")]
    reachable = {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}
    targets = [os.readlink(path) for path in Path(f"/proc/{process}/fd").iterdir()]
    return [target for target in targets if target.removeprefix("socket:[").rstrip("]") in reachable]


def test_a_missing_compiler_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(MissingDependencyError, match=r"no C compiler.*apt-get install -y .*gcc"):
        build()


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(tmp_path, monkeypatch):
    compiler = program(tmp_path, "mycc", "[ \"$1\" = --version ] || { echo 'GL/gl.h: no such file' >&2; exit 1; }")
    monkeypatch.setenv("CC", str(compiler / "mycc"))
    monkeypatch.setenv("RIG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(RigError, match=r"(?s)mycc cannot compile.*GL/gl.h: no such file.*libgl-dev"):
        build()
    assert [path.name for path in (tmp_path / "cache" / "minetest").iterdir()] == [".lock"]


@needs_engine
def test_what_is_compiled_once_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    first = build()
    made = first.library.stat().st_mtime_ns
    assert build() == first
    assert first.library.stat().st_mtime_ns == made


VERSION = '[ "$1" = --version ] && echo "Minetest 5.6.1 (Linux)" && exit'


@needs_engine
def test_a_start_that_hangs_is_ended_tried_again_and_told(tmp_path, monkeypatch):
    first_on_path(monkeypatch, program(tmp_path, "minetest", f"{VERSION}\necho $$ >> {tmp_path}/pids\nkill -STOP $$"))
    env = make_env(start_timeout=1.0, attempts=2)
    with pytest.raises(SimulatorError, match=r"2 starts failed.*did not start: nothing came of it for 1 s"):
        env.reset(seed=1)
    tried = [int(process) for process in (tmp_path / "pids").read_text().split()]
    assert len(tried) == 2
    assert wait_for_the_end_of(tried) == []


@needs_engine
def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path, monkeypatch):
    first_on_path(monkeypatch, program(tmp_path, "minetest", f"{VERSION}\necho 'no mod named rig' >&2; exit 1"))
    with pytest.raises(SimulatorError, match=r"(?s)1 starts failed.*ended.*no mod named rig"):
        make_env(attempts=1).reset(seed=1)


@needs_engine
def test_a_display_that_does_not_start_is_told(tmp_path, monkeypatch):
    first_on_path(monkeypatch, program(tmp_path, "Xvfb", "exit 1"))
    with pytest.raises(SimulatorError, match=r"(?s)Xvfb did not start"):
        make_env(attempts=1).reset(seed=1)


def test_another_engine_is_refused_with_the_command(tmp_path, monkeypatch):
    first_on_path(monkeypatch, program(tmp_path, "minetest", "echo 'Luanti 5.12.0 (Linux)'"))
    with pytest.raises(MissingDependencyError, match=r"Minetest 5.6.1: Luanti 5.12.0 \(Linux\). Install it: apt-get"):
        make_env().reset(seed=1)


A_PARENT_THAT_IS_KILLED_EARLY = """
import os, signal, sys
sys.path.insert(0, "tests")
from minetest_makers import make_env
import rig.envs.minetest.process as engine

def die(home):
    print(home, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

engine.share_media = die
make_env().reset(seed=1)
"""


@needs_engine
def test_a_parent_killed_while_it_fills_the_engines_folder_leaves_none():
    command = [sys.executable, "-c", A_PARENT_THAT_IS_KILLED_EARLY]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    folder = Path(killed.stdout.strip())
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert folder.name.startswith("rig-minetest-")
    wait_until(lambda: not folder.exists())


def wait_until(holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@needs_engine
def test_the_end_of_an_engine_is_noticed_at_once_however_many_files_are_open(monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    env = make_env(step_timeout=20.0)
    try:
        env.reset(seed=1)
        before = family(env)
        began = time.monotonic()
        os.kill(before["minetest"], signal.SIGKILL)
        assert env.step({})[3]
        assert time.monotonic() - began < 5
        assert wait_for_the_end_of(before.values()) == []
    finally:
        env.close()
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@needs_engine
def test_folders_may_have_blanks_and_colons_in_their_names(tmp_path, monkeypatch):
    for name in ("RIG_CACHE", "TMPDIR"):
        folder = tmp_path / f"a {name}: folder;"
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    env = make_env()
    _, info = env.reset(seed=1)
    assert info["settled"], "the library is in the engine, and keeps it in step"
    assert str(env._engine.folder).startswith(os.environ["TMPDIR"])
    env.close()


def test_a_cache_that_may_not_run_programs_is_told(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,size=4m", "tmpfs", cache], check=False).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        monkeypatch.setenv("RIG_CACHE", str(cache))
        with pytest.raises(RigError, match=r"keeper may not be run where it lies.*noexec; set RIG_CACHE"):
            build()
        assert "may not run programs" in _cache()["found"]
    finally:
        subprocess.run(["umount", "-l", cache], check=True)
