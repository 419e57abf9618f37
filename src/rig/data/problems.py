"""What is wrong with data, said in one way: an error that names the place, or an entry among what was skipped."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rig.data.decoding import decoding

RESTORE = "restore the files from a copy, or make the dataset again with the command that made it, and --overwrite"
"""What can be done about a dataset whose files are damaged."""


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
    return f"{found}. {RESTORE[0].upper()}{RESTORE[1:]}."


def reading(path: Path) -> AbstractContextManager[None]:
    """Turn whatever Parquet and the system say about an unreadable file into a DatasetError that names it."""
    return decoding(path, f"it is missing, truncated or altered: {RESTORE}")
