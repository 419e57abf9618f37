"""Verbs whose flags are the fields of configurations, each written down once, in the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeVar

from tyro.constructors import PrimitiveConstructorSpec

from rig.errors import RigError
from rig.validation import load_json, parse_json

if TYPE_CHECKING:
    from rig.tracking import Tracking


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


C = TypeVar("C", bound=_Dataclass)


class Flags:
    """A verb that inherits the fields of configurations and gets those back by `part`."""

    def __post_init__(self) -> None:
        """Check nothing yet: a configuration checks itself when it is made, and its errors are told as any other."""

    def part(self, kind: type[C], **others: Any) -> C:
        """Return the configuration of type `kind` among the flags.

        Where the flags are but some of its fields, `others` has those that are made of something else, even where a
        flag has the same name; what is in neither is as it is by default.
        """
        given = vars(self) | others
        return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """What verbs that score have in common.

    Attributes:
        track: who is told the scores: tensorboard, trackio, wandb, or a tracker of your own.
    """

    track: tuple[str, ...] = ()

    def trackers(self) -> Tracking:
        """Return those that are to be told the scores, before there are any.

        Raises:
            RigError: there is no such tracker, or its package is not installed.
        """
        from rig.tracking import Tracking

        return Tracking(self.track)


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Return the fields that words of a command line give: `FILE` holds them as JSON, `name=value` is one of them.

    A value that reads as JSON is what it reads as, and any other is text; a later word outdoes an earlier one.

    Raises:
        RigError: a file cannot be read, or holds no JSON object.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, given, value = word.partition("=")
        found |= {name: _value(value)} if given else load_json(Path(word), "give a JSON object, or name=value")
    return found


def _value(text: str) -> Any:
    try:
        return parse_json(text, "a value", "")
    except RigError:
        return text


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [f"{name}={json.dumps(value)}" for name, value in settings.items()]


Settings = Annotated[
    Mapping[str, Any],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[{FILE.json|NAME=VALUE} ...]",
        instance_from_str=read_settings,
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=_words,
    ),
]
"""The type of a flag that gives the configuration of a plug-in, as `read_settings` reads it."""
