"""One loss: next-token cross-entropy over text and image tokens alike, reported per role.

The loss of a step is a mean over its predicted tokens, whatever packs and processes they are in. Predicted are those
whose own weight (`TokenSequence.weights`) is not 0:

    sum of role weight × own weight × cross-entropy  /  sum of role weight

`RoleWeights` stand above and below: they weigh roles against each other in the mean. A token's own weight stands above
alone: at 1/2 it is learned half as fast, below 0 the step leads away from it, and doubling all of them doubles the
gradient, so the size of an advantage counts. At 1 each this is the paper's loss. A step that predicts nothing has a
loss of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rig.dialogue import Role, RoleWeights
from rig.model import RIG, PackedBatch
from rig.train.entropy import cross_entropy

ROLES = {"image": Role.IMAGE, "thought": Role.THOUGHT, "action": Role.ACTION}
"""What losses are reported of, in this order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """The loss of a batch, and what it is made of.

    Attributes:
        loss: the weighted sum over predicted tokens; divide by `weight_of` for the mean.
        sums: float32 [roles, 3], a row for each of `ROLES`: sum of cross-entropies, tokens, tokens predicted right;
            each predicted token counts once, whatever it weighs.
    """

    loss: Tensor
    sums: Tensor


class Objective(nn.Module):
    """The network and its loss as one module, so that whatever wraps it (DDP, FSDP) sees a whole step in `forward`.

    Args:
        model: the network.
        weights: what each kind of token weighs.
    """

    def __init__(self, model: RIG, weights: RoleWeights) -> None:
        super().__init__()
        self.model, self.weights = model, weights

    def forward(self, batch: PackedBatch) -> tuple[Tensor, Tensor]:
        """Return `loss` and `sums` of `token_losses`."""
        losses = token_losses(self.model, batch, self.weights)
        return losses.loss, losses.sums


def token_losses(model: RIG, batch: PackedBatch, weights: RoleWeights) -> Losses:
    """Return the losses of `model` on `batch`; the logits of all rows are never there at once."""
    hidden = model.hidden(batch)
    head = model.model.generation_head
    by_role = _by_role(weights, batch.text_roles.device)
    text_loss, text, text_right = cross_entropy(
        hidden[batch.text_rows],
        model.lm_head,
        batch.text_targets,
        by_role[batch.text_roles.long()] * batch.text_weights,
    )
    code_loss, codes, codes_right = cross_entropy(
        F.gelu(head.proj_out(hidden[batch.code_rows])),
        head.vision_head,
        batch.code_targets,
        by_role[Role.IMAGE] * batch.code_weights,
    )
    roles = torch.cat([torch.full_like(batch.code_targets, Role.IMAGE), batch.text_roles.long()])
    sums = _sums(torch.cat([codes, text]), torch.cat([codes_right, text_right]), roles)
    return Losses(loss=text_loss + code_loss, sums=sums)


def weight_of(batch: PackedBatch, weights: RoleWeights) -> float:
    """Return what a batch's loss is divided by for the mean: the sum of the role weights of its predicted tokens."""
    counts = torch.bincount(batch.text_roles.long(), minlength=len(Role)).tolist()
    counts[Role.IMAGE] = len(batch.code_targets)
    return sum(getattr(weights, name) * counts[role] for name, role in ROLES.items())


def means(sums: Tensor) -> dict[str, float]:
    """Return `<role>_loss` (nats per token) and `<role>_right` (share of tokens) of the roles that had tokens."""
    values = {}
    for name, (loss, count, right) in zip(ROLES, sums.tolist(), strict=True):
        if count:
            values[f"{name}_loss"] = loss / count
            values[f"{name}_right"] = right / count
    return values


def _by_role(weights: RoleWeights, device: torch.device) -> Tensor:
    """Return what a token of each role weighs, float32 [roles of the dialogue]."""
    table = torch.zeros(len(Role))
    for name, role in ROLES.items():
        table[role] = getattr(weights, name)
    return table.to(device)


def _sums(losses: Tensor, right: Tensor, roles: Tensor) -> Tensor:
    values = torch.stack([losses, torch.ones_like(losses), right.float()], dim=-1)
    by_role = values.new_zeros(len(Role), 3).index_add_(0, roles, values)
    return by_role[list(ROLES.values())]
