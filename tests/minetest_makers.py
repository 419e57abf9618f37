"""What the tests of Minetest share: the real engine in a small flat world, and ways to look at its processes."""

import os
import time
from pathlib import Path

import pytest

from rig.envs.minetest import MinetestConfig, MinetestEnv
from rig.envs.minetest.prerequisites import INSTALL, examine

MISSING = [finding.name for finding in examine() if not finding.ok]

needs_engine = pytest.mark.skipif(bool(MISSING), reason=f"missing: {', '.join(MISSING)}. Install it: {INSTALL}")

FLAT = {"mapgen": "flat", "view_range": 20, "width": 64, "height": 64}
"""A world that starts quickly: ground at height 8, nothing to see far away."""


def make_env(**settings):
    return MinetestEnv(MinetestConfig(**{**FLAT, **settings}))


def hold(env, ticks, *keys, camera=(0, 0)):
    """Hold `keys` for some ticks, and return the facts after them with the events of all of them."""
    events = []
    for _ in range(ticks):
        _, _, _, truncated, info = env.step({**dict.fromkeys(keys, 1), "camera": camera})
        assert not truncated, info
        assert info["settled"]
        events += info["privileged"]["events"]
    return {**info["privileged"], "events": events}


def family(env):
    """Return the processes of an environment: name -> id, of the keeper, the engine and its display."""
    keeper = env._engine.process_id
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return {name_of(process): process for process in (keeper, *map(int, children))}


def members(env):
    """Return all processes of an environment: the keeper, the display, the engine and its anchors."""
    keeper = env._engine.process_id
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return [keeper, *sorted(map(int, children))]


def name_of(process):
    return Path(f"/proc/{process}/comm").read_text().strip()


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def wait_for_the_end_of(processes, seconds=10):
    """Return the processes that are still alive after some time at the most."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(map(is_alive, processes)):
        time.sleep(0.02)
    return [process for process in processes if is_alive(process)]


def program(folder, name, script):
    """Write an executable shell script, and return its folder."""
    path = Path(folder) / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path.parent


def first_on_path(monkeypatch, folder):
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
