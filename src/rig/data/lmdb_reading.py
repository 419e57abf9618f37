"""LMDB files, read without LMDB: values by their keys, every page looked at before it is followed.

LMDB itself maps its file and follows whatever numbers stand there: a download that was cut short ends the process that
opens it ("Bus error"), and no exception says of which file. Here a damaged file is a DatasetError with its name. Pages
are read one by one, a few are kept, and a value is read when it is asked for.

The layout is that of LMDB 0.9 on a little-endian machine of 64 bits, as its header file describes it: two pages of
facts, of which the newer counts, and a tree of branch and leaf pages whose nodes lie in the order of their keys; a
value that is too long for a leaf lies on pages of its own.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from rig.errors import DatasetError

FILE_NAME = "data.mdb"
"""The file in an LMDB folder that holds everything; its lock file may be missing."""

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEAD = struct.Struct("<QHHHH")
_FACTS = struct.Struct("<II")
_TREE = struct.Struct("<IHHQQQQQ")
_FACTS_BEFORE_TREES, _TREES_BEHIND = 24, 16 + 24 + 2 * _TREE.size
_TRANSACTION = struct.Struct("<QQ")
_NODE = struct.Struct("<HHHH")
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_BIG, _OTHERS = 1, 2 | 4
_PAGE_SIZES = tuple(2**power for power in range(9, 17))
_NO_PAGE = 2**64 - 1
_DEEPEST = 32
_KEPT_PAGES = 64
_FIX = "fetch it once more, or take it away"


@dataclass(frozen=True, kw_only=True)
class _Root:
    transaction: int
    page: int
    last_page: int
    page_size: int


class LmdbFile:
    """The unnamed database of an LMDB folder; a context manager.

    Args:
        folder: the folder; its file is `FILE_NAME`.

    Attributes:
        path: the file.

    Raises:
        DatasetError: there is no such file, or it is not one of LMDB 0.9.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / FILE_NAME
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        try:
            self._file = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise DatasetError(f"{self.path} cannot be read ({error.strerror}); {_FIX}") from error
        try:
            self._size = os.fstat(self._file).st_size
            self._root = self._newest_root()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LmdbFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None where there is none.

        Raises:
            DatasetError: the file is damaged on the way to it.
        """
        number = self._root.page
        for _ in range(_DEEPEST):
            if number == _NO_PAGE:
                return None
            page = self._page(number)
            flags = _HEAD.unpack_from(page)[2] & (_BRANCH | _LEAF | _OVERFLOW | _META)
            if flags == _LEAF:
                return self._found(page, key, number)
            if flags != _BRANCH:
                raise self._damaged(f"page {number} is no part of its tree")
            number = self._child(page, key, number)
        raise self._damaged("its tree is deeper than any")

    def _newest_root(self) -> _Root:
        """Return what the newer page of facts says; the other one may be damaged, as by a writer that was killed."""
        first = self._read(0, 16 + 24 + _TREE.size)
        size = _TREE.unpack_from(first, 16 + _FACTS_BEFORE_TREES)[0]
        sizes = (size,) if size in _PAGE_SIZES else _PAGE_SIZES
        found = [root for at in (0, *sizes) if (root := self._facts(at)) is not None]
        if not found:
            raise self._damaged("it is no file of LMDB 0.9")
        return max(found, key=lambda root: root.transaction)

    def _facts(self, at: int) -> _Root | None:
        length = _TREES_BEHIND + _TRANSACTION.size
        if at + length > self._size:
            return None
        data = self._read(at, length)
        if _HEAD.unpack_from(data)[2] & _META == 0 or _FACTS.unpack_from(data, 16) != (_MAGIC, _VERSION):
            return None
        page_size = _TREE.unpack_from(data, 16 + _FACTS_BEFORE_TREES)[0]
        root = _TREE.unpack_from(data, 16 + _FACTS_BEFORE_TREES + _TREE.size)[7]
        last_page, transaction = _TRANSACTION.unpack_from(data, _TREES_BEHIND)
        if page_size not in _PAGE_SIZES or at not in (0, page_size):
            return None
        return _Root(transaction=transaction, page=root, last_page=last_page, page_size=page_size)

    def _child(self, page: bytes, key: bytes, number: int) -> int:
        """Return the page that holds `key` below a branch, whose first key stands for all that is less."""
        nodes = self._nodes(page, number)
        if not nodes:
            raise self._damaged(f"page {number} has no branch")
        keys = [self._key(page, at, number) for at in nodes[1:]]
        low, high, top, _ = _NODE.unpack_from(page, nodes[bisect_right(keys, key)])
        return low | high << 16 | top << 32

    def _found(self, page: bytes, key: bytes, number: int) -> bytes | None:
        for at in self._nodes(page, number):
            if self._key(page, at, number) == key:
                return self._value(page, at, number)
        return None

    def _nodes(self, page: bytes, number: int) -> tuple[int, ...]:
        lower = _HEAD.unpack_from(page)[3]
        if not _HEAD.size <= lower <= len(page) or lower % 2:
            raise self._damaged(f"page {number} ends within its head")
        nodes = struct.unpack_from(f"<{(lower - _HEAD.size) // 2}H", page, _HEAD.size)
        if any(not lower <= at <= len(page) - _NODE.size for at in nodes):
            raise self._damaged(f"page {number} names a place outside of it")
        return nodes

    def _key(self, page: bytes, at: int, number: int) -> bytes:
        begin, length = at + _NODE.size, _NODE.unpack_from(page, at)[3]
        if begin + length > len(page):
            raise self._damaged(f"a key of page {number} ends outside of it")
        return page[begin : begin + length]

    def _value(self, page: bytes, at: int, number: int) -> bytes:
        low, high, flags, key_length = _NODE.unpack_from(page, at)
        begin, length = at + _NODE.size + key_length, low | high << 16
        if flags & _OTHERS:
            raise self._damaged(f"page {number} holds a database within the database")
        held = 8 if flags & _BIG else length
        if begin + held > len(page):
            raise self._damaged(f"a value of page {number} ends outside of it")
        if not flags & _BIG:
            return page[begin : begin + length]
        return self._big_value(int.from_bytes(page[begin : begin + 8], "little"), length)

    def _big_value(self, number: int, length: int) -> bytes:
        """Return a value that lies on pages of its own."""
        head = self._page(number, _HEAD.size)
        own, _, flags, low, high = _HEAD.unpack(head)
        if own != number or flags & _OVERFLOW == 0 or (low | high << 16) * self._root.page_size < _HEAD.size + length:
            raise self._damaged(f"page {number} does not hold the value that it should")
        return self._read(number * self._root.page_size + _HEAD.size, length)

    def _page(self, number: int, length: int | None = None) -> bytes:
        """Return a page, or its first `length` bytes."""
        if not 1 < number <= self._root.last_page:
            raise self._damaged(f"it names page {number}, and has {self._root.last_page + 1}")
        if length is not None:
            return self._read(number * self._root.page_size, length)
        if number not in self._pages:
            self._pages[number] = self._read(number * self._root.page_size, self._root.page_size)
            if len(self._pages) > _KEPT_PAGES:
                self._pages.popitem(last=False)
        self._pages.move_to_end(number)
        return self._pages[number]

    def _read(self, at: int, length: int) -> bytes:
        if at + length > self._size:
            raise self._damaged(f"it has {self._size} bytes, and would need {at + length}")
        os.lseek(self._file, at, os.SEEK_SET)
        data = os.read(self._file, length)
        while len(data) < length:
            more = os.read(self._file, length - len(data))
            if not more:
                raise self._damaged("it became shorter while it was read")
            data += more
        return data

    def _damaged(self, fault: str) -> DatasetError:
        return DatasetError(f"{self.path} is damaged ({fault}); {_FIX}")
