"""Checks a release: builds it, looks into it, installs it into an empty environment and plays: `make release-check`.

    python scripts/release_check.py               all of it: five minutes, and room for PyTorch
    python scripts/release_check.py --no-install  builds and looks

What is built is the files that git knows, as they are in the working tree; sdist and wheel end up in dist/. Every check
is told as it is done, and the first that fails ends it. At the end stands what a release still wants of a person.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from email import message_from_string
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 60 << 20
"""Of a wheel; PyPI takes 100 MB."""
BESIDE = (
    *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "constraints.txt"),
    *("pyproject.toml", "setup.py"),
)
"""What an sdist holds beside the modules and the agent."""
BUILT = ("PKG-INFO", "setup.cfg", "src/rig_agent.egg-info/")
"""What setuptools writes into an sdist."""
PLAYED = ("collect_wood", "place_table/tool")
"""The tasks of the demonstration: little to play, in both settings."""


class Failure(Exception):
    """A check that failed, and what is to be done."""


# -- what people read as the version --------------------------------------------------------------------------------


def version_of(root: Path) -> str:
    """Return the version, from the one place where it is written."""
    text = (root / "src" / "rig" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise Failure('src/rig/__init__.py has no line __version__ = "..."')
    return found[1]


def check_version(root: Path) -> str:
    """Refuse a version that the changelog or the citation tells otherwise; return it."""
    version = version_of(root)
    if not re.fullmatch(r"\d+\.\d+\.\d+(rc\d+|\.dev\d+)?", version):
        raise Failure(f"{version} is no version as docs/releasing.md has them: 1.2.3, 1.2.3rc1 or 1.2.3.dev0")
    headings = re.findall(r"^## (.+)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    first = headings[0] if headings else "nothing"
    wanted = r"Unreleased" if ".dev" in version else rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)"
    if not re.fullmatch(wanted, first):
        shown = "Unreleased" if ".dev" in version else f"{version} (year-month-day)"
        raise Failure(f"CHANGELOG.md begins with {first!r}; for version {version} it is to begin with '## {shown}'")
    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.findall(r"^version: *\"?([^\"\n]+)\"?$", citation, re.MULTILINE)
    if cited != [version]:
        raise Failure(f"CITATION.cff says version {', '.join(cited) or 'nothing'}, src/rig/__init__.py {version}")
    return version


# -- what is built --------------------------------------------------------------------------------------------------


def tracked(root: Path) -> list[str]:
    """Return the files that git knows and that are there."""
    listed = run(["git", "ls-files", "-z"], cwd=root)
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


def wanted_in_wheel(names: Sequence[str], agents: Sequence[str]) -> dict[str, str]:
    """Return what a wheel holds beside its own records: its name there -> that in the tree."""
    modules = {name.removeprefix("src/"): name for name in names if name.startswith("src/rig/")}
    weights = {f"rig/{name}": name for name in names if name.startswith(tuple(f"checkpoints/{one}/" for one in agents))}
    return {name: source for name, source in (modules | weights).items() if not name.endswith(".gitignore")}


def wanted_in_sdist(names: Sequence[str], agents: Sequence[str]) -> list[str]:
    """Return what an sdist holds beside what setuptools writes."""
    return sorted({*wanted_in_wheel(names, agents).values(), *BESIDE})


def wheel_contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist() if not entry.is_dir()}


def sdist_contents(sdist: Path) -> dict[str, bytes]:
    """Return the files of an sdist, by their names within its folder."""
    with tarfile.TarFile.gzopen(sdist) as archive:
        files = [(member.name.partition("/")[2], archive.extractfile(member)) for member in archive if member.isfile()]
        return {name: file.read() for name, file in files if file is not None}


def check_files(found: Mapping[str, bytes], wanted: Mapping[str, bytes], what: str) -> None:
    """Refuse an archive that lacks a file, has one too many, or has one that is not the tree's."""
    wrong = {
        "lacks": sorted(set(wanted) - set(found)),
        "also has": sorted(set(found) - set(wanted)),
        "has otherwise than the tree": sorted(name for name in set(found) & set(wanted) if found[name] != wanted[name]),
    }
    for kind, names in wrong.items():
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            raise Failure(f"the {what} {kind} {', '.join(names[:5])}{more} (pyproject.toml, MANIFEST.in, setup.py)")


def check_wheel(wheel: Path, wanted: Mapping[str, bytes], version: str) -> str:
    """Refuse a wheel that is not the tree's modules and agents, or whose records are wrong; return its size."""
    if wheel.stat().st_size > MOST_BYTES:
        raise Failure(f"{wheel.name} has {wheel.stat().st_size >> 20} MB, more than {MOST_BYTES >> 20}")
    found = wheel_contents(wheel)
    records = {name: text for name, text in found.items() if name.startswith(f"rig_agent-{version}.dist-info/")}
    check_files({name: text for name, text in found.items() if name not in records}, wanted, "wheel")
    by_name = {name.partition("/")[2]: text.decode() for name, text in records.items()}
    for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"):
        if name not in by_name:
            raise Failure(f"the wheel has no {name}")
    check_metadata(by_name["METADATA"], version)
    if "rig = rig.cli.main:main" not in by_name["entry_points.txt"]:
        raise Failure("the wheel declares no command `rig`")
    if not {"rig/py.typed", "rig/__init__.py"} <= set(found):
        raise Failure("the wheel has no rig/py.typed, by which type checkers know that it has types")
    return f"{len(found)} files, {wheel.stat().st_size / 1e6:.1f} MB"


