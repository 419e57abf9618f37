"""Where the machine keeps what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from rig.errors import RigError


def cache_root() -> Path:
    """Return the folder of what can be made again, an absolute path: `$RIG_CACHE`, or `~/.cache/rig`.

    Raises:
        RigError: there is neither.
    """
    named = os.environ.get("RIG_CACHE")
    if named:
        return Path(named).absolute()
    try:
        return Path.home() / ".cache" / "rig"
    except RuntimeError as error:
        raise RigError(
            "there is no home folder to keep a cache in: HOME is not set, and the system knows none for this user; "
            "set RIG_CACHE to a folder that you can write to"
        ) from error
