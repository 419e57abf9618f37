"""What comes from files, sockets and plug-ins, checked at the edge: strict JSON, types, ranges, no unknown fields.

A frozen dataclass is its own schema: `validated(value, Config, ...)` makes one of plain JSON values, and bounds stand
at its fields as `Annotated[int, Meta(ge=1)]`. What does not fit is one error that names the place, the field and the
fix.
"""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from rig.errors import RigError
from rig.registry import suggestion

__all__ = [
    "Meta",
    "check_fields",
    "fitting",
    "is_unicode",
    "load_json",
    "parse_as",
    "parse_json",
    "refuse_deep",
    "refuse_not_finite",
    "refuse_unknown",
    "shown",
    "validated",
]

T = TypeVar("T")

_DEEPEST = 150
_NESTED = (Mapping, list, tuple)


class _Short(reprlib.Repr):
    """Cuts what is long, and survives what has no `repr`: a number of more digits than Python writes, say."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 3, 60, 60, 40

    def repr1(self, x: Any, level: int) -> str:
        """Return the text of `x`, at the depth that is left."""
        try:
            return super().repr1(x, level)
        except Exception:
            return f"a {type(x).__name__} that cannot be shown"


_SHORT = _Short()


def parse_json(
    data: bytes | str, place: object, fix: str, error: type[RigError] = RigError, *, half_pairs: bool = False
) -> Any:
    """Return the value of strict JSON: no NaN, no infinity, no number that a float cannot hold, no bottomless nesting.

    Args:
        data: the JSON, as UTF-8 where it is bytes.
        place: what it was read from, for the message.
        fix: what to do about it, for the message.
        error: what to raise.
        half_pairs: texts may hold half a surrogate pair, as stands for a byte of a file's name that the locale cannot
            read. Other texts may not: they could be neither encoded nor stored.

    Raises:
        RigError: of the kind `error`: it is not strict JSON.
    """
    try:
        return _with_half_pairs(data) if half_pairs else msgspec.json.decode(data)
    except (ValueError, RecursionError) as cause:  # msgspec's errors and UnicodeError are ValueErrors
        raise error(f"{place} is not JSON ({cause}); {fix}") from cause


def _with_half_pairs(data: bytes | str) -> Any:
    """Return the value of strict JSON in which texts may hold half a surrogate pair.

    Raises:
        ValueError: it is not strict JSON.
    """
    try:
        return msgspec.json.decode(data)
    except ValueError:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no number that a float can hold")
    return value


def parse_as(
    data: bytes,
    kind: type[T],
    form: Literal["json", "msgpack"],
    place: object,
    fix: str,
    error: type[RigError] = RigError,
) -> T:
    """Return a message from a socket as a `kind`; what does not fit is refused before room is made for it.

    Args:
        data: the message.
        kind: what it has to be, a `msgspec.Struct` that forbids unknown fields.
        form: how it is written.
        place: what it was read from, for the message.
        fix: what to do about it, for the message.
        error: what to raise.

    Raises:
        RigError: of the kind `error`: it is not of that form, or no `kind`.
    """
    decode: Any = msgspec.json.decode if form == "json" else msgspec.msgpack.decode
    try:
        return decode(data, type=kind)
    except (ValueError, RecursionError) as cause:
        reason = str(cause).replace("`$`", "it").replace("`$.", "`")
        raise error(f"{place} cannot be read ({reason}); {fix}") from cause


def load_json(path: Path, fix: str, error: type[RigError] = RigError, *, half_pairs: bool = False) -> dict[str, Any]:
    """Return the object in the JSON file `path`; see `parse_json`. `rig.storage.read_json` reads what we wrote.

    Raises:
        RigError: of the kind `error`: it cannot be read, is not strict JSON, is no object, or is nested too deep.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as cause:
        raise error(f"{path} cannot be read ({cause.strerror}); {fix}") from cause
    value = parse_json(data, path, fix, error, half_pairs=half_pairs)
    if not isinstance(value, dict):
        raise error(f"{path} holds a {type(value).__name__}, not an object; {fix}")
    refuse_deep(value, path, fix, error)
    return value


def validated(
    value: Any, kind: type[T], place: object, fix: str, error: type[RigError] = RigError, *, others: bool = False
) -> T:
    """Return `value`, which is of JSON's plain types, as a `kind`: a dataclass, or any type that has no methods.

    Nothing is converted but a whole number to a float and a list to a tuple: 1.0 is no integer, and 1 no truth.

    Args:
        value: what was read.
        kind: what it has to be; `Annotated[…, Meta(…)]` gives bounds.
        place: what it was read from, for the message.
        fix: what to do about it, for the message.
        error: what to raise.
        others: whether fields that `kind` has not may be there, and are not looked at: of a format that others extend.

    Raises:
        RigError: of the kind `error`: a field is unknown, lacking, of another type, out of its range, or not finite; or
            the dataclass itself refuses its values.
    """
    if not others:
        _refuse_unknown_within(value, kind, str(place), error)
    refuse_not_finite(value, place, fix, error)
    try:
        return msgspec.convert(value, kind, strict=True)
    except (ValueError, TypeError, RecursionError) as cause:
        reason = str(cause).replace("`$`", "it").replace("`$.", "`")
        raise error(f"{place}: {reason}; {fix}") from cause


