"""A strict double of `minestudio.simulator` 1.1.6: see fake_minecraft."""

import os
import re
import tempfile
from pathlib import Path

import gymnasium
import numpy as np
from fake_minecraft import Death, Game, Life, Misuse, check_action, check_seed, refuse

KEYS = (
    *("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use"),
    *(f"hotbar.{slot}" for slot in range(1, 10)),
    *("inventory", "camera"),
)
COMMAND = re.compile(r"/replaceitem entity @p (hotbar|inventory)\.(\d+) minecraft:(\w+) (\d+)")
SLOW = 2
"""Ticks until what a command gives is in the inventory."""


def check_engine():
    folder = Path(os.environ.get("MINESTUDIO_DIR") or Path(tempfile.gettempdir()) / "MineStudio")
    if not (folder / "engine/build/libs/mcprec-6.13.jar").exists():
        input("Detecting missing simulator engine, do you want to download it (Y/N)?\n")
        exit(0)


class _Env:
    """MineRL's environment inside the simulator."""

    def __init__(self, sim, biome, resolution):
        self._sim, self._biome, self._resolution = sim, biome, resolution
        self.life, self.game, self.death = Life(), None, Death()
        self._next_seed, self._waiting, self.acted = None, [], 0

    def seed(self, seed):
        check_seed(seed)
        self.life.seed()
        self._next_seed = seed

    def reset(self):
        self.life.reset()
        if self.death.comes(0):
            raise KeyError("pov")
        self.game, self.acted = Game(self._next_seed, self._biome, self._resolution), 0

    def step(self, action):
        self.life.step()
        self.game.tick(action)
        if self.acted and self.death.comes(self.acted):
            self.life.running = False
            if self.death.how == "raise":
                raise ConnectionResetError("the other side has gone")
            raise TypeError("Cannot convert np.dtype into a dtype.")  # in making a random observation of texts
        self._waiting = [(ticks - 1, *given) for ticks, *given in self._waiting]
        for _, slot, item, count in [one for one in self._waiting if one[0] <= 0]:
            self.game.put(slot, item, count)
        self._waiting = [one for one in self._waiting if one[0] > 0]
        done = self.acted > 0 and self.acted == int(os.environ.get("FAKE_MINECRAFT_ENDS", "0"))
        self.life.running = not done
        return self._told(), 0.0, done, {"location_stats": {"xpos": np.asarray(self.game.x)}}

    def execute_cmd(self, command):
        self.life.step()
        found = COMMAND.fullmatch(command)
        refuse(found is None, f"the game does not understand {command!r}")
        slot = int(found[2]) + (9 if found[1] == "inventory" else 0)
        refuse(found[1] == "hotbar" and slot > 8, f"there is no slot {found[1]}.{slot}")
        self._waiting.append((SLOW, slot, found[3], int(found[4])))
        return self.step({**dict.fromkeys(KEYS, 0), "camera": np.zeros(2, np.float32)})

    def _told(self):
        game = self.game
        return {
            "pov": game.frame(),
            "inventory": {slot: {"type": item, "quantity": count} for slot, (item, count) in enumerate(game.slots)},
            "equipped_items": {"mainhand": {"type": game.slots[game.hand][0]}},
            **game.stats,
            "player_pos": {"x": game.x, "y": game.y, "z": game.z, "pitch": game.pitch, "yaw": game.yaw},
            "health": game.health,
            "food_level": 20,
            "is_gui_open": game.gui,
            "isGuiOpen": game.gui,
        }


class MinecraftSim:
    def __init__(
        self,
        action_type="agent",
        obs_size=(224, 224),
        render_size=(640, 360),
        seed=0,
        inventory=None,
        preferred_spawn_biome=None,
        num_empty_frames=20,
        callbacks=(),
        camera_config=None,
        **kwargs,
    ):
        refuse(kwargs, f"the simulator takes no {sorted(kwargs)}, and would not say so")
        check_engine()
        refuse(action_type not in ("env", "agent"), f"action_type is {action_type!r}")
        refuse(obs_size[0] != obs_size[1], f"obs_size {obs_size}: its two sides are read either way; make it square")
        refuse(inventory, "what is in the constructor's inventory stays for every reset")
        check_seed(seed)
        self.obs_size, self.action_type, self.seed = obs_size, action_type, seed
        self.num_empty_frames, self.info = num_empty_frames, {}
        self.env = _Env(self, preferred_spawn_biome, render_size)
        self.env.seed(seed)

    @property
    def action_space(self):
        refuse(self.action_type != "env", "this double knows the space of `env` alone")
        camera = gymnasium.spaces.Box(-180, 180, (2,), np.float32)
        keys = {key: gymnasium.spaces.Discrete(2) for key in KEYS[:-1]}
        return gymnasium.spaces.Dict({**keys, "camera": camera})

    def reset(self):
        print("MineStudio writes to stdout")
        self.env.reset()
        told, info = {}, {}
        for _ in range(self.num_empty_frames):
            told, _, _, info = self.env.step({**dict.fromkeys(KEYS, 0), "camera": np.zeros(2, np.float32)})
        return self._wrap(told, info)

    def step(self, action):
        check_action(action, KEYS, optional=("chat", "voxels", "mobs"))
        self.env.acted += 1
        told, reward, done, info = self.env.step(dict(action))
        action.clear()  # whoever gives the same one again gives nothing
        obs, info = self._wrap(told, info)
        return obs, reward, done, done, info

    def close(self):
        self.env.life.close()

    def _wrap(self, told, info):
        self.info.update(info)
        self.info.update(told)
        image = np.zeros((*self.obs_size, 3), np.uint8)
        return {"image": image}, dict(self.info)


__all__ = ["MinecraftSim", "Misuse"]
