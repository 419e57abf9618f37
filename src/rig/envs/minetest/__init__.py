"""Stock Minetest in lock-step, as a Gymnasium environment with MineRL's interface: see docs/minetest.md.

Importing this registers `rig/Minetest-v0`.
"""

from gymnasium import register, registry

from rig.envs.minetest.config import MinetestConfig
from rig.envs.minetest.env import MinetestEnv
from rig.envs.minetest.keys import native_action
from rig.envs.minetest.many import info_of
from rig.envs.minetest.process import SimulatorError
from rig.envs.minetest.wrappers import FrameSkip, LikeMineRL

ENVIRONMENT_ID = "rig/Minetest-v0"

if ENVIRONMENT_ID not in registry:
    register(ENVIRONMENT_ID, entry_point="rig.envs.minetest.env:make_minetest")

__all__ = [
    "ENVIRONMENT_ID",
    "FrameSkip",
    "LikeMineRL",
    "MinetestConfig",
    "MinetestEnv",
    "SimulatorError",
    "info_of",
    "native_action",
]
