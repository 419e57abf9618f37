"""The action spaces we ship. An environment may declare its own; the codec is the same."""

from __future__ import annotations

from rig.actions.text import ActionSpace, Camera
from rig.registry import Registry

MINERL = ActionSpace(
    name="minerl",
    keys=(
        "forward",
        "back",
        "left",
        "right",
        "jump",
        "sneak",
        "sprint",
        "attack",
        "use",
        "drop",
        "inventory",
        *(f"hotbar.{slot}" for slot in range(1, 10)),
        "ESC",
    ),
    camera=Camera(step=5, limit=180),
)
"""MineRL 1.0 / VPT keys and camera (specification section 4)."""

CRAFTER = ActionSpace(
    name="crafter",
    keys=(
        "move_left",
        "move_right",
        "move_up",
        "move_down",
        "use",
        "sleep",
        "place_stone",
        "place_table",
        "place_furnace",
        "place_plant",
        "make_wood_pickaxe",
        "make_stone_pickaxe",
        "make_iron_pickaxe",
        "make_wood_sword",
        "make_stone_sword",
        "make_iron_sword",
    ),
    exclusive=True,
)
"""Crafter's seventeen actions as sixteen exclusive keys and `noop`; Crafter's own name for `use` is `do`."""

ACTION_SPACES: Registry[ActionSpace] = Registry("action space", "rig.action_spaces")
ACTION_SPACES.add("minerl", MINERL)
ACTION_SPACES.add("crafter", CRAFTER)
