"""Arrays of `.npz` files: looked at by their headers before room is made for them, read in whole or row by row."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rig.data.decoding import decoding
from rig.errors import DatasetError

MAX_ARRAY_BYTES = 8 << 30
"""The largest array that is read from an `.npz` file: the frames of an episode."""

_CHUNK = 1 << 16


def array_headers(path: Path, fix: str) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of every array of an `.npz` file, by its name, as their headers say.

    Raises:
        DatasetError: the file is damaged.
    """
    with decoding(path, fix), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        found = {}
        for name in names:
            with _opened(archive, path, name) as file:
                shape, _, kind = _read_header(file)
                found[name] = shape, kind
        return found


def read_arrays(path: Path, wanted: Mapping[str, tuple[type | np.dtype, int]], fix: str) -> dict[str, NDArray]:
    """Return arrays of an `.npz` file, once its headers say that they are what is wanted.

    Args:
        path: the file.
        wanted: type and number of dimensions of each array, by its name.
        fix: what to do where it cannot be read.

    Raises:
        DatasetError: the file is damaged, or lacks an array, or one is of another type or shape, is larger than
            `MAX_ARRAY_BYTES`, or than what is stored of it.
    """
    with decoding(path, fix):
        with zipfile.ZipFile(path) as archive:
            for name, (kind, dimensions) in wanted.items():
                with _opened(archive, path, name) as file:
                    _check_header(file, path, name, np.dtype(kind), dimensions, _stored_bytes(archive, name))
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in wanted}


class PackedArray:
    """An array of an `.npz` file, whose rows are read one by one, fastest in their order.

    Args:
        path: the file.
        name: the array's.
        kind: its type.
        dimensions: their number.
        fix: what to do where it cannot be read.

    Attributes:
        shape: the array's.

    Raises:
        DatasetError: as of `read_arrays`; all that is stored was read once, and is whole.
    """

    def __init__(self, path: Path, name: str, kind: type, dimensions: int, fix: str) -> None:
        self._path, self._name, self._kind, self._fix = path, name, np.dtype(kind), fix
        self._file: IO[bytes] | None = None
        self._next = 0
        self._whole: NDArray | None = None
        with decoding(path, fix), zipfile.ZipFile(path) as archive, _opened(archive, path, name) as file:
            stored = _stored_bytes(archive, name)
            self.shape, by_columns = _check_header(file, path, name, self._kind, dimensions, stored)
            while file.read(_CHUNK):  # the checksum is compared at the end
                pass
        if by_columns:
            self._whole = read_arrays(path, {name: (kind, dimensions)}, fix)[name]

    def __len__(self) -> int:
        return self.shape[0]

    def row(self, index: int) -> NDArray:
        """Return one row, read-only.

        Raises:
            DatasetError: the file was changed or taken away since.
        """
        if self._whole is not None:
            return self._whole[index]
        with decoding(self._path, self._fix):
            if self._file is None or index < self._next:
                self._rewind()
            while self._next < index:
                self._read()
            found = np.frombuffer(self._read(), self._kind).reshape(self.shape[1:])
        if self._next == len(self):
            self._close()
        return found

    def _read(self) -> bytes:
        assert self._file is not None
        self._next += 1
        return self._file.read(math.prod(self.shape[1:]) * self._kind.itemsize)

    def _rewind(self) -> None:
        self._close()
        with zipfile.ZipFile(self._path) as archive:
            self._file = _opened(archive, self._path, self._name)
        _read_header(self._file)

    def _close(self) -> None:
        """Let go of the file, which stays open between two rows alone."""
        if self._file is not None:
            self._file.close()
        self._file, self._next = None, 0


def _opened(archive: zipfile.ZipFile, path: Path, name: str) -> IO[bytes]:
    found = archive.namelist()
    if f"{name}.npy" not in found:
        raise DatasetError(f"{path} has no array {name!r} (it has {', '.join(sorted(found)) or 'none'})")
    return archive.open(f"{name}.npy")


def _stored_bytes(archive: zipfile.ZipFile, name: str) -> int:
    return archive.getinfo(f"{name}.npy").file_size


def _check_header(
    file: IO[bytes], path: Path, name: str, kind: np.dtype, dimensions: int, stored: int
) -> tuple[tuple[int, ...], bool]:
    """Return an array's shape, and whether it is stored column by column; `file` is left behind its header."""
    shape, by_columns, dtype = _read_header(file)
    size = math.prod(shape) * dtype.itemsize
    if dtype != kind or len(shape) != dimensions or dtype.hasobject:
        raise DatasetError(f"{path}: {name} are {dtype} {list(shape)}, and must be {kind} of {dimensions} dimensions")
    if size > MAX_ARRAY_BYTES:
        raise DatasetError(
            f"{path}: {name} claims {size / 2**30:.0f} GiB, and {MAX_ARRAY_BYTES >> 30} GiB are the most; split it"
        )
    if size != stored - file.tell():
        raise DatasetError(f"{path}: {name} claims {size} bytes, and holds {stored - file.tell()}")
    return shape, by_columns


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return what the header of an array says: its shape, whether it is stored column by column, and its type."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)
