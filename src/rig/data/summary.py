"""What a dataset holds, in figures, for `rig inspect`: columns are counted, no frame is decoded."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rig.data.dataset import Dataset
from rig.data.manifest import ancestors

_COLUMNS = (
    "task",
    "setting",
    "lineage_stage",
    "lineage_annotator",
    "actor",
    "action",
    "thought",
    "dreams",
    "review",
    "candidates",
    "chosen",
)


def summary(dataset: Dataset) -> dict[str, Any]:
    """Return the figures of a dataset, or of a part of one, as a JSON-able dict.

    Keys: what it is (`name`, `stage`, `environment`, `action_space`, `frame_size`, `complete`, `content_hash`,
    `lineage`: ancestors, newest first), how much there is (`trajectories`, `steps`; `stored_frames` is of the whole
    dataset), `success_rate` over trajectories, steps and trajectories by task, setting and stage, steps by actor and
    annotator, `thoughts`, `lookahead` (dreams and reviews), `plans` (steps by the number of plans that were weighed
    there, dreams of those that were not chosen, and choices of a plan that another had more votes than), `actions` by
    text, most frequent first, and `skipped`.
    """
    table = dataset.table(_COLUMNS)
    entries = dataset.entries
    return {
        **_identity(dataset),
        "trajectories": len(entries),
        "steps": table.num_rows,
        "stored_frames": dataset.manifest.counts["frames"],
        "success_rate": _share(sum(entry.success for entry in entries), len(entries)),
        "success_by_task": {
            task: _share(sum(entry.success for entry in entries if entry.task == task), count)
            for task, count in _counted([entry.task for entry in entries]).items()
        },
        "trajectories_by": {
            name: _counted([getattr(entry, name) for entry in entries]) for name in ("task", "setting", "stage")
        },
        "steps_by": {
            name: _counted(table.column(column).to_pylist())
            for name, column in {
                "task": "task",
                "setting": "setting",
                "stage": "lineage_stage",
                "actor": "actor",
                "annotator": "lineage_annotator",
            }.items()
        },
        "thoughts": _thoughts(table.column("thought")),
        "lookahead": _lookahead(table),
        "plans": _plans(table),
        "actions": _counted(table.column("action").to_pylist()),
        "skipped": [f"{entry.place}: {entry.reason}" for entry in dataset.skipped],
    }


def _identity(dataset: Dataset) -> dict[str, Any]:
    info = dataset.info
    return {
        "name": info.name,
        "stage": info.stage,
        "environment": info.environment,
        "action_space": info.action_space.name,
        "frame_size": list(info.frame_size),
        "complete": dataset.manifest.complete,
        "content_hash": dataset.content_hash,
        "lineage": lineage(dataset),
    }


def lineage(dataset: Dataset) -> list[dict[str, str]]:
    """Return what a dataset is made from, newest first: `name`, `stage` and `content_hash` of each."""
    return [
        {"name": parent.name, "stage": parent.stage, "content_hash": parent.content_hash}
        for parent in ancestors(dataset.info)
    ]


def _thoughts(column: pa.ChunkedArray) -> dict[str, Any]:
    written = column.drop_null()
    characters, words = (pc.mean(lengths(written)).as_py() for lengths in (pc.utf8_length, _words))
    return {
        "coverage": _share(len(written), len(column)),
        "mean_characters": characters,
        "mean_words": words,
        "distinct": pc.count_distinct(written).as_py(),
    }


def _words(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts)))


def _lookahead(table: pa.Table) -> dict[str, Any]:
    dreams, reviews = table.column("dreams"), table.column("review").drop_null()
    dreamed = dreams.combine_chunks().flatten()
    return {
        "dreams": len(dreamed),
        "dreams_with_real_frame": len(dreamed) - pc.struct_field(dreamed, "real_frame").null_count,
        "steps_by_dreams": _counted(pc.list_value_length(dreams).to_pylist()),
        "reviews": len(reviews),
        "reviews_that_helped": sum(pc.struct_field(reviews, "helped").to_pylist()),
    }


def _plans(table: pa.Table) -> dict[str, Any]:
    candidates = table.column("candidates").combine_chunks()
    counts, plans = pc.list_value_length(candidates).to_pylist(), candidates.flatten()
    left = iter(vote or 0 for vote in pc.struct_field(plans, "votes").to_pylist())
    votes = [list(islice(left, count)) for count in counts]
    choices = zip(table.column("chosen").to_pylist(), votes, strict=True)
    return {
        "steps_by_plans": _counted(counts),
        "dreams_of_others": len(pc.struct_field(plans, "dreams").flatten()),
        "against_the_votes": sum(0 <= one < len(those) and those[one] < max(those) for one, those in choices),
    }


def _counted(values: list[Any]) -> dict[str, int]:
    """Return how often each value occurs, most frequent first."""
    return {str(value): count for value, count in sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
