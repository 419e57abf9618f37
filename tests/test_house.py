"""The house is as its plan says: rooms use rooms above them, and the prompt is written in one place."""

import ast
import re
from pathlib import Path

import pytest

from rig.dialogue import prompt

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "rig"
ROOMS = re.findall(r"^\| `(\w+)/?` \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.stem != "__init__")


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (module.split(".")[1] for module in modules if module.startswith("rig."))


def test_the_plan_names_every_room():
    assert {room_of(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_only_rooms_above_it(room):
    below = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = {
        str(path.relative_to(SOURCE)): sorted(below & set(imported_rooms(path)))
        for path in FILES
        if room_of(path) == room and below & set(imported_rooms(path))
    }
    assert not wrong


def module_of(path):
    """Return a module's dotted name; a package goes by its own."""
    return ".".join(("rig", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def imported_modules(path):
    """Yield the modules that a module imports, whether for its types alone or not, as far as the text tells."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from named & MODULES
            if not named <= MODULES:
                yield node.module


MODULES = {module_of(path) for path in FILES}


@pytest.mark.parametrize("room", ROOMS)
def test_the_modules_of_a_room_import_each_other_in_one_direction(room):
    """A room's face (`__init__`), which imports the rest, is imported by none of it."""
    left = {module_of(path): set(imported_modules(path)) for path in FILES if room_of(path) == room}
    while free := [name for name, needed in left.items() if not needed & set(left)]:
        for name in free:
            del left[name]
    assert not left, "these import each other, by whatever way"


def test_the_fixed_phrases_are_written_in_the_prompt_alone():
    written = {
        (str(path.relative_to(SOURCE)), node.value)
        for path in FILES
        if path != SOURCE / "dialogue" / "prompt.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in prompt.LITERALS
    }
    assert not written


_OPENERS = {"open", "fdopen", "NamedTemporaryFile", "TextIOWrapper"}
_RUNNERS = {"run", "Popen", "check_output", "check_call", "call"}
_OPEN_NO_TEXT = {"os", "Image", "archive", "av"}


def is_in_the_locales_encoding(call):
    """Whether a call reads or writes text in whatever encoding the locale has."""
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
    owner = getattr(getattr(call.func, "value", None), "id", "")
    words = [getattr(argument, "value", "") for argument in call.args] + [given.get("mode")]
    if "encoding" in given or any(isinstance(word, str) and re.fullmatch(r"[rwxa+]*b[rwxa+]*", word) for word in words):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < 2  # our own functions of these names take more, and write UTF-8
    if name in _RUNNERS:
        return bool(given.get("text") or given.get("universal_newlines"))
    return name in _OPENERS and owner not in _OPEN_NO_TEXT


def test_text_of_files_and_programs_is_never_in_the_locales_encoding():
    """Where it is, a file that was written on one machine, or under one locale, cannot be read on another."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in [*FILES, *ROOT.glob("scripts/*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and is_in_the_locales_encoding(node)
    ]
    assert not wrong


def test_a_module_can_be_held_in_the_head():
    assert {str(path): count for path in FILES if (count := len(path.read_text().splitlines())) > 400} == {}
