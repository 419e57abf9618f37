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
rounded to the action space's grid. With T + 1 frames the last one follows the last action.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from rig.actions import ACTION_SPACES, NOOP, Action, ActionSpace
from rig.data.problems import Skipped
from rig.errors import ActionError, DatasetError, UnknownNameError
from rig.records import TEACHER, Frame, Lineage, Step, Trajectory
from rig.registry import suggestion

STEPS_NAME = "episode.jsonl"
META_NAME = "meta.json"
DEFAULTS_NAME = "defaults.json"

_META: Mapping[str, type] = {
    "environment": str,
    "action_space": str,
    "task": str,
    "instruction": str,
    "setting": str,
    "seed": int,
    "success": bool,
    "samples": int,
}
_LINE: Mapping[str, tuple[type, ...]] = {
    "keys": (list,),
    "camera": (list,),
    "thought": (str, type(None)),
    "reward": (int, float),
    "actor": (str,),
    "privileged": (dict,),
}


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One step as its line says it."""

    action: Action
    thought: str | None
    reward: float
    actor: str
    privileged: Mapping[str, Any]


class OpenFolderImporter:
    """Imports the layout above; the `Importer` named "open-folder"."""

    name = "open-folder"

    def trajectories(self, source: Path, *, skipped: list[Skipped] | None = None) -> Iterator[Trajectory]:
        """Yield one trajectory per episode folder, in the order of their names; see `Importer.trajectories`.

        A malformed line costs its own step and the one after it, whose previous action nobody then knows; anything
        else that is malformed costs the episode.
        """
        source = Path(source)
        episodes = sorted(path.parent for path in source.glob(f"*/{STEPS_NAME}"))
        if not episodes:
            raise DatasetError(f"{source} has no episode: a folder in it must hold {STEPS_NAME}")
        defaults = _read_object(source / DEFAULTS_NAME) if (source / DEFAULTS_NAME).exists() else {}
        for folder in episodes:
            try:
                trajectory = _read_episode(folder, defaults, skipped)
            except DatasetError as error:
                if skipped is None:
                    raise
                skipped.append(Skipped(place=str(folder), reason=str(error)))
            else:
                yield trajectory


OPEN_FOLDER = OpenFolderImporter()


def _read_episode(folder: Path, defaults: Mapping[str, Any], skipped: list[Skipped] | None) -> Trajectory:
    meta = _read_meta(folder, defaults)
    try:
        space = ACTION_SPACES.get(meta["action_space"])
    except UnknownNameError as error:
        raise DatasetError(f"{folder / META_NAME}: {error}") from error
    lines = list(_read_lines(folder / STEPS_NAME, space, skipped))
    frames = _read_frames(folder)
    if len(frames) - len(lines) not in (0, 1):
        raise DatasetError(
            f"{folder} has {len(lines)} steps and {len(frames)} frames; there must be a frame per step, and at most "
            f"one more, after the last action"
        )
    steps = tuple(_steps(lines, frames, meta["instruction"]))
    if not steps:
        raise DatasetError(f"{folder / STEPS_NAME} has no step that can be used")
    fields = {name: value for name, value in meta.items() if name != "instruction"}
    return Trajectory(id=folder.name, steps=steps, lineage=Lineage(stage="s0", actor=OPEN_FOLDER.name), **fields)


def _steps(lines: Sequence[_Line | None], frames: Sequence[Frame], instruction: str) -> Iterator[Step]:
    """Yield the steps whose own line and the line before are good."""
    for index, line in enumerate(lines):
        before = lines[index - 1] if index else None
        if line is None or (index and before is None):
            continue
        yield Step(
            index=index,
            frame=frames[index],
            instruction=instruction,
            previous_action=before.action if before else NOOP,
            next_frame=frames[index + 1] if index + 1 < len(frames) else None,
            **vars(line),
        )


def _read_meta(folder: Path, defaults: Mapping[str, Any]) -> dict[str, Any]:
    path = folder / META_NAME
    found = {**defaults, **(_read_object(path) if path.exists() else {})}
    _refuse_unknown(found, _META, str(path))
    for name, kind in _META.items():
        if name not in found:
            raise DatasetError(f"{path} lacks {name!r}; give it there, or for all episodes in {DEFAULTS_NAME}")
        if type(found[name]) is not kind:
            raise DatasetError(f"{path}: {name!r} is {found[name]!r}; it must be of type {kind.__name__}")
    return found


def _read_lines(path: Path, space: ActionSpace, skipped: list[Skipped] | None) -> Iterator[_Line | None]:
    """Yield each line's step, or None for a malformed line that is skipped."""
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        place = f"{path}:{number}"
        try:
            yield _read_line(text, space)
        except (DatasetError, ActionError) as error:
            if skipped is None:
                raise DatasetError(f"{place}: {error}") from error
            skipped.append(Skipped(place=place, reason=str(error)))
            yield None


