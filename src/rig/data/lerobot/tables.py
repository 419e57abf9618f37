"""The Parquet files of a LeRobotDataset in the making: rows of steps, rows of episodes, and the tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rig.data.lerobot.layout import DATA, DATA_MB, EPISODES, FILES_IN_CHUNK, TASKS, Feature, filled

MB = 2**20
_EPISODES_HELD = 100


def place_of(number: int) -> dict[str, int]:
    """Return where the file of a number lies: so many files are in a chunk."""
    return dict(zip(("chunk_index", "file_index"), divmod(number, FILES_IN_CHUNK), strict=True))


def schema_of(features: Mapping[str, Feature]) -> pa.Schema:
    """Return the columns of those features that are no pictures."""
    return pa.schema([(name, _arrow_type(one)) for name, one in features.items() if not one.is_picture])


def _arrow_type(feature: Feature) -> pa.DataType:
    kind = pa.string() if feature.dtype == "string" else pa.from_numpy_dtype(np.dtype(feature.dtype))
    return kind if feature.shape == (1,) else pa.list_(kind, *feature.shape)


def table_of(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return a table; the value of a column of vectors is an array."""
    return pa.table({field.name: _array(columns[field.name], field.type) for field in schema}, schema=schema)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_fixed_size_list(kind):
        return pa.array(values, kind)
    return pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(values), kind.value_type), type=kind)


class DataFiles:
    """The rows of all steps, an episode in a piece; a new file is begun where one is as large as they are to be.

    Args:
        root: the dataset's folder.
        schema: the columns.
    """

    def __init__(self, root: Path, schema: pa.Schema) -> None:
        self._root, self._schema = root, schema
        self._number = -1
        self._file: IO[bytes] | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> dict[str, int]:
        """Write an episode's rows; return the place of the file that has them."""
        if self._file is None or self._file.tell() >= DATA_MB * MB:
            self.close()
            self._number += 1
            path = filled(self._root, DATA, **place_of(self._number))
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb")
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="snappy")
        assert self._writer is not None
        self._writer.write_table(table)
        return place_of(self._number)

    def close(self) -> None:
        """End the file that is open."""
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.close()
        self._writer = self._file = None


class EpisodesFile:
    """A row per episode; some are held, for each piece of a Parquet file costs."""

    def __init__(self, root: Path) -> None:
        self._path = filled(root, EPISODES, **place_of(0))
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an episode; all have the same columns."""
        self._rows.append({**row, **{f"meta/episodes/{name}": number for name, number in place_of(0).items()}})
        if len(self._rows) >= _EPISODES_HELD:
            self._flush()

    def close(self) -> None:
        """Write what is held, and end the file."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            schema = pa.Table.from_pylist(self._rows[:1]).schema
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, schema, compression="snappy")
        self._writer.write_table(pa.Table.from_pylist(self._rows, self._writer.schema))
        self._rows = []


def write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """Write the tasks as pandas writes a table whose rows go by the task: its name is no column to LeRobot."""
    described = {
        "index_columns": ["task"],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
        ],
        "columns": [
            _described("task_index", "int64", "int64"),
            _described("task", "unicode", "object"),
        ],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.2.0",
    }
    columns = {"task_index": pa.array(range(len(tasks)), pa.int64()), "task": pa.array(tasks, pa.string())}
    table = pa.table(columns).replace_schema_metadata({b"pandas": json.dumps(described).encode()})
    pq.write_table(table, root / TASKS)


def _described(name: str, kind: str, stored: str) -> dict[str, Any]:
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
