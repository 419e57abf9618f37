"""What is wrong with data, said in one way: an error that names the place, or an entry among what was skipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rig.errors import DatasetError


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something malformed that was left out on request.

    Attributes:
        place: the file, trajectory or line.
        reason: what is wrong with it.
    """

    place: str
    reason: str


def missing(path: Path) -> Skipped:
    """Return the entry of a file that is not there."""
    return Skipped(place=str(path), reason="it is missing")


def altered(path: Path) -> Skipped:
    """Return the entry of a file with another hash than it was written with."""
    return Skipped(place=str(path), reason="it is altered, its SHA-256 is not the manifest's")


def damaged(faults: Sequence[Skipped]) -> str:
    """Return the message for files that are not what the manifest says."""
    found = "; ".join(f"{fault.place}: {fault.reason}" for fault in faults)
    return (
        f"{found}. Restore the files from a copy, write the dataset again, or read the rest of it with skip_bad=True."
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what Parquet and the system say about an unreadable file into a DatasetError that names it."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{path} cannot be read, it is missing, truncated or altered ({error}). Restore it from a copy, write the "
            f"dataset again, or read the rest of it with skip_bad=True."
        ) from error
