"""Stage S0: other people's recordings become trajectories, through importers that a user can add.

An importer turns a folder or file of recorded play into `Trajectory` records: actions in an action space's own terms,
cameras rounded to its grid. It is found by name in `IMPORTERS`, where other packages add theirs through the entry
point group `rig.importers`; its output goes into a `DatasetWriter` like that of any other stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rig.data.problems import Skipped
from rig.records import Trajectory
from rig.registry import Registry


class Importer(Protocol):
    """Reads one format of recorded play."""

    name: str

    def trajectories(self, source: Path, *, skipped: list[Skipped] | None = None) -> Iterator[Trajectory]:
        """Yield the trajectories in `source`, in a stable order and with stable ids.

        Args:
            source: the recording, or the folder that holds many.
            skipped: where given, what is malformed is left out and listed here, and the rest is still read.

        Raises:
            DatasetError: something is malformed and `skipped` is not given; the file, the line and the fix are named.
        """


IMPORTERS: Registry[Importer] = Registry("importer", "rig.importers")
IMPORTERS.add("open-folder", "rig.data.open_folder:OPEN_FOLDER")
