"""What `rig inspect` finds: by the files that mark each kind of folder, or in one file that a command wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig.errors import RigError
from rig.storage import bytes_of, read_json, read_json_lines

if TYPE_CHECKING:
    from rig.data import Dataset

_HEAD_BYTES = 4096

RESULTS = {
    "summary.json": "scores of play",
    "imagination.json": "scores of dreams",
    "reviews.json": "scores of reviews",
    "causality.json": "scores with dreams exchanged",
    "vision.json": "a vision tower",
    "scores.json": "tokenizers",
    "run.json": "a training run",
}
"""File -> what a folder that holds it is; the first that is there says it."""


def inspect(path: Path, *, verify: bool = False) -> dict[str, Any]:
    """Return what is at `path`, as text and as values; "kind" says which.

    Raises:
        RigError: no command wrote it, or it is not whole.
    """
    if path.is_file():
        return _file(path)
    for name, look in _FOLDERS.items():
        if (path / name).is_file():
            return look(path, verify)
    for name in RESULTS:
        if (path / name).is_file():
            return _json(path / name) | ({"scores": read_json(path / "scores.json")} if name == "vision.json" else {})
    if (path / "episodes.jsonl").is_file():
        return _unfinished(path)
    if (path / "logs" / "times.jsonl").is_file():
        return _ladder(path)
    if (path / "config.json").is_file():
        return _base(path)
    raise RigError(
        f"{path} holds none of manifest.json (a dataset), agent.json (an agent), config.json (a base), "
        f"logs/times.jsonl (a ladder) or {', '.join(RESULTS)} (a run, or results)"
    )


def _file(path: Path) -> dict[str, Any]:
    if path.suffix == ".html":
        return _page(path)
    if path.suffix == ".jsonl":
        lines = read_json_lines(path)
        last = lines[-1] if lines else None
        return {"text": f"{path}: {len(lines)} lines; the last:\n{json.dumps(last)}", "kind": path.name, "last": last}
    if path.name == "manifest.json" or path.name == "agent.json":
        return inspect(path.parent)
    if path.suffix == ".json":
        return _json(path)
    raise RigError(f"{path} is no .json, .jsonl or .html that a command wrote; give the folder that it is in")


def _json(path: Path) -> dict[str, Any]:
    found = read_json(path)
    return {"text": _told(path, found), **found, "kind": path.name}


def _told(path: Path, found: Mapping[str, Any]) -> str:
    """Return the table of scores, where `found` are some, or all of it."""
    from rig.cli import tables
    from rig.evaluate.saved import check_scores

    whole: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
        "summary.json": ("cost_per_decision", tables.scores_text),
        "imagination.json": ("dream", tables.imagination_text),
        "reviews.json": ("shown", tables.reviews_text),
        "causality.json": ("rows", tables.causality_text),
    }
    head, plain = f"{path}: {RESULTS.get(path.name, 'a result')}", json.dumps(found, indent=2)
    needed, show = whole.get(path.name, ("", None))
    if show is None or needed not in found:
        return f"{head}\n{plain}"
    try:
        check_scores(found, path)
    except RigError as error:  # of an earlier version, or spoilt
        return f"{head}, of which no table can be made ({error})\n{plain}"
    return f"{head}\n{show(found)}"


def _page(path: Path) -> dict[str, Any]:
    page = path.read_bytes()
    if b'<meta name="rig-page" content="dataset card">' in page[:_HEAD_BYTES]:
        return {"text": f"{path}: a dataset's card; open it in a browser", "kind": "dataset card"}
    _, mark, after = page.partition(b'type="application/json">')
    try:
        payload = json.loads(after.partition(b"</script>")[0] if mark else b"")
        tasks = [f"{episode['task']}/{episode['setting']}" for episode in payload["episodes"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RigError(f"{path} is no page that rig wrote, or not a whole one") from error
    text = f"{path}: a page of {len(tasks)} episodes ({', '.join(sorted(set(tasks)))}); open it in a browser"
    return {"text": text, "kind": "page", "title": payload.get("title", ""), "episodes": len(tasks), "tasks": tasks}


def _unfinished(folder: Path) -> dict[str, Any]:
    from rig.evaluate.saved import read_rows

    count = len(read_rows(folder))
    text = f"{folder}: an evaluation that is not finished, {count} episodes; go on with it by `rig eval --resume`"
    return {"text": text, "kind": "unfinished scores", "episodes": count}


def _ladder(folder: Path) -> dict[str, Any]:
    from rig.recipes.jobs import read_times

    jobs = sorted({line["job"] for line in read_times(folder / "logs")})
    text = f"{folder}: a ladder of `rig reproduce`; jobs that ran: {', '.join(jobs)}"
    return {"text": text, "kind": "ladder", "jobs": jobs}


def _dataset(folder: Path, verify: bool) -> dict[str, Any]:
    from rig.cli.tables import costs_text, dataset_text
    from rig.data import Dataset, summary
    from rig.stages.accounts import costs_of

    dataset = Dataset(folder, allow_incomplete=True)
    if verify:
        dataset.verify()
    found, costs = summary(dataset), costs_of(dataset)
    text = "\n".join([dataset_text(found), *_first_choice(dataset), *([costs_text(costs)] if costs else [])])
    told = {"costs": costs} if costs else {}
    return {"text": text, "kind": "dataset", "verified": verify, **found, **told}


def _first_choice(dataset: Dataset) -> list[str]:
    """Return, as a line, what was said of the plans of the first decision among several; none without one."""
    import pyarrow.compute as pc

    from rig.dialogue import review_of_plans
    from rig.records import Plan

    table = dataset.table(["trajectory", "index", "candidates", "chosen"])
    weighed = table.filter(pc.greater(pc.list_value_length(table.column("candidates")), 1)).slice(0, 1).to_pylist()
    lines = []
    for row in weighed:
        told = ("thought", "votes", "score", "judgement")
        space = dataset.info.action_space
        plans = [
            Plan(action=space.parse(plan["action"]), **{name: plan[name] for name in told})
            for plan in row["candidates"]
        ]
        lines.append(
            f"the first, in {row['trajectory']}, step {row['index']}: {review_of_plans(plans, row['chosen'], space)}"
        )
    return lines


def _agent(folder: Path, _: bool) -> dict[str, Any]:
    from rig.agents.checkpoint import read_agent
    from rig.model import read_config

    about, config = read_agent(folder), read_config(folder)
    size = bytes_of(folder)
    text = (
        f"{folder}: an agent for {about['environment']} ({len(about['action_space']['keys'])} keys), form "
        f"{about['form']}, decoder {config.decoder.num_layers}×{config.decoder.hidden_size}, {size / 1e6:.1f} MB"
    )
    return {"text": text, "kind": "agent", "bytes": size, **about}


def _base(folder: Path) -> dict[str, Any]:
    from rig.agents.checkpoint import BASE_FILE
    from rig.dialogue import TextTokenizer
    from rig.model import read_config

    config, tokenizer, size = read_config(folder), TextTokenizer.load(folder), bytes_of(folder)
    about = read_json(folder / BASE_FILE) if (folder / BASE_FILE).is_file() else {}
    vision, vq = config.vision, config.vq
    text = (
        f"{folder}: a base to train an agent from (`rig train --start {folder}`), which knows no keys yet: decoder "
        f"{config.decoder.num_layers}×{config.decoder.hidden_size}, reads frames of {vision.image_size} pixels as "
        f"{vision.num_tokens} tokens, writes {vq.num_tokens} of {vq.codebook_size} codes a frame, {len(tokenizer)} "
        f"text tokens, {size / 1e6:.1f} MB"
    )
    return {"text": text, "kind": "base", "bytes": size, "text_tokens": len(tokenizer), **about}


_FOLDERS: Mapping[str, Callable[[Path, bool], dict[str, Any]]] = {"manifest.json": _dataset, "agent.json": _agent}
