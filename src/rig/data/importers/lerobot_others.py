"""Episodes of LeRobotDatasets that others made: which camera is the frame, and what each part of the action is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from rig.actions import ACTION_SPACES, NOOP, Action, ActionSpace
from rig.actions.cameras import MAX_TURN, CameraRounding
from rig.data.importers.report import ImportReport
from rig.data.lerobot.layout import INFO
from rig.data.lerobot.reading import FIX, EpisodeEntry, LeRobotReader
from rig.data.lerobot.steps import PITCH, YAW
from rig.errors import ActionError, DatasetError, UnknownNameError
from rig.lazy import Lazy
from rig.records import TEACHER, Frame, Lineage, Step, Trajectory
from rig.validation import Meta, shown

IGNORED = "-"
"""In the place of a part's name: it is neither a key nor a turn, and is left out."""

_TURNS = (PITCH, YAW)
_REWARD, _SUCCESS = "next.reward", "next.success"


@dataclass(frozen=True, kw_only=True)
class LeRobotImportConfig:
    """What can be chosen for a dataset that others made; an export of ours says all of it itself.

    Attributes:
        camera: the video or images that are the frames; by itself the only one.
        action: the column of actions.
        parts: what each part of an action is, first to last: a key of the action space, `camera.pitch`, `camera.yaw`,
            or `-` for none of these. By itself as `meta/info.json` names them.
        degrees: what 1 of a turning part is in degrees; negative where it turns the other way.
        pressed: from which value on a key counts as pressed.
        action_space: whose keys these are.
        environment: the world that the steps are of.
        task: the task's name; by itself the instruction of an episode's first step.
        instruction: of every step; by itself its task in the dataset.
        setting: "manual" or "tool".
        success: whether episodes that do not say so in `next.success` succeeded, as demonstrations do.
    """

    camera: str = ""
    action: str = "action"
    parts: tuple[str, ...] = ()
    degrees: Annotated[float, Meta(ge=-MAX_TURN, le=MAX_TURN)] = 1.0
    pressed: float = 0.5
    action_space: str = "minerl"
    environment: str = "minerl"
    task: str = ""
    instruction: str = ""
    setting: str = "manual"
    success: bool = True


@dataclass(frozen=True, kw_only=True)
class OthersReading:
    """How the episodes of one dataset are read.

    Attributes:
        reader: the dataset.
        config: what a user chose.
        space: the action space.
        camera: the feature that is the frame.
        parts: what each part of an action is.
    """

    reader: LeRobotReader
    config: LeRobotImportConfig
    space: ActionSpace
    camera: str
    parts: tuple[str, ...]

    @staticmethod
    def of(reader: LeRobotReader, config: LeRobotImportConfig) -> OthersReading:
        """Return how a dataset is read.

        Raises:
            DatasetError: it has no such camera or action, or nobody says what the action's parts are.
        """
        try:
            space = ACTION_SPACES.get(config.action_space)
        except UnknownNameError as error:
            raise DatasetError(f"the configuration's action_space: {error}") from error
        return OthersReading(
            reader=reader,
            config=config,
            space=space,
            camera=_camera(reader, config),
            parts=_parts(reader, config, space),
        )

    def trajectory(self, name: str, entry: EpisodeEntry, report: ImportReport) -> Trajectory:
        """Return an episode, its frames read when asked for.

        Raises:
            DatasetError: something of it is malformed.
        """
        extra = [column for column in (_REWARD, _SUCCESS) if column in self.reader.info.features]
        columns = self.reader.columns(entry, [self.config.action, "task_index", *extra])
        rewards = [_number(value) for value in columns.get(_REWARD, [0.0] * entry.length)]
        success = any(columns[_SUCCESS]) if _SUCCESS in columns else self.config.success
        instructions = [self._instruction(number, entry) for number in columns["task_index"]]
        frames = self.reader.frames(entry, self.camera)
        actions = self._actions(columns[self.config.action], entry, report)
        return Trajectory(
            id=name,
            environment=self.config.environment,
            task=self.config.task or instructions[0],
            setting=self.config.setting,
            seed=entry.number,
            action_space=self.space.name,
            steps=Lazy(partial(_step, frames, actions, instructions, rewards), range(entry.length)),
            success=success,
            samples=int(success),
            lineage=Lineage(stage="s0", actor="lerobot"),
        )

    def _instruction(self, task: Any, entry: EpisodeEntry) -> str:
        if self.config.instruction:
            return self.config.instruction
        if task not in self.reader.tasks:
            raise DatasetError(f"{self.reader.root}, episode {entry.number}: there is no task {shown(task)}; {FIX}")
        return self.reader.tasks[task]

    def _actions(self, values: Sequence[Any], entry: EpisodeEntry, report: ImportReport) -> list[Action]:
        cameras, actions = CameraRounding(self.space), []
        for number, value in enumerate(values):
            place = f"{self.reader.root}, episode {entry.number}, step {number}"
            vector = value if isinstance(value, list) else [value]
            if len(vector) != len(self.parts):
                raise DatasetError(f"{place}: {self.config.action} has {len(vector)} parts of {len(self.parts)}; {FIX}")
            named = {part: _number(one, place) for part, one in zip(self.parts, vector, strict=True)}
            actions.append(self._action(named, place, cameras))
        report.add_cameras(cameras)
        return actions

    def _action(self, values: dict[str, float], place: str, cameras: CameraRounding) -> Action:
        keys = frozenset(key for key in self.space.keys if values.get(key, -math.inf) >= self.config.pressed)
        turn = tuple(self.config.degrees * values.get(axis, 0.0) for axis in _TURNS)
        if any(abs(angle) > MAX_TURN for angle in turn):
            raise DatasetError(
                f"{place}: the camera turns by {turn}, and {MAX_TURN} degrees are the most; mend degrees"
            )
        action = cameras.quantise(keys, (turn[0], turn[1]))
        try:
            self.space.check(action)
        except ActionError as error:
            raise DatasetError(f"{place}: {error}") from error
        return action


