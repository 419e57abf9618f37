"""Actions and their text form, exact both ways.

The text of an action is the names of its pressed keys in the space's own order, then the camera when it moves, joined
by `, `: `forward, sprint, camera:[0,10]`. Nothing pressed and no camera is `noop`. Anything else is a named error:
there is no text that silently becomes a no-op.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Annotated, Any

from rig.errors import ActionError
from rig.registry import suggestion
from rig.validation import Meta, check_fields, shown

NOOP_TEXT = "noop"
SEPARATOR = ", "
_NAMED = 4
_CAMERA = re.compile(r"camera:\[(0|-?[1-9]\d*),(0|-?[1-9]\d*)\]")


@dataclass(frozen=True, kw_only=True)
class Action:
    """What is pressed and how the view turns during one environment step.

    Attributes:
        keys: names of the pressed keys.
        camera: (pitch, yaw) in degrees; pitch < 0 looks up, yaw < 0 turns left.
    """

    keys: frozenset[str] = frozenset()
    camera: tuple[int, int] = (0, 0)

    @staticmethod
    def press(*keys: str, camera: tuple[int, int] = (0, 0)) -> Action:
        """Return the action that presses `keys` and turns by `camera`."""
        return Action(keys=frozenset(keys), camera=camera)


NOOP = Action()
"""Nothing is pressed, and the view does not turn."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The camera's grid: steps of `step` degrees up to `limit` degrees per axis, both ways."""

    step: Annotated[int, Meta(ge=1, le=180)] = 5
    limit: Annotated[int, Meta(ge=1, le=180)] = 180

    def __post_init__(self) -> None:
        check_fields(self, ActionError)

    def angles(self) -> range:
        """Return the angles of one axis, in degrees, ascending."""
        return range(-(self.limit // self.step) * self.step, self.limit + 1, self.step)


@dataclass(frozen=True, kw_only=True)
class ActionSpace:
    """The keys a world has, in canonical order, with or without a camera.

    Attributes:
        name: the space's name in the registry and in every manifest.
        keys: key names in the order in which text lists them.
        camera: the camera's grid, or None for a world without one.
        exclusive: True where at most one key may be pressed in a step.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    keys: Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=1000)]
    camera: Camera | None = None
    exclusive: bool = False

    def __post_init__(self) -> None:
        check_fields(self, ActionError)
        if len(set(self.keys)) != len(self.keys):
            raise ActionError(f"action space {self.name!r} names a key twice: {', '.join(self.keys)}")
        for key in self.keys:
            if key == NOOP_TEXT or not re.fullmatch(r"[A-Za-z][\w.]*", key):
                raise ActionError(
                    f"action space {self.name!r}: {key!r} cannot be a key; use letters, digits, '_' and '.', not 'noop'"
                )

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> ActionSpace:
        """Return the space that `asdict` wrote as JSON.

        Raises:
            KeyError: a field is missing.
            TypeError: a field is unknown or malformed.
        """
        camera = Camera(**value["camera"]) if value["camera"] else None
        named = {"name": value["name"], "keys": tuple(value["keys"]), "exclusive": value["exclusive"]}
        return ActionSpace(**{**value, **named, "camera": camera})

    @property
    def described(self) -> str:
        """The keys and the camera in words, the first few keys by name."""
        more = ", …" if len(self.keys) > _NAMED else ""
        turns = f"a camera in steps of {self.camera.step}°" if self.camera else "no camera"
        return f"{len(self.keys)} keys: {', '.join(self.keys[:_NAMED])}{more}; {turns}"

    def is_like(self, other: ActionSpace) -> bool:
        """Return whether both have the same actions, written alike, whatever they are called."""
        return replace(self, name=other.name) == other

    def format(self, action: Action) -> str:
        """Return the text of `action`.

        Raises:
            ActionError: the action does not belong to this space.
        """
        self.check(action)
        parts = [key for key in self.keys if key in action.keys]
        if action.camera != (0, 0):
            parts.append(f"camera:[{action.camera[0]},{action.camera[1]}]")
        return SEPARATOR.join(parts) or NOOP_TEXT

    def parse(self, text: str) -> Action:
        """Return the action that `text` names; the inverse of `format`.

        Raises:
            ActionError: the text is not exactly what `format` writes for some action.
        """
        if text == NOOP_TEXT:
            return NOOP
        keys: list[str] = []
        camera = (0, 0)
        for part in text.split(SEPARATOR):
            match = _CAMERA.fullmatch(part)
            if match:
                camera = (int(match[1]), int(match[2]))
            elif part in self.keys:
                keys.append(part)
            else:
                raise ActionError(self._unknown(part, text))
        action = Action(keys=frozenset(keys), camera=camera)
        if self.format(action) != text:
            raise ActionError(
                f"action text {text!r} is not canonical in {self.name!r}; the same action is written "
                f"{self.format(action)!r} (each key once, in the space's order, then the camera)"
            )
        return action

    def check(self, action: Action) -> None:
        """Raise ActionError unless `action` belongs to this space, in the types that an `Action` has."""
        _check_types(action)
        unknown = sorted(action.keys - set(self.keys))
        if unknown:
            raise ActionError(self._unknown(unknown[0], SEPARATOR.join(sorted(action.keys))))
        if self.exclusive and len(action.keys) > 1:
            raise ActionError(f"{self.name!r} takes one key a step, not {', '.join(sorted(action.keys))}")
        if action.camera == (0, 0):
            return
        if self.camera is None:
            raise ActionError(f"{self.name!r} has no camera, yet the action turns it by {action.camera}")
        if any(angle not in self.camera.angles() for angle in action.camera):
            raise ActionError(
                f"camera {action.camera} is off the grid of {self.name!r}: whole multiples of {self.camera.step} "
                f"degrees within ±{self.camera.limit}; round it with ActionSpace.quantise first"
            )

    def quantise(self, keys: frozenset[str], camera: tuple[float, float]) -> Action:
        """Return the action with `camera` (degrees) rounded to the grid and clipped to its limits."""
        if self.camera is None:
            return Action(keys=keys)
        step, largest = self.camera.step, self.camera.angles()[-1]
        pitch, yaw = (max(-largest, min(largest, round(angle / step) * step)) for angle in camera)
        return Action(keys=keys, camera=(pitch, yaw))

    def _unknown(self, part: str, text: str) -> str:
        hint = suggestion(part, [*self.keys, NOOP_TEXT])
        return f"{part!r} is not a key of {self.name!r} (in {text!r}).{hint} Keys: {', '.join(self.keys)}."


def _check_types(action: Action) -> None:
    """Raise ActionError where what is pressed is no set of names, or the camera no pair of whole numbers."""
    if not isinstance(action, Action):
        raise ActionError(f"{shown(action)} is no Action; build one with Action.press(key, …)")
    keys, camera = action.keys, action.camera
    if not isinstance(keys, Set) or not all(isinstance(key, str) for key in keys):
        raise ActionError(f"the keys {shown(keys)} are no set of names; build actions with Action.press(key, …)")
    if not isinstance(camera, tuple) or len(camera) != 2 or not all(map(_is_whole, camera)):
        raise ActionError(
            f"camera {shown(camera)} is no pair of whole degrees (pitch, yaw); round it with ActionSpace.quantise"
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
