"""Manifests and shards that are spoilt: a dataset is refused by name, or gives the original data.

PYTHONPATH=src:tests python -c "import fuzz_manifests; print(fuzz_manifests.run(5000, seed=0))"
"""

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path

from data_mutations import outcomes_of, spoil_bytes, spoil_json
from test_data_dataset import varied
from test_data_roundtrip import assert_same, write

from rig.data import Dataset, summary
from rig.errors import RigError

FORGED = 0.25
"""The share of cases in which the hashes are made to fit: then only that nothing but RigErrors come is asked."""


@cache
def _good():
    """Return the files of a good dataset, and its trajectories."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "set", varied(4, num_dreams=1), shard_steps=8)
        files = {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
        return files, list(Dataset(path))


def _spoilt(rng):
    """Return the files of the dataset with one of them spoilt."""
    files = dict(_good()[0])
    name = "manifest.json" if rng.random() < 0.7 else rng.choice(sorted(name for name in files if "shards" in name))
    if name == "manifest.json" and rng.random() < 0.75:
        files[name] = spoil_json(json.loads(files[name]), rng).encode()
    elif name != "manifest.json" and rng.random() < 0.1:
        del files[name]
    else:
        files[name] = spoil_bytes(files[name], rng)
    return files


def _forged(files, rng):
    """Spoil a shard's file and let the manifest say that it is as it should be."""
    manifest = json.loads(files["manifest.json"])
    place = rng.choice([shard[kind] for shard in manifest["shards"] for kind in ("steps_file", "frames_file")])
    name = f"shards/{place['name']}"
    data = spoil_bytes(files[name], rng)
    place |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    hashes = [shard[kind]["sha256"] for shard in manifest["shards"] for kind in ("steps_file", "frames_file")]
    manifest["content_hash"] = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return files | {name: data, "manifest.json": json.dumps(manifest).encode()}


def _read(path, skip_bad):
    dataset = Dataset(path, skip_bad=skip_bad)
    if not skip_bad:
        dataset.verify()
    summary(dataset)
    return list(dataset)


def _case(rng, path):
    forged = rng.random() < FORGED
    for name, data in (_forged(_good()[0], rng) if forged else _spoilt(rng)).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    wanted = {one.id: one for one in _good()[1]}
    try:
        for found in _read(path, skip_bad=True):
            if not forged:
                assert_same(found, wanted[found.id])
    except RigError:
        pass
    try:
        found = _read(path, skip_bad=False)
    except RigError:
        return "refused"
    if forged:
        return "forged, and readable"
    for one, other in zip(found, wanted.values(), strict=True):
        assert_same(one, other)
    return "the original data"


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Verify and read `count` spoilt datasets; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, a hang, or other data than was
            written.
    """
    return outcomes_of(_case, count, seed)
