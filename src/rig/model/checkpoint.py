"""A model on disk: a folder with `config.json` and `model.safetensors`, in transformers' layout.

Torch is imported only where weights are; `read_config` answers without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rig.errors import CheckpointError
from rig.model.config import RIGConfig
from rig.storage import atomic_file

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rig.model.rig import RIG

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def save(model: RIG, folder: Path | str) -> None:
    """Write `model` into `folder`; each file is either the old one or the new one, never a half."""
    from safetensors.torch import save_file

    folder = Path(folder)
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_file(folder / CONFIG_FILE) as config, atomic_file(folder / WEIGHTS_FILE) as weights:
        config.write_text(json.dumps(model.config.to_json(), indent=2) + "\n")
        save_file(tensors, weights, metadata={"format": "pt"})


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a part of a network, without a configuration, to a safetensors file, atomically."""
    from safetensors.torch import save_file

    with atomic_file(path) as weights:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}, weights)


def read_config(folder: Path | str) -> RIGConfig:
    """Return the configuration of the checkpoint in `folder`.

    Raises:
        CheckpointError: there is none, or it is not a Janus configuration.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; a checkpoint is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}")
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    return RIGConfig.from_json(data, str(path))


def load(folder: Path | str, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> RIG:
    """Return the model in `folder`, in evaluation mode.

    Args:
        folder: ours, or a transformers Janus checkpoint.
        device: where to put the weights.
        dtype: what to store them in; as they are on disk where None.

    Raises:
        CheckpointError: a file is missing, cut, pickled, or holds other tensors than the configuration says.
    """
    import torch

    from rig.model.rig import RIG

    config = read_config(folder)
    path = Path(folder) / WEIGHTS_FILE
    model = RIG(config, seed=None)
    tensors = _read_tensors(path)
    _check_shapes(path, {name: tuple(value.shape) for name, value in model.state_dict().items()}, tensors)
    target = torch.device(device)
    placed = {name: value.to(target, dtype or value.dtype, copy=True) for name, value in tensors.items()}
    model.load_state_dict(placed, strict=True, assign=True)
    model.model.vqmodel.requires_grad_(False)
    return model.eval()


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        pickled = sorted(file.name for file in path.parent.iterdir() if file.suffix in PICKLES)
        hint = (
            f"; {pickled[0]} beside it is a pickle, which can run code when opened and is refused: convert it with "
            "safetensors.torch.save_file where you trust it"
            if pickled
            else ""
        )
        raise CheckpointError(f"{path} is missing{hint}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is cut short or not a safetensors file: {error}") from error


def _check_shapes(path: Path, expected: dict[str, tuple[int, ...]], found: dict[str, torch.Tensor]) -> None:
    reasons = [
        *_named("lacks", expected.keys() - found.keys()),
        *_named("has the unknown", found.keys() - expected.keys()),
    ]
    other = [name for name in expected if name in found and tuple(found[name].shape) != expected[name]]
    if other:
        first = other[0]
        reasons.append(
            f"has {len(other)} tensors of another shape, first {first}: {list(found[first].shape)} where "
            f"{CONFIG_FILE} says {list(expected[first])}"
        )
    if reasons:
        raise CheckpointError(f"{path} does not fit the {CONFIG_FILE} beside it: it {'; it '.join(reasons)}")


def _named(verb: str, names: Iterable[str]) -> list[str]:
    ordered = sorted(names)
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return [f"{verb} {', '.join(ordered[:3])}{more}"] if ordered else []
