"""Recordings that are spoilt: each import refuses them by name, or gives a dataset that reads back and trains.

PYTHONPATH=src:tests python -c "import fuzz_recordings; print(fuzz_recordings.run(5000, seed=0))"
"""

import io
import json
import warnings
from contextlib import redirect_stderr
from functools import cache

import numpy as np
from data_mutations import outcomes_of, spoil_bytes, spoil_json
from PIL import Image
from test_data_importers import LINES, META
from test_data_roundtrip import assert_same

from rig.actions import MINERL
from rig.dialogue import Layout, PromptFormat, SegmentEncoder, basic_conversation, train_bpe
from rig.errors import RigError
from rig.stages import import_dataset

_THOUGHT = PromptFormat(dream=False)
_PLAIN = PromptFormat(thought=False, dream=False)


@cache
def _pixels():
    return np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)


@cache
def _packed():
    found = {}
    for name, save in (("plain", np.savez), ("compressed", np.savez_compressed)):
        file = io.BytesIO()
        save(file, frames=_pixels())
        found[name] = file.getvalue()
    return found


@cache
def _images():
    found = []
    for frame in _pixels():
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "PNG")
        found.append(file.getvalue())
    return found


@cache
def _encoder():
    tokenizer = train_bpe(["1. A tree.", "collect wood"], vocabulary_size=320)
    return SegmentEncoder(tokenizer, Layout(read_tokens=4, write_tokens=4))


def _lines():
    return "\n".join(json.dumps(line) for line in LINES).encode()


def _episode(rng, packed):
    """Return an episode's files by their names."""
    files = {"meta.json": json.dumps(META).encode(), "episode.jsonl": _lines()}
    if packed:
        return files | {"frames.npz": _packed()[rng.choice(("plain", "compressed"))]}
    return files | {f"frames/{number}.png": data for number, data in enumerate(_images())}


def _odd_frames(rng):
    kind = rng.choice((np.uint8, np.uint8, np.int64, np.float32, np.bool_, object))
    shape = tuple(rng.choice((0, 1, 3, 4, 8, 9)) for _ in range(rng.choice((0, 1, 3, 4, 4, 5))))
    file = io.BytesIO()
    np.savez(file, **{rng.choice(("frames", "frames", "frame")): np.zeros(shape, kind)})
    return file.getvalue()


def _spoil(files, rng):
    """Spoil one of an episode's files, in place."""
    name = rng.choice(sorted(files))
    kind = rng.randrange(4)
    if kind == 0 and name == "meta.json":
        files[name] = spoil_json(META, rng).encode()
    elif kind <= 2 and name in ("meta.json", "episode.jsonl"):
        lines = _lines().splitlines()
        number = rng.randrange(len(lines))
        lines[number] = spoil_json(LINES[number], rng).encode()
        files["episode.jsonl"] = b"\n".join(lines)
    elif kind == 0 and name == "frames.npz":
        files[name] = _odd_frames(rng)
    elif kind == 0 and name.startswith("frames/"):
        data = files.pop(name)
        if rng.random() < 0.8:
            files[f"frames/{rng.choice(('00', '9', '1a', 'x', '-1', '01', '4'))}.{rng.choice(('png', 'PNG'))}"] = data
    else:
        files[name] = spoil_bytes(files[name], rng)


def _write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _trains(dataset):
    """Read everything back, and make what training makes of it."""
    dataset.verify()
    for trajectory in dataset:
        for step in trajectory.steps:
            prompt_format = _PLAIN if step.thought is None else _THOUGHT
            assert len(_encoder().encode(basic_conversation(step, MINERL, prompt_format))) > 0
            assert np.isfinite(step.reward)


def _import(root, name, skipped):
    try:
        dataset = import_dataset(root / "in", "open-folder", root / name, skipped=skipped)
    except RigError:
        return None
    _trains(dataset)
    return dataset


def _case(rng, root):
    """Import a good episode and a spoilt one; return what came of it."""
    spoilt = _episode(rng, packed=rng.random() < 0.5)
    for _ in range(rng.choice((1, 1, 2))):
        _spoil(spoilt, rng)
    _write(root / "in" / "a", _episode(rng, packed=True))
    _write(root / "in" / "b", spoilt)
    strict = _import(root, "strict", None)
    skipped = []
    tolerant = _import(root, "tolerant", skipped)
    assert tolerant is not None, f"nothing was imported with skip_bad: {skipped}"
    assert tolerant.ids[0] == "a"
    for number, step in enumerate(tolerant["a"].steps):
        assert np.array_equal(step.frame, _pixels()[number])
    assert len(tolerant["a"].steps) == len(LINES)
    if strict is None:
        assert skipped, "something was refused, and nothing was left out"
        return "left out in part" if len(tolerant) == 2 else "left out"
    assert not skipped
    for found, wanted in zip(tolerant, strict, strict=True):
        assert_same(found, wanted)
    return "accepted"


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Import `count` spoilt recordings, strictly and with skip_bad; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, a hang, or an episode that does not
            read back, does not train, or costs another one.
    """
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return outcomes_of(_case, count, seed)
