"""Who works in a world where a configuration names nobody: who its kit names (`rig.envs.WorldSpec`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from rig.annotators.base import LABELLERS, REASONERS, REVIEWERS
from rig.annotators.configured import config_from
from rig.envs import WORLDS, Role, kit_member, spec_of
from rig.errors import RigError
from rig.registry import NoConfig, Registry
from rig.shipped import DEFAULT_WORLD
from rig.teachers import TEACHERS, Teacher

ROLES: dict[Role, Registry[Any]] = {
    "teacher": TEACHERS,
    "reasoner": REASONERS,
    "reviewer": REVIEWERS,
    "labeller": LABELLERS,
    "describer": REASONERS,
}
"""What a configuration can name, and where those are registered who can be it."""

ANYWHERE = ("random",)
"""Teachers that play in any world."""


class _Config(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


C = TypeVar("C", bound=_Config)


def with_kit(config: C, environment: str, *, spared: Collection[Role] = ()) -> C:
    """Return `config` with who the world's kit names in every role in which it names nobody (None).

    Args:
        config: a dataclass.
        environment: the world.
        spared: roles that somebody need not have; where the kit names nobody either, they become "".

    Raises:
        RigError: there is nobody for a role that is not spared.
        UnknownNameError: the kit names somebody who is not registered.
    """
    empty = [field.name for field in fields(config) if field.name in ROLES and getattr(config, field.name) is None]
    found = {role: kit_name(environment, role, spared=role in spared) for role in ROLES if role in empty}
    return replace(config, **found)


def kit_name(environment: str, role: Role, *, spared: bool = False) -> str:
    """Return the name of who has a role in a world's kit; "" where nobody has and the role is spared.

    Raises:
        RigError: nobody has it, and it is not spared.
        UnknownNameError: the kit names somebody who is not registered.
    """
    name = kit_member(environment, role, ROLES[role])
    if not name and not spared:
        raise RigError(
            f"the world {environment!r} has no {role}: --{role} NAME, or register the world with one "
            "(docs/extending.md)"
        )
    return name


def build_teacher(name: str | None, config: Mapping[str, Any] | None = None) -> Teacher:
    """Return the registered teacher `name`, configured where its class has a dataclass `Config` for it.

    Raises:
        UnknownNameError: there is no such teacher.
        RigError: it takes no configuration, or another one.
    """
    make: Any = TEACHERS.get(name)
    if not config:
        return make()
    return make(config_from(config, getattr(make, "Config", NoConfig), f"the teacher {name!r}"))


def world_of_teacher(name: str) -> str:
    """Return the world that a teacher plays in where nobody says: the one in whose kit it is.

    Raises:
        UnknownNameError: there is no such teacher.
        RigError: it is in no world's kit, or in several.
    """
    TEACHERS.get(name)
    if name in ANYWHERE:
        return DEFAULT_WORLD
    known = WORLDS.names()
    if name in known and _teaches(name, name):
        return name
    found = [world for world in known if _teaches(name, world)]
    if len(found) != 1:
        where = f"in the kits of {', '.join(found)}" if found else "in no world's kit"
        raise RigError(
            f"the teacher {name!r} is {where}; say where it is to play with --environment. Known: {', '.join(known)}."
        )
    return found[0]


def _teaches(teacher: str, environment: str) -> bool:
    spec = spec_of(environment)
    named = spec.teacher if spec else None
    return teacher == (environment if named is None else named)
