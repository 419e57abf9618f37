"""VQ codes of a dataset's frames, computed once per tokenizer and kept beside the frames.

    cache = CodesCache(dataset, tokenizer_hash)
    cache.fill(encode)
    for trajectory in dataset.with_codes(cache): ...

The codes of one shard lie in `codes/<tokenizer hash>/<hash of its frames file>.npz`: an array per frame number, and
which of them are known. A shard that was written anew has another hash, so stale codes are never read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.data.dataset import Dataset
from rig.data.manifest import CODES_FOLDER, Shard
from rig.data.packed import read_arrays
from rig.data.row_reading import FRAME_COLUMNS, coded_numbers, rows_of
from rig.data.shards import ShardReader
from rig.errors import DatasetError
from rig.records import Codes
from rig.storage import LOCK_NAME, Lock, atomic_file, remove_unfinished

Encode = Callable[[NDArray[np.uint8]], NDArray[np.uint16]]
"""Turns frames, uint8 [B, H, W, 3], into VQ codes, uint16 [B, N]."""

_NAME_LENGTH = 16
_OPEN_SHARDS = 8
_FIX = "delete it, and the codes are computed again"


@dataclass(frozen=True, kw_only=True, eq=False)
class _ShardCodes:
    """The codes of one shard's frames: `codes` uint16 [F, N], and `known` bool [F]."""

    codes: NDArray[np.uint16]
    known: NDArray[np.bool_]


class CodesCache:
    """The VQ codes of a dataset's frames under one tokenizer.

    Args:
        dataset: the dataset, or the part of one whose frames `fill` encodes.
        tokenizer_hash: what identifies the tokenizer's weights; letters, digits, "-", "_" and ".".

    Raises:
        DatasetError: the hash cannot be a folder's name.
    """

    def __init__(self, dataset: Dataset, tokenizer_hash: str) -> None:
        if not re.fullmatch(r"\w[\w.-]*", tokenizer_hash):
            raise DatasetError(
                f"{tokenizer_hash!r} cannot name a tokenizer's cache; use letters, digits, '-', '_' or '.'"
            )
        self.dataset = dataset
        self.tokenizer_hash = tokenizer_hash
        self.folder = dataset.path / CODES_FOLDER / tokenizer_hash
        self._loaded: dict[Path, _ShardCodes] = {}

    def fill(self, encode: Encode, *, batch_size: int = 64, progress: bool = True) -> int:
        """Compute the codes that the dataset's steps need and the cache lacks; return how many frames were encoded.

        Needed are the codes of next frames, of dreamed frames, and of the real frames beside them. Each shard's codes
        are kept as soon as they are complete, so a killed run goes on from there. Where another process is filling the
        same cache, this one waits and then computes what is still missing.

        Args:
            encode: called with uint8 [B, H, W, 3], B up to `batch_size`; returns uint16 [B, N].
            batch_size: frames per call.
            progress: whether to show a progress bar.

        Raises:
            DatasetError: `encode` returns something else.
            RigError: the disk is full.
        """
        if not self._missing():
            return 0
        with Lock(self.folder / LOCK_NAME, wait=True):
            self._loaded.clear()
            remove_unfinished(self.folder)
            todo = self._missing()
            self._fill(todo, encode, batch_size, progress)
        return sum(len(numbers) for _, numbers in todo)

    def lookup(self, shard: Shard, numbers: Sequence[int]) -> Mapping[int, Codes]:
        """Return the codes, uint16 [N], of a shard's frames by their numbers.

        Raises:
            DatasetError: a frame's codes were never computed.
        """
        if not numbers:
            return {}
        stored = self._codes_of(shard)
        if stored is None or max(numbers) >= len(stored.known) or not stored.known[list(numbers)].all():
            raise DatasetError(
                f"{self._path(shard)} lacks codes of frames that are read; run CodesCache.fill with tokenizer "
                f"{self.tokenizer_hash} on this dataset first"
            )
        return {number: stored.codes[number] for number in numbers}

    def _fill(
        self, todo: Sequence[tuple[ShardReader, list[int]]], encode: Encode, batch_size: int, progress: bool
    ) -> None:
        total = sum(len(numbers) for _, numbers in todo)
        with tqdm(total=total, desc="tokenize", unit="frame", disable=not progress) as bar:
            for reader, numbers in todo:
                with self.dataset.skipping(str(reader.frames_path)):
                    frames, found = reader.open_frames(), []
                    for start in range(0, len(numbers), batch_size):
                        batch = numbers[start : start + batch_size]
                        found.append(_checked(encode(frames.read(batch)), len(batch)))
                        bar.update(len(batch))
                    self._add(reader.shard, numbers, found)

    def _missing(self) -> list[tuple[ShardReader, list[int]]]:
        """Return each shard that lacks codes, with the numbers of the frames to encode."""
        keep = self.dataset.info.tokenizer == self.tokenizer_hash
        found = []
        for reader, table in self.dataset.shard_tables(FRAME_COLUMNS[1:]):
            numbers = reader.stored(coded_numbers(rows_of(table), keep_dreamed=keep))
            cached = self._codes_of(reader.shard)
            if cached is not None:
                numbers = [number for number in numbers if not cached.known[number]]
            if numbers:
                found.append((reader, numbers))
        return found

    def _add(self, shard: Shard, numbers: Sequence[int], found: Sequence[NDArray[np.uint16]]) -> None:
        new = np.concatenate(found)
        old = self._codes_of(shard)
        codes = np.zeros((shard.frames, new.shape[1]), np.uint16) if old is None else old.codes.copy()
        known = np.zeros(shard.frames, np.bool_) if old is None else old.known.copy()
        if codes.shape[1] != new.shape[1]:
            raise DatasetError(
                f"tokenizer {self.tokenizer_hash} now gives {new.shape[1]} codes a frame, and {self._path(shard)} "
                f"holds {codes.shape[1]}; give the other tokenizer another hash"
            )
        codes[numbers], known[numbers] = new, True
        with atomic_file(self._path(shard)) as temporary, temporary.open("wb") as file:
            np.savez(file, codes=codes, known=known)
        self._loaded.pop(self._path(shard), None)

    def _codes_of(self, shard: Shard) -> _ShardCodes | None:
        """Return what is cached for a shard, or None; the last few that were read are kept in memory."""
        path = self._path(shard)
        if path not in self._loaded:
            if not path.exists():
                return None
            if len(self._loaded) == _OPEN_SHARDS:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[path] = self._load(path, shard.frames)
        return self._loaded[path]

    @staticmethod
    def _load(path: Path, frames: int) -> _ShardCodes:
        arrays = read_arrays(path, {"codes": (np.uint16, 2), "known": (np.bool_, 1)}, _FIX)
        if not len(arrays["codes"]) == len(arrays["known"]) == frames:
            raise DatasetError(f"{path} holds codes of another number of frames than {frames}; {_FIX}")
        return _ShardCodes(**arrays)

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.frames_file.sha256[:_NAME_LENGTH]}.npz"


def _checked(codes: NDArray[np.uint16], count: int) -> NDArray[np.uint16]:
    if codes.dtype != np.uint16 or codes.ndim != 2 or len(codes) != count:
        raise DatasetError(
            f"encode returned {codes.dtype} {list(codes.shape)} for {count} frames; it must return uint16 [{count}, N]"
        )
    return codes
