"""Janus checkpoints whose files are spoilt: refused by name, or imported as a base.

PYTHONPATH=src:tests python -c "import fuzz_janus; print(fuzz_janus.run(5000, seed=0))"
"""

from __future__ import annotations

import atexit
import io
import json
import random
import shutil
import tempfile
from contextlib import redirect_stderr
from functools import cache
from pathlib import Path

from data_mutations import ROOM, outcomes_of, spoil_bytes, spoil_json
from janus_makers import janus, save_deepseek, save_janus

from rig.errors import RigError
from rig.janus import import_janus


@cache
def _good() -> tuple[Path, Path]:
    """Return a small Janus checkpoint in transformers' layout, in shards, and one in DeepSeek's, made once."""
    folder, model = Path(tempfile.mkdtemp(dir=ROOM)), janus()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = save_janus(model, folder / "theirs", max_shard_size="400KB"), save_deepseek(model, folder / "deepseek")
    for path in found:
        normal = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
        (path / "preprocessor_config.json").write_text(json.dumps(normal))
        (path / "processor_config.json").write_text(json.dumps({"image_processor": normal}))
    return found


def _spoil(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    if path.suffix == ".json" and rng.random() < 0.85:
        path.write_bytes(spoil_json(json.loads(data), rng).encode())
    else:
        path.write_bytes(spoil_bytes(data[:4096], rng) + data[4096:])


def _case(rng: random.Random, out: Path) -> str:
    folder = rng.choice(_good())
    names = sorted(path.name for path in folder.iterdir())
    plain = [name for name in names if name.endswith(".json") and not name.startswith("tokenizer")]
    path = folder / rng.choice(names if rng.random() < 0.3 else plain)
    good = path.read_bytes()
    try:
        _spoil(path, rng)
        with redirect_stderr(io.StringIO()):
            import_janus(folder, out)
    except RigError:
        return "refused"
    finally:
        path.write_bytes(good)
    return "imported"


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Import `count` spoilt checkpoints; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, or a hang.
    """
    return outcomes_of(_case, count, seed)
