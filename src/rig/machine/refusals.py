"""What the operating system refuses, as a user's mistake with the path and the fix."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig.errors import RigError
from rig.machine.folders import cache_root

_FULL = (errno.ENOSPC, errno.EDQUOT)

_OWN = "choose a folder that is yours, or change its permissions"
_REFUSALS = {
    errno.EACCES: ("this user may not read or write there", _OWN),
    errno.EPERM: ("this user may not do that there", _OWN),
    errno.EROFS: ("its file system is read-only", "choose a folder on another one"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "choose another path, or move that file away"),
    errno.EEXIST: ("what stands there is no folder", "choose another path, or move that away"),
    errno.EISDIR: ("a folder stands where a file is needed", "choose another path, or move that folder away"),
    errno.ENAMETOOLONG: ("the name is longer than the file system allows", "choose a shorter one"),
    errno.ELOOP: ("a link there leads back to itself", "choose another path, or remove that link"),
    errno.EFBIG: ("a file may not grow so large there", "raise the limit (`ulimit -f`), or choose another disk"),
    errno.EMFILE: ("this process has as many files open as it may", "raise the limit: `ulimit -n 8192`"),
    errno.ENFILE: ("this machine has as many files open as it can", "end other programs, and run again"),
    errno.ENOMEM: ("there is no memory left", "end other programs, or raise the container's limit"),
    errno.EIO: ("the disk does not answer as it should", "look at its health, or choose another one"),
    errno.ENOENT: ("there is no such file or folder", "check the path"),
}
"""What the system refuses by its number, as (what is so, what to do)."""


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Turn what the system refuses while `path` is written, a full disk first of all, into a RigError with the fix."""
    try:
        yield
    except Exception as error:
        told = None if isinstance(error, RigError) else refusal(error, path)
        if told is None:
            raise
        raise told from error


def refusal(error: BaseException, path: Path | None = None) -> RigError | None:
    """Return what the system refused as a RigError that names the path and the fix; None where `error` is another.

    Args:
        error: what was raised; a library's own error counts where the system's is its cause or is quoted in it.
        path: what was being written, unless `error` itself names a path.
    """
    number = _refused(error)
    if number is None:
        return None
    place = _named_by(error, path)
    if number in _FULL:
        return _no_space(place or Path())
    what, fix = _REFUSALS[number]
    fix = "set RIG_CACHE to a folder that you can write to" if _is_in_cache(path or place) else fix
    return RigError(f"{f'{place}: ' if place else ''}{what} ({_words(error, number)}); {fix}")


def _words(error: BaseException, number: int) -> str:
    """Return the system's words, or those that the error has in their place."""
    own = error.strerror if isinstance(error, OSError) else None
    return own or os.strerror(number)


def _no_space(path: Path) -> RigError:
    return RigError(
        f"no space left to write {path}: {_free(path) / 1e6:.1f} MB are free on its disk. What was there before "
        f"is intact; free some space there, or choose another folder, and run again"
    )


def _named_by(error: BaseException, path: Path | None) -> Path | None:
    """Return the path that the error names, or `path` where it names none or a file in the making."""
    named = getattr(error, "filename", None)
    if not isinstance(named, str | bytes | os.PathLike) or os.fsdecode(named).endswith(".tmp"):
        return path
    return Path(os.fsdecode(named))


def _is_in_cache(path: Path | None) -> bool:
    try:
        return path is not None and path.absolute().is_relative_to(cache_root())
    except RigError:
        return False


def _refused(error: BaseException | None) -> int | None:
    """Return the number of what the system refused, or None.

    A full disk is known by its number behind whatever a library raised meanwhile; all else must be the error itself,
    its cause, or stand in its words.
    """
    if _is_full(error):
        return errno.ENOSPC
    while error is not None:
        number = getattr(error, "errno", None)
        if isinstance(error, OSError) and number in _REFUSALS:
            return number
        quoted = () if isinstance(error, OSError) else (n for n in _REFUSALS if os.strerror(n) in str(error))
        if (found := next(iter(quoted), None)) is not None:
            return found
        error = error.__cause__
    return None


def _is_full(error: BaseException | None) -> bool:
    """Return whether a full disk is behind `error`: by its number, or in the words of a library that keeps none."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or any(os.strerror(number) in str(error) for number in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def _free(path: Path) -> int:
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    return shutil.disk_usage(folder).free
