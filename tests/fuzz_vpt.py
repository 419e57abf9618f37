"""Recordings of VPT that are spoilt: each is refused by name, or gives a trajectory that reads back and trains.

PYTHONPATH=src:tests python -c "import fuzz_vpt; print(fuzz_vpt.run(10000, seed=0))"
"""

import io
import json
import warnings
from contextlib import redirect_stderr

from data_mutations import outcomes_of, spoil_bytes, spoil_json
from recording_makers import LOSSY, WALK, clip, clip_bytes, vpt_line, walk
from spoilt_imports import imported, outcome, read_all, write_files

from rig.errors import RigError

_LINES = [
    vpt_line(0, keys=WALK, buttons=(0,), new=(0,)),
    vpt_line(1, keys=("e",), slot=3),
    vpt_line(2, gui=True, dx=20, dy=-300, at=(1200.0, 700.0)),
    vpt_line(4, keys=("escape",), gui=True, slot=4),
    vpt_line(4, keys=("f", "space")),
    vpt_line(5),
]
_MORE = ("mouse", "keyboard", "tick", "hotbar", "isGuiOpen", "inventory", "serverTick", "xpos")


def _written(lines):
    return "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines).encode()


def _files(name, rng):
    return {
        f"{name}.mp4": rng.choice((clip_bytes(6), clip_bytes(7), clip_bytes(6, encoding=LOSSY))),
        f"{name}.jsonl": _written(_LINES),
    }


def _odd_lines(rng):
    """Return the lines, some of them spoilt, out of order, doubled or gone, or not what they are called."""
    lines = [dict(line) for line in _LINES]
    for _ in range(rng.choice((1, 1, 3))):
        number = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind <= 2 and isinstance(lines[number], dict):
            lines[number] = spoil_json(lines[number], rng) + "\n"
        elif kind == 3:
            lines.insert(rng.randrange(len(lines)), lines[number])
        elif kind == 4 and len(lines) > 1:
            del lines[number]
        elif isinstance(lines[number], dict):
            lines[number].pop(rng.choice(_MORE), None)
    return lines


def _spoil(files, rng):
    """Spoil one of a recording's files, in place."""
    name = rng.choice(sorted(files))
    kind = rng.randrange(6)
    if kind == 0:
        del files[name]
    elif kind <= 3 and name.endswith(".jsonl"):
        files[name] = _written(_odd_lines(rng))
    elif kind == 1:
        files[name] = rng.choice((clip_bytes(2), clip_bytes(9), clip_bytes(6, 14, 18), b"", clip_bytes(1)))
    else:
        files[name] = spoil_bytes(files[name], rng)


def _index_case(rng, root):
    """Import by an index that is spoilt; return what came of it."""
    write_files(root / "in", {"8.0/a.mp4": clip_bytes(4), "8.0/a.jsonl": _written(walk(4))})
    index = spoil_json({"basedir": rng.choice(("https://x.org/", ".", "8.0")), "relpaths": ["8.0/a", "8.0/gone"]}, rng)
    (root / "in" / "index.json").write_bytes(index.encode(errors="surrogatepass"))
    found = imported(root, "vpt", "out", [], root / "in" / "index.json")
    if isinstance(found, RigError):
        assert "index.json" in str(found)
        return "index refused"
    read_all(found)
    assert [len(one.steps) for one in found] == [4]
    return "index accepted"


def _case(rng, root):
    """Import a good recording and a spoilt one; return what came of it."""
    if rng.random() < 0.1:
        return _index_case(rng, root)
    spoilt = _files("spoilt", rng)
    for _ in range(rng.choice((1, 1, 2))):
        if spoilt:
            _spoil(spoilt, rng)
    write_files(root / "in", {"a.mp4": clip_bytes(4), "a.jsonl": _written(walk(4))})
    write_files(root / "in", spoilt or {"spoilt.mp4": b""})
    return outcome(root, "vpt", "a", 4, clip(4), "spoilt")


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Import `count` spoilt recordings, strictly and with skip_bad; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError or does not name the recording, a
            hang, or an episode that does not read back, does not train, or costs another one.
    """
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        return outcomes_of(_case, count, seed)