def check_metadata(text: str, version: str) -> None:
    """Refuse metadata that PyPI would refuse, or that say something else than the tree."""
    read = message_from_string(text)
    wanted = {"Name": "rig-agent", "Version": version, "License-Expression": "Apache-2.0"}
    for name, value in wanted.items():
        if read[name] != value:
            raise Failure(f"the metadata have {name} {read[name]!r} in place of {value!r}")
    if links := [each for each in read.get_all("Requires-Dist", []) if " @ " in each]:
        raise Failure(f"PyPI takes no requirement with an address: {links[0]}")


def check_same(first: Path, second: Path) -> str:
    """Refuse two wheels that differ in any file but the list of hashes, which has its own; return what was compared."""
    one, other = wheel_contents(first), wheel_contents(second)
    check_files(other, one, "wheel that the sdist makes")
    is_same = first.read_bytes() == second.read_bytes()
    return "byte for byte" if is_same else f"in all {len(one)} files"


# -- what a person still does ---------------------------------------------------------------------------------------


def still_wanted(root: Path, version: str, project: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a release still wants of a person, as far as it can be told from here."""
    if run(["git", "status", "--porcelain"], cwd=root):
        yield "commit what is changed: the working tree is what was built, and not what a tag would name"
    if ".dev" in version:
        yield f"a version: {version} is none to release; docs/releasing.md says which, and where it is written"
    elif f"v{version}" not in run(["git", "tag", "--points-at", "HEAD"], cwd=root).split():
        yield f"a tag, once this passes on the commit: git tag --sign v{version}"
    if "Source" not in project.get("urls", {}):
        links = re.findall(r"\]\((?!https?:|#)[^)]+\)", (root / "README.md").read_text(encoding="utf-8"))
        yield (
            "the repository's and the site's addresses, as Source and Documentation in [project.urls]; until README.md "
            f"has whole addresses, its {len(links)} links to files lead nowhere on PyPI, the picture among them"
        )
    yield "`make test` on this commit, and `pytest -m gpu` on a machine with a GPU"
    yield "`make docs-check`, and a look at `make docs`, above all at the first page"
    yield "the changelog read as a user would: what breaks comes first, with what to do"
    yield "private vulnerability reporting switched on (SECURITY.md)"
    yield "twine upload dist/*, and after it: pip install 'rig-agent[crafter]' somewhere else, rig demo"


# -- the whole of it ------------------------------------------------------------------------------------------------


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    """Return what a command printed; one that fails is a failed check with the end of its output."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).replace("\r", "\n").splitlines()[-30:])
        raise Failure(f"{' '.join(map(str, command))} ended with status {done.returncode}:\n{tail}")
    return done.stdout


def refusal(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    """Return what was said by a command that is to fail."""
    try:
        run(command, cwd, **environment)
    except Failure as found:
        return str(found)
    return "it went through"


def environment(folder: Path) -> Path:
    """Make an empty environment; return its Python."""
    venv.create(folder, with_pip=True, clear=True)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install with an environment's pip."""
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what], cwd=ROOT)


def build(tools: Path, scratch: Path, names: Sequence[str]) -> tuple[Path, Path, Path]:
    """Return an sdist, a wheel, and the wheel that the sdist makes, all of a copy of the tree."""
    tree = scratch / "tree"
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    dated = {"SOURCE_DATE_EPOCH": run(["git", "log", "-1", "--format=%ct"], cwd=ROOT).strip()}
    made = scratch / "made"
    for kind in ("sdist", "wheel"):
        run([tools, "-m", "build", f"--{kind}", "--outdir", made, tree], cwd=scratch, **dated)
    sdist = only(made.glob("*.tar.gz"))
    unpacked, again = scratch / "unpacked", scratch / "again"
    unpacked.mkdir()
    run(["tar", "-xzf", sdist], cwd=unpacked)
    run([tools, "-m", "build", "--wheel", "--outdir", again, only(unpacked.iterdir())], cwd=scratch, **dated)
    return sdist, only(made.glob("*.whl")), only(again.glob("*.whl"))


def only(found: Iterator[Path]) -> Path:
    """Return the only one there is."""
    (one,) = found
    return one


