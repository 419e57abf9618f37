"""What the strict doubles of MineStudio and MineRL have in common: a small game, and the rules that both engines have.

The doubles stand where the packages would, and refuse what the packages take in silence and make nonsense of. A mistake
in their use is a `Misuse`, which no `except Exception` hides. The game itself is a joke: three ticks of attack break a
block, of a kind that the biome and the pitch decide, and looking down, jumping and using dirt stands on it.
"""

import math
import os
from collections import defaultdict

import numpy as np

WIDTH, HEIGHT = 640, 360
ITEMS = ("air", "dirt", "oak_log", "wheat_seeds", "iron_axe", "iron_sword", "iron_shovel", "iron_pickaxe")
STATS = ("use_item", "pickup", "break_item", "craft_item", "mine_block", "damage_dealt", "kill_entity")
DOWN = 60
BREAKING = 3
BIOMES = {"forest": "oak_log", "plains": "grass"}
DROPS = {"oak_log": "oak_log", "grass": "wheat_seeds", "dirt": "dirt"}


class Misuse(BaseException):
    """The engine was used as it must not be."""


def refuse(wrong, what):
    if wrong:
        raise Misuse(what)


def check_seed(seed):
    refuse(type(seed) is not int, f"the seed {seed!r} is no int of Python's, which the engine asserts")


def check_action(action, keys, optional=()):
    """Refuse an action that the engine would send as words that the game does not read."""
    refuse(not isinstance(action, dict), f"the action {action!r} is no dict")
    missing = [key for key in keys if key not in action]
    refuse(missing, f"the action lacks {missing}: some wrappers index every key")
    unknown = set(action) - set(keys) - set(optional)
    refuse(unknown, f"the action names {sorted(unknown)}, which this engine drops in silence")
    for key in keys:
        if key == "camera":
            continue
        value = action[key]
        is_whole = type(value) is int or (isinstance(value, np.ndarray | np.integer) and value.dtype.kind == "i")
        refuse(not is_whole or value not in (0, 1), f"the key {key} is {value!r}; the game reads 0 and 1 alone")
    check_camera(action["camera"])


def check_camera(camera):
    refuse(not isinstance(camera, np.ndarray) or camera.shape != (2,), f"the camera {camera!r} is no array of two")
    refuse(camera.dtype != np.float32, f"the camera is {camera.dtype}, and its space float32")
    refuse(not np.all(np.abs(camera) <= 180), f"the camera {camera} is out of range, or no number")


class Game:
    """A world, and the player in it."""

    def __init__(self, seed, biome, resolution):
        refuse(biome not in BIOMES, f"the biome is {biome!r}")
        refuse(tuple(resolution) != (WIDTH, HEIGHT), f"VPT and STEVE-1 know {WIDTH} x {HEIGHT}, not {resolution}")
        self.seed, self.biome = seed, biome
        random = np.random.default_rng(seed)
        self.x, self.z = (float(value) for value in random.integers(-500, 500, 2))
        self.y, self.yaw, self.pitch = 64.0, 0.0, 0.0
        self.slots = [("air", 0)] * 36
        self.hand = self.attacked = self.ticks = 0
        self.health, self.gui = 20.0, False
        self.stats = {name: defaultdict(lambda: np.zeros(())) for name in STATS}

    def tick(self, action):
        """Let a tick pass."""
        self.ticks += 1
        pressed = {key for key, value in action.items() if key != "camera" and np.ndim(value) == 0 and value == 1}
        if pressed & {"inventory", "ESC"}:
            self.gui = "inventory" in pressed and not self.gui
        if self.gui:
            return
        pitch, yaw = (float(angle) for angle in action["camera"])
        self.pitch, self.yaw = min(90.0, max(-90.0, self.pitch + pitch)), self.yaw + yaw
        self._walk(pressed)
        self.hand = next((slot for slot in range(9) if f"hotbar.{slot + 1}" in pressed), self.hand)
        self.attacked = self.attacked + 1 if "attack" in pressed else 0
        if self.attacked == BREAKING:
            self.attacked = 0
            self._break()
        if {"jump", "use"} <= pressed and self.pitch > DOWN and self.slots[self.hand][0] == "dirt":
            self._take(self.hand)
            self._count("use_item", "dirt")
            self.y += 1

    def _walk(self, pressed):
        pace = (("forward" in pressed) - ("back" in pressed)) * (0.28 if "sprint" in pressed else 0.2)
        self.x -= pace * math.sin(math.radians(self.yaw))
        self.z += pace * math.cos(math.radians(self.yaw))

    def _break(self):
        kind = "dirt" if self.pitch > DOWN else BIOMES[self.biome]
        self._count("mine_block", kind)
        self._count("pickup", DROPS[kind])
        self.give(DROPS[kind])
        if kind == "dirt":
            self.y -= 1

    def _count(self, stat, kind):
        self.stats[stat][kind] = np.asarray(self.stats[stat][kind] + 1)

    def give(self, item, count=1):
        """Put items into the first slot that has room."""
        for slot, (held, number) in enumerate(self.slots):
            if held in ("air", item) and number + count <= 64:
                self.slots[slot] = (item, number + count)
                return

    def put(self, slot, item, count):
        """Replace what a slot holds."""
        refuse(item not in ITEMS, f"there is no item {item!r}")
        refuse(not 1 <= count <= 64, f"a slot takes 1 to 64 of an item, not {count}")
        self.slots[slot] = (item, count)

    def _take(self, slot):
        item, count = self.slots[slot]
        self.slots[slot] = (item, count - 1) if count > 1 else ("air", 0)

    def frame(self):
        """Return what is seen: the seed, the place and the direction as colours, and the ground below the horizon."""
        picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        picture[:] = (self.seed % 256, int(self.yaw * 3) % 256, int(self.x + self.z) % 256)
        picture[HEIGHT // 2 - int(self.pitch) :, :, 1] = 255
        return picture


class Death:
    """When, and how, the process of an engine dies; read from the environment when the engine is made.

    FAKE_MINECRAFT_DIES is "TICK:HOW": "error" as the engines report a lost connection, "raise" as one that was not
    expected; tick 0 is the reset.
    """

    def __init__(self):
        tick, _, self.how = os.environ.get("FAKE_MINECRAFT_DIES", "-1:").partition(":")
        self.tick = int(tick)

    def comes(self, tick):
        return tick == self.tick


class Life:
    """What an engine may be asked when: a seed, then a reset, then steps until it is done, and an end, once."""

    def __init__(self):
        self.seeded = self.running = self.closed = False

    def seed(self):
        refuse(self.closed, "a seed for an engine that was closed")
        self.seeded = True

    def reset(self):
        refuse(self.closed, "a reset of an engine that was closed")
        refuse(not self.seeded, "a reset without a seed: the last one was forgotten, and this world is any")
        self.seeded, self.running = False, True

    def step(self):
        refuse(self.closed, "a step of an engine that was closed")
        refuse(not self.running, "a step before the reset, or after the end of the episode")

    def close(self):
        refuse(self.closed, "an engine is closed twice")
        self.closed = True
