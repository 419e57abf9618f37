"""A situation, written down as the way that leads there: the seed, where one entered, and every request since.

The engine is repeatable to the bit, so this is the whole state of the world, whatever happens in it; it can be kept,
and loaded in another process. Getting there again takes a start and one undrawn tick for each request, or less where an
engine has been near by (see `anchors`). The way is compressed: there may be a save point for every step of an episode.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple

from rig.envs.minetest.config import MinetestConfig, Point
from rig.envs.minetest.link import Request, request_size
from rig.errors import RigError
from rig.validation import Meta, parse_json, shown, validated


class SavePoint(NamedTuple):
    """The way to a situation.

    Attributes:
        seed: of the world.
        spawn: where one entered.
        way: the packed requests since.
        facts: a digest of what the mod told there, by which one knows that one has arrived.
    """

    seed: int
    spawn: Point | None
    way: list[bytes]
    facts: str


def digest_of(state: dict[str, Any]) -> str:
    """Return a digest of what the mod tells in every tick; sight and view are told where they were asked for."""
    told = {name: value for name, value in state.items() if name not in ("sight", "view")}
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()


def write_save(config: MinetestConfig, point: SavePoint) -> bytes:
    """Return a save point as bytes."""
    header = {"world": _world(config), "seed": point.seed, "spawn": point.spawn, "facts": point.facts}
    return json.dumps(header).encode() + b"\n" + zlib.compress(b"".join(point.way), 1)


def read_save(data: bytes, config: MinetestConfig) -> SavePoint:
    """Return the save point that `write_save` wrote.

    Raises:
        RigError: it is none, or one of another kind of world.
    """
    header, _, packed = data.partition(b"\n")
    saved = validated(parse_json(header, _PLACE, _FIX), _Header, _PLACE, _FIX)
    try:
        way = _split(zlib.decompress(packed))
        for request in way:
            Request.unpack(request)
    except (ValueError, zlib.error) as error:
        raise RigError(f"{_PLACE} is no whole one ({error}); {_FIX}") from error
    here = _world(config)
    other = [name for name, value in saved.world.items() if value != here.get(name)]
    if other:
        raise RigError(
            f"{_PLACE} is of a world with {other[0][:60]}={shown(saved.world[other[0]])}, and this one has "
            f"{here.get(other[0])}; load it into an environment of the same MinetestConfig"
        )
    return SavePoint(saved.seed, saved.spawn, way, saved.facts)


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What stands before the way; the fields are those of `SavePoint`, and what decides about the world."""

    world: dict[str, Any]
    seed: Annotated[int, Meta(ge=0)]
    spawn: Point | None
    facts: str


_PLACE = "the save point of a Minetest world"
_FIX = "give what `save` returned"


def _world(config: MinetestConfig) -> dict[str, object]:
    """What decides about frames and states; patience does not."""
    patience = ("start_timeout", "step_timeout", "attempts")
    return {name: value for name, value in asdict(config).items() if name not in patience}


def _split(packed: bytes) -> list[bytes]:
    way, at = [], 0
    while at < len(packed):
        size = request_size(packed, at)
        way.append(packed[at : at + size])
        at += size
    return way