def play(wheel: Path, scratch: Path, version: str) -> Iterator[str]:
    """Install a wheel into an empty environment and play with it, outside of the checkout; yield what was found."""
    python, elsewhere = environment(scratch / "empty"), scratch / "elsewhere"
    elsewhere.mkdir()
    rig, cache = python.parent / "rig", {"RIG_CACHE": str(scratch / "cache")}
    build_of_torch = run([python, ROOT / "scripts" / "torch_build.py"], cwd=elsewhere).split()
    pinned = ("--constraint", ROOT / "constraints.txt", *build_of_torch)
    install(python, *pinned, str(wheel))
    if (said := run([rig, "--version"], cwd=elsewhere).strip()) != version:
        raise Failure(f"rig --version says {said} in place of {version}")
    yield f"rig --version says {version}, without extras"
    refused = refusal([rig, "demo", "--out", "nothing"], elsewhere, **cache)
    if "pip install 'rig-agent[crafter]'" not in refused or "Traceback" in refused:
        raise Failure(f"rig demo without the extra crafter does not say what installs it:\n{refused}")
    yield "rig demo without the extra crafter names what installs it"
    install(python, *pinned, f"{wheel}[crafter]")
    doctor = run([rig, "doctor"], cwd=elsewhere, **cache)
    if not all(re.search(rf"^ok +package {name}:", doctor, re.MULTILINE) for name in ("torch", "crafter", "numba")):
        raise Failure(f"rig doctor misses what was installed:\n{doctor}")
    yield "rig doctor finds PyTorch, Crafter and numba"
    run([rig, "demo", "--tasks", *PLAYED, "--out", "demo"], cwd=elsewhere, **cache)
    yield check_demo(elsewhere / "demo", python.parent.parent)


def check_demo(folder: Path, installed: Path) -> str:
    """Refuse a demonstration of another agent than the one installed, or without episodes; return what was played."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if not Path(summary["agent"]).resolve().is_relative_to(installed.resolve()):
        raise Failure(f"the demonstration played {summary['agent']}, which is not within {installed}")
    ways = {name: found["episodes"] for name, found in summary.items() if isinstance(found, dict)}
    if len(ways) < 3 or not all(ways.values()) or (folder / "trace.html").stat().st_size < 100_000:
        raise Failure(f"the demonstration is not whole: {ways}")
    return f"rig demo: {sum(ways.values())} episodes as {'; '.join(ways)} in {summary['seconds']:.0f} s"


def told(what: str, check: Callable[[], Any]) -> Any:
    """Do a check and print that it passed; return what it returns."""
    begun = time.time()
    found = check()
    print(f"ok    {what}{f': {found}' if isinstance(found, str) else ''} ({time.time() - begun:.0f} s)", flush=True)
    return found


def check_all(scratch: Path, with_install: bool) -> None:
    """Do every check, the cheap ones first, and leave sdist and wheel in dist/."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = told("the version, in CHANGELOG.md and CITATION.cff", lambda: check_version(ROOT))
    tools = environment(scratch / "tools")
    told("the tools are installed", lambda: install(tools, *project["dependency-groups"]["release"]))
    told("CITATION.cff fits its schema", lambda: run([tools.parent / "cffconvert", "--validate"], cwd=ROOT) and None)
    names, agents = tracked(ROOT), agents_of((ROOT / "setup.py").read_text(encoding="utf-8"))
    sdist, wheel, again = told("sdist and wheel are built", lambda: build(tools, scratch, names))
    inside = {name: (ROOT / source).read_bytes() for name, source in wanted_in_wheel(names, agents).items()}
    told("the wheel holds the tree's modules and agent", lambda: check_wheel(wheel, inside, version))
    source = {name: (ROOT / name).read_bytes() for name in wanted_in_sdist(names, agents)}
    packed = {name: text for name, text in sdist_contents(sdist).items() if not name.startswith(BUILT)}
    told("so does the sdist, with what builds them", lambda: check_files(packed, source, "sdist"))
    told("the wheel that the sdist makes is the same", lambda: check_same(wheel, again))
    twine = [tools, "-m", "twine", "check", "--strict", sdist, wheel]
    told("PyPI would show the description", lambda: run(twine, cwd=scratch) and None)
    kept = keep(sdist, wheel, ROOT / "dist")
    if with_install:
        for found in play(wheel, scratch, version):
            print(f"ok    {found}", flush=True)
    print(f"\nbuilt: {', '.join(map(str, kept))}\n\nwhat the release still wants of a person:")
    for wanted in still_wanted(ROOT, version, project["project"]):
        print(f"[ ]   {wanted}")


def keep(sdist: Path, wheel: Path, folder: Path) -> list[Path]:
    """Leave these in a folder, and no earlier ones, which would be uploaded too; return where they are."""
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob("rig_agent-*"):
        earlier.unlink()
    return [Path(shutil.copy(made, folder)) for made in (sdist, wheel)]


def agents_of(setup: str) -> list[str]:
    """Return the agents that setup.py puts into what is built."""
    (found,) = re.findall(r"^AGENTS = \((.*)\)$", setup, re.MULTILINE)
    return re.findall(r'"([^"]+)"', found)


def main(arguments: Sequence[str]) -> int:
    """Check a release; return the exit status."""
    parser = argparse.ArgumentParser(description="Check a release.")
    parser.add_argument("--no-install", action="store_true", help="build and look, but do not install and play")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="release-check-") as scratch:
        try:
            check_all(Path(scratch), not wanted.no_install)
        except Failure as failure:
            print(f"FAIL  {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
