"""Where the machine keeps what can be made again."""

from __future__ import annotations

import hashlib
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


def note_path(kind: str, *depends: object, suffix: str = "") -> Path:
    """Return the file in the cache for what was found out of this machine; one for each of what that depends on.

    Args:
        kind: the folder of such notes.
        depends: all that the finding hangs on; values whose `repr` is the same in every process.
        suffix: of the name.

    Raises:
        RigError: there is no cache's folder.
    """
    return cache_root() / kind / f"{hashlib.sha256(repr(depends).encode()).hexdigest()[:16]}{suffix}"
