"""The one small registry behind every plug-in: environments, teachers, annotators, presets.

A user's package adds an entry without touching ours, either by calling `add` at import or by declaring an entry
point in the group that the registry names (for example `rig.envs`).
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from rig.errors import MissingDependencyError, RigError, UnknownNameError

T = TypeVar("T")


def suggestion(name: str | None, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known name, or an empty string; there is none to what is no text."""
    if not isinstance(name, str):
        return ""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def unknown_name(kind: str, name: str | None, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is not among `known`."""
    names = sorted(known)
    return UnknownNameError(f"unknown {kind} {name!r}.{suggestion(name, names)} Known: {', '.join(names) or 'none'}.")


def require(module: str, extra: str) -> object:
    """Import an optional `module`, or say which extra of this package installs it.

    Raises:
        MissingDependencyError: the module cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{module} is needed here and could not be imported ({error}). Install it: pip install 'rig-agent[{extra}]'"
        ) from error


def load_late(place: str) -> Any:
    """Return what "module:name" says.

    Raises:
        RigError: there is no such module, or nothing of that name in it.
    """
    module, _, name = place.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks another
        raise RigError(f"{place!r} is registered, and there is no module {error.name!r}; mend the name") from error
    if not hasattr(found, name):
        raise RigError(
            f"{place!r} is registered, and the module has no {name!r}.{suggestion(name, vars(found))} Mend the name."
        )
    return getattr(found, name)


@dataclass(frozen=True, kw_only=True)
class NoConfig:
    """The configuration of a plug-in that has nothing to choose."""


class Registry(Generic[T]):
    """Names to values, where a value may be given late as `"module:attribute"`, so that listing imports nothing."""

    def __init__(self, kind: str, group: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T | str] = {}

    def add(self, name: str, value: T | str) -> None:
        """Register `value`, or the `"module:attribute"` that holds it, under `name`; a name is given once."""
        if name in self._entries and self._entries[name] != value:
            raise UnknownNameError(f"{self.kind} {name!r} is registered twice; choose another name")
        self._entries[name] = value

    def register(self, name: str) -> Callable[[T], T]:
        """Return the decorator form of `add`."""

        def decorate(value: T) -> T:
            self.add(name, value)
            return value

        return decorate

    def names(self) -> list[str]:
        """Return every known name, plug-ins of installed packages included, sorted."""
        return sorted({*self._entries, *(point.name for point in self._points())})

    def get(self, name: str | None) -> T:
        """Return the value registered under `name`; None, for who has no name yet, is unknown as well.

        Raises:
            UnknownNameError: nobody registered that name; the nearest known one is proposed.
        """
        if name in self._entries:
            value = self._entries[name]
            if isinstance(value, str):
                return load_late(value)
            return value
        for point in self._points():
            if point.name == name:
                return point.load()
        raise unknown_name(self.kind, name, self.names())

    def __contains__(self, name: object) -> bool:
        """Return whether somebody registered `name`."""
        return name in self._entries or any(point.name == name for point in self._points())

    def find(self, name: str) -> T | None:
        """Return the value registered under `name`, or None where nobody registered that name."""
        return self.get(name) if name in self else None

    def _points(self) -> Iterable:
        return _declared(self.group, entry_points, tuple(sys.path)) if self.group else ()


@lru_cache(maxsize=256)
def _declared(group: str, look: Callable[..., Iterable], path: tuple[str, ...]) -> tuple:
    """Return a group's entry points, for as long as packages are looked for in the same folders: a look takes long."""
    return tuple(look(group=group))
