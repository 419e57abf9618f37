"""The game's pictures and sounds, where every engine's client finds them.

A client keeps what a server sends it in files that are named by their contents. Each of our engines has a home of its
own, so it would be sent all of it, and write several hundred files, at every start.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from rig.envs.minetest.prerequisites import GAME
from rig.machine import cache_root
from rig.storage import made_once

_FOLDERS = ("textures", "sounds", "media", "models", "locale")
"""In every mod: what its server sends."""


def share_media(home: Path) -> None:
    """Let the client whose home is `home` find the game's media; they are copied once, for all."""
    place = home / ".cache" / "minetest" / "media"
    place.parent.mkdir(parents=True)
    place.symlink_to(_media(), target_is_directory=True)


@lru_cache(maxsize=1)
def _media() -> Path:
    """Return the folder of the media, from the cache where it is there."""
    files = sorted(path for name in _FOLDERS for path in GAME.glob(f"mods/**/{name}/*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        about = path.stat()
        digest.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())

    def copy_into(folder: Path) -> None:
        for path in files:
            content = path.read_bytes()
            (folder / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)

    return made_once(cache_root() / "minetest" / "media" / digest.hexdigest()[:24], copy_into)
