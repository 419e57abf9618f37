"""A situation, written down as the way that leads there: the seed, where one entered, and every request since.

The engine is repeatable to the bit, so this is the whole state of the world, whatever happens in it; it can be kept,
and loaded in another process. Getting there again takes a start and one undrawn tick for each request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rig.envs.minetest.config import MinetestConfig, Point
from rig.envs.minetest.link import Request
from rig.errors import RigError


def write_save(config: MinetestConfig, seed: int, spawn: Point | None, history: Sequence[Request]) -> bytes:
    """Return a save point of the world of `seed`, entered at `spawn`, after the requests of `history`."""
    way = {"seed": seed, "spawn": spawn, "history": [asdict(one) for one in history]}
    return json.dumps({"world": _world(config), **way}).encode()


def read_save(data: bytes, config: MinetestConfig) -> tuple[int, Point | None, list[Request]]:
    """Return the seed, the place of entering and the requests of a save point.

    Raises:
        RigError: it is none, or one of another kind of world.
    """
    try:
        saved = json.loads(data)
        seed, history = int(saved["seed"]), [_request(one) for one in saved["history"]]
        spawn = None if saved["spawn"] is None else (saved["spawn"][0], saved["spawn"][1], saved["spawn"][2])
    except (ValueError, KeyError, TypeError) as error:
        raise RigError(f"this is no save point of a Minetest world ({error!r}); give what `save` returned") from error
    here = _world(config)
    other = [name for name, value in saved["world"].items() if value != here.get(name)]
    if other:
        raise RigError(
            f"the save point is of a world with {other[0]}={saved['world'][other[0]]}, and this one has "
            f"{here.get(other[0])}; load it into an environment of the same MinetestConfig"
        )
    return seed, spawn, history


def _world(config: MinetestConfig) -> dict[str, object]:
    """What decides about frames and states; patience does not."""
    patience = ("start_timeout", "step_timeout", "attempts")
    return {name: value for name, value in asdict(config).items() if name not in patience}


def _request(saved: dict[str, Any]) -> Request:
    return Request(
        keys=saved["keys"],
        turn=(saved["turn"][0], saved["turn"][1]),
        shift=(saved["shift"][0], saved["shift"][1]),
        commands=tuple(saved["commands"]),
    )
