"""`rig data dedupe`: what a dataset holds more than once goes, and the first of it stays.

That two steps show the same frame makes no duplicates of them: what was done there, or what came of it, may differ,
and that is what is to be learned. `DedupeConfig` says what has to be the same. Whole trajectories go unless single
steps are asked for; then the numbers of the steps that stay tell where others went.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.data import Dataset, Entry
from rig.data.row_reading import pixel_numbers, rows_of
from rig.data.rows import Row
from rig.data.shards import ShardReader
from rig.stages.config import Opening
from rig.stages.likeness import WORDS, differing_bits, perceptual_hashes
from rig.stages.reshaping import (
    Piece,
    Tally,
    copied_info,
    opened,
    refuse_out,
    refuse_parts_of_sets,
    steps_of,
    write,
)
from rig.stages.reshaping_config import DedupeConfig

_BATCH_BYTES = 4 << 20
"""The pixels that are hashed at once, of which some copies are made."""

_LEARNED = ("instruction", "previous_action", "action", "actor", "thought", "chosen")
_COLUMNS = (*_LEARNED, "frame", "next_frame", "dreams", "review", "candidates")
EXACT, NEAR = "the very same", "nearly the same"


def dedupe(source: Path | str, config: DedupeConfig, out: Path | str, opening: Opening | None = None) -> dict[str, Any]:
    """Write the dataset `source` without its duplicates to the dataset `out`.

    Returns:
        `kept`, `dropped`, `dropped_by` ("the very same" or "nearly the same"), each in trajectories and steps; `same`,
        a row for each trajectory that lost steps: which it is (`trajectory`), how many `steps` went, how many of them
        `near`, and the trajectory that most of them are in (`like`); and `frames_again`, the steps kept whose frame,
        to the pixel, an earlier one shows too.

    Raises:
        DatasetError: `source` is damaged or unfinished, or of branches whose steps would go; or `out` may not be
            touched.
    """
    dataset = opened(source)
    refuse_parts_of_sets(dataset, config.keep)
    info = copied_info(dataset, config, "dedupe", Path(out))
    refuse_out(Path(out), info, opening)
    search = _Search(dataset, config)
    pieces = list(search.pieces())
    write(Path(out), info, pieces, opening)
    return {**search.tally.to_json(), "same": search.same, "frames_again": search.frames_again}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sight:
    """What of a step decides whether it is the same as another.

    Attributes:
        key: a hash of all, every frame to the pixel.
        rest: a hash of all but the frames.
        frame: the key of the observed frame.
        hashes: the perceptual hashes of its frames, uint64 [frames, 8]; None where nobody asks.
    """

    key: bytes
    rest: bytes
    frame: bytes
    hashes: NDArray[np.uint64] | None


@dataclass(kw_only=True)
class _Alike:
    """The kept steps that differ in their frames alone.

    Attributes:
        hashes: uint64 [capacity, frames, 8].
        places: which step each is.
    """

    hashes: NDArray[np.uint64]
    places: list[int] = field(default_factory=list)

    def add(self, hashes: NDArray[np.uint64], place: int) -> None:
        if len(self.places) == len(self.hashes):
            self.hashes = np.concatenate([self.hashes, np.empty_like(self.hashes)])
        self.hashes[len(self.places)] = hashes
        self.places.append(place)

    def nearest(self, hashes: NDArray[np.uint64], most: int) -> int | None:
        """Return the step whose frames all differ in at most `most` bits, the nearest one; None where there is none."""
        differences = differing_bits(self.hashes[: len(self.places)], hashes).max(axis=1)
        best = int(differences.argmin())
        return self.places[best] if differences[best] <= most else None


class _Kept:
    """The steps that are kept so far, to be found again. It takes some hundred bytes for each."""

    def __init__(self, near: int | None) -> None:
        self._near = near
        self._exact: dict[bytes, int] = {}
        self._alike: dict[bytes, _Alike] = {}
        self._trajectories: list[str] = []

    def find(self, sight: _Sight) -> tuple[str, str] | None:
        """Return how a kept step is the same, and in which trajectory it is; None where none is."""
        place, how = self._exact.get(sight.key), EXACT
        if place is None and sight.hashes is not None and self._near is not None and sight.rest in self._alike:
            place, how = self._alike[sight.rest].nearest(sight.hashes, self._near), NEAR
        return None if place is None else (how, self._trajectories[place])

    def add(self, sight: _Sight, trajectory: str) -> None:
        """Take a step in."""
        place = len(self._trajectories)
        self._trajectories.append(trajectory)
        self._exact.setdefault(sight.key, place)
        if sight.hashes is not None:
            alike = self._alike.setdefault(sight.rest, _Alike(hashes=np.empty((1, *sight.hashes.shape), np.uint64)))
            alike.add(sight.hashes, place)


class _Search:
    """Goes through a dataset once, shard by shard, and says what stays.

    Attributes:
        tally: how much.
        same: a row for each trajectory that lost steps.
        frames_again: kept steps whose frame was there before.
    """

    def __init__(self, dataset: Dataset, config: DedupeConfig) -> None:
        self._dataset, self._config = dataset, config
        self._kept = _Kept(config.near)
        self._frames: set[bytes] = set()
        self.tally, self.frames_again = Tally(), 0
        self.same: list[dict[str, Any]] = []

    def pieces(self) -> Iterator[Piece]:
        """Yield what stays of each trajectory, in order."""
        for entry, sights in self._trajectories():
            stays = self._stays(entry, sights)
            if stays:
                self.tally.keep(len(stays))
                self._note_frames([sights[position] for position in stays])
                whole = len(stays) == len(sights)
                yield Piece(dataset=self._dataset, entry=entry, name=entry.id, positions=None if whole else stays)

    def _trajectories(self) -> Iterator[tuple[Entry, list[_Sight]]]:
        entries = iter(self._dataset.entries)
        with tqdm(total=self._dataset.num_steps, desc="look", unit="step") as bar:
            for reader, table in self._dataset.shard_tables(_COLUMNS):
                rows = rows_of(table)
                look = _Look(reader, rows, hashes=self._config.near is not None)
                while rows:
                    entry = next(entries)
                    count = steps_of(entry)
                    yield entry, [look.sight(row) for row in rows[:count]]
                    del rows[:count]
                    bar.update(count)

    def _stays(self, entry: Entry, sights: Sequence[_Sight]) -> list[int]:
        """Return the positions of the steps that stay, and take these in."""
        alone = self._config.keep == "steps"
        found: dict[int, tuple[str, str]] = {}
        stays = []
        for position, sight in enumerate(sights):
            if (same := self._kept.find(sight)) is not None:
                found[position] = same
            else:
                stays.append(position)
                if alone:
                    self._kept.add(sight, entry.id)
        if not alone:
            gone = len(found) >= self._config.share * len(sights)
            stays = [] if gone else list(range(len(sights)))
            found = dict.fromkeys(range(len(sights)), ("", "")) | found if gone else {}
            for position in stays:
                self._kept.add(sights[position], entry.id)
        self._note(entry, list(found.values()), whole=not stays)
        return stays

    def _note(self, entry: Entry, found: Sequence[tuple[str, str]], *, whole: bool) -> None:
        """Count the steps of a trajectory that go; one that is the same as none goes with the rest of its own."""
        if not found:
            return
        near = sum(how == NEAR for how, _ in found)
        self.tally.drop(NEAR if near else EXACT, len(found), trajectories=int(whole))
        like = Counter(name for _, name in found if name).most_common(1)[0][0]
        self.same.append({"trajectory": entry.id, "steps": len(found), "near": near, "like": like})

    def _note_frames(self, sights: Sequence[_Sight]) -> None:
        for sight in sights:
            self.frames_again += sight.frame in self._frames
            self._frames.add(sight.frame)


class _Look:
    """Looks at the steps of one shard.

    Args:
        reader: the shard.
        rows: its steps.
        hashes: whether perceptual hashes are wanted.
    """

    def __init__(self, reader: ShardReader, rows: Sequence[Row], *, hashes: bool) -> None:
        frames = reader.open_frames()
        self._keys = frames.keys()
        self._hashes = np.zeros((len(frames) if hashes else 0, WORDS), np.uint64)
        if hashes:
            shown = sorted({number for row in rows for number in pixel_numbers(row) if number is not None})
            count = max(1, _BATCH_BYTES // (3 * math.prod(frames.size)))
            for start in range(0, len(shown), count):
                batch = shown[start : start + count]
                self._hashes[batch] = perceptual_hashes(frames.read(batch))
        frames.close()

    def sight(self, row: Row) -> _Sight:
        """Return what of a step decides."""
        numbers = pixel_numbers(row)
        rest = _digest(repr((_said(row), [number is None for number in numbers])).encode())
        shown = [number for number in numbers if number is not None]
        key = _digest(rest + b"".join(self._keys[number] for number in shown))
        hashes = self._hashes[shown] if len(self._hashes) else None
        return _Sight(key=key, rest=rest, frame=self._keys[row["frame"]], hashes=hashes)


def _said(row: Row) -> tuple[Any, ...]:
    """Return all that is said and done at a step, without its frames."""
    plans = [
        (plan["thought"], plan["action"], plan["votes"], plan["judgement"], [*map(_dreamed, plan["dreams"])])
        for plan in row["candidates"]
    ]
    review = row["review"] and (row["review"]["thought"], row["review"]["action"])
    return (*(row[name] for name in _LEARNED), review, [*map(_dreamed, row["dreams"])], plans)


def _dreamed(dream: Row) -> tuple[Any, ...]:
    """Return what a dream says, with the codes of one that has no frame."""
    codes = dream["codes"] if dream["frame"] is None else None
    return dream["thought"], dream["action"], None if codes is None else codes.tobytes()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
