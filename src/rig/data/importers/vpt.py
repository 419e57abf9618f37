"""An importer for the recordings that VPT's contractors made of their play in Minecraft, and those of BASALT 2022.

    source/
      8.0/                                        the version of the recorder, where it is known
        cheeky-cornflower-setter-…-122354.mp4     what was seen, at 20 frames a second, five minutes at the most
        cheeky-cornflower-setter-…-122354.jsonl   a line of JSON for each frame: mouse, keyboard, what the game knew
        cheeky-cornflower-setter-…-options.json   the game's settings, which are not looked at

or the index file of such recordings, {"basedir": "https://…", "relpaths": ["8.0/cheeky-…", …]}, beside which, or in
whose `basedir` where that is a folder here, they lie. Some of those that an index lists were never uploaded: they are
counted. What is peculiar about the lines is in `vpt_lines`. The mouse's cursor is not in the video; it is drawn while a
menu is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from rig.actions import MINERL
from rig.data.decoding import decoding
from rig.data.importers.base import NothingHereError, Recording, RecordingImporter
from rig.data.importers.cursor import draw_cursor
from rig.data.importers.moments import steps_of
from rig.data.importers.report import ImportReport
from rig.data.importers.vpt_lines import FIX, LINES, Segment, read_lines
from rig.data.problems import Skipped
from rig.data.video import VideoFrames
from rig.errors import DatasetError
from rig.records import Frame, Lineage, Trajectory
from rig.validation import Meta, load_json, validated

VIDEO, ACTIONS = ".mp4", ".jsonl"

_INDEX_FIX = "give an index file, with basedir and relpaths, or the folder of the recordings"

_VERSION = re.compile(r"(\d+)\.\d+")
_TASKS = {
    "8": ("build_house", "build a house"),
    "9": ("build_house", "build a house"),
    "10": ("obtain_diamond_pickaxe", "obtain a diamond pickaxe"),
}
"""The recorder's version, before its point -> task and instruction; of others nobody asked for anything."""
_FREE = ("play", "play freely")


@dataclass(frozen=True, kw_only=True)
class VPTConfig:
    """What the recordings do not say of themselves, and how they are read.

    Attributes:
        environment: the world that they are of.
        task: None: by the recorder's version: `build_house` of 8 and 9, `obtain_diamond_pickaxe` of 10, else `play`.
        instruction: None: the task's words.
        setting: what one began with.
        seed: of the worlds, which nobody noted.
        success: whether the task was done, which nobody noted; the next stages leave lost episodes out.
        null_actions: "drop": steps that do nothing on the action space's grid are left out, as VPT was trained; or
            "keep".
        cursor: whether the mouse's cursor is drawn while a menu is open.
        version: the recorder's; None: the name of the folder, such as 6.9.
    """

    environment: str = "minerl"
    task: str | None = None
    instruction: str | None = None
    setting: str = "manual"
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0
    success: bool = True
    null_actions: Literal["drop", "keep"] = "drop"
    cursor: bool = True
    version: Annotated[str, Meta(pattern=r"\A\d+\.\d+\Z")] | None = None


@dataclass(frozen=True, kw_only=True)
class _Index:
    """What an index file says."""

    basedir: str
    relpaths: list[Annotated[str, Meta(min_length=1, max_length=1000)]]


