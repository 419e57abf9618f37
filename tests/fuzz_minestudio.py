"""MineStudio's datasets that are spoilt: each import refuses them by name, or gives what reads back.

PYTHONPATH=src:tests python -c "import fuzz_minestudio; print(fuzz_minestudio.run(10000, seed=0))"
"""

import io
import pickle
import tempfile
import warnings
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

import lmdb
import numpy as np
from data_mutations import VALUES, outcomes_of, spoil_bytes
from fuzz_lerobot import import_twice
from minestudio_makers import write_dataset

from rig.data.lmdb_reading import FILE_NAME

MODALITIES = ("image", "action", "meta_info")
PAGE = 4096


@cache
def _files():
    """Return the files of a dataset of two episodes by their modalities, and what is in them by keys."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), {"a": 8, "b": 4})
        parts = {name: Path(folder) / name / "part-1" for name in MODALITIES}
        found = {}
        for name, part in parts.items():
            with lmdb.open(str(part), readonly=True, lock=False) as environment, environment.begin() as transaction:
                found[name] = (
                    (part / FILE_NAME).read_bytes(),
                    {bytes(key): bytes(value) for key, value in transaction.cursor()},
                )
        return found


def _odd(rng):
    """Return a value that may stand anywhere in a pickle."""
    shape = tuple(rng.choice((0, 1, 3, 4, 8)) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    arrays = [np.zeros(shape, kind) for kind in ("i8", "f4", "?", "u1", "U3")]
    return rng.choice(
        [*VALUES, *arrays, np.full(4, 2), np.full((4, 2), np.nan), {1, 2}, print, 3 + 4j, b"\xff", (1, {"a": ()})]
    )


def _spoil_pickled(data, rng):
    """Return a pickle of which a value within is another; whole as the format has it, or not."""
    value = pickle.loads(data)
    for _ in range(rng.choice((1, 1, 2))):
        if isinstance(value, dict) and value:
            key = rng.choice(sorted(value, key=str))
            if rng.random() < 0.2:
                del value[key]
            else:
                value[rng.choice((key, key, "pickItem", 7))] = _odd(rng)
        elif isinstance(value, list) and value:
            place = rng.randrange(len(value))
            if isinstance(value[place], dict) and value[place] and rng.random() < 0.7:
                value[place][rng.choice(sorted(value[place]))] = _odd(rng)
            elif rng.random() < 0.3:
                del value[place]
            else:
                value[place] = _odd(rng)
        else:
            value = _odd(rng)
    return pickle.dumps(value, rng.randrange(pickle.HIGHEST_PROTOCOL + 1))


def _spoil_entry(entries, whole, rng):
    """Spoil one of the entries of an LMDB that are whole, in place."""
    key = rng.choice(whole)
    whole.remove(key)
    kind = rng.randrange(8)
    if kind == 0:
        del entries[key]
    elif kind == 1:
        entries[rng.choice((b"(0, 4)", b"(0, 5)", b"x", b"__chunk_size__"))] = entries.pop(key)
    elif kind < 6 and entries[key][4:8] != b"ftyp":
        entries[key] = _spoil_pickled(entries[key], rng)
    else:
        entries[key] = spoil_bytes(entries[key], rng)


def _spoil_file(data, rng):
    """Return the file of an LMDB with other bytes: in its pages' heads, at their ends where the nodes are, anywhere."""
    if rng.random() < 0.3:
        return spoil_bytes(data, rng)
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        page = rng.randrange(max(1, len(data) // PAGE))
        place = page * PAGE + rng.choice((rng.randrange(120), PAGE - 1 - rng.randrange(300), rng.randrange(PAGE)))
        spoilt[min(place, len(spoilt) - 1)] = rng.choice((0, 1, 255, rng.randrange(256)))
    return bytes(spoilt)


def _write(part, data, entries, rng):
    """Write a part; `entries` where they are spoilt, else the file's bytes."""
    part.mkdir(parents=True)
    if entries is None:
        (part / FILE_NAME).write_bytes(data)
        return
    with (
        lmdb.open(str(part), map_size=1 << 22, sync=False, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for key, value in entries.items():
            transaction.put(key, value)


def _case(rng, root):
    spoilt = rng.choice(MODALITIES)
    for name, (data, entries) in _files().items():
        if name != spoilt:
            _write(root / "in" / name / "part-1", data, None, rng)
        elif rng.random() < 0.5:
            _write(root / "in" / name / "part-1", _spoil_file(data, rng), None, rng)
        else:
            changed, whole = dict(entries), sorted(entries)
            for _ in range(rng.choice((1, 1, 2))):
                _spoil_entry(changed, whole, rng)
            _write(root / "in" / name / "part-1", None, changed, rng)
    return import_twice(root, "minestudio")


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Import `count` spoilt datasets, strictly and with skip_bad; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, a hang, or something imported that
            does not read back.
    """
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return outcomes_of(_case, count, seed)
