"""What annotators cost: kept with the dataset that they work for, over all runs that it takes.

The account is in the manifest's provenance, which a kill leaves as it was: it has a name from the start, under which
each annotator writes down what it is charged, and what that comes to is noted at the end of every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any
from uuid import uuid4

from rig.annotators import Annotator, Costs
from rig.data import Dataset, DatasetWriter, Manifest
from rig.errors import DatasetError
from rig.validation import Meta, validated

NOTE = "annotation"
"""What the account is called in the provenance."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the provenance says of annotators that cost something.

    Attributes:
        account: the name under which they write down what they are charged.
        costs: by role, what that came to at the end of the last run.
    """

    account: Annotated[str, Meta(min_length=1)]
    costs: Mapping[str, Costs] = field(default_factory=dict)


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
    found = noted_account(writer.manifest) or Account(account=uuid4().hex)
    for annotator in billed.values():
        annotator.account = found.account
    writer.note(NOTE, asdict(found))
    try:
        yield
    finally:
        if not writer.is_closed:
            costs = {role: annotator.costs() for role, annotator in billed.items()}
            writer.note(NOTE, asdict(replace(found, costs={**found.costs, **costs})))


def noted_account(manifest: Manifest) -> Account | None:
    """Return the newest note of a dataset's account, or None without one.

    Raises:
        DatasetError: what is noted there is none.
    """
    notes = [entry[NOTE] for entry in manifest.provenance if NOTE in entry]
    place, fix = f"the manifest of {manifest.info.name!r}: provenance: {NOTE}", "restore it from a copy"
    return validated(notes[-1], Account, place, fix, DatasetError) if notes else None


def costs_of(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return what annotators cost, by role, as JSON (see `Costs`); nothing where none cost anything.

    Raises:
        DatasetError: what the manifest says of it is damaged.
    """
    account = noted_account(dataset.manifest)
    return {role: asdict(costs) for role, costs in account.costs.items()} if account else {}
