"""An importer for MineRL-V0, the play of humans in Minecraft that MineRL's competitions of 2019 to 2021 were about.

    source/
      MineRLTreechop-v0/                     the environment that a recording was rendered for
        v3_absolute_grape_changeling-6_…/    a recording
          recording.mp4                      what was seen, 64 x 64 pixels at 20 frames a second
          rendered.npz                       reward [T], action$forward [T] …, observation$inventory$dirt [T + 1] …
          metadata.json                      success, duration_ms, duration_steps, total_reward, true_video_frame_count

`source` may be any of the three folders. A recording has T actions and T + 1 states, and its video ends with the last
state: of its `true_video_frame_count` frames those before the last T + 1 show how the recording was begun. Versions
before the third write `action_forward`, and do not count the frames.

What crafts, places, equips or smelts an item by its name has no key in the action space; its steps are kept without
it, and counted. Samples are the steps that were rewarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from rig.actions import MINERL, NOOP, Action
from rig.data.importers.base import Recording, RecordingImporter
from rig.data.importers.minerl_arrays import FIX, RenderedArrays
from rig.data.importers.moments import Moment, steps_of
from rig.data.importers.report import ImportReport
from rig.data.problems import Skipped
from rig.data.video import MAX_FRAMES, VideoFrames
from rig.errors import DatasetError
from rig.records import Lineage, Trajectory
from rig.validation import Meta, load_json, validated

VIDEO_NAME = "recording.mp4"
ARRAYS_NAME = "rendered.npz"
META_NAME = "metadata.json"

_ENVIRONMENT = re.compile(r"MineRL(\w+?)-v\d+")
_TREES = ("chop_a_tree", "chop a tree", "tool")
_TASKS = {"Treechop": _TREES}
"""Task, instruction and setting of an environment whose name does not say them: Treechop gives an axe."""


@dataclass(frozen=True, kw_only=True)
class MineRLConfig:
    """What the recordings do not say of themselves, or say otherwise.

    Attributes:
        environment: the world that they are of.
        task: None: by the name of the environment's folder, such as `obtain_diamond` of `MineRLObtainDiamond-v0`.
        instruction: None: the task's words.
        setting: None: "tool" for Treechop, where one begins with an axe, and "manual" elsewhere.
        seed: of the worlds, which nobody noted.
        success: whether the task was done; None: as `metadata.json` says.
    """

    environment: str = "minerl"
    task: str | None = None
    instruction: str | None = None
    setting: str | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0
    success: bool | None = None


@dataclass(frozen=True, kw_only=True)
class _Meta:
    """What `metadata.json` says, as far as it is needed."""

    success: bool | None = None
    duration_steps: Annotated[int, Meta(ge=0)] | None = None
    total_reward: float | None = None
    true_video_frame_count: Annotated[int, Meta(ge=1, le=MAX_FRAMES)] | None = None


class MineRLImporter(RecordingImporter):
    """Imports the layout above; the `Importer` named "minerl"."""

    name = "minerl"
    Config = MineRLConfig

    def recordings(self, source: Path) -> Iterator[Recording]:
        """Yield the folders that hold a part of a recording, by their names."""
        parts = (VIDEO_NAME, ARRAYS_NAME, META_NAME)
        found = {path.parent for part in parts for depth in ("", "*/", "*/*/") for path in source.glob(depth + part)}
        if not found:
            raise DatasetError(f"{source} has no recording of MineRL: a folder in it must hold {', '.join(parts)}")
        for folder in sorted(found):
            names = folder.relative_to(source).parts or (folder.resolve().name,)
            yield Recording(id="_".join(names), place=str(folder), data=folder)

    def read(self, recording: Recording, report: ImportReport, skipped: list[Skipped] | None) -> Trajectory:
        """Return the trajectory of a recording's folder; a malformed row costs its own step and the next one."""
        folder: Path = recording.data
        meta = _read_meta(folder / META_NAME)
        described = self._described(folder, meta)
        video = VideoFrames(folder / VIDEO_NAME)
        arrays = RenderedArrays(folder / ARRAYS_NAME, len(video))
        moments = _moments(arrays, meta, video, report, skipped)
        if not moments:
            raise DatasetError(f"{folder} has no step that can be used; {FIX}")
        return Trajectory(
            id=recording.id,
            environment=self.config.environment,
            action_space=MINERL.name,
            task=described["task"],
            setting=described["setting"],
            seed=self.config.seed,
            success=described["success"],
            samples=int((arrays.rewards > 0).sum()),
            lineage=Lineage(stage="s0", actor=self.name),
            steps=steps_of(moments, video.frame, described["instruction"]),
        )

    def _described(self, folder: Path, meta: _Meta) -> dict[str, Any]:
        """Return task, instruction, setting and success: as they are configured, else as the recording says."""
        chosen = self.config
        match = _ENVIRONMENT.fullmatch(folder.resolve().parent.name)
        task, words, setting = _TASKS.get(match[1], _spelt_out(match[1])) if match else (None, None, "manual")
        if chosen.task:
            task, words = chosen.task, chosen.task.replace("_", " ")
        success = meta.success if chosen.success is None else chosen.success
        if task is None:
            raise DatasetError(
                f"{folder.parent} is not called as an environment of MineRL is, MineRLTreechop-v0 for one, so nobody "
                "knows the task; say --importer-config task=chop_a_tree"
            )
        if success is None:
            raise DatasetError(
                f"{folder / META_NAME} does not say whether the task was done; say --importer-config success=true"
            )
        words, setting = chosen.instruction or words, chosen.setting or setting
        return {"task": task, "instruction": words, "setting": setting, "success": success}


