"""Verbs whose flags are the fields of configurations, each written down once, in the configuration."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeVar


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


C = TypeVar("C", bound=_Dataclass)


class Flags:
    """A verb that inherits the fields of configurations and gets those back by `part`."""

    def __post_init__(self) -> None:
        """Check nothing yet: a configuration checks itself when it is made, and its errors are told as any other."""

    def part(self, kind: type[C]) -> C:
        """Return the configuration of type `kind` among the flags."""
        return kind(**{field.name: getattr(self, field.name) for field in fields(kind)})
