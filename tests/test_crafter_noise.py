"""Crafter's worlds are the same, bit for bit, with numba and without; nothing wrong with numba costs a world."""

import hashlib
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from rig.envs.crafter import noise, simulator

WITHOUT_NUMBA = {
    0: "95abf3a3a0281d9f",
    1: "61cfcd7fcd1f24cc",
    2: "f4cf1e5e9f9f048a",
    7: "69d80941e6da9cd0",
    1_000_000: "23e6a33fa7f8d1bf",
    2_000_003: "02f9894acfcb5eff",
}
"""Seed -> hash of its world, made where numba was not installed."""


def digest(state):
    return hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()[:16]


@contextmanager
def another_process():
    """Let opensimplex be imported within the block as a new process would, and be as it was behind it."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "opensimplex"}
    for name in before:
        del sys.modules[name]
    noise.compiled.cache_clear()
    try:
        yield
    finally:
        sys.modules.update(before)
        noise.compiled.cache_clear()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A cache's folder in which the compiled functions of this opensimplex lie, and nothing else."""
    with another_process():
        module = noise.compiled()
        assert noise.is_compiled(module)
        folder = Path(sys.modules[f"{module.__name__}.internals"]._noise3.stats.cache_path)
    shutil.copytree(folder, tmp_path / "numba" / folder.name)
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("seed", WITHOUT_NUMBA)
def test_worlds_are_those_that_were_made_without_numba(seed):
    assert noise.is_compiled(noise.compiled())
    assert digest(simulator._generate(seed)) == WITHOUT_NUMBA[seed]


def test_without_numba_the_world_is_the_same():
    with another_process(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        assert digest(simulator._generate(3)) == "14d9557e3218c051"
        assert not noise.is_compiled(simulator.worldgen.opensimplex)
    assert digest(simulator._generate(3)) == "14d9557e3218c051"
    assert noise.is_compiled(simulator.worldgen.opensimplex)


def test_every_value_of_the_compiled_noise_is_that_of_the_plain_one():
    points = np.random.default_rng(5).uniform(-20, 20, (3000, 2))
    with another_process():
        plain = noise.in_python().OpenSimplex(11)
    ours = noise.compiled().OpenSimplex(11)
    assert [ours.noise3(x, y, z % 9) for z, (x, y) in enumerate(points)] == [
        plain.noise3(x, y, z % 9) for z, (x, y) in enumerate(points)
    ]


def test_what_was_compiled_lies_in_rigs_cache(kept):
    assert {path.suffix for path in kept.rglob("*.nb?")} == {".nbc", ".nbi"}


def test_kept_files_that_are_cut_short_are_made_again_and_others_are_left(kept):
    files = set(kept.rglob("*.nb?"))
    for path in files:
        path.write_bytes(path.read_bytes()[:20])
    elsewhere = kept / "numba" / "opensimplex_installed_elsewhere" / "internals._noise3-205.py311.nbi"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(b"cut")
    with another_process():
        assert noise.is_compiled(noise.compiled())
    assert set(kept.rglob("*.nb?")) == files | {elsewhere}
    assert all(path.stat().st_size > 20 for path in files)
    assert elsewhere.read_bytes() == b"cut"


@pytest.mark.parametrize("trouble", ["no folder", "no compiler", "no numba"])
def test_where_nothing_can_be_compiled_noise_is_computed_in_python(monkeypatch, trouble):
    import numba

    here = noise.compiled().OpenSimplex(3).noise3(0.5, 0.25, 1)
    if trouble == "no folder":
        monkeypatch.setenv("RIG_CACHE", "/etc/passwd/rig")
        monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")
    elif trouble == "no compiler":
        monkeypatch.setattr(numba, "njit", lambda **_: broken)
    else:
        monkeypatch.setitem(sys.modules, "numba", None)
    with another_process():
        found = noise.compiled()
        assert not noise.is_compiled(found)
        assert found.OpenSimplex(3).noise3(0.5, 0.25, 1) == here
    assert numba.config.CACHE_DIR == ""


def broken(function):
    """A compiler that fails when it is needed."""

    def fail(*_):
        raise RuntimeError("LLVM ERROR")

    fail.py_func = function
    return fail


def test_where_the_user_wants_it_kept_it_is_kept(monkeypatch, tmp_path):
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "mine"))
    monkeypatch.setenv("RIG_CACHE", str(tmp_path / "rig"))
    with another_process():
        assert noise.is_compiled(noise.load())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
