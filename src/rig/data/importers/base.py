"""What an importer is: other people's recordings become trajectories, through importers that a user can add.

An importer turns a folder or file of recorded play into `Trajectory` records: actions in an action space's own terms,
cameras rounded to its grid. It is found by name in `IMPORTERS`, where other packages add theirs through the entry
point group `rig.importers`; its output goes into a `DatasetWriter` like that of any other stage.

One whose recordings can each be read without the others is a `RecordingImporter`: several processes share them out, a
resumed import reads none twice, and what is lost of each is reported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from rig.annotators.configured import config_from
from rig.data.decoding import decoding
from rig.data.importers.report import ImportReport
from rig.data.problems import Skipped
from rig.errors import DatasetError, RigError
from rig.records import Trajectory
from rig.registry import NoConfig, Registry
from rig.validation import shown


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


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recording that has been found and not been read.

    Attributes:
        id: of the trajectory that it becomes, unique in its source.
        place: the file or folder, for messages.
        data: what its importer needs to read it; it is sent to other processes, so it is small and can be pickled.
    """

    id: str
    place: str
    data: Any = None


class NothingHereError(RigError):
    """A recording of which nothing is to be imported, though nothing is wrong with it; its text is what is counted."""


class RecordingImporter(Importer):
    """An importer of recordings that are each read alone; `trajectories` is made of `recordings` and `read`.

    Attributes:
        report: what is lost of the source as a whole, such as recordings that its index lists and that are not there;
            `recordings` counts it.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.report = ImportReport()

    @abstractmethod
    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield what there is in `source`, in a stable order, without a look into it where that takes time.

        Raises:
            DatasetError: there is nothing that this importer reads, or what says what there is is malformed.
        """

    @abstractmethod
    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return the trajectory of a recording, its frames read when asked for; see `Importer.trajectories`.

        Args:
            recording: one that `recordings` yielded, in this process or another.
            report: what is dropped, rounded or mended is counted here, before the trajectory is returned.
            skipped: as of `trajectories`, for parts of this recording.

        Raises:
            DatasetError: it cannot be used, or a part of it cannot and `skipped` is not given. Whatever else is
                raised is taken for a fault of the recording, too.
            NothingHereError: it holds nothing to be imported, and that is no fault.
        """

    def trajectories(self, source: Path, *, skipped: list[Skipped] | None = None) -> Iterator[Trajectory]:
        """Yield one trajectory per recording; what was lost of each is told to nobody. See `Importer.trajectories`."""
        for recording in self.recordings(Path(source)):
            try:
                trajectory = read_recording(self, recording, ImportReport(), skipped)
            except NothingHereError:
                continue
            except DatasetError as error:
                if skipped is None:
                    raise
                skipped.append(Skipped(place=recording.place, reason=str(error)))
            else:
                yield trajectory


def read_recording(
    importer: RecordingImporter, recording: Recording, report: ImportReport, skipped: list[Skipped] | None
) -> Trajectory:
    """Return what `importer` reads of `recording`, whatever it raises being a DatasetError.

    Raises:
        DatasetError: as of `RecordingImporter.read`.
        NothingHereError: alike.
    """
    with decoding(recording.place, "mend the recording, or take it away"):
        trajectory = importer.read(recording, report, skipped)
    if trajectory.id != recording.id:
        raise DatasetError(
            f"{recording.place}: the importer {importer.name!r} found a recording {recording.id!r} and read it as "
            f"{trajectory.id!r}; have it give both the same id"
        )
    return trajectory


IMPORTERS: Registry[type[Importer]] = Registry("importer", "rig.importers")
IMPORTERS.add("open-folder", "rig.data.importers.open_folder:OpenFolderImporter")
IMPORTERS.add("lerobot", "rig.data.importers.lerobot:LeRobotImporter")
IMPORTERS.add("minestudio", "rig.data.importers.minestudio:MineStudioImporter")
IMPORTERS.add("minerl", "rig.data.importers.minerl:MineRLImporter")
IMPORTERS.add("vpt", "rig.data.importers.vpt:VPTImporter")


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
    return kind(config_from(dict(config or {}), kind.Config, owner))
