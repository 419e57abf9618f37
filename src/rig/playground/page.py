"""The page of the playground, as one HTML file that loads nothing; its policy forbids it to."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib.resources import files

from rig.playground.house import House

_STYLES = (("rig.viewer", "style.css"), ("rig.playground", "playground.css"))
_SCRIPTS = tuple(("rig.playground", f"{name}.js") for name in ("parts", "watch", "dream", "record", "page"))


def page(house: House) -> bytes:
    """Return the page, under the name of the agent."""
    return _template().replace("{{agent}}", escape(house.name)).encode("utf-8", "replace")


def headers() -> dict[str, str]:
    """Return the headers under which it is served: nothing but its own style and script runs."""
    policy = (
        f"default-src 'none'; img-src data: blob:; connect-src 'self'; style-src '{_digest(_style())}'; "
        f"script-src '{_digest(_script())}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }


@cache
def _template() -> str:
    text = _part("rig.playground", "page.html")
    return text.replace("{{style}}", _style()).replace("{{script}}", _script())


@cache
def _style() -> str:
    return "\n" + "".join(_part(*one) for one in _STYLES)


@cache
def _script() -> str:
    return '\n"use strict";\n{\n' + "".join(_part(*one) for one in _SCRIPTS) + "}\n"


def _part(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
