"""LeRobotDatasets that are spoilt, others' and our own: each import refuses them by name, or gives what reads back.

PYTHONPATH=src:tests python -c "import fuzz_lerobot; print(fuzz_lerobot.run(10000, seed=0))"
"""

import io
import json
import tempfile
import warnings
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data_mutations import VALUES, outcomes_of, spoil_bytes, spoil_json
from lerobot_makers import write_others
from spoilt_imports import imported, write_files
from test_data_roundtrip import assert_same, info_for, write

from rig.actions import MINERL
from rig.data import Dataset, build_exporter
from rig.errors import RigError
from rig.records import fake_trajectory


def _files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@cache
def _datasets():
    """Return the files of a dataset that others made, and of an export of ours with pictures, by their names."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        others = _files(write_others(root / "others", rewards=True))
        some = {"space": MINERL, "size": 8}
        trajectories = [
            fake_trajectory(1, length=3, **some),
            fake_trajectory(2, length=2, num_dreams=1, num_plans=2, **some),
        ]
        space = info_for(MINERL, environment="crafter")
        write(root / "set", trajectories, space)
        build_exporter("lerobot", {"lossless": True}).export(Dataset(root / "set"), root / "ours")
        return others, _files(root / "ours")


def _cell(rng, table):
    """Return a table in which one value of one column is another, of whatever type that makes the column."""
    name = rng.choice(table.column_names)
    values = table.column(name).to_pylist()
    place = rng.randrange(len(values))
    known = values[place]
    if isinstance(known, list) and known and rng.random() < 0.7:
        values[place] = [*known[:-1], rng.choice((None, float("nan"), 1e30, 7.5, -1))]
    elif isinstance(known, int | float) and rng.random() < 0.7:
        values[place] = type(known)(rng.choice((known + 1, known - 1, -1, 2**40, 0)))
    elif isinstance(known, str) and known[:1] in ("{", "[") and rng.random() < 0.7:
        values[place] = spoil_json(json.loads(known), rng)
    else:
        values[place] = rng.choice(VALUES)
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def _spoil_table(data, rng):
    """Return a Parquet file in which a value, a column or a row is another, gone or twice there."""
    table, kind = pq.read_table(io.BytesIO(data)), rng.randrange(7)
    if kind == 0:
        table = table.drop_columns([rng.choice(table.column_names)])
    elif kind == 1:
        names = list(table.column_names)
        names[rng.randrange(len(names))] = rng.choice(("x", "task", "", "rig/id", "episode_index"))
        table = table.rename_columns(names)
    elif kind == 2:
        rows = [rng.randrange(table.num_rows) for _ in range(rng.choice((0, 1, table.num_rows)))]
        table = table.take(rows)
    else:
        table = _cell(rng, table)
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _spoil(files, whole, rng):
    """Spoil one of the files that are whole, in place: those that are small and say the most come first."""
    name = rng.choice([*whole, *(one for one in whole if one.endswith((".json", ".parquet")))])
    whole.remove(name)
    kind = rng.randrange(10)
    if kind == 0:
        del files[name]
    elif name.endswith(".json") and kind < 9:
        files[name] = spoil_json(json.loads(files[name]), rng).encode()
    elif name.endswith(".parquet") and kind < 7:
        try:
            files[name] = _spoil_table(files[name], rng)
        except (pa.ArrowException, ValueError, OverflowError, RecursionError, TypeError):
            files[name] = spoil_bytes(files[name], rng)  # such a value no table can hold
    else:
        files[name] = spoil_bytes(files[name], rng)


def import_twice(root, importer):
    """Import `root/in` strictly and with skip_bad; return what came of it.

    Raises:
        AssertionError: what was imported does not read back, or both are at odds.
    """
    skipped, found = [], []
    for name, leave_out in (("strict", None), ("tolerant", skipped)):
        dataset = imported(root, importer, name, leave_out)
        if isinstance(dataset, RigError):
            found.append(None)
            continue
        dataset.verify()
        for step in dataset.steps():
            assert np.isfinite(step.reward)
        found.append(dataset)
    strict, tolerant = found
    if strict is None:
        assert tolerant is None or skipped, "something was refused, and nothing was left out"
        return "refused" if tolerant is None else "left out"
    assert tolerant is not None
    assert not skipped
    for one, other in zip(tolerant, strict, strict=True):
        assert_same(one, other)
    return "accepted"


def _case(rng, root):
    files = dict(rng.choice(_datasets()))
    whole = sorted(files)
    for _ in range(rng.choice((1, 1, 2))):
        _spoil(files, whole, rng)
    write_files(root / "in", files)
    return import_twice(root, "lerobot")


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Import `count` spoilt datasets, strictly and with skip_bad; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, a hang, or something imported that
            does not read back.
    """
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return outcomes_of(_case, count, seed)
