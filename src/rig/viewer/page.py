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

_SLOT = re.compile(r"\{\{(\w+)\}\}")


def render_trace(
    trajectories: Sequence[Trajectory],
    path: str | Path,
    *,
    title: str = "RIG trace",
    meta: Mapping[str, object] | None = None,
    ways: Sequence[str] | None = None,
    results: Mapping[str, Mapping[str, tuple[int, int]]] | None = None,
    first: tuple[int, int] | None = None,
    max_steps: int | None = None,
) -> Path:
    """Write episodes as one self-contained HTML page and return its path.

    Args:
        trajectories: the episodes, in the order in which the page lists them.
        path: where the page goes; folders are made, and an existing page is replaced in one move.
        title: the page's heading.
        meta: what the page states about the run, for example checkpoint, commit, seeds and number of dreams.
        ways: how each episode was played, for example "RIG-lookahead, n = 1".
        results: way -> "task/setting" -> (successes, episodes).
        first: on which episode and step the page opens, both counted from 0.
        max_steps: at most so many steps of each episode, spread evenly from first to last; all where it is None.

    Raises:
        RigError: there is no episode, an episode has no steps, or a frame is not uint8 [height, width, 3].
        ActionError: an action does not belong to the trajectory's action space.
    """
    payload = build_payload(trajectories, title=title, meta=meta or {}, max_steps=max_steps)
    payload |= {"ways": list(ways or ()), "results": dict(results or {}), "first": first}
    template = files("rig.viewer").joinpath("template.html").read_text(encoding="utf-8")
    path = Path(path)
    write_bytes(path, fill(template, title, payload).encode("utf-8", "replace"))
    return path


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
    style, script = (_digest(template, tag) for tag in ("style", "script"))
    return (
        f"default-src 'none'; img-src data:; style-src '{style}'; script-src '{script}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _digest(template: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
    assert found is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