def _read_line(text: bytes, space: ActionSpace) -> _Line:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DatasetError(f"not JSON ({error}); a line holds one object, and ends where the object ends") from error
    if not isinstance(value, dict):
        raise DatasetError(f'a line must be an object such as {{"keys": ["forward"]}}, not {text[:40]!r}')
    _refuse_unknown(value, _LINE, "the line")
    for name, kinds in _LINE.items():
        if name in value and type(value[name]) not in kinds:
            raise DatasetError(f"{name!r} is {value[name]!r}; it must be of type {kinds[0].__name__}")
    return _Line(
        action=_read_action(value, space),
        thought=value.get("thought"),
        reward=float(value.get("reward", 0.0)),
        actor=value.get("actor", TEACHER),
        privileged=value.get("privileged", {}),
    )


def _read_action(value: Mapping[str, Any], space: ActionSpace) -> Action:
    if "keys" not in value:
        raise DatasetError('"keys" is missing; write "keys": [] where nothing is pressed')
    keys, camera = value["keys"], value.get("camera", [0, 0])
    if not all(isinstance(key, str) for key in keys):
        raise DatasetError(f"keys {keys!r} are not all text; a pressed key is given by its name")
    if len(camera) != 2 or not all(type(angle) in (int, float) and np.isfinite(angle) for angle in camera):
        raise DatasetError(f"camera {camera!r} is not [pitch, yaw] in degrees")
    if space.camera is None and any(camera):
        raise DatasetError(f"camera {camera!r} turns, and {space.name!r} has no camera; leave it out")
    action = space.quantise(frozenset(keys), (camera[0], camera[1]))
    space.check(action)
    return action


def _read_frames(folder: Path) -> list[Frame]:
    """Return an episode's frames, all of one size."""
    packed, images = folder / "frames.npz", sorted((folder / "frames").glob("*.png"))
    if packed.exists() == bool(images):
        which = "both" if images else "neither"
        raise DatasetError(f"{folder} has {which} of frames.npz and frames/*.png; give one of them")
    if not images:
        return _read_packed(packed)
    frames = [_read_image(path) for path in images]
    for path, frame in zip(images, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise DatasetError(f"{path} is {frame.shape[:2]} and {images[0]} {frames[0].shape[:2]}; resize one of them")
    return frames


def _read_packed(path: Path) -> list[Frame]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            frames = arrays["frames"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path} cannot be read ({error}); save it with np.savez(path, frames=frames)") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise DatasetError(f"{path}: frames are {frames.dtype} {list(frames.shape)}, and must be uint8 [T, H, W, 3]")
    return list(frames)


def _read_image(path: Path) -> Frame:
    try:
        with Image.open(path) as image:
            if image.mode != "RGB":
                raise DatasetError(f"{path} is of mode {image.mode}; convert it to 8-bit RGB")
            return np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DatasetError(f"{path} cannot be read as an image ({error}); write it again") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON ({error}); mend it") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path} holds a {type(value).__name__}; it must hold one object")
    return value


def _refuse_unknown(found: Mapping[str, Any], known: Mapping[str, Any], place: str) -> None:
    for name in found:
        if name not in known:
            raise DatasetError(
                f"{place} has an unknown field {name!r}.{suggestion(name, known)} Known: {', '.join(known)}."
            )
