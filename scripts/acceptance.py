"""What the acceptance scripts share: commands, what is not as it was promised, and how that is told."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Failed(Exception):
    """Something is not as it was promised."""


def rig(*words: object) -> list[str]:
    """Return the words of a command."""
    return [sys.executable, "-m", "rig.cli.main", *map(str, words)]


def conclude(work: Callable[[Path], Mapping[str, Any]], out: str | None) -> int:
    """Have `work` done in a folder, and print what it found as JSON; return the exit status.

    Args:
        work: raises `Failed`, or returns what was compared.
        out: the folder; one that is removed where it is None.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = work(Path(out or scratch).absolute())
        except Failed as error:
            print(f"not accepted: {error}", file=sys.stderr)
            return 1
    print(json.dumps(found))
    return 0
