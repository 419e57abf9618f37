"""An importer for the simplest layout that recorded play can have: JSON lines and images, a folder per episode.

    source/
      defaults.json        optional: values for every episode that does not give its own
      any-name/            an episode; its name becomes the trajectory's id
        meta.json          {"environment": "minerl", "action_space": "minerl", "task": "collect_wood", "seed": 7,
                            "instruction": "collect wood", "setting": "manual", "success": true, "samples": 3}
        episode.jsonl      a line per step: {"keys": ["forward", "attack"], "camera": [1.7, -12.3]}
        frames.npz         the array "frames", uint8 [T or T + 1, H, W, 3]; or
        frames/*.png       as many RGB images, in the order of their names

A line may also hold "thought", "reward", "actor" and "privileged". Camera angles are degrees, (pitch, yaw), and are
rounded to the action space's grid; what is rounded off is added to the next step's. With T + 1 frames the last one
follows the last action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rig.actions import ACTION_SPACES, NOOP, Action, ActionSpace
from rig.actions.cameras import MAX_TURN, CameraRounding
from rig.data.decoding import decoding
from rig.data.importers.base import Recording, RecordingImporter
from rig.data.importers.recorded_frames import open_frames
from rig.data.importers.report import ImportReport
from rig.data.problems import Skipped
from rig.errors import DatasetError, RigError, UnknownNameError
from rig.lazy import Lazy
from rig.records import TEACHER, Frame, Lineage, Step, Trajectory
from rig.validation import Meta, load_json, parse_json, refuse_unknown, validated

STEPS_NAME = "episode.jsonl"
META_NAME = "meta.json"
DEFAULTS_NAME = "defaults.json"

_LINE_FIX = "mend the line"
Angle = Annotated[float, Meta(ge=-MAX_TURN, le=MAX_TURN)]


@dataclass(frozen=True, kw_only=True)
class _Meta:
    """What `meta.json` says of an episode."""

    environment: str
    action_space: str
    task: str
    instruction: str
    setting: str
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    success: bool
    samples: Annotated[int, Meta(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, kw_only=True)
class _Line:
    """What a line says of a step."""

    keys: list[str]
    camera: tuple[Angle, Angle] = (0.0, 0.0)
    thought: str | None = None
    reward: float = 0.0
    actor: str = TEACHER
    privileged: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """One step as its line says it."""

    action: Action
    thought: str | None
    reward: float
    actor: str
    privileged: Mapping[str, Any]


class OpenFolderImporter(RecordingImporter):
    """Imports the layout above, one trajectory per episode folder in the order of their names; it is "open-folder".

    Frames are read when a step is asked for, and images may then prove to be damaged. A malformed line costs its own
    step and the one after it, whose previous action nobody then knows; anything else that is malformed costs the
    episode.
    """

    name = "open-folder"

    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield the episode folders."""
        episodes = sorted(path.parent for path in source.glob(f"*/{STEPS_NAME}"))
        if not episodes:
            raise DatasetError(f"{source} has no episode: a folder in it must hold {STEPS_NAME}")
        defaults = _read_object(source / DEFAULTS_NAME) if (source / DEFAULTS_NAME).exists() else {}
        refuse_unknown(defaults, _META, source / DEFAULTS_NAME, DatasetError)
        yield from (Recording(id=folder.name, place=str(folder), data=(folder, defaults)) for folder in episodes)

    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return the trajectory of an episode folder."""
        folder, defaults = recording.data
        return _read_episode(folder, defaults, skipped, report)


_META = [field.name for field in fields(_Meta)]


def _read_episode(
    folder: Path, defaults: Mapping[str, Any], skipped: list[Skipped] | None, report: ImportReport
) -> Trajectory:
    meta = _read_meta(folder, defaults)
    try:
        space = ACTION_SPACES.get(meta.action_space)
    except UnknownNameError as error:
        raise DatasetError(f"{folder / META_NAME}: {error}") from error
    cameras = CameraRounding(space)
    lines = list(_read_lines(folder / STEPS_NAME, space, cameras, skipped))
    frames = open_frames(folder)
    if len(frames) - len(lines) not in (0, 1):
        raise DatasetError(
            f"{folder} has {len(lines)} steps and {len(frames)} frames; there must be a frame per step, and at most "
            f"one more, after the last action"
        )
    steps = Lazy(partial(_step, lines, frames, meta.instruction), _usable(lines))
    if not steps:
        raise DatasetError(f"{folder / STEPS_NAME} has no step that can be used")
    report.add("steps", "malformed line", sum(line is None for line in lines))
    report.add("steps", "unknown previous action", sum(line is not None for line in lines) - len(steps))
    report.add_cameras(cameras)
    named = {name: value for name, value in vars(meta).items() if name != "instruction"}
    lineage = Lineage(stage="s0", actor=OpenFolderImporter.name)
    return Trajectory(id=folder.name, steps=steps, lineage=lineage, **named)


def _usable(lines: Sequence[_Taken | None]) -> list[int]:
    """Return the positions whose own line and the line before are good."""
    return [index for index, line in enumerate(lines) if line and (not index or lines[index - 1])]


def _step(lines: Sequence[_Taken | None], frames: Sequence[Frame], instruction: str, index: int) -> Step:
    line, before = lines[index], lines[index - 1] if index else None
    assert line is not None
    return Step(
        index=index,
        frame=frames[index],
        instruction=instruction,
        previous_action=before.action if before else NOOP,
        next_frame=frames[index + 1] if index + 1 < len(frames) else None,
        **vars(line),
    )


def _read_meta(folder: Path, defaults: Mapping[str, Any]) -> _Meta:
    path = folder / META_NAME
    found = {**defaults, **(_read_object(path) if path.exists() else {})}
    for name in _META:
        if name not in found:
            raise DatasetError(f"{path} lacks {name!r}; give it there, or for all episodes in {DEFAULTS_NAME}")
    return validated(found, _Meta, path, f"mend it there, or in {DEFAULTS_NAME}", DatasetError)


def _read_lines(
    path: Path, space: ActionSpace, cameras: CameraRounding, skipped: list[Skipped] | None
) -> Iterator[_Taken | None]:
    """Yield each line's step, or None for a malformed line that is skipped."""
    with decoding(path, "mend the file"):
        texts = path.read_bytes().splitlines()
    for number, text in enumerate(texts, 1):
        place = f"{path}:{number}"
        try:
            yield _read_line(text, place, space, cameras)
        except RigError as error:
            if skipped is None:
                raise DatasetError(str(error)) from error
            skipped.append(Skipped(place=place, reason=str(error)))
            yield None


def _read_line(text: bytes, place: str, space: ActionSpace, cameras: CameraRounding) -> _Taken:
    value = parse_json(text, place, "a line holds one object, and ends where the object ends", DatasetError)
    if not isinstance(value, dict):
        raise DatasetError(f'{place}: a line must be an object such as {{"keys": ["forward"]}}, not {text[:40]!r}')
    if "keys" not in value:
        raise DatasetError(f'{place}: "keys" is missing; write "keys": [] where nothing is pressed')
    line = validated(value, _Line, place, _LINE_FIX, DatasetError)
    if space.camera is None and any(line.camera):
        raise DatasetError(f"{place}: camera {line.camera!r} turns, and {space.name!r} has no camera; leave it out")
    keys = frozenset(line.keys)
    try:
        space.check(Action(keys=keys))
    except RigError as error:
        raise DatasetError(f"{place}: {error}") from error
    return _Taken(
        action=cameras.quantise(keys, line.camera),
        thought=line.thought,
        reward=line.reward,
        actor=line.actor,
        privileged=line.privileged,
    )


def _read_object(path: Path) -> dict[str, Any]:
    return load_json(path, "mend it", DatasetError)
