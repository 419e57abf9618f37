"""The processes that train together: which of them this one is, and what they tell each other.

`torchrun` starts them and numbers them; one process alone is the same with a count of one. The first of them logs,
draws previews, writes the agent and holds the run's lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor


@contextmanager
def together() -> Iterator[None]:
    """Join the other processes where `torchrun` started this one, and part from them at the end of the block.

    Tensors of a GPU go over NCCL, those of the CPU over gloo. Where the block raises, the process ends without parting:
    the others may wait in an exchange, and torchrun stops them once this one is gone.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    with_gpu = torch.cuda.is_available()
    if with_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if with_gpu else "gloo")
    yield
    wait_for_all()
    dist.destroy_process_group()


def are_several() -> bool:
    """Return whether processes were started together, be it one alone."""
    return dist.is_available() and dist.is_initialized()


def number() -> int:
    """Return which process this is, from 0."""
    return dist.get_rank() if are_several() else 0


def count() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if are_several() else 1


def is_first() -> bool:
    """Return whether this is the process that logs and writes."""
    return number() == 0


def add_up(values: Tensor) -> Tensor:
    """Return the sum of every process's `values`; each has to ask for it."""
    if count() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def wait_for_all() -> None:
    """Wait until every process has come here."""
    add_up(torch.zeros(1))
