"""Reading a dataset: lazily, by index or id, by columns, in parts, and with a report of what is broken.

    dataset = Dataset(Path("runs/s1")).filter(setting="tool").fraction(1 / 4, seed=0)
    for trajectory in dataset: ...

Opening a trajectory reads and checks all of it but its pixels: a step's frames are read when the step is asked for, and
are gone when nobody holds them.

A `Dataset` may be a part of what is on disk: `filter` and `fraction` return such parts, and everything else (length,
iteration, columns, frames, codes) then speaks of the part.
"""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from rig.data.hub import dataset_folder
from rig.data.manifest import SHARD_FOLDER, DatasetInfo, Manifest, Parent
from rig.data.problems import Skipped, altered, damaged, missing
from rig.data.row_reading import FRAME_COLUMNS, frame_numbers, rows_of
from rig.data.rows import SCHEMA
from rig.data.shards import CodeSource, Entry, FrameSource, ShardReader
from rig.errors import DatasetError
from rig.records import Frame, Step, Trajectory
from rig.registry import suggestion
from rig.storage import sha256_file

_OPEN_SHARDS = 4


class Dataset:
    """A dataset on disk, or a part of one.

    Args:
        path: its folder; or "hf:owner/name", a dataset of a hub, which is kept in huggingface_hub's cache.
        allow_incomplete: read what an unfinished writer has completed so far.
        skip_bad: leave out what is malformed, and list it in `skipped`, rather than raise.

    Attributes:
        manifest: the manifest.
        entries: the trajectories of this part, in the order of the files.
        skipped: what was left out so far; with `skip_bad` only.

    Raises:
        DatasetError: the dataset is missing, unfinished, or damaged; the place and the fix are named.
        MissingDependencyError: it is on a hub, and huggingface_hub is not installed.
    """

    def __init__(self, path: Path | str, *, allow_incomplete: bool = False, skip_bad: bool = False) -> None:
        self.path = dataset_folder(path)
        self.skip_bad = skip_bad
        self.skipped: list[Skipped] = []
        self.manifest = Manifest.load(self.path)
        if not self.manifest.complete and not allow_incomplete:
            raise DatasetError(
                f"{self.path} is unfinished ({self.manifest.counts['trajectories']} trajectories so far); run the "
                f"command that made it again, with --resume"
            )
        self._intact: dict[Path, bool] = {}
        self._codes: CodeSource | None = None
        self._store: FrameSource | None = None
        self._reader = lru_cache(maxsize=_OPEN_SHARDS)(self._open_shard)
        self.entries: tuple[Entry, ...] = tuple(self._index())
        self._by_id = {entry.id: entry for entry in self.entries}

    @property
    def info(self) -> DatasetInfo:
        """What the dataset is."""
        return self.manifest.info

    @property
    def content_hash(self) -> str:
        """The hash of the whole dataset's shards, by which its children know it."""
        return self.manifest.content_hash

    @property
    def ids(self) -> list[str]:
        """The ids of the trajectories, in order."""
        return [entry.id for entry in self.entries]

    @property
    def num_steps(self) -> int:
        """The number of steps of all trajectories."""
        return sum(entry.stop - entry.start for entry in self.entries)

    def as_parent(self) -> Parent:
        """Return the lineage entry for a dataset that is made from this one."""
        return self.manifest.as_parent()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Trajectory]:
        for entry in self.entries:
            trajectory = None
            with self.skipping(f"trajectory {entry.id!r}"):
                trajectory = self._read(entry)
            if trajectory is not None:
                yield trajectory

    def __getitem__(self, key: int | str) -> Trajectory:
        """Return a trajectory by position or id; a malformed one raises DatasetError even with `skip_bad`."""
        if isinstance(key, str):
            if key not in self._by_id:
                raise DatasetError(f"{self.path} has no trajectory {key!r}.{suggestion(key, self.ids)}")
            return self._read(self._by_id[key])
        return self._read(self.entries[key])

    def steps(self) -> Iterator[Step]:
        """Yield the steps of all trajectories, in order."""
        for trajectory in self:
            yield from trajectory.steps

    def filter(
        self,
        *,
        task: str | Collection[str] | None = None,
        setting: str | Collection[str] | None = None,
        stage: str | Collection[str] | None = None,
    ) -> Dataset:
        """Return the part with these tasks, settings and stages; each is a name, several names, or None for all.

        Raises:
            DatasetError: no trajectory has a name that is asked for.
        """
        entries = self.entries
        for field, wanted in (("task", task), ("setting", setting), ("stage", stage)):
            if wanted is None:
                continue
            names = {wanted} if isinstance(wanted, str) else set(wanted)
            known = sorted({getattr(entry, field) for entry in self.entries})
            for name in sorted(names - set(known)):
                hint = suggestion(name, known)
                raise DatasetError(f"{self.path} has no {field} {name!r}.{hint} It has: {', '.join(known) or 'none'}.")
            entries = tuple(entry for entry in entries if getattr(entry, field) in names)
        return self._part(entries)

    def fraction(self, fraction: float, seed: int = 0) -> Dataset:
        """Return a share of the trajectories, the same for the same seed and ids; a smaller share is part of a larger.

        Each (task, setting) gives its share, rounded to whole trajectories and never none.

        Raises:
            DatasetError: `fraction` is not in (0, 1].
        """
        if not 0 < fraction <= 1:
            raise DatasetError(f"a fraction of a dataset lies in (0, 1], not {fraction}")
        strata: dict[tuple[str, str], list[str]] = defaultdict(list)
        for entry in self.entries:
            strata[entry.task, entry.setting].append(entry.id)
        chosen: set[str] = set()
        for ids in strata.values():
            ids.sort(key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
            chosen.update(ids[: max(1, int(fraction * len(ids) + 0.5))])
        return self._part(tuple(entry for entry in self.entries if entry.id in chosen))

    def with_codes(self, codes: CodeSource) -> Dataset:
        """Return the same part, read with `next_codes`, `real_codes` and `codes` filled in from a `CodesCache`."""
        other = copy.copy(self)
        other._codes = codes
        return other

    def with_frames(self, store: FrameSource) -> Dataset:
        """Return the same part, read with frames that are views into `store`, which `load_frames` made for it."""
        other = copy.copy(self)
        other._store = store
        return other

    def table(self, columns: Sequence[str] = tuple(SCHEMA.names)) -> pa.Table:
        """Return columns of all steps of this part, in order, without touching frames; see `rows.SCHEMA` for names.

        Raises:
            DatasetError: there is no such column.
        """
        for name in columns:
            if name not in SCHEMA.names:
                hint = suggestion(name, SCHEMA.names)
                raise DatasetError(f"there is no column {name!r}.{hint} Columns: {', '.join(SCHEMA.names)}.")
        tables = [table for _, table in self.shard_tables(columns)]
        return pa.concat_tables(tables) if tables else SCHEMA.empty_table().select(list(columns))

    def shard_tables(self, columns: Sequence[str]) -> Iterator[tuple[ShardReader, pa.Table]]:
        """Yield each shard with columns of those of its rows that belong to this part."""
        for number, group in groupby(self.entries, key=lambda entry: entry.shard):
            reader = self._open_shard(number)
            table = None
            with self.skipping(str(reader.steps_path)):
                table = reader.table(columns)
            if table is not None:
                yield reader, _rows_of(table, list(group))

    def episodes(self, columns: Sequence[str]) -> Iterator[tuple[Entry, dict[str, list[Any]]]]:
        """Yield each trajectory's entry with columns of its steps, a shard at a time, without touching frames."""
        by_shard = {number: list(group) for number, group in groupby(self.entries, key=lambda entry: entry.shard)}
        for reader, table in self.shard_tables(columns):
            values, start = table.to_pydict(), 0
            for entry in by_shard[reader.number]:
                stop = start + entry.stop - entry.start
                yield entry, {name: column[start:stop] for name, column in values.items()}
                start = stop

    def shard_frames(self) -> Iterator[tuple[ShardReader, list[int]]]:
        """Yield each shard with the numbers of its frames that this part mentions, ascending."""
        for reader, table in self.shard_tables(FRAME_COLUMNS):
            yield reader, reader.stored(frame_numbers(rows_of(table)))

    def let_go(self) -> None:
        """Close the shards that are open; whatever is read next opens its own again."""
        self._reader.cache_clear()

    def verify(self) -> None:
        """Read every file, and compare it with the manifest: its hash, its counts, and whether every row can be read.

        Raises:
            DatasetError: files are missing or altered, or hold something else; all of them are named.
        """
        self.verify_files()
        faults: list[Skipped] = []
        seen: set[str] = set()
        for number in range(len(self.manifest.shards)):
            reader = self._open_shard(number)
            try:
                ids = reader.verify()
            except DatasetError as error:
                faults.append(Skipped(place=str(reader.steps_path), reason=str(error)))
                continue
            faults += [
                Skipped(place=str(reader.steps_path), reason=f"it holds trajectory {name!r} once more")
                for name in sorted(seen & set(ids))
            ]
            seen.update(ids)
        if faults:
            raise DatasetError(damaged(faults))

    def verify_files(self) -> None:
        """Read every file, and compare its hash with the manifest's; what is read later is not compared once more.

        Raises:
            DatasetError: files are missing or altered; all of them are named.
        """
        faults = []
        for shard in self.manifest.shards:
            for file in shard.files():
                path = self.path / SHARD_FOLDER / file.name
                if not path.is_file():
                    faults.append(missing(path))
                    continue
                self._intact[path] = sha256_file(path) == file.sha256
                if not self._intact[path]:
                    faults.append(altered(path))
        if faults:
            raise DatasetError(damaged(faults))

    def _part(self, entries: tuple[Entry, ...]) -> Dataset:
        other = copy.copy(self)
        other.entries = entries
        other._by_id = {entry.id: entry for entry in entries}
        return other

    def _open_shard(self, number: int) -> ShardReader:
        return ShardReader(self.path, number, self.manifest.shards[number], self.info, self._intact)

    def _index(self) -> Iterator[Entry]:
        faults = {number: list(shard.faults(self.path)) for number, shard in enumerate(self.manifest.shards)}
        self.skipped += [fault for several in faults.values() for fault in several]
        if self.skipped and not self.skip_bad:
            raise DatasetError(damaged(self.skipped))
        for number, several in faults.items():
            if not several:
                yield from self._entries_of(number)

    def _entries_of(self, number: int) -> list[Entry]:
        reader = self._open_shard(number)
        with self.skipping(str(reader.steps_path)):
            return list(reader.entries())
        return []

    def _read(self, entry: Entry) -> Trajectory:
        return self._reader(entry.shard).read(entry, self._store, self._codes, partial(self._frame, entry.shard))

    def _frame(self, shard: int, number: int) -> Frame:
        """Return a frame of a shard, which is opened again where others have been read since: few are open at once."""
        return self._reader(shard).frame(number)

    @contextmanager
    def skipping(self, place: str) -> Iterator[None]:
        """With `skip_bad`, report the DatasetError that the block raises, once, and go on."""
        try:
            yield
        except DatasetError as error:
            if not self.skip_bad:
                raise
            entry = Skipped(place=place, reason=str(error))
            if entry not in self.skipped:
                self.skipped.append(entry)


def _rows_of(table: pa.Table, entries: Sequence[Entry]) -> pa.Table:
    """Return the rows of `entries`, which are in order and do not overlap."""
    if sum(entry.stop - entry.start for entry in entries) == table.num_rows:
        return table
    return pa.concat_tables([table.slice(entry.start, entry.stop - entry.start) for entry in entries])
