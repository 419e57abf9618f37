"""The mod's state as the privileged facts of `info`: JSON-like, whole numbers where numbers are whole."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rig.envs.minetest.keys import held_keys
from rig.envs.minetest.link import Reply

_COUNTS = ("tick", "health", "breath", "hotbar")
_PARTS = ("slots", "craft", "events", "nearby", "sight", "view")


def privileged_facts(reply: Reply) -> dict[str, Any]:
    """Return what pixels need not show.

    Keys: `tick`, `seconds` (of game time), `position` [x, y, z] in nodes with y up, `velocity` in nodes per second,
    `yaw` (degrees, growing to the right, 0 looks along +z) and `pitch` (degrees, growing downwards), `health`,
    `breath`, `hotbar` (place in hand, from 1), `wielded` (item in hand, "" for none), `slots` (place, item, count, wear
    of what is held), `craft` (the same of the places to craft in), `crafts` (the item that they would give, "" for
    none), `keys` that were held in the last tick, `cursor` ([right, down] in pixels of 640 x 360, for a menu),
    `inventory` (item -> count), `pointed` (node, under, above, distance, is_sure, dig_seconds; empty where nothing is
    in reach), `events` since the last tick, `time_of_day` (0 to 1), `menu_open`, and `nearby`, `sight` and `view`
    where they are asked for: `view` with a frame, `sight` also without one.
    """
    state = reply.state
    facts = {name: value for name, value in state.items() if name != "answers"}
    facts |= {name: int(state[name]) for name in _COUNTS}
    facts |= {name: _whole(state.get(name) or []) for name in _PARTS if name in state}
    if "sight" in facts:
        facts["sight"] = {name: [] if found is None else found for name, found in facts["sight"].items()}
    facts["pointed"] = _pointed(state.get("pointed"))
    held: Counter[str] = Counter()
    for slot in facts["slots"]:
        held[slot["item"]] += slot["count"]
    own = {"menu_open": reply.menu_open, "keys": held_keys(reply.held), "cursor": list(reply.cursor)}
    return {**facts, "inventory": dict(held), **own}


def _pointed(found: dict[str, Any] | None) -> dict[str, Any]:
    """A mapping in any case: Gymnasium's vector environments cannot join facts that change their type."""
    if found is None:
        return {}
    return {**found, "under": _whole(found["under"]), "above": _whole(found["above"])}


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
