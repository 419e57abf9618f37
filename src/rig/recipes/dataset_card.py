"""Writes the card of a dataset: what it holds, how it was made, and how it is read, so that it can be given away."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

from rig.data import Dataset, DatasetInfo, Entry, summary
from rig.data.manifest import FILE_NAME, SHARD_FOLDER, ancestors
from rig.envs import WORLDS, profile_of, split_of
from rig.errors import DatasetError
from rig.evaluate.stats import wilson
from rig.provenance import Hardware, Made
from rig.recipes.tables import CARD, commit_text, markdown
from rig.storage import bytes_of, refuse_existing, write_text
from rig.validation import Meta, validated

_ACTIONS = 12

_Written = Annotated[list[Made], Meta(min_length=1)]


def write_dataset_card(folder: Path, title: str) -> Path:
    """Write README.md into a dataset's folder, after its files were compared with their hashes; return it.

    Its head is the one that dataset hubs read: which files are steps, and which are frames.

    Raises:
        DatasetError: the dataset is missing, unfinished or damaged.
        RigError: it has a card already.
    """
    card = folder / CARD
    refuse_existing(card, "remove it first")
    dataset = Dataset(folder)
    dataset.verify()
    found = summary(dataset)
    parts = [
        _HEAD.format(title=json.dumps(title, ensure_ascii=False)),
        f"# {title}",
        _about(dataset, found),
        "## What it holds",
        _cells(dataset),
        _actions(found),
        "## Reading it",
        _READING,
        "## How it was made",
        _made(dataset, found),
    ]
    write_text(card, "\n\n".join(parts) + "\n")
    return card


_READING = """\
With `rig` (frames, actions and thoughts of an episode, typed):

```python
from rig.data import Dataset

for trajectory in Dataset("this/folder").filter(setting="tool"):
    for step in trajectory.steps:
        step.frame, step.action, step.thought, step.next_frame
```

Or with any reader of Parquet: `shards/steps-*.parquet` has one row per step, `shards/frames-*.parquet` each distinct
frame of its shard once, as raw RGB bytes; `frame` and `next_frame` of a step are row numbers of the frames file beside
it. `privileged` holds facts of the engine as JSON, for teachers and checks: policies are not to see them."""


_HEAD = """\
---
pretty_name: {title}
configs:
- config_name: steps
  data_files: shards/steps-*.parquet
  default: true
- config_name: frames
  data_files: shards/frames-*.parquet
---"""


def _about(dataset: Dataset, found: dict[str, Any]) -> str:
    height, width = found["frame_size"]
    size = bytes_of(dataset.path / SHARD_FOLDER)
    environment = found["environment"]
    credit = getattr(profile_of(environment), "credit", "")
    return (
        f"Play in the world `{environment}`, stage {found['stage'].upper()} of RIG (arXiv 2503.24388): "
        f"{found['trajectories']:,} episodes, {found['steps']:,} steps, {found['stored_frames']:,} distinct frames of "
        f"{width} × {height} pixels, {size / 1e9:.2f} GB. Content hash `{found['content_hash']}`. {credit}"
    ).strip()


def _cells(dataset: Dataset) -> str:
    cells: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in dataset.entries:
        cells[entry.task, entry.setting].append(entry)
    rows = []
    for (task, setting), entries in sorted(cells.items()):
        lengths = sorted(entry.stop - entry.start for entry in entries)
        won = wilson(sum(entry.success for entry in entries), len(entries)).format()
        rows.append([f"{task}/{setting}", len(entries), sum(lengths), lengths[len(lengths) // 2], lengths[-1], won])
    header = ["task/setting", "episodes", "steps", "steps of an episode: median", "most", "accomplished [95 %]"]
    return markdown(header, rows)


def _actions(found: dict[str, Any]) -> str:
    actions, steps = found["actions"], found["steps"]
    rows = [[f"`{action}`", count, f"{count / steps:.1%}"] for action, count in list(actions.items())[:_ACTIONS]]
    return f"The most frequent of its {len(actions)} actions:\n\n{markdown(['action', 'steps', 'share'], rows)}"


def _made(dataset: Dataset, found: dict[str, Any]) -> str:
    place = f"{dataset.path / FILE_NAME}: provenance"
    fix = "restore it from a copy, or make the dataset again"
    written = validated(list(dataset.manifest.provenance), _Written, place, fix, DatasetError)
    commands = "\n".join(dict.fromkeys(entry["command"] for entry in written))
    commits = ", ".join(dict.fromkeys(commit_text(entry["commit"]) for entry in written))
    machines = ", ".join(dict.fromkeys(_machine(entry["hardware"]) for entry in written))
    days = sorted({entry["date"][:10] for entry in written})
    parents = [f"{parent['name']} ({parent['stage']}, `{parent['content_hash'][:16]}`)" for parent in found["lineage"]]
    lines = [
        f"* Actors and annotators: {', '.join(sorted(_makers(dataset)))}.",
        *([f"* Made from {_joint(dataset.info).join(parents)}."] if parents else []),
        f"* Commit {commits}; {' to '.join(dict.fromkeys((days[0], days[-1])))}; {machines}.",
        *([f"* {_seeds(dataset)}."] if _was_played(dataset.info) else []),
    ]
    return f"```\n{commands}\n```\n\n" + "\n".join(lines)


def _joint(info: DatasetInfo) -> str:
    """Return what stands between ancestors: each was made from the next, or some from several."""
    merged = info.further_parents or any(parent.further_parents for parent in ancestors(info))
    return ", " if merged else ", made from "


def _was_played(info: DatasetInfo) -> bool:
    """Return whether all of it was played here: recordings come with seeds that nobody noted, or with none."""
    stages = {info.stage, *(parent.stage for parent in ancestors(info))}
    return info.environment in WORLDS.names() and "s0" not in stages


def _seeds(dataset: Dataset) -> str:
    """Say which worlds were played, and whose those are."""
    seeds = sorted(set(dataset.table(("seed",)).column("seed").to_pylist()))
    splits = " and ".join(sorted({split_of(seed).name.lower() for seed in (seeds[0], seeds[-1])}))
    return f"{len(seeds):,} worlds, seeds {seeds[0]} to {seeds[-1]} ({splits} split)"


def _makers(dataset: Dataset) -> set[str]:
    columns = dataset.table(("lineage_actor", "lineage_annotator"))
    return {name for column in columns.columns for name in column.to_pylist() if name}


def _machine(hardware: Hardware) -> str:
    return f"{hardware['cores']} × {hardware['cpu']}, GPU: {hardware['gpu']}"
