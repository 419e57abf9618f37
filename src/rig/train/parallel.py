"""One network on many processes: whole on each (DDP) or in shards (FSDP2), with the gradients of one process.

The frozen VQ tokenizer is left out of both. Nothing here changes what is learned, so a run may go on another way.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from rig.model import RIG, best_device, compute_dtype
from rig.model.parts import merged
from rig.train import ranks
from rig.train.config import Execution
from rig.train.loss import Objective


def begins_whole(execution: Execution) -> bool:
    """Return whether this process needs the first weights: where it is to hold a shard, the first one sends them."""
    return execution.parallel != "fsdp" or ranks.is_first()


def spread(objective: Objective, execution: Execution) -> nn.Module:
    """Return what to call in place of `objective`, whose network is brought to the best device."""
    if execution.recompute:
        objective.model.recompute_layers()
    if ranks.are_several() and execution.parallel == "fsdp":
        return _sharded(objective)
    objective.to(best_device())
    if not ranks.are_several():
        return objective
    frozen = [f"model.{name}" for name, value in objective.model.named_parameters() if not value.requires_grad]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(objective, frozen)
    return DistributedDataParallel(objective, gradient_as_bucket_view=True)


def exchanging(module: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """Return the context of a forward and backward pass whose gradients the processes exchange, or only gather up."""
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(wanted)
    elif isinstance(module, DistributedDataParallel) and not wanted:
        return module.no_sync()
    return nullcontext()


def gathered(model: RIG) -> RIG | None:
    """Return the network with whole and merged weights in the first process, None in the others; every one has to ask.

    Where weights are neither sharded nor learned by LoRA it is `model` itself.
    """
    tensors = model.state_dict()
    if not any(isinstance(value, DTensor) or name.endswith("lora_up") for name, value in tensors.items()):
        return model if ranks.is_first() else None
    whole = {}
    for name, value in tensors.items():
        tensor = value.full_tensor() if isinstance(value, DTensor) else value
        if ranks.is_first():
            whole[name] = tensor.to(best_device())
    if not ranks.is_first():
        return None
    copy = RIG(model.config, seed=None)
    copy.load_state_dict(merged(whole), assign=True)
    return copy.eval()


def _sharded(objective: Objective) -> nn.Module:
    """Shard every layer by itself, and what is left with the whole, but for the tokenizer; then fill the shards.

    No process but the first ever holds all weights: it sends one tensor after the other.
    """
    device, body = best_device(), objective.model.model
    whole = objective.state_dict() if ranks.is_first() else {}
    objective.to("meta")
    options: dict[str, Any] = {"mesh": init_device_mesh(device.type, (ranks.count(),))}
    if device.type == "cuda" and compute_dtype(device) == torch.bfloat16:
        # Inputs are not cast: rotary angles need their full precision.
        options["mp_policy"] = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for layer in (*body.vision_model.encoder.layers, *body.language_model.layers):
        fully_shard(layer, **options)
    fully_shard(objective, ignored_params=set(body.vqmodel.parameters()), **options)
    objective.to_empty(device=device)
    set_model_state_dict(objective, whole, options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))
    return objective
