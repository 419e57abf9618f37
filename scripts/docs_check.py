"""Runs what the documentation shows, so that no page goes stale: `make docs-check`.

In every Markdown file of the repository's root and of docs/,

* `rig ...` commands of fenced sh blocks run, and so do whole python blocks: page by page, each page in a fresh folder,
  in which `checkpoints` leads to the repository's own;
* other commands are not run, but a target of `make ...` must exist;
* a relative link must lead to a file that is there, and its anchor to a heading.

A comment on the line before a block changes what is done with it:

    <!-- docs-check: parse -->          its flags (or its syntax) are checked, and nothing runs
    <!-- docs-check: skip: reason -->   nothing is done; the closing line counts it
    <!-- docs-check: file: name -->     the block, of whatever language, is written to that file of the page's
                                        folder, before anything of the page runs

A pyproject.toml that is written so counts as installed: its entry points are found as if pip had read it. The first
failure ends the check with the page, the line and the end of the output.

    python scripts/docs_check.py [page ...]     every page where none is given
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MARK = "@@ "
TAIL = 30
SHELLS = ("sh", "bash", "shell")
_FENCE = re.compile(r"\s*```\s*(\w*)")
_COMMENT = re.compile(r"\s*<!-- docs-check: (parse|skip: .+|file: \S+) -->\s*")
_LINK = re.compile(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")


class Failure(Exception):
    """Something that a page shows is not so."""


class Block(NamedTuple):
    """A fenced block: where its first line stands, and what the comment before it says ("" without one)."""

    page: Path
    line: int
    language: str
    text: str
    comment: str


class Item(NamedTuple):
    """One thing to do: "run" or "parse" `words` behind `rig`, "exec" or "compile" or "write" or "skip" the block."""

    kind: str
    block: Block
    line: int
    words: tuple[str, ...] = ()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    opened, language, comment = -1, "", ""
    for number, line in enumerate(lines):
        if not (fence := _FENCE.match(line)):
            continue
        if opened >= 0:
            text = "\n".join(lines[opened + 1 : number]) + "\n"
            yield Block(page, opened + 2, language, text, comment)
            opened = -1
            continue
        before = lines[number - 1] if number else ""
        said = _COMMENT.fullmatch(before)
        if "docs-check" in before and said is None:
            raise Failure(f"{page}:{number}: {before.strip()!r} is none of docs-check's comments")
        opened, language, comment = number, fence[1], said[1] if said else ""
    if opened >= 0:
        raise Failure(f"{page}:{opened + 1}: this block is never closed")


def commands(block: Block) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, words) of every simple command of a shell block, without the assignments before it."""
    start = block.line
    for logical in re.findall(r"(?:.*\\\n)*.*\n", block.text):
        lexer = shlex.shlex(logical.replace("\\\n", " "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not re.fullmatch(r"[();<>|&]+", word):
                words += [word] if words or not re.match(r"\w+=", word) else []
            elif words:
                yield start, words
                words = []
        start += logical.count("\n")


def plan(page: Path) -> list[Item]:
    """Return what there is to do for a page, files first, after checking its `make` targets."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    items = []
    for block in blocks(page):
        if block.comment.startswith(("skip", "file")):
            items.append(Item("skip" if block.comment.startswith("skip") else "write", block, block.line))
        elif block.language == "python":
            items.append(Item("compile" if block.comment else "exec", block, block.line))
        for line, (name, *words) in commands(block) if block.language in SHELLS else ():
            if Path(name).name == "rig" and block.comment in ("", "parse"):
                items.append(Item(block.comment or "run", block, line, tuple(words)))
            wanted = [word for word in words if name == "make" and not re.match(r"-|.*=", word)]
            if unknown := [word for word in wanted if word not in targets]:
                raise Failure(f"{page}:{line}: the Makefile has no target {unknown[0]!r}")
    return sorted(items, key=lambda item: item.kind != "write")


def check_links(page: Path) -> int:
    """Return the number of a page's relative links, all of which lead somewhere."""
    code = re.compile(r"^\s*```.*?^\s*```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
    text, count = code.sub(lambda found: "\n" * found[0].count("\n"), page.read_text(encoding="utf-8")), 0
    for found in _LINK.finditer(text):
        link = found[1] or found[2]
        place, _, anchor = link.partition("#")
        target, line = page.parent / place if place else page, text.count("\n", 0, found.start()) + 1
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in headings(target)):
            raise Failure(f"{page}:{line}: the link to {link} leads nowhere")
        count += 1
    return count


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {anchor(title) for title in titles}


def anchor(title: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def do(item: Item) -> None:
    """Do one thing in the current folder; whatever goes wrong raises or exits."""
    block = item.block
    if item.kind == "write":
        name = block.comment.removeprefix("file: ")
        Path(name).write_text(block.text, encoding="utf-8")
        if name == "pyproject.toml":
            pretend_installed(block.text)
    elif item.kind in ("exec", "compile"):
        code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec", dont_inherit=True)
        if item.kind == "exec":
            exec(code, {"__name__": "__main__"})
    elif item.words or item.kind == "run":
        from rig.cli.main import JSON_FLAGS, main, read_verb
        from rig.cli.verbs import VERBS

        sys.argv = ["rig", *item.words]
        count = 2 if " ".join(item.words[:2]) in VERBS else 1
        verb = " ".join(item.words[:count])
        if item.kind == "parse" and verb in VERBS:
            read_verb(verb, [word for word in item.words[count:] if word not in JSON_FLAGS])
        elif status := main(item.words):
            raise SystemExit(status)


def pretend_installed(pyproject: str) -> None:
    """Write what pip would write for a project's entry points into the current folder."""
    project = tomllib.loads(pyproject)["project"]
    folder = Path(f"{project['name'].replace('-', '_')}-0.dist-info")
    folder.mkdir()
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n"
    (folder / "METADATA").write_text(about, encoding="utf-8")
    groups = project.get("entry-points", {}).items()
    lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in of.items()) for group, of in groups]
    (folder / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def work(page: Path) -> None:
    """Do everything for one page in the current folder: what the child process of `run_page` does."""
    for item in plan(page):
        shown = shlex.join(["rig", *item.words]) if item.words else f"the {item.block.language} block"
        print(f"{MARK}{page}:{item.line}: {shown}", flush=True)
        try:
            do(item)
        except SystemExit as left:
            if left.code:
                raise Failure(f"it ended with status {left.code}") from left


def run_page(page: Path) -> None:
    """Do everything for one page in a fresh folder, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="docs-check-") as scratch:
        (Path(scratch) / "checkpoints").symlink_to(ROOT / "checkpoints")
        spare = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}  # small tensors, and cores that are shared
        done = subprocess.run(
            [sys.executable, __file__, "--work", str(page)],
            cwd=scratch,
            env={**spare, **os.environ, "PYTHONPATH": scratch, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        output = done.stdout.decode(errors="replace").rpartition(MARK)[2].replace("\r", "\n").splitlines()
        raise Failure("\n".join([*output[:1], *output[1:][-TAIL:]]))


def check(pages: Sequence[Path]) -> str:
    """Check pages, and return the closing line."""
    started, plans = time.time(), {page: plan(page) for page in pages}
    links = sum(check_links(page) for page in pages)
    for page, items in plans.items():
        begun = time.time()
        if any(item.kind != "skip" for item in items):
            run_page(page)
            print(f"{page.name}: {len(items)} items in {time.time() - begun:.0f} s", flush=True)
    counts = Counter(item.kind for items in plans.values() for item in items)
    return (
        f"docs-check: {len(pages)} pages, {counts['run']} commands run and {counts['parse']} parsed, {counts['exec']} "
        f"Python blocks run and {counts['compile']} compiled, {counts['write']} files written, {counts['skip']} blocks "
        f"skipped, {links} links; {time.time() - started:.0f} s"
    )


def main(arguments: Sequence[str]) -> int:
    """Check the pages given, or all; return the exit status."""
    every = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
    try:
        if arguments[:1] == ["--work"]:
            work(Path(arguments[1]))
        else:
            print(check([Path(name).resolve() for name in arguments] or every))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
