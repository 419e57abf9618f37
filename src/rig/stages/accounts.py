"""What annotators cost: kept with the dataset that they work for, over all runs that it takes.

The account is in the manifest's provenance, which a kill leaves as it was: it has a name from the start, under which
each annotator writes down what it is charged, and what that comes to is noted at the end of every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from rig.annotators import Annotator
from rig.data import Dataset, DatasetWriter, Manifest

NOTE = "annotation"
"""What the account is called in the provenance."""


@contextmanager
def kept_account(writer: DatasetWriter, annotators: Mapping[str, Annotator[Any, Any]]) -> Iterator[None]:
    """Have those of `annotators` that cost something charge the dataset's account; note what they did at the end.

    Args:
        writer: of the dataset.
        annotators: by role.
    """
    billed = {role: annotator for role, annotator in annotators.items() if annotator.is_billed}
    if not billed:
        yield
        return
    found = noted_account(writer.manifest) or {"account": uuid4().hex}
    for annotator in billed.values():
        annotator.account = found["account"]
    writer.note(NOTE, found)
    try:
        yield
    finally:
        if not writer.is_closed:
            costs = {role: annotator.costs() for role, annotator in billed.items()}
            writer.note(NOTE, {"account": found["account"], **costs})


def noted_account(manifest: Manifest) -> dict[str, Any] | None:
    """Return the newest note of a dataset's account: its name, and by role what that was charged; None without one."""
    notes = (entry[NOTE] for entry in reversed(manifest.provenance) if isinstance(entry.get(NOTE), dict))
    return next(notes, None)


def costs_of(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return what annotators cost, by role, as `Annotator.costs` told it; nothing where none cost anything."""
    note = noted_account(dataset.manifest) or {}
    return {role: costs for role, costs in note.items() if isinstance(costs, dict)}
