"""A model on disk: a folder with `config.json` and `model.safetensors` (or shards of it), in transformers' layout.

Torch is imported only where weights are; `read_config` answers without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig.errors import CheckpointError
from rig.model.config import RIGConfig
from rig.model.config_json import config_from_json, config_to_json
from rig.model.weights import FLOATS, WEIGHTS_FILE, StoredTensor, find_tensors, read_header, read_tensor, weights_file
from rig.storage import atomic_file
from rig.validation import parse_json

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rig.model.rig import RIG
    from rig.model.vq import VQModel

CONFIG_FILE = "config.json"
_VQ = "model.vqmodel."
_FEW = 100
"""Layers that cost no time to build, though weights lack: the names of what lacks say more than a count."""


def save(model: RIG, folder: Path | str) -> None:
    """Write `model` into `folder`; each file is either the old one or the new one, never a half."""
    folder = Path(folder)
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_file(folder / CONFIG_FILE) as config, atomic_file(folder / WEIGHTS_FILE) as weights:
        config.write_text(json.dumps(config_to_json(model.config), indent=2) + "\n", encoding="utf-8")
        _write(tensors, weights, metadata={"format": "pt"})


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a part of a network, without a configuration, to a safetensors file, atomically."""
    with atomic_file(path) as weights:
        _write({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}, weights)


def _write(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that whoever may read the folder's other new files may read, too."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata=metadata)
    path.chmod(mode)  # safetensors 0.8 leaves it to its owner alone


def read_config(folder: Path | str) -> RIGConfig:
    """Return the configuration of the checkpoint in `folder`.

    Raises:
        CheckpointError: there is none, or it is not a Janus configuration.
    """
    return config_from_json(read_config_data(folder), str(Path(folder) / CONFIG_FILE))


def read_config_data(folder: Path | str) -> Any:
    """Return what `config.json` in `folder` holds, whatever it describes.

    Raises:
        CheckpointError: there is none, or it is no JSON.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; a checkpoint is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}")
    return parse_json(path.read_bytes(), path, "restore it from a copy", CheckpointError)


def load(folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> RIG:
    """Return the model in `folder`, in evaluation mode. It is read tensor by tensor, and never held twice.

    Args:
        folder: ours, or a transformers Janus checkpoint, in one file or in shards.
        device: where to put the weights.
        dtype: what to store them in; as they are on disk where None, but for the VQ tokenizer, which is held in full
            precision then.

    Raises:
        CheckpointError: a file is missing, cut, pickled, or holds other tensors than the configuration says.
    """
    from rig.model.rig import RIG

    config = read_config(folder)
    stored = find_tensors(folder)
    check_depth(weights_file(folder), config, stored)
    model = RIG(config, seed=None)
    check_tensors(weights_file(folder), _shapes(model), stored)
    _fill(model, stored, device, dtype)
    model.model.vqmodel.requires_grad_(False)
    if dtype is None:
        model.model.vqmodel.float()
    return model.eval()


def load_vq(folder: Path | str, *, dtype: torch.dtype | None = None) -> VQModel:
    """Return the VQ tokenizer of the model in `folder`, in evaluation mode; nothing else of it is read.

    Raises:
        CheckpointError: as for `load`.
    """
    from rig.model.initial import unfilled
    from rig.model.vq import VQModel

    config = read_config(folder)
    stored = {name: value for name, value in find_tensors(folder).items() if name.startswith(_VQ)}
    check_depth(weights_file(folder), config, find_tensors(folder))
    with unfilled():
        vq = VQModel(config.vq, seed=None)
    check_tensors(weights_file(folder), {_VQ + name: shape for name, shape in _shapes(vq).items()}, stored)
    _fill(vq, {name.removeprefix(_VQ): value for name, value in stored.items()}, "cpu", dtype)
    return vq.eval()


def load_part(module: nn.Module, path: Path, described: str) -> None:
    """Give a module that was built on the meta device the weights that `save_weights` wrote, in full precision.

    Args:
        module: the part of a network.
        path: the file of weights.
        described: the file beside it that says what they are of.

    Raises:
        CheckpointError: the file is missing, cut, holds what are no numbers, or other tensors than the module has.
    """
    import torch

    stored = read_header(path)
    check_tensors(path, _shapes(module), stored, described)
    _fill(module, stored, "cpu", torch.float32)


def expected_shapes(config: RIGConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a network of this configuration, by name."""
    from rig.model.rig import RIG

    return _shapes(RIG(config, seed=None))


def check_depth(path: Path, config: RIGConfig, found: Mapping[str, StoredTensor]) -> None:
    """Refuse a configuration of more layers than `path` has tensors, before any of them is built.

    Raises:
        CheckpointError: it is one.
    """
    blocks = config.vq.num_res_blocks * len(config.vq.channel_multiplier)
    layers = config.decoder.num_layers + config.vision.num_layers + blocks
    if layers > len(found) + _FEW:
        raise CheckpointError(
            f"{path} does not fit the {CONFIG_FILE} beside it: that has {layers} layers, and this {len(found)} tensors"
        )


def check_tensors(
    path: Path,
    expected: Mapping[str, tuple[int, ...]],
    found: Mapping[str, StoredTensor],
    described: str = CONFIG_FILE,
) -> None:
    """Compare the tensors that `path` speaks of with those that a network has, as the file `described` describes it.

    Raises:
        CheckpointError: they differ, or hold no floating point numbers; the first names that do are in the message.
    """
    reasons = [
        *_named("lacks", expected.keys() - found.keys()),
        *_named("has the unknown", found.keys() - expected.keys()),
    ]
    other = [name for name in expected if name in found and found[name].shape != expected[name]]
    if other:
        first = other[0]
        reasons.append(
            f"has {len(other)} tensors of another shape, first {first}: {list(found[first].shape)} where "
            f"{described} says {list(expected[first])}"
        )
    if reasons:
        raise CheckpointError(f"{path} does not fit the {described} beside it: it {'; it '.join(reasons)}")
    _check_types(path, found)


def _check_types(path: Path, found: Mapping[str, StoredTensor]) -> None:
    for name, stored in found.items():
        if stored.dtype not in FLOATS:
            raise CheckpointError(
                f"{path}: {name} is of type {stored.dtype}, where {', '.join(FLOATS)} can be read; was it quantized? "
                "Take the checkpoint from before"
            )


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _fill(
    module: nn.Module, stored: Mapping[str, StoredTensor], device: torch.device | str, dtype: torch.dtype | None
) -> None:
    """Give a module on the meta device the tensors that are stored for it."""
    tensors = {name: _finite(value).to(device=device, dtype=dtype) for name, value in stored.items()}
    module.load_state_dict(tensors, strict=True, assign=True)


def _finite(stored: StoredTensor) -> torch.Tensor:
    """Return a tensor, after a look whether all of it are numbers: what a network makes of others looks like play."""
    tensor = read_tensor(stored)
    if tensor.numel() and not all(map(math.isfinite, (value.item() for value in tensor.aminmax()))):
        raise CheckpointError(f"{stored.path} holds weights that are no numbers; restore it from a copy")
    return tensor


def _named(verb: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return [f"{verb} {', '.join(ordered[:3])}{more}"] if ordered else []
