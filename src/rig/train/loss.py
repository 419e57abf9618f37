"""One loss: next-token cross-entropy over text and image tokens alike, reported per role.

The mean runs over all predicted tokens of a batch. `RoleWeights` can weigh roles against each other; at 1 each this is
the paper's loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rig.dialogue import Role
from rig.model import PackedBatch, RIGOutput
from rig.train.config import RoleWeights


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """The loss of a batch, and what it is made of.

    Attributes:
        loss: the weighted sum over predicted tokens; divide by `weight` for the mean.
        weight: the sum of the tokens' weights.
        sums: role -> (sum of cross-entropies, tokens, tokens predicted right), each a float tensor [3].
    """

    loss: Tensor
    weight: Tensor
    sums: dict[str, Tensor]


def token_losses(output: RIGOutput, batch: PackedBatch, weights: RoleWeights) -> Losses:
    """Return the losses of a model's `output` on `batch`."""
    text = F.cross_entropy(output.text_logits.float(), batch.text_targets, reduction="none")
    image = F.cross_entropy(output.code_logits.float(), batch.code_targets, reduction="none")
    right = output.text_logits.argmax(-1) == batch.text_targets
    by_role = {role: batch.text_roles == role for role in (Role.THOUGHT, Role.ACTION)}
    loss = weights.image * image.sum()
    weight = torch.tensor(weights.image * len(image), device=image.device)
    sums = {"image": _sums(image, output.code_logits.argmax(-1) == batch.code_targets)}
    for role, name in ((Role.THOUGHT, "thought"), (Role.ACTION, "action")):
        chosen = by_role[role]
        role_weight = getattr(weights, name)
        loss = loss + role_weight * text[chosen].sum()
        weight = weight + role_weight * chosen.sum()
        sums[name] = _sums(text[chosen], right[chosen])
    return Losses(loss=loss, weight=weight, sums=sums)


def _sums(losses: Tensor, right: Tensor) -> Tensor:
    count = torch.tensor(float(len(losses)), device=losses.device)
    return torch.stack([losses.detach().sum(), count, right.float().sum()])


def means(sums: dict[str, Tensor]) -> dict[str, float]:
    """Return `<role>_loss` (nats per token) and `<role>_right` (share of tokens) of the roles that had tokens."""
    values = {}
    for role, (loss, count, right) in ((role, entry.tolist()) for role, entry in sums.items()):
        if count:
            values[f"{role}_loss"] = loss / count
            values[f"{role}_right"] = right / count
    return values
