"""A dataset of ours as a LeRobotDataset v3, which the importer of the same name reads back.

Frames become the video `observation.images.main`, actions a vector with names and a text, instructions the tasks; the
rest are columns of text (`rig.data.lerobot.steps`). Everything comes back but what the video loses, which is measured.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from tqdm import tqdm

from rig.data.dataset import Dataset
from rig.data.exporters.base import Exporter, ExportReport
from rig.data.lerobot.layout import FORMAT, INFO, OUR_INFO, OUR_PREFIX, PICTURES, Feature
from rig.data.lerobot.steps import CAMERA, PICTURE, PICTURE_COLUMNS, StepPictures, camera_feature, features_of, row_of
from rig.data.lerobot.writing import Episode, LeRobotWriter, Shown
from rig.data.trail import ActionTrail
from rig.data.video_encoding import LOSSLESS, VideoEncoding
from rig.provenance import provenance
from rig.records import Frame, Step, Trajectory, next_codes_of
from rig.storage import atomic_folder, refuse_existing, write_json
from rig.validation import Meta

_CODES = "VQ codes, which training makes again of the frames"
_CODES_ALONE = "dreams that are VQ codes alone, without a picture"
_EMPTY = "texts that are empty, which become none"


@dataclass(frozen=True, kw_only=True)
class LeRobotExportConfig:
    """What can be chosen.

    Attributes:
        fps: frames in a second of the video: how long a step takes in its world. Minecraft's is 20.
        codec: the video's encoder.
        crf: what quality is kept: 0 the best, 51 the worst of H.264.
        colours: at "half" the resolution, as everything plays it, or at "full", which keeps small sharp pictures far
            better: Crafter's at 37 dB in the place of 30.
        key_frame_every: frames from one key frame to the next; reading one step decodes so many at the most. LeRobot's
            own videos have 2, and are four times the size.
        lossless: keep every pixel as it is, in a video several times the size, which few players show.
    """

    fps: Annotated[int, Meta(ge=1, le=1000)] = 20
    codec: str = "libx264"
    crf: Annotated[int, Meta(ge=0, le=63)] = 18
    colours: Literal["half", "full"] = "half"
    key_frame_every: Annotated[int, Meta(ge=1, le=10_000)] = 10
    lossless: bool = False

    def encoding(self, size: tuple[int, int]) -> VideoEncoding:
        """Return how frames of this size become a video: odd sides want colours at full resolution."""
        if self.lossless:
            return VideoEncoding(**{**asdict(LOSSLESS), "key_frame_every": self.key_frame_every})
        is_full = self.colours == "full" or any(side % 2 for side in size)
        pixel_format = "yuv444p" if is_full else "yuv420p"
        return VideoEncoding(
            codec=self.codec, pixel_format=pixel_format, crf=self.crf, key_frame_every=self.key_frame_every
        )


class LeRobotExporter(Exporter):
    """Writes LeRobotDataset v3; the `Exporter` named "lerobot"."""

    name = "lerobot"
    Config = LeRobotExportConfig

    def export(self, dataset: Dataset, out: Path, *, overwrite: bool = False) -> ExportReport:
        """Write `dataset` into `out`; see `Exporter.export`."""
        if overwrite:
            _refuse_stranger(Path(out))
        with atomic_folder(out, overwrite=overwrite) as folder:
            with tqdm(total=dataset.num_steps, desc="export", unit="step", disable=None) as bar:
                work = _Work(dataset=dataset, config=self.config, progress=bar.update)
                steps = work.write_steps(folder)
            pictures = work.write_pictures(folder / PICTURES)
            write_json(folder / OUR_INFO, work.described())
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return ExportReport(
            trajectories=len(dataset),
            steps=dataset.num_steps,
            pictures=sum(work.pictures.values()),
            bytes=size,
            loss={name: loss for name, loss in (("frames", steps), ("pictures", pictures)) if loss},
            left_out=work.left_out,
        )


def _refuse_stranger(out: Path) -> None:
    """Raise RigError where what would be replaced is something else than a LeRobotDataset."""
    if not (out / INFO).is_file():
        refuse_existing(out, f"it is no LeRobotDataset, for it has no {INFO}, and is not replaced; choose another path")


@dataclass(kw_only=True)
class _Work:
    """One export.

    Attributes:
        dataset: what is exported.
        config: how.
        progress: is called behind each step.
        pictures: by trajectory, how many pictures beside its observed frames it has; known once it is written.
        left_out: what the format cannot hold, and how often.
    """

    dataset: Dataset
    config: LeRobotExportConfig
    progress: Callable[[], object]
    pictures: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def write_steps(self, folder: Path) -> dict[str, Any]:
        """Write the dataset of all steps; return what its video lost."""
        info = self.dataset.info
        episodes = (self._episode(trajectory) for trajectory in self.dataset)  # and gone when that is made
        return self._write(folder, features_of(info.action_space, info.frame_size), CAMERA, episodes)

    def write_pictures(self, folder: Path) -> dict[str, Any] | None:
        """Write the dataset of the pictures that no step observes; return what its video lost, None without any."""
        with_some = [name for name, count in self.pictures.items() if count]
        if not with_some:
            return None
        features = {PICTURE: camera_feature(self.dataset.info.frame_size), **PICTURE_COLUMNS}
        return self._write(folder, features, PICTURE, map(self._picture_episode, with_some))

    def described(self) -> dict[str, Any]:
        """Return what `meta/rig.json` says."""
        info = self.dataset.info
        return {
            "format": FORMAT,
            "environment": info.environment,
            "action_space": asdict(info.action_space),
            "pictures": any(self.pictures.values()),
            "dataset": {"name": info.name, "stage": info.stage, "content_hash": self.dataset.content_hash},
            "provenance": provenance(),
        }

    def _write(
        self, folder: Path, features: dict[str, Feature], camera: str, episodes: Iterator[Episode]
    ) -> dict[str, Any]:
        config, info = self.config, self.dataset.info
        writer = LeRobotWriter(
            folder,
            features,
            camera,
            fps=config.fps,
            encoding=config.encoding(info.frame_size),
            robot_type=info.environment,
        )
        writer.write(episodes)
        return writer.loss.to_json()

    def _episode(self, trajectory: Trajectory) -> Episode:
        named = ("id", "task", "setting", "seed", "success", "samples")
        facts = {f"{OUR_PREFIX}{name}": getattr(trajectory, name) for name in named}
        return Episode(
            length=len(trajectory.steps),
            steps=partial(self._steps, trajectory.id),
            frames=partial(self._frames, trajectory.id),
            facts={**facts, f"{OUR_PREFIX}lineage": json.dumps(asdict(trajectory.lineage), ensure_ascii=False)},
        )

    def _frames(self, name: str) -> Iterator[Frame]:
        return (step.frame for step in self.dataset[name].steps)

    def _steps(self, name: str) -> Iterator[Shown]:
        trajectory, count = self.dataset[name], 0
        for step, row, pictures in self._rows(trajectory):
            is_last = pictures.following is None
            ends = {"next.done": is_last, "next.success": is_last and trajectory.success}
            self._count_left_out(step)
            count += len(pictures.found)
            self.progress()
            yield step.frame, step.instruction, {**row, **ends}
        self.pictures[name] = count

    def _picture_episode(self, name: str) -> Episode:
        return Episode(
            length=self.pictures[name],
            steps=lambda: self._picture_steps(name),
            frames=lambda: (frame for frame, _, _ in self._picture_steps(name)),
            facts={f"{OUR_PREFIX}id": name},
        )

    def _picture_steps(self, name: str) -> Iterator[Shown]:
        for number, (step, _, pictures) in enumerate(self._rows(self.dataset[name])):
            for role, frame in pictures.found:
                yield frame, step.instruction, {"rig.step": number, "rig.role": role}

    def _rows(self, trajectory: Trajectory) -> Iterator[tuple[Step, dict[str, Any], StepPictures]]:
        """Yield each step with its columns, and with the pictures beside its observed frame."""
        space, count, trail = self.dataset.info.action_space, 0, ActionTrail(trajectory.lineage.stage)
        for step, following in pairwise(chain(trajectory.steps, [None])):
            assert step is not None
            pictures = StepPictures(following=following.frame if following else None, first=count)
            row = row_of(step, space, pictures, trail.before(step.index))
            trail.go_on(step.index, step.previous_action, step.earlier_actions)
            count += len(pictures.found)
            yield step, row, pictures

    def _count_left_out(self, step: Step) -> None:
        """Count what of a step does not come back."""
        dreams = step.every_dream
        codes = [next_codes_of(step), *(held for dream in dreams for held in (dream.codes, dream.real_codes))]
        review = step.review.thought if step.review else None
        found = {
            _CODES: sum(held is not None for held in codes),
            _CODES_ALONE: sum(dream.frame is None and dream.codes is not None for dream in dreams),
            _EMPTY: sum(text == "" for text in (step.thought, review)),
        }
        self.left_out.update({name: count for name, count in found.items() if count})
