"""Files that are either whole or absent: written beside their place, flushed to the disk, then renamed.

A process that is killed while it writes leaves the old file (or none) and a `*.tmp` beside it; it never leaves half a
file under the final name. What the system refuses, a full disk or a folder that is not the user's, is a `RigError` that
names the path and the fix, and takes nothing away.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rig.errors import RigError
from rig.machine import refusals_named
from rig.validation import load_json, refuse_deep, validated

try:
    import fcntl
except ImportError:  # Windows has no fcntl: there the lock file is written, and not enforced.
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".tmp"
"""What the name of every unfinished file ends with."""

LOCK_NAME = ".lock"
"""The lock of a folder that one process at a time may write."""


class AtomicFile:
    """A file in the making: write to `temporary`, then `commit` it to `path` or `discard` it."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.temporary = _beside(self.path)

    def commit(self) -> None:
        """Flush the temporary file to the disk and rename it to `path`, replacing what was there."""
        with refusals_named(self.path):
            _flush(self.temporary)
            os.replace(self.temporary, self.path)
            _flush(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary file, if there is one."""
        with suppress(OSError):  # where it could not be made it cannot be removed, and why is being told already
            self.temporary.unlink()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `path` where the block ends well, and is removed where it raises.

    Raises:
        RigError: the disk is full, or the system refuses otherwise.
    """
    file = AtomicFile(path)
    try:
        with refusals_named(file.path):
            file.path.parent.mkdir(parents=True, exist_ok=True)
            yield file.temporary
        file.commit()
    except BaseException:
        file.discard()
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8.

    Half a surrogate pair, as stands for a byte of a file's name that the locale cannot read, becomes JSON's escape.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def read_json(path: Path, fix: str = "restore it, or make it anew", error: type[RigError] = RigError) -> dict[str, Any]:
    """Return the object in the JSON file `path` that `write_json` wrote: names that no locale can read are among it.

    Raises:
        RigError: of the kind `error`: it cannot be read, is not whole, or is no object.
    """
    return load_json(path, fix, error, half_pairs=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON; NaN and infinity are refused, for they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_json_line(path: Path, value: Any) -> None:
    """Add `value` to `path` as one line of JSON.

    A kill or a full disk may leave the beginning of a line: `read_json_lines` leaves it out, and the next call here
    cuts it off.

    Raises:
        RigError: the disk is full.
    """
    line = json.dumps(value) + "\n"
    with refusals_named(path), path.open("ab+") as file:
        _cut_half_line(file)
        file.write(line.encode())


def read_json_lines(path: Path, kind: Any = None) -> list[Any]:
    """Return what the whole lines of `path` hold, first to last; nothing where there is no such file.

    Args:
        path: the file.
        kind: what each line has to hold, as for `rig.validation.validated`. Where None, anything; and a number may be
            NaN, for measurements can be.

    Raises:
        RigError: a line is not JSON, or not of that kind.
    """
    found, fix = [], "restore the file, or remove it"
    whole, _, _ = path.read_bytes().rpartition(b"\n") if path.is_file() else (b"", b"", b"")
    for number, line in enumerate(whole.splitlines(), start=1):
        place = f"{path}, line {number}"
        try:
            value = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise RigError(f"{place}, is not JSON ({error}); {fix}") from error
        refuse_deep(value, place, fix)
        found.append(value if kind is None else validated(value, kind, place, fix))
    return found


def _cut_half_line(file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `path` where the block ends well, and is removed where it raises.

    Args:
        path: the final folder.
        overwrite: replace a folder that is already there, once the new one is complete.

    Raises:
        RigError: `path` exists and `overwrite` is false, or the disk is full.
    """
    path = Path(path)
    if not overwrite:
        refuse_existing(path)
    temporary, old = _beside(path), _beside(path, "old")
    try:
        with refusals_named(path):
            temporary.mkdir(parents=True)
            yield temporary
            for part in temporary.rglob("*"):
                _flush(part)
            _flush(temporary)
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
            _flush(path.parent)
    except BaseException:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def made_once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Return `folder`; where it is not there yet, `fill` it first, once however many processes ask.

    Raises:
        RigError: the disk is full; `fill` may raise its own.
    """
    with Lock(folder.parent / LOCK_NAME, wait=True):
        if not folder.is_dir():
            with atomic_folder(folder) as new:
                fill(new)
    return folder


def refuse_existing(path: Path, fix: str = "choose another path, or allow overwriting") -> None:
    """Raise RigError where `path` is taken, or nothing can be made there; an empty folder is not taken.

    Args:
        path: where something is about to be written.
        fix: what the user can do about it.
    """
    path = Path(path)
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken:
        raise RigError(f"{path} already exists; {fix}")
    refuse_unmakeable(path)


def refuse_unmakeable(path: Path) -> None:
    """Raise RigError where no file or folder can be made at `path`: to be found before the work, not behind it."""
    above = next(folder for folder in Path(path).absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        fix = "choose another path, or move that file away"
        raise RigError(f"{path} cannot be written: {above} is no folder; {fix}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise RigError(f"{path} cannot be written: {above} does not let you write there; choose another path")


def refuse_as_page(path: Path) -> None:
    """Raise RigError where no page can be written to the file `path`; an earlier page may be there.

    Raises:
        RigError: it is a folder, or nothing can be made there.
    """
    if Path(path).is_dir():
        raise RigError(f"{path} is a folder, and a page is a file; name one, for example {Path(path) / 'trace.html'}")
    refuse_unmakeable(path)


def bytes_of(folder: Path) -> int:
    """Return the bytes of the files that lie in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_unfinished(folder: Path) -> None:
    """Remove the `*.tmp` files that a killed writer left in `folder`; call it only while holding the folder's lock."""
    for path in Path(folder).glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


class Lock:
    """One process at a time: a lock on a file, which the system itself lets go of when its holder dies.

    Args:
        path: the file.
        wait: wait for another holder to let go, instead of giving up at once.

    Raises:
        RigError: another process holds it, and `wait` is false.
    """

    def __init__(self, path: Path, *, wait: bool = False) -> None:
        self.path = Path(path)
        self.wait = wait
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock; where another process has it, wait for it or raise RigError."""
        with refusals_named(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+", encoding="utf-8")
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if self.wait else fcntl.LOCK_NB))
        except OSError as error:
            file.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise RigError(
                f"{self.path.parent} is being written by another process (it holds {self.path.name}); wait for it to "
                f"end, or stop it"
            ) from error
        self._file = file

    def release(self) -> None:
        """Let go of the lock; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _beside(path: Path, mark: str = "new") -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{mark}{TEMPORARY}")


def _flush(path: Path) -> None:
    """Ask the system to put a file, or a folder's list of names, on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
