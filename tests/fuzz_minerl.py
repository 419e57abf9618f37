"""Recordings of MineRL that are spoilt: each is refused by name, or gives a trajectory that reads back and trains.

PYTHONPATH=src:tests python -c "import fuzz_minerl; print(fuzz_minerl.run(10000, seed=0))"
"""

import io
import json
import warnings
from contextlib import redirect_stderr
from functools import cache

import numpy as np
from data_mutations import outcomes_of, spoil_bytes, spoil_json
from recording_makers import LOSSY, clip, clip_bytes, minerl_arrays, minerl_meta
from spoilt_imports import outcome, write_files

_KINDS = (np.uint8, np.int64, np.float32, np.float64, np.bool_, object, "<U4", ">i2", np.complex64, "M8[s]")
_VALUES = (np.nan, np.inf, -np.inf, 361, -360, 2, -1, 1e300, 0)


@cache
def _packed(compressed):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **minerl_arrays())
    return file.getvalue()


def _saved(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _files(rng):
    return {
        "recording.mp4": rng.choice((clip_bytes(9), clip_bytes(9, encoding=LOSSY))),
        "rendered.npz": _packed(rng.random() < 0.5),
        "metadata.json": json.dumps(minerl_meta()).encode(),
    }


def _odd_arrays(rng):
    """Return arrays of which one has another type or shape, is not there, or holds what none may."""
    arrays = minerl_arrays()
    name = rng.choice(sorted(arrays))
    kind = rng.randrange(4)
    if kind == 0:
        shape = tuple(rng.choice((0, 1, 2, 5, 6, 7)) for _ in range(rng.choice((0, 1, 1, 2, 3))))
        arrays[name] = np.zeros(shape, rng.choice(_KINDS))
    elif kind == 1:
        arrays[rng.choice(("action$", "action$vector", "observation$inventory$", "x", "reward$"))] = arrays.pop(name)
    elif kind == 2 and arrays[name].dtype.kind in "if":
        arrays[name] = arrays[name].astype(np.float64)
        arrays[name].flat[rng.randrange(arrays[name].size)] = rng.choice(_VALUES)
    else:
        size = rng.choice((0, 1, 4, 6, 9))
        arrays = {name: np.resize(values, (size, *values.shape[1:])) for name, values in arrays.items()}
    return arrays


def _spoil(files, rng):
    """Spoil one of a recording's files, in place."""
    name = rng.choice(sorted(files))
    kind = rng.randrange(5)
    if kind == 0:
        del files[name]
    elif kind <= 2 and name == "metadata.json":
        files[name] = spoil_json(minerl_meta(), rng).encode()
    elif kind <= 2 and name == "rendered.npz":
        files[name] = _saved(_odd_arrays(rng))
    elif kind == 1 and name == "recording.mp4":
        files[name] = rng.choice((clip_bytes(3), clip_bytes(12), clip_bytes(9, 14, 18), b"", clip_bytes(1)))
    else:
        files[name] = spoil_bytes(files[name], rng)


def _case(rng, root):
    """Import a good recording and a spoilt one; return what came of it."""
    spoilt = _files(rng)
    for _ in range(rng.choice((1, 1, 2))):
        if spoilt:
            _spoil(spoilt, rng)
    write_files(root / "in" / "MineRLTreechop-v0" / "v3_a", _files_of_good())
    write_files(root / "in" / "MineRLTreechop-v0" / "v3_b", spoilt or {"metadata.json": b""})
    return outcome(root, "minerl", "MineRLTreechop-v0_v3_a", 5, clip(9)[3:8], "v3_b")


def _files_of_good():
    return {
        "recording.mp4": clip_bytes(9),
        "rendered.npz": _packed(True),
        "metadata.json": json.dumps(minerl_meta()).encode(),
    }


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Import `count` spoilt recordings, strictly and with skip_bad; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError or does not name the recording, a
            hang, or an episode that does not read back, does not train, or costs another one.
    """
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return outcomes_of(_case, count, seed)
