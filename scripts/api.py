"""Writes docs/api.md, the page of what `import rig` gives, from the docstrings: `make api`.

The code is read, not run (griffe). A test refuses a page that is not what this writes.

    python scripts/api.py
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "api.md"
HEAD = """# The library

What `import rig` gives, each name imported when it is first used. These names and what they take stay: what has to go
is told of in the [changelog](../CHANGELOG.md) a release before. Other modules are the package's own, and may change.

`make api` writes this page from the docstrings; `tests/test_library.py` holds the names to this list.
"""
WIDTH = 120


def page() -> str:
    """Return the page."""
    package: Any = griffe.load("rig", search_paths=[ROOT / "src"], docstring_parser="google")
    names = sorted(map(str, package.exports), key=str.lower)
    found = {name: resolved(package, package.imports[name]) for name in names}
    lists = {"Functions": griffe.Kind.FUNCTION, "Classes": griffe.Kind.CLASS, "Constants": griffe.Kind.ATTRIBUTE}
    parts = [HEAD]
    for title, kind in lists.items():
        some = [name for name in names if found[name].kind is kind]
        parts += [f"## {title}\n", *("\n".join(entry(name, found[name])) for name in some)]
    return "\n".join(parts).rstrip() + "\n"


def resolved(package: Any, path: str) -> Any:
    """Return what is called `path`, where it is defined."""
    found = package[path.removeprefix("rig.")]
    while found.is_alias or found.path != path:
        path = found.target_path if found.is_alias else found.path
        found = package[path.removeprefix("rig.")]
    return found


def entry(name: str, item: Any) -> Iterator[str]:
    """Yield the lines of one name."""
    yield f"### rig.{name}\n"
    if item.kind is griffe.Kind.CLASS and not list(item.parameters):
        yield from block(f"class {name}({', '.join(map(str, item.bases))}): ...")
    elif item.kind is griffe.Kind.CLASS:
        made = signature("def __init__", item.parameters, "None", "self")
        yield from block(f"class {name}:\n{textwrap.indent(made, '    ')}")
    elif item.kind is griffe.Kind.FUNCTION:
        yield from block(signature(f"def {name}", item.parameters, item.returns))
    yield from told(item)
    if item.kind is griffe.Kind.CLASS:
        yield from (line for member in own(item) for line in member_lines(name, member))


def own(item: Any) -> Iterator[Any]:
    """Yield a class's public methods and properties, in the order of the source."""
    for name, member in item.members.items():
        is_property = member.is_attribute and "property" in member.labels
        if not name.startswith("_") and (member.is_function or is_property) and member.docstring:
            yield member


def member_lines(owner: str, member: Any) -> Iterator[str]:
    """Yield the lines of a method or a property."""
    yield f"#### {owner}.{member.name}\n"
    if member.is_function:
        yield from block(signature(f"def {member.name}", member.parameters, member.returns))
    else:
        yield from block(f"{member.name}: {member.annotation}")
    yield from told(member)


def block(text: str) -> list[str]:
    """Return a block of Python that docs-check compiles."""
    return ["<!-- docs-check: parse -->", "```python", text, "```", ""]


def signature(head: str, parameters: Any, returns: object, *first: str) -> str:
    """Return `head` with what it takes behind `first`, on a line where it fits, as Python that compiles."""
    words = list(first)
    for parameter in parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not any(word.startswith("*") for word in words):
            words.append("*")
        typed = f"{parameter.name}: {parameter.annotation}" if parameter.annotation else parameter.name
        is_given = parameter.default is None or parameter.kind in VARIADIC
        word = f"{VARIADIC.get(parameter.kind, '')}{typed}" if is_given else f"{typed} = {parameter.default}"
        words.append(word.replace("'", '"'))  # as ruff writes it, which formats this page too
    end = f" -> {returns}: ..." if returns else ": ..."
    line = f"{head}({', '.join(words)}){end}"
    return line if len(line) <= WIDTH - 4 else "\n".join([f"{head}(", *(f"    {word}," for word in words), f"){end}"])


def told(item: Any) -> Iterator[str]:
    """Yield what a docstring says, its sections as lists."""
    for section in item.docstring.parse("google") if item.docstring else ():
        if section.kind is griffe.DocstringSectionKind.text:
            yield from [plain(section.value), ""]
            continue
        values = section.value
        if section.kind is griffe.DocstringSectionKind.attributes:
            values = [*(one for base in reversed(item.mro()) for one in attributes(base)), *values]
        yield from [f"{TITLES[section.kind]}:\n", *(bullet(section, one) for one in values), ""]


def attributes(base: Any) -> list[Any]:
    """Return the attributes that the docstring of a class tells of."""
    sections = base.docstring.parse("google") if base.docstring else []
    return [one for each in sections if each.kind is griffe.DocstringSectionKind.attributes for one in each.value]


VARIADIC = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
TITLES = {
    griffe.DocstringSectionKind.parameters: "Takes",
    griffe.DocstringSectionKind.attributes: "Has",
    griffe.DocstringSectionKind.returns: "Returns",
    griffe.DocstringSectionKind.yields: "Yields",
    griffe.DocstringSectionKind.raises: "Raises",
}


def bullet(section: Any, one: Any) -> str:
    """Return a line of a section's list."""
    name = one.annotation if section.kind is griffe.DocstringSectionKind.raises else one.name
    text = plain(" ".join(one.description.split()))
    line = f"* `{name}`: {text}" if name else f"* {text}"
    return textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def plain(text: str) -> str:
    """Return Markdown of a docstring's text: its examples as blocks that nobody runs."""
    lines = [re.sub(r"^ {4}", "", line) for line in text.splitlines()]
    is_code = [line.startswith("    ") for line in text.splitlines()]
    made = list[str]()
    for number, line in enumerate(lines):
        if is_code[number] and not (number and is_code[number - 1]):
            made.append("```text")
        made.append(line)
        if is_code[number] and not (number + 1 < len(lines) and is_code[number + 1]):
            made.append("```")
    return "\n".join(made)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: {len(re.findall('^### ', PAGE.read_text(encoding='utf-8'), re.MULTILINE))} names")
    sys.exit(0)
