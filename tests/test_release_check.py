"""What `make release-check` refuses, on small archives; the whole of it builds and installs, and is a command."""

import io
import json
import tarfile
import zipfile
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
VERSION = "1.2.0"
RECORDS = f"rig_agent-{VERSION}.dist-info"
METADATA = f"Metadata-Version: 2.4\nName: rig-agent\nVersion: {VERSION}\nLicense-Expression: Apache-2.0\n"
MODULES = {"rig/__init__.py": b"", "rig/py.typed": b"", "rig/checkpoints/rig-crafter-small/agent.json": b"{}"}
WHOLE = MODULES | {
    f"{RECORDS}/METADATA": METADATA.encode(),
    f"{RECORDS}/WHEEL": b"",
    f"{RECORDS}/RECORD": b"",
    f"{RECORDS}/entry_points.txt": b"[console_scripts]\nrig = rig.cli.main:main\n",
    f"{RECORDS}/licenses/LICENSE": b"Apache",
}


@pytest.fixture(scope="module")
def checks():
    spec = util.spec_from_file_location("release_check", ROOT / "scripts" / "release_check.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel_of(folder, files):
    path = folder / f"rig_agent-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def test_this_version_is_told_alike_everywhere(checks):
    assert checks.check_version(ROOT) == checks.version_of(ROOT)


def tree(folder, version, changelog, cited):
    (folder / "src" / "rig").mkdir(parents=True)
    (folder / "src" / "rig" / "__init__.py").write_text(f'"""RIG."""\n\n__version__ = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n## {changelog}\n\n## 0.9.0 (2026-01-02)\n")
    (folder / "CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {cited}\ntitle: rig\n")
    return folder


@pytest.mark.parametrize(
    ("version", "changelog"),
    [("1.2.0", "1.2.0 (2026-12-01)"), ("1.2.0rc1", "1.2.0rc1 (2026-12-01)"), ("1.3.0.dev0", "Unreleased")],
)
def test_a_version_that_all_three_agree_on_passes(checks, tmp_path, version, changelog):
    assert checks.check_version(tree(tmp_path, version, changelog, version)) == version


@pytest.mark.parametrize(
    ("version", "changelog", "cited", "told"),
    [
        ("1.2.0", "Unreleased", "1.2.0", "begin with '## 1.2.0"),
        ("1.2.0", "1.2.0", "1.2.0", "year-month-day"),
        ("1.2.0", "1.2.0 (2026-12-01)", "1.1.0", "CITATION.cff says version 1.1.0"),
        ("1.3.0.dev0", "1.2.0 (2026-12-01)", "1.3.0.dev0", "begin with '## Unreleased'"),
        ("1.2", "1.2 (2026-12-01)", "1.2", "no version as"),
    ],
)
def test_a_version_told_otherwise_somewhere_is_refused(checks, tmp_path, version, changelog, cited, told):
    with pytest.raises(checks.Failure, match=told):
        checks.check_version(tree(tmp_path, version, changelog, cited))


def test_a_whole_wheel_passes(checks, tmp_path):
    assert checks.check_wheel(wheel_of(tmp_path, WHOLE), MODULES, VERSION).startswith("8 files")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tests/test_cli.py": b""}, r"also has tests/test_cli\.py"),
        ({"rig/__pycache__/model.cpython-311.pyc": b""}, "also has rig/__pycache__"),
        ({"rig/forgotten.js~": b""}, "also has rig/forgotten"),
        ({"rig/py.typed": None}, r"lacks rig/py\.typed"),
        ({"rig/checkpoints/rig-crafter-small/agent.json": None}, "lacks rig/checkpoints"),
        ({"rig/__init__.py": b"stale"}, r"otherwise than the tree rig/__init__\.py"),
        ({f"{RECORDS}/licenses/LICENSE": None}, "no licenses/LICENSE"),
        ({f"{RECORDS}/entry_points.txt": b""}, "no command `rig`"),
        ({f"{RECORDS}/METADATA": METADATA.replace(VERSION, "1.1.0").encode()}, "Version '1.1.0' in place of '1.2.0'"),
        ({f"{RECORDS}/METADATA": f"{METADATA}Requires-Dist: minerl @ git+https://x\n".encode()}, "minerl @ git"),
    ],
)
def test_a_wheel_with_something_wrong_is_refused(checks, tmp_path, change, told):
    files = {name: text for name, text in (WHOLE | change).items() if text is not None}
    with pytest.raises(checks.Failure, match=told):
        checks.check_wheel(wheel_of(tmp_path, files), MODULES, VERSION)