def _spelt_out(name: str) -> tuple[str, str, str]:
    """Return task, instruction and setting of an environment such as `ObtainIronPickaxe`."""
    words = " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)).lower()
    return words.replace(" ", "_"), words, "manual"


def _read_meta(path: Path) -> _Meta:
    """Return what is needed of `metadata.json`, which may hold anything besides."""
    return validated(load_json(path, FIX, DatasetError), _Meta, path, FIX, DatasetError, others=True)


def _moments(
    arrays: RenderedArrays, meta: _Meta, video: VideoFrames, report: ImportReport, skipped: list[Skipped] | None
) -> list[Moment]:
    """Return the steps that can be used: whose row and the row before are good, and whose frame is there."""
    _compare(meta, arrays, report)
    actions, lead = arrays.actions(report, skipped), _lead(meta, arrays, video)
    report.add("frames", "before the first step", lead)
    moments = []
    for row, action in enumerate(actions):
        before, frame = actions[row - 1] if row else NOOP, lead + row
        if action is None or before is None or frame >= len(video):
            report.add("steps", _why_not(action, before))
            continue
        moments.append(
            Moment(
                index=row,
                frame=frame,
                action=action,
                previous_action=before,
                next_frame=frame + 1 if frame + 1 < len(video) else None,
                reward=float(arrays.rewards[row]),
                privileged=arrays.facts(row),
            )
        )
    return moments


def _why_not(action: Action | None, before: Action | None) -> str:
    if action is None:
        return "malformed row"
    return "unknown previous action" if before is None else "no frame"


def _lead(meta: _Meta, arrays: RenderedArrays, video: VideoFrames) -> int:
    """Return how many frames come before the first step's."""
    frames = meta.true_video_frame_count or len(video)
    lead = frames - (len(arrays) + 1)
    if lead < -1:
        raise DatasetError(
            f"{arrays.path} has {len(arrays)} actions, and the video {video.place} {frames} frames; there must be a "
            f"frame for each action, and one behind the last; {FIX}"
        )
    return max(0, lead)


def _compare(meta: _Meta, arrays: RenderedArrays, report: ImportReport) -> None:
    """Count what the metadata says otherwise than the arrays; these are what is imported."""
    steps, reward = len(arrays), float(arrays.rewards.sum())
    report.add("contradictions", "duration_steps", meta.duration_steps not in (None, steps))
    differs = meta.total_reward is not None and abs(meta.total_reward - reward) > 1e-3 * max(1.0, abs(reward))
    report.add("contradictions", "total_reward", differs)
