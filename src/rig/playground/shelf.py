"""Where what is played is kept: a dataset of stage S0, written episode by episode, and the logs of those under way.

An episode is in the dataset whole, or not at all. Until it is, its log is in the folder beside it, `NAME.playing`; what
a killed server leaves there is played again by the next one, and kept.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock as ThreadLock
from uuid import uuid4

from rig.data import Dataset, DatasetInfo, DatasetWriter, refuse_unwritable
from rig.data.manifest import FILE_NAME
from rig.envs import World
from rig.errors import RigError
from rig.lazy import Lazy
from rig.playground.scene import Scene
from rig.playground.takes import Take, played_again, trajectory_under
from rig.records import Step
from rig.storage import LOCK_NAME, Lock

_LOG = logging.getLogger("rig.playground")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An episode that is in the dataset.

    Attributes:
        id: of its trajectory.
        task: "task/setting".
        steps: how many.
        success: whether the task's test was met.
    """

    id: str
    task: str
    steps: int
    success: bool


@dataclass(kw_only=True, eq=False)
class Shelf:
    """The place of recordings of one server, which no other one uses meanwhile.

    Attributes:
        folder: the dataset.
        info: what it is.
        kept: the episodes that were kept, first to last.
    """

    folder: Path
    info: DatasetInfo
    kept: list[Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._one_by_one = ThreadLock()
        self._logs = self.folder.with_name(f"{self.folder.name}.playing")
        self._lock: Lock | None = None

    def refuse_foreign(self) -> None:
        """Raise where nothing could be kept in the folder.

        Raises:
            DatasetError: it holds something else, or a dataset of another kind.
        """
        refuse_unwritable(self.folder, self.info, resume=True)

    def begin(self, scene: Scene) -> Take:
        """Begin to record an episode.

        Raises:
            RigError: another server records there, or there is no room.
        """
        with self._one_by_one:
            self._claim()
        return Take(scene, self._logs / f"{uuid4().hex}.jsonl")

    def keep(self, take: Take) -> Kept | None:
        """Write an episode to the dataset, as far as it was played; return what was kept, None of one without steps.

        Raises:
            RigError: it cannot be written; its log stays, and the next server keeps it.
        """
        return self._write(take.scene, take.steps, take.log)

    def drop(self, take: Take) -> None:
        """Throw an episode away."""
        take.log.unlink(missing_ok=True)

    def recover(self, world: World) -> list[str]:
        """Keep what a server left that was killed; return what is to be told of it, a line for each episode.

        Args:
            world: where it is played again.

        Raises:
            RigError: another server records there.
        """
        logs = sorted(self._logs.glob("*.jsonl"))
        if logs:
            self._claim()
        return [self._recovered(log, world) for log in logs]

    def close(self) -> None:
        """Let another server record here."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _claim(self) -> None:
        if self._lock is None:
            lock = Lock(self._logs / LOCK_NAME)
            lock.acquire()
            self._lock = lock

    def _recovered(self, log: Path, world: World) -> str:
        if log.stem in self._ids():
            log.unlink()
            return f"{log.stem} was kept already"
        try:
            scene, steps, lost = played_again(log, world)
            kept = self._write(scene, steps, log)
        except RigError as error:
            return f"{log} could not be played again: {error}"
        what = f"{kept.id}, {kept.steps} steps" if kept else "an episode without a step"
        return f"recovered {what}" + (f"; {lost} more could not be had again" if lost else "")

    def _ids(self) -> set[str]:
        return set(Dataset(self.folder, allow_incomplete=True).ids) if (self.folder / FILE_NAME).exists() else set()

    def _write(self, scene: Scene, steps: Lazy[Step], log: Path) -> Kept | None:
        """Write an episode, and remove its log, which by its name is known as kept in between."""
        if not len(steps):
            log.unlink()
            return None
        with self._one_by_one, DatasetWriter(self.folder, self.info, resume=True) as writer:
            episode = scene.episode
            others = writer.done | {other.stem for other in self._logs.glob("*.jsonl") if other != log}
            name = next(name for n in count(1) if (name := f"{episode.id}-take-{n}") not in others)
            log = log.rename(log.with_stem(name))
            trajectory = trajectory_under(name, scene, steps)
            writer.append(trajectory)
            writer.finalize()
            log.unlink()
        kept = Kept(id=name, task=f"{episode.task}/{episode.setting}", steps=len(steps), success=trajectory.success)
        self.kept.append(kept)
        return kept


def shelf_of(folder: str, world: World) -> Shelf:
    """Return the place of recordings in a world."""
    height, width, _ = world.observation_space.shape or (0, 0, 0)
    info = DatasetInfo(
        name=Path(folder).name,
        stage="s0",
        environment=world.name,
        action_space=world.actions,
        frame_size=(height, width),
        config={"importer": "playground"},
    )
    return Shelf(folder=Path(folder), info=info)