class VPTImporter(RecordingImporter):
    """Imports the layout above; the `Importer` named "vpt"."""

    name = "vpt"
    Config = VPTConfig

    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield the recordings by their names, or in the order of an index; a video or its actions may be missing."""
        stems = self._listed(source) if source.is_file() else _found(source)
        for names, stem in stems:
            yield Recording(id="_".join(names), place=str(stem), data=(stem, _version_of(names)))

    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return the trajectory of a recording; a malformed line costs its own step and the next one."""
        stem, version = recording.data
        version = self.config.version or version
        video, actions = (stem.with_name(stem.name + kind) for kind in (VIDEO, ACTIONS))
        for path in (video, actions):
            if not path.is_file():
                raise DatasetError(f"{path} is missing: a recording is a video and its actions; {FIX}")
        frames = VideoFrames(video)
        segment = self._segment(actions, len(frames), version, report, skipped)
        task, instruction = self._described(version)
        return Trajectory(
            id=recording.id,
            environment=self.config.environment,
            action_space=MINERL.name,
            task=task,
            setting=self.config.setting,
            seed=self.config.seed,
            success=self.config.success,
            samples=0,
            lineage=Lineage(stage="s0", actor=self.name),
            steps=steps_of(segment.moments, _Shown(frames, segment.cursors).frame, instruction),
        )

    def _segment(
        self, path: Path, frames: int, version: str, report: ImportReport, skipped: list[Skipped] | None
    ) -> Segment:
        """Return what is made of an action file, with at least one step."""
        segment = Segment(frames, version, keeps_null=self.config.null_actions == "keep", report=report)
        count = 0
        for line in read_lines(path, frames, report, skipped):
            segment.add(count, line)
            count += 1
        segment.finish(count)
        if not self.config.cursor:
            segment.cursors.clear()
        report.add("mended", "frames with a cursor", len(segment.cursors))
        if not segment.moments:
            if count and set(report.counts.get("steps", {})) == {"null action"}:
                raise NothingHereError("null actions alone")
            raise DatasetError(f"{path} has no step that can be used; {FIX}")
        return segment

    def _described(self, version: str) -> tuple[str, str]:
        """Return task and instruction: as they are configured, else by the recorder's version."""
        task, words = _TASKS.get(version.partition(".")[0], _FREE)
        if self.config.task:
            task, words = self.config.task, self.config.task.replace("_", " ")
        return task, self.config.instruction or words

    def _listed(self, path: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
        """Yield what an index lists and is here; what is not is counted.

        Raises:
            DatasetError: it is no index, lists what is no path of its own, or nothing of it is here.
        """
        index = validated(
            load_json(path, _INDEX_FIX, DatasetError), _Index, path, _INDEX_FIX, DatasetError, others=True
        )
        root, any_is_here = _root_of(index, path), False
        for listed in index.relpaths:
            names = _names_of(listed, path)
            with decoding(path, _INDEX_FIX):
                here = [stem for stem in (root.joinpath(*names), root / names[-1]) if _is_here(stem)]
            if not here:
                self.report.add("segments", "listed and not here")
                continue
            any_is_here = True
            yield names, here[0]
        if not any_is_here:
            raise DatasetError(f"{path} lists {len(index.relpaths)} recordings, and none of them is in {root}")


class _Shown:
    """The frames of a recording as the player saw them, with the mouse's cursor."""

    def __init__(self, frames: VideoFrames, cursors: dict[int, tuple[float, float]]) -> None:
        self._frames, self._cursors = frames, cursors

    def frame(self, number: int) -> Frame:
        """Return a frame."""
        found = self._frames.frame(number)
        if number in self._cursors:
            x, y = (int(place * len(found) / LINES) for place in self._cursors[number])
            draw_cursor(found, x, y)
        return found


def _found(source: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield what lies in a folder and those within, by names: whatever has a video or actions.

    Raises:
        DatasetError: there is none.
    """
    paths = [path for kind in (VIDEO, ACTIONS) for path in source.rglob(f"*{kind}") if not path.name.startswith(".")]
    stems = sorted({path.with_suffix("") for path in paths})
    if not stems:
        raise DatasetError(f"{source} has no recording: NAME{VIDEO} and NAME{ACTIONS}, in it or in a folder within")
    yield from ((stem.relative_to(source).parts, stem) for stem in stems)


def _names_of(listed: str, index: Path) -> tuple[str, ...]:
    """Return the names of the folders and of the recording in a path that an index lists.

    Raises:
        DatasetError: it leads elsewhere.
    """
    path = PurePosixPath(listed)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in listed or "\0" in listed:
        raise DatasetError(f"{index} lists {listed!r}, which leads out of its folder; {_INDEX_FIX}")
    return path.parts


def _root_of(index: _Index, path: Path) -> Path:
    """Return the folder that an index speaks of: its `basedir` where that is one here, else its own."""
    given = path.parent / index.basedir
    with decoding(path, _INDEX_FIX):
        return given if "://" not in index.basedir and "\0" not in index.basedir and given.is_dir() else path.parent


def _is_here(stem: Path) -> bool:
    return any(stem.with_name(stem.name + kind).is_file() for kind in (VIDEO, ACTIONS))


def _version_of(names: tuple[str, ...]) -> str:
    """Return the recorder's version, which the folder of a recording is called after; empty where it is not."""
    return names[-2] if len(names) > 1 and _VERSION.fullmatch(names[-2]) else ""
