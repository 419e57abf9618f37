"""The network: pure PyTorch, with the parameter names of transformers' Janus. Torch is imported on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rig.model.checkpoint import load, load_vq, read_config, save, save_weights
from rig.model.config import DecoderConfig, RIGConfig, VisionConfig, VQConfig
from rig.model.presets import PRESETS

if TYPE_CHECKING:
    from rig.model.batch import PackedBatch, pack
    from rig.model.fit import fit_frame, unfit_frame
    from rig.model.initial import initialise
    from rig.model.rig import RIG, RIGOutput
    from rig.model.runtime import best_device, compute_dtype, decision_dtype, keep_freed_memory
    from rig.model.vision import VisionModel, frames_to_pixels, pixels_to_frames
    from rig.model.vq import VQModel, VQOutput

_LATE = {
    "PackedBatch": "batch",
    "pack": "batch",
    "fit_frame": "fit",
    "unfit_frame": "fit",
    "initialise": "initial",
    "RIG": "rig",
    "RIGOutput": "rig",
    "best_device": "runtime",
    "compute_dtype": "runtime",
    "decision_dtype": "runtime",
    "keep_freed_memory": "runtime",
    "VisionModel": "vision",
    "frames_to_pixels": "vision",
    "pixels_to_frames": "vision",
    "VQModel": "vq",
    "VQOutput": "vq",
}

__all__ = [
    "PRESETS",
    "RIG",
    "DecoderConfig",
    "PackedBatch",
    "RIGConfig",
    "RIGOutput",
    "VQConfig",
    "VQModel",
    "VQOutput",
    "VisionConfig",
    "VisionModel",
    "best_device",
    "compute_dtype",
    "decision_dtype",
    "fit_frame",
    "frames_to_pixels",
    "initialise",
    "keep_freed_memory",
    "load",
    "load_vq",
    "pack",
    "pixels_to_frames",
    "read_config",
    "save",
    "save_weights",
    "unfit_frame",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"rig.model.{_LATE[name]}"), name)
    raise AttributeError(f"module 'rig.model' has no attribute {name!r}")
