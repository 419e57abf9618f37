"""HTML made of Python values: whatever is not markup already is escaped, so text stays text by construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_VOID = {"img"}


class Markup(str):
    """HTML as it stands in a page; any other text is escaped when it becomes part of one."""

    __slots__ = ()


Child = object
"""What stands in an element: `Markup`, or anything else, of which the text is shown."""


def element(name: str, *children: Child, **attributes: object) -> Markup:
    """Return an element; of attributes, a trailing "_" is left out and the others become "-", and None is not there."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    closed = "" if name in _VOID else f"{joined(children)}</{name}>"
    return Markup(f"<{name}{told}>{closed}")


def joined(children: Iterable[Child]) -> Markup:
    """Return children one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else _escaped(child) for child in children))


def _escaped(value: object) -> str:
    return escape(str(value), quote=True)


def table(header: Sequence[Child], rows: Iterable[Sequence[Child]], *, name: str) -> Markup:
    """Return a table of the class `name` whose rows begin with what they are about; nothing where there is no row."""
    lines = [
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in rest))
        for first, *rest in rows
    ]
    head = element("thead", element("tr", *(element("th", cell, scope="col") for cell in header)))
    return element("table", head, element("tbody", *lines), class_=name) if lines else Markup("")


def bar(share: float) -> Markup:
    """Return a horizontal bar that fills a share, 0 to 1, of its width."""
    filled = element("rect", width=f"{100 * min(1.0, max(0.0, share)):.2f}", height=8)
    return element("svg", filled, class_="bar", viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true")


def columns(counts: Mapping[str, int], *, told: str) -> Markup:
    """Return a chart of columns, one for each name in order, with the first, middle and last name below it.

    Args:
        counts: name -> how many; at least one.
        told: what is shown, for who does not see it.
    """
    names, most = list(counts), max(1, *counts.values())
    width = 100 / len(names)
    drawn = [
        element(
            "rect",
            element("title", f"{name}: {count:,}"),
            x=f"{number * width + 0.08 * width:.3f}",
            y=f"{40 - 40 * count / most:.3f}",
            width=f"{0.84 * width:.3f}",
            height=f"{40 * count / most:.3f}",
        )
        for number, (name, count) in enumerate(counts.items())
    ]
    chart = element(
        "svg",
        *drawn,
        class_="columns",
        viewBox="0 0 100 40",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{told}; most: {most:,}",
    )
    marks = [names[0], names[len(names) // 2], names[-1]] if len(names) > 2 else names
    return element("figure", chart, element("div", *(element("span", mark) for mark in marks), class_="axis"))
