"""What an importer is: other people's recordings become trajectories, through importers that a user can add.

An importer turns a folder or file of recorded play into `Trajectory` records: actions in an action space's own terms,
cameras rounded to its grid. It is found by name in `IMPORTERS`, where other packages add theirs through the entry
point group `rig.importers`; its output goes into a `DatasetWriter` like that of any other stage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from rig.data.problems import Skipped
from rig.errors import RigError
from rig.records import Trajectory
from rig.registry import NoConfig, Registry
from rig.validation import shown, validated


class Importer(ABC):
    """Reads one format of recorded play; made from its own configuration.

    Args:
        config: what a user chose: a `Config`.

    Attributes:
        name: what its trajectories' lineage calls it.
        Config: a frozen, keyword-only dataclass of what can be chosen, with types and bounds at its fields.
    """

    name: ClassVar[str]
    Config: ClassVar[type] = NoConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def trajectories(self, source: Path, *, skipped: list[Skipped] | None = None) -> Iterator[Trajectory]:
        """Yield the trajectories in `source`, in a stable order and with stable ids.

        Steps that are made when asked for (`rig.lazy.Lazy`) are read one by one, once or twice, and never held
        together; what they raise costs their episode. Frames may be of any size.

        Args:
            source: the recording, or the folder that holds many.
            skipped: where given, what is malformed is left out and listed here, and the rest is still read.

        Raises:
            DatasetError: something is malformed and `skipped` is not given; the file, the line and the fix are named.
        """


IMPORTERS: Registry[type[Importer]] = Registry("importer", "rig.importers")
IMPORTERS.add("open-folder", "rig.data.importers.open_folder:OpenFolderImporter")


def build_importer(name: str, config: Mapping[str, Any] | None = None) -> Importer:
    """Return the importer called `name`, made from what a user gave as its configuration.

    Raises:
        UnknownNameError: there is none of that name.
        RigError: a field of the configuration is unknown, lacking, of another type or out of its range; or what is
            registered is no `Importer` with a dataclass as its `Config`.
    """
    kind, owner = IMPORTERS.get(name), f"the importer {name!r}"
    if not (isinstance(kind, type) and issubclass(kind, Importer) and is_dataclass(kind.Config)):
        raise RigError(
            f"{owner} is {shown(kind)}; have it be a class that inherits from rig.data.Importer, with a frozen "
            "dataclass as its Config"
        )
    names = [field.name for field in fields(kind.Config)]
    if config and not names:
        raise RigError(f"{owner} takes no configuration, and was given {', '.join(map(str, config))}; leave it out")
    fix = f"its fields are {', '.join(names)}" if names else "leave it out"
    return kind(validated(dict(config or {}), kind.Config, f"the configuration of {owner}", fix))
