"""Safetensors files by their headers: which tensors a folder holds, and their bytes, a few megabytes at a time.

Nothing here maps a file into memory or holds much of it, so that a checkpoint of gigabytes is read into a network, or
copied under other names, within its own size. A safetensors file is the length of its header (8 bytes, little endian),
the header (JSON: each name with its type, shape and place), and the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from tqdm import tqdm

from rig.errors import CheckpointError
from rig.validation import Meta, load_json, parse_json, shown, validated

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

_METADATA = "__metadata__"
_LONGEST_HEADER = 100_000_000
_CHUNK = 16 << 20
_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2}
_BYTES |= {"U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8}

FLOATS = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
"""The types that weights may have, by torch's names."""


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in a file, or a part of one; nothing of it is in memory.

    Attributes:
        path: the file.
        dtype: its type, as safetensors names it ("BF16").
        shape: its shape.
        start: where its bytes begin in the file; they follow each other in row-major order.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def count(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return self.count * _BYTES[self.dtype]

    def thirds(self) -> tuple[StoredTensor, StoredTensor, StoredTensor]:
        """Return the three equal parts that stand above each other in it (queries, keys and values, say)."""
        part = replace(self, shape=(self.shape[0] // 3, *self.shape[1:]))
        first, second, third = (replace(part, start=self.start + number * part.size) for number in range(3))
        return first, second, third

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, in order.

        Raises:
            CheckpointError: the file has become shorter than its header says.
        """
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            left = self.size
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    raise CheckpointError(f"{self.path} was cut short while it was read")
                left -= len(chunk)
                yield chunk


def weights_file(folder: Path | str) -> Path:
    """Return the file that says which tensors `folder` holds: the one file of weights, or the index of several."""
    whole, index = Path(folder) / WEIGHTS_FILE, Path(folder) / INDEX_FILE
    return index if index.is_file() and not whole.is_file() else whole


def find_tensors(folder: Path | str) -> dict[str, StoredTensor]:
    """Return the tensors in `folder` by name, from one file or from the shards of an index.

    Raises:
        CheckpointError: a file is missing, cut, pickled, or not what the index says.
    """
    path = weights_file(folder)
    return _read_index(path) if path.name == INDEX_FILE else read_header(path)


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of one safetensors file, after checking that the file is as long as they need.

    Raises:
        CheckpointError: it is missing, cut, or no safetensors file.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing{_pickle_beside(path)}")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > min(size - 8, _LONGEST_HEADER):
                raise ValueError(f"{size} bytes cannot hold a header of {length}")
            header = parse_json(file.read(length), "its header", "")
        entries = {name: entry for name, entry in _object(header, "its header").items() if name != _METADATA}
        return _placed(path, entries, 8 + length, size)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is cut short or not a safetensors file: {error}; restore it from a copy"
        ) from error


def read_tensor(stored: StoredTensor) -> torch.Tensor:
    """Return a tensor of one of the types in `FLOATS`, read into memory of its own."""
    import torch

    tensor = torch.empty(stored.shape, dtype=getattr(torch, FLOATS[stored.dtype]))
    flat, filled = tensor.view(-1).view(torch.uint8).numpy(), 0
    for chunk in stored.chunks():
        flat[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    return tensor


def copy_tensors(tensors: Mapping[str, StoredTensor], path: Path) -> None:
    """Write tensors to one safetensors file under the names given, byte for byte, with a bar on standard error."""
    names = sorted(tensors, key=lambda name: (-_BYTES[tensors[name].dtype], name))  # the widest first, so all align
    header: dict[str, Any] = {_METADATA: {"format": "pt"}}
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].size
        stored = tensors[name]
        header[name] = {"dtype": stored.dtype, "shape": list(stored.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file, tqdm(total=end, desc="copy weights", unit="B", unit_scale=True) as bar:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            for chunk in tensors[name].chunks():
                file.write(chunk)
                bar.update(len(chunk))


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What a header says of a tensor; offsets count from the header's end."""

    dtype: str
    shape: tuple[Annotated[int, Meta(ge=0)], ...]
    data_offsets: tuple[int, int]


def _placed(path: Path, entries: Mapping[str, Any], begin: int, size: int) -> dict[str, StoredTensor]:
    """Return the tensors of a header whose bytes begin at `begin` of a file of `size` bytes; they must fill it."""
    tensors, ends = {}, {}
    for name, entry in validated(entries, dict[str, _Entry], "its header", "was it written by another tool?").items():
        if entry.dtype not in _BYTES:
            raise ValueError(f"{name} is of the unknown type {shown(entry.dtype)}")
        start, stop = (begin + offset for offset in entry.data_offsets)
        tensors[name] = StoredTensor(path=path, dtype=entry.dtype, shape=entry.shape, start=start)
        ends[name] = stop
    for name in sorted(tensors, key=lambda name: (tensors[name].start, ends[name])):
        stored = tensors[name]
        if (stored.start, ends[name]) != (begin, begin + stored.size):
            raise ValueError(f"{name} stands at bytes {stored.start} to {ends[name]}, not where the one before it ends")
        begin = ends[name]
    if begin != size:
        raise ValueError(f"it has {size} bytes, and its header speaks of {begin}")
    return tensors


def _read_index(path: Path) -> dict[str, StoredTensor]:
    fix = "fetch the index of a sharded checkpoint again"
    found = load_json(path, fix, CheckpointError).get("weight_map")
    places = validated(found, dict[str, str], f"{path}: weight_map", fix, CheckpointError)
    shards = {}
    for file in sorted(set(places.values())):
        shards[file] = read_header(_shard(path, file))
    absent = [name for name, file in places.items() if name not in shards[file]]
    if absent:
        raise CheckpointError(
            f"{path} says that {absent[0]} is in {places[absent[0]]}, which does not hold it ({len(absent)} tensors in "
            "all); the index and its shards do not belong together"
        )
    extra = {name: stored for shard in shards.values() for name, stored in shard.items()}
    return extra | {name: shards[file][name] for name, file in places.items()}


def _shard(index: Path, file: str) -> Path:
    """Return the path of a shard that an index names, which stands beside it."""
    if not file or "\0" in file or Path(file).name != file or file == "..":
        raise CheckpointError(
            f"{index} names the shard {shown(file)}, and shards stand beside their index; mend it there"
        )
    shard = index.parent / file
    if not os.path.isfile(shard):  # which is false of a name that no file can have, where `is_file` raises
        raise CheckpointError(f"{shard} is missing, which {index.name} names; fetch it into the same folder")
    return shard


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place} is a {type(value).__name__}, not an object")
    return value


def _pickle_beside(path: Path) -> str:
    files = path.parent.iterdir() if path.parent.is_dir() else ()
    pickled = sorted(file.name for file in files if file.suffix in PICKLES)
    if not pickled:
        return ""
    return (
        f"; {pickled[0]} beside it is a pickle, which can run code when opened and is refused: convert it with "
        "safetensors.torch.save_file where you trust it"
    )
