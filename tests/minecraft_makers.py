"""What the tests of Minecraft share: strict doubles as if they were installed, and the real packages where they are.

The doubles (tests/doubles) refuse the mistakes that the packages forgive and make nonsense of; the same tests run
against the packages themselves on a machine that has them.
"""

import json
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from minetest_makers import first_on_path, program
from safetensors.torch import save_file

from rig.envs.minecraft.minerl import MineRLWorld
from rig.envs.minecraft.minestudio import MineStudioWorld
from rig.envs.minecraft.prerequisites import JAR, examine_minerl, examine_minestudio
from rig.envs.minecraft.world import MinecraftConfig

DOUBLES = Path(__file__).with_name("doubles")
VERSIONS = {"minestudio": "1.1.6", "minerl": "1.0.2"}
WORLDS = {"minestudio": MineStudioWorld, "minerl": MineRLWorld}
EXAMINED = {"minestudio": examine_minestudio, "minerl": examine_minerl}
SMALL = MinecraftConfig(size=32)

DOES = {
    "": (["forward"], (0.0, 0.0)),
    "chop a tree": (["attack", "drop"], (0.0, 0.7)),
    "dig down": (["attack"], (10.0, 0.0)),
    "look down": (["sprint"], (10.0, -3.0)),
    "build a tower": (["hotbar.2", "jump", "use"], (10.0, 0.0)),
    "go explore": (["forward"], (0.0, 0.0)),
}
"""What the doubles' policies do, by what they are told."""


def missing(name):
    """Return in one sentence what the real package lacks here; empty where it can start."""
    return next((f"{one.name}: {one.found}. {one.mend}" for one in EXAMINED[name]() if not one.ok), "")


@contextmanager
def without_modules():
    """Have neither package loaded, before the block and behind it, and numpy as it was."""
    names = set(vars(np))

    def forget():
        for name in [name for name in sys.modules if name.partition(".")[0] in (*VERSIONS, "fake_minecraft")]:
            del sys.modules[name]

    forget()
    yield
    forget()
    for name in set(vars(np)) & {"int", "float", "bool", "object"} - names:
        delattr(np, name)  # which MineRL needs


def install(folder, name):
    """Write a double into `folder` as pip would install the package; with MineRL's comes its engine."""
    shutil.copytree(DOUBLES / name, folder / name)
    shutil.copy(DOUBLES / "fake_minecraft.py", folder)  # both need it
    about = folder / f"{name}-{VERSIONS[name]}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSIONS[name]}\n")
    if name == "minerl":
        put_jar(folder / name / "MCP-Reborn")


def put_jar(engine):
    (engine / JAR).parent.mkdir(parents=True)
    (engine / JAR).write_bytes(b"a game")


@contextmanager
def installed(folder, *names):
    """Have doubles, and all that they need, on this machine while the block runs; yield what patches it."""
    folder.mkdir(exist_ok=True)
    for name in names:
        install(folder, name)
    put_jar(folder / "studio" / "engine")
    program(folder, "java", "echo 'openjdk version \"1.8.0_412\"' >&2")
    program(folder, "xvfb-run", "exit 1")
    with pytest.MonkeyPatch.context() as patch, without_modules():
        patch.syspath_prepend(folder)
        first_on_path(patch, folder)
        patch.setenv("MINESTUDIO_DIR", str(folder / "studio"))
        patch.setenv("DISPLAY", ":99")
        patch.delenv("MINESTUDIO_GPU_RENDER", raising=False)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        in_cache(folder / "hub", "openai/clip-vit-base-patch16", "tokenizer.json")
        yield patch


def in_cache(hub, repository, *names):
    """Lay files where `hf download` does, and return the folder that they are in."""
    home = hub / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("abc")
    snapshot = home / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for name in names:
        (snapshot / name).write_text("{}")
    return snapshot


def weights(folder, kind="steve1"):
    """Write weights of a double's policy, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"kind": kind, "does": DOES}))
    save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
    return str(folder)


def hold(world, ticks, *keys, camera=(0, 0)):
    """Hold keys for some ticks, and return what the last one gave."""
    for _ in range(ticks):
        found = world.step({**dict.fromkeys(keys, 1), "camera": camera})
        assert "engine_failed" not in found[-1], found[-1]
    return found


def die(patch, tick, how="error"):
    patch.setenv("FAKE_MINECRAFT_DIES", f"{tick}:{how}")


def live(patch):
    patch.delenv("FAKE_MINECRAFT_DIES")
    assert "FAKE_MINECRAFT_DIES" not in os.environ
