"""What the command line says about Minetest: whether it can run here, and how fast it does."""

import json

import pytest
from minetest_makers import needs_engine

from rig.cli.main import main
from rig.envs.minetest import prerequisites
from rig.envs.minetest.prerequisites import INSTALL, PACKAGES
from rig.errors import MissingDependencyError


def result(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def checks(capsys):
    found = {check["name"]: check for check in result(capsys, "doctor")["checks"]}
    return {name: check for name, check in found.items() if name.startswith("Minetest world: ")}


@needs_engine
def test_doctor_finds_all_that_minetest_needs(capsys):
    found = checks(capsys)
    assert len(found) == 5
    assert all(check["ok"] for check in found.values()), found


def test_doctor_gives_one_command_for_whatever_is_missing(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(prerequisites, "_PLACES", ())
    monkeypatch.delenv("CC", raising=False)
    missing = [check for check in checks(capsys).values() if not check["ok"]]
    assert [check["name"].split(": ")[1] for check in missing if "headers" not in check["name"]] == [
        "Minetest 5.6.1",
        "Xvfb, a display without a screen",
        "C compiler for Minetest's lock-step",
    ]
    assert {check["mend"] for check in missing} == {INSTALL}
    with pytest.raises(MissingDependencyError, match="apt-get update && apt-get install"):
        prerequisites.required("minetest")


def test_the_packages_are_named_in_one_place():
    assert {"minetest", "minetest-data", "xvfb", "gcc"} <= set(PACKAGES)
    assert INSTALL.endswith(" ".join(PACKAGES))


@needs_engine
@pytest.mark.parametrize("way", [(), ("--turn", "--display", "64x64")], ids=["walking", "turning"])
def test_the_benchmark_says_its_figures_last(capsys, way):
    words = ("--sizes", "64x64", "--worlds", "2", "--ticks", "5", "--rounds", "1", "--view-range", "20")
    found = result(capsys, "bench", "env", *words, *way)
    (entry,) = found["entries"]
    assert (entry["size"], entry["worlds"]) == ("64x64", 2)
    assert entry["seeds"] == [5, 6]
    assert min(entry["steps_per_second"], entry["glides_per_second"], entry["reset_seconds"]) > 0
    assert entry["megabytes_per_world"] > 100
    assert found["config"]["seed"] == 5


def test_a_size_that_is_none_is_told(capsys):
    for flag in ("--sizes", "--display"):
        assert main(["bench", "env", flag, "large"]) == 2
        assert f"{flag} 'large' is no size; write WIDTHxHEIGHT" in capsys.readouterr().err