def test_a_package_without_types_or_too_large_for_the_index_is_refused(checks, tmp_path, monkeypatch):
    untyped = {name: text for name, text in MODULES.items() if name != "rig/py.typed"}
    without = {name: text for name, text in WHOLE.items() if name != "rig/py.typed"}
    with pytest.raises(checks.Failure, match=r"no rig/py\.typed"):
        checks.check_wheel(wheel_of(tmp_path, without), untyped, VERSION)
    monkeypatch.setattr(checks, "MOST_BYTES", 100)
    with pytest.raises(checks.Failure, match="more than 0"):
        checks.check_wheel(wheel_of(tmp_path, WHOLE), MODULES, VERSION)


def test_what_the_sdist_makes_is_held_to_what_the_tree_makes(checks, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "sdist").mkdir()
    first = wheel_of(tmp_path / "tree", WHOLE)
    assert checks.check_same(first, wheel_of(tmp_path / "sdist", WHOLE)) == "byte for byte"
    less = {name: text for name, text in WHOLE.items() if not name.endswith("agent.json")}
    with pytest.raises(checks.Failure, match="lacks rig/checkpoints"):
        checks.check_same(first, wheel_of(tmp_path / "sdist", less))


def test_an_sdist_is_read_without_its_folder(checks, tmp_path):
    with tarfile.open(tmp_path / "rig.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo(f"rig_agent-{VERSION}/tests/test_cli.py")
        archive.addfile(member, io.BytesIO())
    found = checks.sdist_contents(tmp_path / "rig.tar.gz")
    assert found == {"tests/test_cli.py": b""}
    with pytest.raises(checks.Failure, match=r"sdist also has tests/test_cli\.py"):
        checks.check_files(found, {}, "sdist")


def test_what_a_release_holds_is_there_in_the_tree(checks):
    names, agents = checks.tracked(ROOT), checks.agents_of((ROOT / "setup.py").read_text(encoding="utf-8"))
    wheel = checks.wanted_in_wheel(names, agents)
    assert {"rig/py.typed", "rig/viewer/page.js", "rig/checkpoints/rig-crafter-small/model.safetensors"} <= set(wheel)
    assert not [name for name in wheel if name.startswith("tests") or "minetest-small" in name]
    missing = [name for name in checks.wanted_in_sdist(names, agents) if not (ROOT / name).is_file()]
    assert not missing


def test_a_demonstration_of_another_agent_is_none(checks, tmp_path):
    ways = {name: {"episodes": 3} for name in ("RIG-basic", "RIG-lookahead", "best of 4")}
    (tmp_path / "trace.html").write_text("x" * 200_000)
    installed = tmp_path / "environment"
    for agent, told in ((installed / "lib/rig", None), (ROOT / "checkpoints/rig-crafter-small", "not within")):
        (tmp_path / "summary.json").write_text(json.dumps({"agent": str(agent), "seconds": 9.0, **ways}))
        if told is None:
            assert checks.check_demo(tmp_path, installed).startswith("rig demo: 9 episodes")
        else:
            with pytest.raises(checks.Failure, match=told):
                checks.check_demo(tmp_path, installed)


def test_what_a_person_still_does_ends_where_it_is_done(checks, tmp_path):
    run = checks.run
    run(["git", "init", "-q"], cwd=tmp_path)
    (tmp_path / "README.md").write_text("[a](docs/a.md) [b](https://example.org)\n")
    before = list(checks.still_wanted(tmp_path, "1.2.0.dev0", {}))
    assert [line.partition(" ")[0] for line in before[:3]] == ["commit", "a", "the"]
    assert "its 1 links" in before[2]
    run(["git", "add", "."], cwd=tmp_path)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run(["git", *author, "commit", "-qm", "a release"], cwd=tmp_path)
    assert "git tag" in next(checks.still_wanted(tmp_path, VERSION, {"urls": {"Source": "https://example.org"}}))
    run(["git", "tag", f"v{VERSION}"], cwd=tmp_path)
    after = list(checks.still_wanted(tmp_path, VERSION, {"urls": {"Source": "https://example.org"}}))
    assert "make test" in after[0]


def test_a_command_that_fails_is_told_with_its_end(checks, tmp_path):
    with pytest.raises(checks.Failure, match="status 3:\nlast words"):
        checks.run(["sh", "-c", "echo last words; exit 3"], cwd=tmp_path)
    assert checks.refusal(["true"], tmp_path) == "it went through"
