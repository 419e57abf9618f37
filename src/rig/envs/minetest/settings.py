"""The engine's own settings for a world that only an agent plays."""

from __future__ import annotations

import math
from pathlib import Path

from rig.envs.minetest.config import TICK_SECONDS, MinetestConfig, Point
from rig.envs.minetest.keys import COUNTS_PER_DEGREE

_WORLD = {
    "gameid": "minetest",
    "world_name": "rig",
    "backend": "dummy",
    "player_backend": "dummy",
    "auth_backend": "sqlite3",
    "mod_storage_backend": "dummy",
    "enable_damage": "true",
    "creative_mode": "false",
}

_FIXED = {
    "name": "agent",
    "language": "en",
    "bind_address": "127.0.0.1",
    "enable_ipv6": "false",
    "server_announce": "false",
    "secure.trusted_mods": "rig",
    "default_privs": "interact, shout, fast",
    "num_emerge_threads": "1",
    "max_simultaneous_block_sends_per_client": "1000",
    "server_map_save_interval": "1000000",
    "enable_local_map_saving": "false",
    "fps_max": "10000",
    "fps_max_unfocused": "10000",
    "vsync": "false",
    "pause_on_lost_focus": "false",
    "autosave_screensize": "false",
    "enable_sound": "false",
    "enable_shaders": "false",
    "enable_clouds": "false",
    "enable_minimap": "false",
    "view_bobbing_amount": "0",
    "show_debug": "false",
    "doubletap_jump": "false",
    "fast_move": "true",
    "keymap_toggle_pointer": "",
    "time_speed": "0",
    "world_start_time": "12000",
    "movement_speed_walk": "4.317",
    "movement_speed_fast": "5.612",
}
"""Speeds of walking and sprinting are Minecraft's; it is always noon. What comes at once is shaped once: a piece of the
world that arrives has its neighbours' surfaces made anew."""

_BLOCK = 16
"""Nodes along a side of what the engine generates, sends and draws at once."""

_HUD_SCALE = 1024
"""Width in pixels at which the engine's display has its own size."""


def write_settings(folder: Path, config: MinetestConfig, seed: int, spawn: Point | None = None) -> None:
    """Write `folder`/world/world.mt and `folder`/engine.conf for the world of `seed`, entered at `spawn`."""
    (folder / "world").mkdir(parents=True)
    _write(folder / "world" / "world.mt", _WORLD)
    _write(folder / "engine.conf", _FIXED | _chosen(config, seed) | _entered_at(spawn))


def _chosen(config: MinetestConfig, seed: int) -> dict[str, object]:
    width, height = config.drawn
    blocks = math.ceil(config.view_range / _BLOCK)  # as far as one sees, wherever in a block one stands
    return {
        "screen_w": width,
        "screen_h": height,
        "hud_scaling": width / _HUD_SCALE,
        "undersampling": config.undersampling,
        "viewing_range": config.view_range,
        "max_block_send_distance": blocks,
        "max_block_generate_distance": blocks,
        "fov": config.field_of_view,
        "mouse_sensitivity": f"{mouse_sensitivity(config):.9f}",
        "mg_name": config.mapgen,
        "fixed_map_seed": seed,
        "dedicated_server_step": 0.8 * TICK_SECONDS,  # below a tick, so that rounding never puts news off by one
        "rig_bars": str(config.is_readable).lower(),
        "rig_nearby_radius": config.nearby_radius,
        "rig_view_cells": config.view_cells,
        "rig_view_across": config.drawn_view[0],
        "rig_view_upwards": config.drawn_view[1],
    }


def _entered_at(spawn: Point | None) -> dict[str, object]:
    return {} if spawn is None else {"static_spawnpoint": ", ".join(f"{value:g}" for value in spawn)}


def mouse_sensitivity(config: MinetestConfig) -> float:
    """Return the engine's setting at which a turn by one degree takes COUNTS_PER_DEGREE counts of the mouse.

    The engine scales by the tangent of half its vertical field of view.
    """
    return 1 / (COUNTS_PER_DEGREE * math.tan(math.radians(config.drawn_view[1]) / 2) * 1.3763818698)


def _write(path: Path, values: dict[str, object] | dict[str, str]) -> None:
    path.write_text("".join(f"{name} = {value}\n" for name, value in values.items()), encoding="utf-8")
