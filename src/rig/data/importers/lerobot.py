"""An importer for LeRobotDataset v3: what `rig export` wrote comes back as it was, and others' by the names of parts.

In others', one camera is the frame, a task the instruction, and the parts of the action are keys and turns by the names
that `meta/info.json` gives them: a key of the action space, `camera.pitch` or `camera.yaw` in degrees. Where it gives
other names, or none, the importer's `parts` says what each part is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rig.actions import ACTION_SPACES, ActionSpace
from rig.data.decoding import decoding
from rig.data.importers.base import Recording, RecordingImporter
from rig.data.importers.lerobot_others import LeRobotImportConfig, OthersReading
from rig.data.importers.report import ImportReport
from rig.data.lerobot.layout import EPISODES_FOLDER, FORMAT, INFO, OUR_INFO, OUR_PREFIX, PICTURES
from rig.data.lerobot.reading import FIX, EpisodeEntry, LeRobotReader
from rig.data.lerobot.steps import CAMERA, FOLLOWING, PICTURE, STEP_COLUMNS, step_of
from rig.data.problems import Skipped
from rig.errors import DatasetError, RigError, UnknownNameError
from rig.lazy import Lazy
from rig.records import Frame, Lineage, Step, Trajectory
from rig.validation import Meta, load_json, parse_json, shown, validated

_FIX = "export the dataset again"
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


@dataclass(frozen=True, kw_only=True)
class _Ours:
    """What `meta/rig.json` says, as far as reading needs it."""

    environment: str
    action_space: ActionSpace
    pictures: bool


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What an episode's row says of the trajectory."""

    id: str
    task: str
    setting: str
    seed: Whole
    success: bool
    samples: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    lineage: str


class LeRobotImporter(RecordingImporter):
    """Imports LeRobotDataset v3; the importer named "lerobot"."""

    name = "lerobot"
    Config = LeRobotImportConfig

    def __init__(self, config: LeRobotImportConfig) -> None:
        super().__init__(config)
        self._reading: tuple[Path, _OurReading | OthersReading] | None = None

    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield the episodes as they stand in `meta/episodes`, and behind them, if some are missing, that."""
        reading = self._reading_of(source)
        number = -1
        for number, (place, row) in enumerate(reading.reader.episode_rows()):
            found = row.get(f"{OUR_PREFIX}id") if isinstance(reading, _OurReading) else None
            name = found if isinstance(found, str) else f"episode-{_number_of(row, number):06d}"
            yield Recording(id=name, place=place, data=(source, row))
        there, said = number + 1, reading.reader.info.total_episodes
        if not there:
            raise DatasetError(f"{source} has no episode: {EPISODES_FOLDER} holds no row; {FIX}")
        if there != said:
            fault = f"{source / EPISODES_FOLDER} has {there} episodes, and {INFO} says {said}; {FIX}"
            yield Recording(id=EPISODES_FOLDER, place=str(source / EPISODES_FOLDER), data=fault)

    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return the trajectory of an episode."""
        if isinstance(recording.data, str):
            raise DatasetError(recording.data)
        source, row = recording.data
        reading = self._reading_of(source)
        return reading.trajectory(recording.id, reading.reader.entry(row, recording.place), report)

    def _reading_of(self, source: Path) -> _OurReading | OthersReading:
        """Return how the dataset in `source` is read; a process looks into its `meta/` once."""
        if self._reading is None or self._reading[0] != source:
            reader = LeRobotReader(source)
            is_ours = (source / OUR_INFO).is_file()
            self._reading = (
                source,
                _OurReading.of(reader, self.config) if is_ours else OthersReading.of(reader, self.config),
            )
        return self._reading[1]


def _number_of(row: Mapping[str, Any], number: int) -> int:
    found = row.get("episode_index")
    return found if type(found) is int and found >= 0 else number