def fitting(value: Any, kind: Any, place: object, error: type[RigError] = RigError) -> Any:
    """Return one plain value as a `kind`, as `validated` does; the message says the value and what belongs there.

    Raises:
        RigError: of the kind `error`: it is of another type, out of its range, or not finite.
    """
    refuse_not_finite(value, place, "give a finite one", error)
    try:
        return msgspec.convert(value, kind, strict=True)
    except (ValueError, TypeError, RecursionError) as cause:
        reason = str(cause).replace(" - at `$", " at `the value").replace("Expected", "expected", 1)
        if get_origin(kind) is Literal:
            options = get_args(kind)
            hint = suggestion(value, options) if isinstance(value, str) and isinstance(options[0], str) else ""
            reason = f"give one of {', '.join(map(repr, options))}.{hint}"
        raise error(f"{place} is {shown(value)}; {reason}") from cause


def check_fields(config: Any, error: type[RigError] = RigError) -> None:
    """Check the fields of a dataclass against their own annotations: for `__post_init__`, before anything is computed.

    Raises:
        RigError: of the kind `error`: a field is of another type, out of its range, or not finite.
    """
    for name, kind in _fields_of(type(config)).items():  # type: ignore[arg-type]
        fitting(getattr(config, name), kind, f"{type(config).__name__}.{name}", error)


def is_unicode(text: str) -> bool:
    """Return whether a text is Unicode: JSON can hold halves of characters, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: Any) -> str:
    """Return what a message says of a value: its `repr`, cut where it is long or cannot be had."""
    return _SHORT.repr(value)


def refuse_unknown(found: Iterable[str], known: Iterable[str], place: object, error: type[RigError] = RigError) -> None:
    """Raise where `found` has a name that is not in `known`; the nearest known name is proposed.

    Raises:
        RigError: of the kind `error`.
    """
    names = list(known)
    for name in found:
        if name not in names:
            raise error(
                f"{place} has an unknown field {shown(name)}.{suggestion(str(name), names)} Known: {', '.join(names)}."
            )


def refuse_deep(value: Any, place: object, fix: str, error: type[RigError] = RigError) -> None:
    """Raise where `value` is nested deeper than anything that is saved: what shows or copies it would overflow.

    Raises:
        RigError: of the kind `error`.
    """
    level = [value]
    for _ in range(_DEEPEST):
        inner = [item.values() if isinstance(item, Mapping) else item for item in level if isinstance(item, _NESTED)]
        level = [part for parts in inner for part in parts]
        if not level:
            return
    raise error(f"{place} is nested more than {_DEEPEST} deep; {fix}")


def refuse_not_finite(value: Any, place: object, fix: str, error: type[RigError] = RigError) -> None:
    """Raise where a number within `value`, however deep, is NaN or infinite.

    Raises:
        RigError: of the kind `error`.
    """
    todo = [("", value)]
    while todo:
        name, item = todo.pop()
        if isinstance(item, float) and not math.isfinite(item):
            raise error(f"{place}: {name.lstrip('.') or 'the value'} is {item}, which is no number; {fix}")
        if isinstance(item, Mapping):
            todo += [(f"{name}.{key}", part) for key, part in item.items()]
        elif isinstance(item, list | tuple):
            todo += [(f"{name}[{index}]", part) for index, part in enumerate(item)]


@lru_cache(maxsize=256)
def _fields_of(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields, by name; kept, for lines of a file are of one kind."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _refuse_unknown_within(value: Any, kind: Any, place: str, error: type[RigError]) -> None:
    """Refuse unknown fields of `kind` and of the dataclasses within it."""
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        kinds = _fields_of(kind)  # type: ignore[arg-type]  # a class is hashable
        refuse_unknown(value, kinds, place, error)
        for name in value:
            _refuse_unknown_within(value[name], kinds[name], f"{place}: {name}", error)
    elif get_origin(kind) is Annotated:
        _refuse_unknown_within(value, get_args(kind)[0], place, error)
    elif get_origin(kind) in (Union, UnionType):
        for option in get_args(kind):
            _refuse_unknown_within(value, option, place, error)
    elif (
        isinstance(value, list | tuple)
        and isinstance(get_origin(kind), type)
        and issubclass(get_origin(kind), Sequence)
    ):
        for index, item in enumerate(value):
            _refuse_unknown_within(item, get_args(kind)[0], f"{place}[{index}]", error)
