"""Fill the page's template: one HTML file that needs nothing else, now or in ten years.

The file may be opened from disk or mailed: it loads nothing, and its content security policy forbids it to. Texts reach
the page only as JSON data that the script sets as text, so whatever a model wrote stays text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import rig
from rig.records import Trajectory
from rig.storage import write_bytes
from rig.viewer.payload import build_payload
from rig.viewer.results import Scores
from rig.viewer.text import label

_SLOT = re.compile(r"\{\{(\w+)\}\}")


def render_trace(
    trajectories: Sequence[Trajectory],
    path: str | Path,
    *,
    title: str = "RIG trace",
    meta: Mapping[str, object] | None = None,
    ways: Sequence[str] | None = None,
    results: Scores | None = None,
    first: tuple[int, int] | None = None,
    max_steps: int | None = None,
) -> Path:
    """Write episodes as one self-contained HTML page and return its path.

    Args:
        trajectories: the episodes, in the order in which the page lists them.
        path: where the page goes; folders are made, and an existing page is replaced in one move.
        title: the page's heading.
        meta: what the page states about the run, for example checkpoint, commit, seeds and number of dreams.
        ways: how each episode was played, for example "RIG-lookahead, n = 1"; the actors' names where it is None.
        results: way -> "task/setting" -> (successes, episodes), for the table on top; of ways that it does not name,
            and where it is None, the episodes given are counted.
        first: on which episode and step the page opens, both counted from 0; where it is None, on the first step that
            has a dream, or else on the first step.
        max_steps: at most so many steps of each episode, spread evenly from first to last; all where it is None.

    Raises:
        RigError: there is no episode, an episode has no steps, a frame is not uint8 [height, width, 3], a number is not
            finite, a fact is not what it should be, or `ways`, `results` or `first` do not fit the episodes.
        ActionError: an action does not belong to the trajectory's action space.
    """
    payload = build_payload(
        trajectories, title=title, meta=meta or {}, ways=ways, results=results, first=first, max_steps=max_steps
    )
    path = Path(path)
    write_bytes(path, fill(_template(), label(title), payload).encode("utf-8", "replace"))
    return path


def _template() -> str:
    """Return the template with its style and script in place, whose digests stand in its policy."""
    parts = {"style": ("style.css",), "script": ("nodes.js", "drawing.js", "episodes.js", "page.js")}
    texts = {slot: "".join(_part(name) for name in names) for slot, names in parts.items()}
    return _SLOT.sub(lambda slot: texts.get(slot[1], slot[0]), _part("template.html"))


def _part(name: str) -> str:
    return files("rig.viewer").joinpath(name).read_text(encoding="utf-8")


def fill(template: str, title: str, payload: Mapping[str, object]) -> str:
    """Return the template with its title, policy, version and payload in place."""
    values = {
        "title": escape(title),
        "policy": content_policy(template),
        "version": escape(rig.__version__),
        "payload": script_json(payload),
    }
    return _SLOT.sub(lambda slot: values[slot[1]], template)


def script_json(payload: Mapping[str, object]) -> str:
    """Return JSON that no HTML parser can mistake for markup, for a `<script type="application/json">`."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_policy(template: str) -> str:
    """Return the policy under which only the template's own style and script run, and only data URIs are images."""
    style, script = (digest(template, tag) for tag in ("style", "script"))
    return (
        f"default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; base-uri 'none'; "
        "form-action 'none'"
    )


def digest(template: str, tag: str) -> str:
    """Return what a content security policy calls the first element `tag` of a page."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
    assert found is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