@dataclass(frozen=True, kw_only=True)
class _OurReading:
    """How an export of ours is read.

    Attributes:
        reader: the dataset of steps.
        pictures: that of the pictures beside them, where there are some.
        picture_rows: by trajectory, its row among the episodes of pictures, with its place.
        environment: of all trajectories.
        space: their action space.
    """

    reader: LeRobotReader
    pictures: LeRobotReader | None
    picture_rows: Mapping[str, tuple[str, dict[str, Any]]]
    environment: str
    space: ActionSpace

    @staticmethod
    def of(reader: LeRobotReader, config: LeRobotImportConfig) -> _OurReading:
        """Return how an export is read.

        Raises:
            DatasetError: `meta/rig.json` is malformed, or of a newer version; or a configuration is given.
        """
        path = reader.root / OUR_INFO
        if config != LeRobotImportConfig():
            raise DatasetError(f"{path} says all that a configuration could: leave --importer-config out")
        found = load_json(path, _FIX, DatasetError)
        if type(found.get("format")) is not int or found["format"] > FORMAT:
            raise DatasetError(
                f"{path} is of format {shown(found.get('format'))}, and this version reads up to {FORMAT}; "
                "upgrade rig-agent"
            )
        known = {name: found[name] for name in _Ours.__dataclass_fields__ if name in found}
        ours = validated(known, _Ours, path, _FIX, DatasetError)
        pictures = LeRobotReader(reader.root / PICTURES) if ours.pictures else None
        rows = (
            {str(row.get(f"{OUR_PREFIX}id")): (place, row) for place, row in pictures.episode_rows()}
            if pictures
            else {}
        )
        return _OurReading(
            reader=reader,
            pictures=pictures,
            picture_rows=rows,
            environment=ours.environment,
            space=_known_space(ours.action_space, path),
        )

    def trajectory(self, name: str, entry: EpisodeEntry, report: ImportReport) -> Trajectory:
        """Return an episode, its frames read when asked for.

        Raises:
            DatasetError: something of it is malformed.
        """
        place = f"{self.reader.root}, episode {entry.number}"
        given = {column.removeprefix(OUR_PREFIX): value for column, value in entry.ours.items()}
        facts = validated(given, _Facts, place, _FIX, DatasetError)
        lineage = parse_json(facts.lineage, f"{place}: its lineage", _FIX, DatasetError)
        columns = self.reader.columns(entry, list(STEP_COLUMNS))
        frames, pictures = self.reader.frames(entry, CAMERA), self._pictures_of(name)
        named = {field: getattr(facts, field) for field in ("id", "task", "setting", "seed", "success", "samples")}
        return Trajectory(
            **named,
            environment=self.environment,
            action_space=self.space.name,
            steps=Lazy(partial(self._step, place, columns, frames, pictures), range(entry.length)),
            lineage=validated(lineage, Lineage, f"{place}: its lineage", _FIX, DatasetError),
        )

    def _pictures_of(self, name: str) -> Sequence[Frame]:
        if self.pictures is None or name not in self.picture_rows:
            return ()
        place, row = self.picture_rows[name]
        return self.pictures.frames(self.pictures.entry(row, place), PICTURE)

    def _step(
        self,
        place: str,
        columns: Mapping[str, Sequence[Any]],
        frames: Sequence[Frame],
        pictures: Sequence[Frame],
        number: int,
    ) -> Step:
        def picture(which: int) -> Frame:
            there, at = (frames, number + 1) if which == FOLLOWING else (pictures, which)
            if at >= len(there):
                raise DatasetError(f"there is no picture {which}; {_FIX}")
            return there[at]

        row, here = {name: values[number] for name, values in columns.items()}, f"{place}, step {number}"
        with decoding(here, _FIX):
            instruction = self.reader.tasks[row["task_index"]]
            try:
                return step_of(row, self.space, instruction, frames[number], picture)
            except RigError as error:
                raise DatasetError(f"{here}: {error}") from error


def _known_space(space: ActionSpace, path: Path) -> ActionSpace:
    """Return the action space of that name here, which has to have the same actions."""
    try:
        known = ACTION_SPACES.get(space.name)
    except UnknownNameError as error:
        raise DatasetError(f"{path}: {error} Install the package that has it") from error
    if not known.is_like(space):
        raise DatasetError(f"{path}: the action space {space.name!r} has other actions here; rename one of them")
    return known
