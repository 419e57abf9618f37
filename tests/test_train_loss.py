"""The chunked cross-entropy is the plain one: values, gradients, weights; and it never holds all logits."""

from dataclasses import replace

import pytest
import torch
from test_model_pack import CONFIG, DOCUMENTS
from torch import nn
from torch.nn import functional as F

from rig.dialogue import Role
from rig.model import RIG, pack
from rig.train import RoleWeights
from rig.train.entropy import cross_entropy
from rig.train.loss import ROLES, means, token_losses, weight_of

ROWS, WIDTH, VOCABULARY = 37, 24, 50


def plain(hidden, head, targets, weights):
    logits = head(hidden).float()
    losses = F.cross_entropy(logits, targets, reduction="none")
    return (losses * weights).sum(), losses, logits.argmax(-1) == targets


def problem(bias=True, rows=ROWS):
    """Return inputs with gradients and a head; some weights are zero, some logits large."""
    random = torch.Generator().manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=bias)
    with torch.no_grad():
        head.weight.normal_(generator=random)
    hidden = torch.randn(rows, WIDTH, generator=random).mul_(2).requires_grad_()
    targets = torch.randint(VOCABULARY, (rows,), generator=random)
    targets[::3] = head(hidden.detach()).argmax(-1)[::3]
    weights = torch.rand(rows, generator=random) * (torch.arange(rows) % 5 > 0)
    return hidden, head, targets, weights


def outcome(way, given, **options):
    """Return (sum, losses, right, gradients) of a problem; the sum is divided, as a trainer does."""
    hidden, head, *rest = given
    found = way(hidden, head, *rest, **options)
    gradients = torch.autograd.grad(found[0] / 7, [hidden, *head.parameters()])
    return *found, gradients


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("largest", [1, 3 * VOCABULARY, 10**6], ids=["row by row", "uneven chunks", "at once"])
def test_it_is_the_plain_cross_entropy(bias, largest):
    given = problem(bias)
    found, wanted = outcome(cross_entropy, given, largest=largest), outcome(plain, given)
    assert torch.equal(found[2], wanted[2])
    assert ROWS / 3 < int(found[2].sum()) < ROWS
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_under_autocast_it_rounds_as_the_plain_one_does():
    given = problem()
    exact = outcome(plain, given)
    with torch.autocast("cpu", torch.bfloat16):
        found, wanted = outcome(cross_entropy, given, largest=4 * VOCABULARY), outcome(plain, given)
    torch.testing.assert_close(found[1], wanted[1])
    assert not torch.equal(found[1], exact[1]), "bfloat16 is to be used"
    for one, other, true in zip(found[3], wanted[3], exact[3], strict=True):
        assert one.dtype == torch.float32
        assert (one - true).norm() <= 1.1 * (other - true).norm()


def test_no_rows_and_frozen_heads_are_fine():
    total, losses, right = cross_entropy(*problem(rows=0))
    assert (float(total.detach()), losses.shape, right.shape) == (0, (0,), (0,))
    total.backward()
    hidden, head, *rest = problem()
    wanted = outcome(plain, (hidden, head, *rest))[3][0]
    head.requires_grad_(False)
    (found,) = torch.autograd.grad(cross_entropy(hidden, head, *rest)[0] / 7, [hidden])
    torch.testing.assert_close(found, wanted)


def test_no_more_logits_than_asked_for_exist(monkeypatch):
    given, sizes, linear = problem(), [], F.linear

    def seen(read, *rest):
        sizes.append(len(read))
        return linear(read, *rest)

    monkeypatch.setattr("rig.train.entropy.F.linear", seen)
    cross_entropy(*given, largest=10 * VOCABULARY)
    assert sizes == [10, 10, 10, 7]


def test_the_networks_loss_is_that_of_its_logits():
    """Text and codes, with weights, role by role, and every parameter's gradient."""
    weights = RoleWeights(thought=0.5, action=2.0, image=1.5)
    batch = pack(DOCUMENTS, length=900)
    ours, theirs = RIG(CONFIG, seed=0).train(), RIG(CONFIG, seed=0).train()
    losses = token_losses(ours, batch, weights)
    out = theirs(batch)
    text = F.cross_entropy(out.text_logits, batch.text_targets, reduction="none")
    codes = F.cross_entropy(out.code_logits, batch.code_targets, reduction="none")
    by_role = {name: text[batch.text_roles == role] for name, role in ROLES.items()} | {"image": codes}
    wanted = sum(getattr(weights, name) * entries.sum() for name, entries in by_role.items())
    torch.testing.assert_close(losses.loss, wanted)
    assert weight_of(batch, weights) == sum(getattr(weights, name) * len(entries) for name, entries in by_role.items())
    assert {name: means(losses.sums)[f"{name}_loss"] for name in ROLES} == pytest.approx(
        {name: float(entries.detach().mean()) for name, entries in by_role.items()}, rel=1e-5
    )
    losses.loss.backward()
    wanted.backward()
    for name, parameter in theirs.trainable_parameters().items():
        found = ours.trainable_parameters()[name].grad
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-4, msg=name)


def test_a_prompt_weighs_nothing():
    batch = pack(DOCUMENTS)
    silent = replace(batch, text_roles=torch.full_like(batch.text_roles, Role.PROMPT))
    alone = RoleWeights(image=0.0)
    assert float(token_losses(RIG(CONFIG, seed=0), silent, alone).loss.detach()) == weight_of(silent, alone) == 0
