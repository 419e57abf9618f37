"""Pickles of plain values, read without running anything: numbers, texts, lists, dicts, and numpy's arrays of numbers.

A pickle is a program, and what it calls is run: whoever may write the file may do what its reader may. Of that program
only what builds plain values is followed here. The few names that numpy's arrays need are stood in for by records that
the array is made of afterwards; any other name is refused, and said. Nothing is imported, and no room is made for more
than the pickle has bytes.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rig.data.decoding import decoding
from rig.errors import DatasetError
from rig.validation import shown

_KIND = re.compile(r"[biufU]\d{1,5}")
_MOST = 2_000_000
_FIX = "read it with what wrote it, and write numbers, texts, lists, dicts and arrays alone"
_OPCODES = (
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "GET", "BINGET", "LONG_BINGET"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2"),
    *("LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES"),
    *("SHORT_BINBYTES", "BINBYTES8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_LIST"),
    *("APPEND", "APPENDS", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT"),
    *("SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
)


class _Kind:
    """What stands in for `numpy.dtype`."""

    def __init__(self, text: str, *_: object) -> None:
        if not isinstance(text, str) or not _KIND.fullmatch(text):
            raise DatasetError(f"it holds an array of {shown(text)}, which is not of numbers; {_FIX}")
        self.kind = np.dtype(text)

    def fill(self, state: Any) -> None:
        """Take what `numpy.dtype` would be told of itself: the order of bytes, for there is nothing else to numbers."""
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise DatasetError(f"it holds an array of byte order {order!r}; {_FIX}")
        if order in "<>" and self.kind.itemsize > 1:
            self.kind = self.kind.newbyteorder(order)


class _Array:
    """What stands in for `numpy.ndarray`: its bytes, until they are all there."""

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None

    def fill(self, state: Any) -> None:
        """Take what `numpy.ndarray` would be told of itself."""
        _, shape, kind, by_columns, data = state
        self.array = _array_of(data, kind, shape, "F" if by_columns else "C")


def _array_of(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    """Return the array that `data` holds; it has to have exactly so many bytes."""
    if not isinstance(kind, _Kind) or not isinstance(data, bytes | str) or order not in ("C", "F"):
        raise DatasetError(f"it holds an array of {shown(kind)} made of {shown(data)}; {_FIX}")
    array = np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, kind.kind)
    return array.reshape(shape, order=order)


def _empty(_: object, shape: Any, __: object) -> _Array:
    """Stand in for `_reconstruct`, which numpy calls for an array that it fills afterwards."""
    if shape != (0,):
        raise DatasetError(f"it asks for room for an array of {shape}; {_FIX}")
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    made = _Array()
    made.array = _array_of(data, kind, shape, order)
    return made


def _scalar(kind: Any, data: Any) -> Any:
    return _array_of(data, kind, (1,), "C")[0].item()


def _encoded(text: str, encoding: str) -> bytes:
    """Stand in for `_codecs.encode`, by which the second protocol writes bytes."""
    return text.encode("latin1" if encoding == "latin1" else "ascii")


def _no_bytes() -> bytes:
    """Stand in for `bytes`, which the early protocols call for none."""
    return b""


_NDARRAY = object()
_STAND_INS: dict[str, Any] = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _Kind,
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,
    "__builtin__.set": set,
    "builtins.set": set,
    "collections.OrderedDict": dict,
    **{f"numpy.{core}.multiarray._reconstruct": _empty for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
_CALLED = [stand_in for stand_in in _STAND_INS.values() if stand_in is not _NDARRAY]

_InPython: Any = pickle._Unpickler
"""The reader that is written in Python: unlike the usual one it takes no more memory than its input has bytes."""


class _Known(dict[int, Callable[[Any], None]]):
    """What each opcode does; the rest is refused."""

    def __missing__(self, opcode: int) -> Any:
        raise DatasetError(f"it would do more than build values (opcode {bytes([opcode])!r}); {_FIX}")


class _Plain(_InPython):
    """Follows what builds plain values, and refuses the rest."""

    dispatch = _Known({getattr(pickle, name)[0]: _InPython.dispatch[getattr(pickle, name)[0]] for name in _OPCODES})

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands in for a name."""
        wanted = f"{module}.{name}"
        if wanted not in _STAND_INS:
            raise DatasetError(f"it would call {wanted[:100]}, and no file may have anything run; {_FIX}")
        return _STAND_INS[wanted]

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack[-1]
        if not any(function is known for known in _CALLED):
            raise DatasetError(f"it would call a {type(function).__name__}; {_FIX}")
        self.stack[-1] = function(*arguments)

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, _Array | _Kind):
            raise DatasetError(f"it would change a {type(made).__name__}; {_FIX}")
        made.fill(state)

    def _bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), "little")
        data = self.read(length)
        if len(data) < length:
            raise DatasetError(f"it ends within {length} bytes; {_FIX}")
        self.append(data)

    dispatch |= {pickle.REDUCE[0]: _reduce, pickle.BUILD[0]: _build, pickle.BYTEARRAY8[0]: _bytearray8}


def load_plain(data: bytes, place: object) -> Any:
    """Return the value of a pickle.

    Raises:
        DatasetError: it is damaged, or would do more than build plain values; `place` is named.
    """
    with decoding(place, _FIX):
        try:
            return _Settling().value(_Plain(io.BytesIO(data)).load())
        except DatasetError as error:
            raise DatasetError(f"{place}: {error}") from error


class _Settling:
    """Puts arrays in the place of what stands in for them, in each value once, however often it is shared."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, int]] = {}

    def value(self, value: Any) -> Any:
        """Return `value`, settled.

        Raises:
            DatasetError: whoever looks at every value within it would never end.
        """
        settled, count = self._settled(value)
        if count > _MOST:
            raise DatasetError(f"it holds more than {_MOST} values, most of them again and again; {_FIX}")
        return settled

    def _settled(self, value: Any) -> tuple[Any, int]:
        """Return a value, and how many there are within it where one that is shared counts again."""
        if isinstance(value, _Array):
            return value.array, 1
        if isinstance(value, _Kind) or value is _NDARRAY or callable(value):
            raise DatasetError(f"it holds a type, not a value; {_FIX}")
        if not isinstance(value, dict | list | tuple):
            return value, 1
        if id(value) not in self._known:
            self._known[id(value)] = self._inner(value)
        return self._known[id(value)]

    def _inner(self, value: Any) -> tuple[Any, int]:
        items = [self._settled(item) for item in (value.values() if isinstance(value, dict) else value)]
        parts, count = [part for part, _ in items], 1 + sum(number for _, number in items)
        return (dict(zip(value, parts, strict=True)) if isinstance(value, dict) else type(value)(parts)), count
