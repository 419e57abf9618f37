"""The configuration of an annotator: a frozen dataclass of its own, made of the mapping that a user gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields, is_dataclass
from hashlib import sha256
from typing import Any, TypeVar

from rig.errors import RigError
from rig.validation import validated

T = TypeVar("T")

_INCIDENTAL = "rig.incidental"


def incidental(default: T) -> T:
    """Return a field, with its default, that changes how an annotator works and not what it answers.

    How many questions are asked at once, say, or where a server is. It is not saved, and a run may go on with another.
    """
    return field(default=default, metadata={_INCIDENTAL: True})


def config_from(given: Any, kind: type[T], owner: str) -> T:
    """Return the configuration that a user gave to `owner`, as its dataclass `kind`.

    Raises:
        RigError: a field is unknown, lacking, or of another type; it is named.
    """
    if not is_dataclass(kind):
        raise RigError(f"{owner}: its Config is {kind!r}, which is no dataclass; make it a frozen, keyword-only one")
    names = [one.name for one in fields(kind)]
    if given and not names:
        raise RigError(f"{owner} takes no configuration, and was given {', '.join(map(str, given))}; leave it out")
    fix = f"its fields are {', '.join(names)}" if names else "leave it out"
    plain = dict(given) if isinstance(given, Mapping) else given
    return validated(plain, kind, f"the configuration of {owner}", fix)


def settings_of(config: Any) -> dict[str, Any]:
    """Return what of a configuration decides the answers, as JSON."""
    left = {one.name for one in fields(config) if one.metadata.get(_INCIDENTAL)}
    found = {name: value for name, value in asdict(config).items() if name not in left}
    return json.loads(json.dumps(found))


def prompt_hash(text: str) -> str:
    """Return a short hash of an annotator's instructions."""
    return sha256(text.encode()).hexdigest()[:12]
