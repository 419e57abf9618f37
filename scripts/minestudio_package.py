"""Part of `minestudio_check`: the minestudio package, made importable beside newer packages than it asks for."""

from __future__ import annotations

import sys
import types
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import av
import numpy as np

STAND_INS = (
    *("albumentations", "gym3", "gym3.types", "lightning", "lightning.pytorch", "omegaconf", "timm", "torchvision"),
    *("torchvision.transforms", "tree", "x_transformers", "x_transformers.x_transformers"),
)
"""What it imports at once, and what is compared does not use: augmentation, its trainer, other policies than VPT."""


DOUBLES = Path(__file__).resolve().parent.parent / "tests" / "doubles"
_PARTS = ("simulator", "models", "utils.vpt_lib.action_mapping", "utils.vpt_lib.actions")


class _StandIn(types.ModuleType):
    """A module that holds an empty class of any name."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def prepare() -> None:
    """Let the package be imported; workers of Ray's call this too."""
    for name in STAND_INS:
        module = sys.modules[name] = _StandIn(name)
        module.__path__, module.__spec__ = [], ModuleSpec(name, None)
        above, _, last = name.rpartition(".")
        if above:
            setattr(sys.modules[above], last, module)
    setattr(np, "unicode_", np.str_)  # noqa: B010 - as numpy called it until its second version
    from minestudio.data.minecraft.callbacks import image

    image.av = types.SimpleNamespace(open=_open, VideoFrame=av.VideoFrame)


@cache
def doubles() -> dict[str, Any]:
    """Return the modules of the tests' strict double, which is called as the package is: "simulator", "models" …"""
    real = _forgotten()
    sys.path.insert(0, str(DOUBLES))
    try:
        found = {part: import_module(f"minestudio.{part}") for part in _PARTS}
        return found | {"fake_minecraft": import_module("fake_minecraft")}
    finally:
        sys.path.remove(str(DOUBLES))
        _forgotten()
        sys.modules.update(real)


def _forgotten() -> dict[str, types.ModuleType]:
    """Take out of what is loaded whatever is called minestudio, and return it."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "minestudio"}


def _open(*given: Any, **options: Any) -> Any:
    container = av.open(*given, **options)
    return container if options.get("mode") == "w" else _Container(container)


class _Container:
    """A video that is open, whose streams can be closed, as PyAV's could until its 14th version."""

    def __init__(self, container: Any) -> None:
        self._container = container
        self.streams = types.SimpleNamespace(video=[_Stream(stream) for stream in container.streams.video])

    def demux(self, stream: _Stream) -> Any:
        return self._container.demux(stream.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)


class _Stream:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def close(self) -> None:
        """Do nothing: the container closes it."""