def _step(
    frames: Sequence[Frame],
    actions: Sequence[Action],
    instructions: Sequence[str],
    rewards: Sequence[float],
    number: int,
) -> Step:
    return Step(
        index=number,
        frame=frames[number],
        instruction=instructions[number],
        previous_action=actions[number - 1] if number else NOOP,
        action=actions[number],
        next_frame=frames[number + 1] if number + 1 < len(frames) else None,
        actor=TEACHER,
        reward=rewards[number],
    )


def _number(value: Any, place: str = _REWARD) -> float:
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        raise DatasetError(f"{place} is {shown(value)}, and must be a finite number; {FIX}")
    return float(value)


def _camera(reader: LeRobotReader, config: LeRobotImportConfig) -> str:
    known = reader.info.pictures()
    if config.camera in known:
        return config.camera
    place, told = reader.root / INFO, ", ".join(known) or "none"
    if config.camera:
        raise DatasetError(f"{place} has no video or images {config.camera!r}; it has {told}")
    if len(known) != 1:
        raise DatasetError(f"{place} has {len(known)} videos and images: {told}; choose one as the importer's camera")
    return known[0]


def _parts(reader: LeRobotReader, config: LeRobotImportConfig, space: ActionSpace) -> tuple[str, ...]:
    """Return what each part of an action is."""
    place, features = reader.root / INFO, reader.info.features
    feature = features.get(config.action)
    if feature is None or feature.is_picture or feature.dtype == "string" or len(feature.shape) != 1:
        others = ", ".join(name for name, one in features.items() if not one.is_picture)
        raise DatasetError(f"{place} has no vector {config.action!r}; choose the importer's action among {others}")
    parts = config.parts or tuple(feature.part_names())
    meant = [*space.keys, *(_TURNS if space.camera else ()), IGNORED]
    told = f"its {feature.shape[0]} parts are called {', '.join(feature.part_names()) or 'nothing'}"
    fix = f"have the importer's parts say for each which of these it is: {', '.join(meant)}"
    if len(parts) != feature.shape[0]:
        raise DatasetError(
            f"{place}: {config.action!r} has {feature.shape[0]} parts, and {len(parts)} are named; {fix}"
        )
    strangers = [part for part in parts if part not in meant]
    twice = [part for part in parts if part != IGNORED and parts.count(part) > 1]
    if strangers or twice:
        fault = f"{strangers[0]!r} is none of {space.name!r}" if strangers else f"{twice[0]!r} comes twice"
        raise DatasetError(f"{place}: of {config.action!r}, {told}; {fault}; {fix}")
    if all(part == IGNORED for part in parts):
        raise DatasetError(f"{place}: no part of {config.action!r} is of the action; {fix}")
    return parts
