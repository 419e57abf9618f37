"""A strict double of MineRL 1.0's human survival, with Gym's old interface: see fake_minecraft."""

import os
from collections import OrderedDict

import numpy as np
from fake_minecraft import ITEMS, Death, Game, Life, check_action, check_seed, refuse

KEYS = (
    *("forward", "back", "left", "right", "jump", "sneak", "sprint", "attack", "use", "drop", "inventory"),
    *("swapHands", "pickItem", "ESC"),
    *(f"hotbar.{slot}" for slot in range(1, 10)),
    "camera",
)
OLD = np.dtype(np.int), np.dtype(np.float)  # noqa: NPY001 - the package says so, and numpy no longer does
VIEW = {"fov_range": [70, 70], "gamma_range": [2, 2], "guiscale_range": [1, 1], "cursor_size_range": [16.0, 16.0]}


class HumanSurvival:
    def __init__(self, *, resolution=(640, 360), **view):
        self.kinds = np.int, np.float, np.bool  # noqa: NPY001 - here, too: it runs anew in each reset
        refuse(view != VIEW, f"VPT and STEVE-1 know another view than {view}")
        self.resolution = resolution

    def create_agent_start(self):
        return ["low-level inputs"]

    def make(self):
        return _Env(self)


class _Space:
    def no_op(self):
        return OrderedDict({**{key: np.array(0) for key in KEYS[:-1]}, "camera": np.zeros(2, np.float32)})


class _Env:
    def __init__(self, spec):
        self._spec, self.action_space = spec, _Space()
        self.life, self.game, self.death = Life(), None, Death()
        self._next_seed = None

    def seed(self, seed):
        check_seed(seed)
        self.life.seed()
        self._next_seed = seed

    def reset(self):
        self.life.reset()
        if self.death.comes(0):
            raise KeyError("pov")
        _, *own = self._spec.create_agent_start()
        held, biome = own
        self.game = Game(self._next_seed, biome.biome, self._spec.resolution)
        for slot, stack in enumerate(held.inventory):
            self.game.put(slot, stack["type"], stack["quantity"])
        return self._told()

    def step(self, action):
        check_action(action, KEYS)
        self.life.step()
        self.game.tick(action)
        if self.death.comes(self.game.ticks):
            self.life.running = False
            if self.death.how == "raise":
                raise ConnectionResetError("the other side has gone")
            return {"pov": np.zeros((360, 640, 3), np.uint8)}, 0, True, {"error": "Connection timed out!"}
        done = self.game.ticks == int(os.environ.get("FAKE_MINECRAFT_ENDS", "0"))
        self.life.running = not done
        info = {} if self.game.ticks % 2 else {"isGuiOpen": self.game.gui}
        return self._told(), 0.0, done, info

    def close(self):
        self.life.close()

    def _told(self):
        game = self.game
        held = {item: np.array(sum(count for kind, count in game.slots if kind == item)) for item in ITEMS[1:]}
        place = {"xpos": game.x, "ypos": game.y, "zpos": game.z, "pitch": game.pitch, "yaw": game.yaw}
        return {
            "pov": game.frame(),
            "inventory": held | {"air": np.array(sum(kind == "air" for kind, _ in game.slots)), "none": np.array(0)},
            "life_stats": {"life": np.array(game.health), "food": np.array(20)},
            "location_stats": {name: np.array(value) for name, value in place.items()},
            None: {},
            **game.stats,
        }
