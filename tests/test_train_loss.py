"""The chunked cross-entropy is the plain one: values, gradients, weights; and it never holds all logits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_model_pack import CONFIG, DOCUMENTS
from torch import nn
from torch.nn import functional as F

from rig.dialogue import Kind, Role
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
        for value in head.parameters():
            value.normal_(generator=random)
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
        assert (one - true).norm() <= 1.2 * (other - true).norm()


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


def weighed(seed=3):
    """The documents with a weight of its own for every predicted token: fractions, negative ones, ones and zeros."""
    random = np.random.default_rng(seed)
    choices = [random.choice([-1.5, -0.25, 0.0, 0.5, 1.0], len(document)).astype(np.float32) for document in DOCUMENTS]
    return [replace(one, weights=one.weights * own) for one, own in zip(DOCUMENTS, choices, strict=True)]


def test_a_tokens_own_weight_stands_above_the_line_alone():
    """The loss is the sum of role weight × own weight × cross-entropy, divided by the sum of role weights."""
    roles = RoleWeights(thought=0.5, action=2.0, image=1.5)
    documents = weighed()
    batch = pack(documents, length=900)
    ours, theirs = RIG(CONFIG, seed=0).train(), RIG(CONFIG, seed=0).train()
    losses, out = token_losses(ours, batch, roles), theirs(batch)
    wanted, below = torch.zeros(()), 0.0
    own = np.concatenate([document.weights for document in documents])
    kinds = np.concatenate([document.kinds for document in documents])
    groups = ((out.text_logits, batch.text_targets, Kind.TEXT), (out.code_logits, batch.code_targets, Kind.CODE))
    for logits, targets, kind in groups:
        of_kind = torch.from_numpy(own[(own != 0) & (kinds == kind)])
        assert {float(value) for value in of_kind} == {-1.5, -0.25, 0.5, 1.0}
        role = torch.full_like(targets, Role.IMAGE) if kind == Kind.CODE else batch.text_roles.long()
        by_role = torch.tensor([0.0, roles.thought, roles.action, roles.image])[role]
        wanted = wanted + (by_role * of_kind * F.cross_entropy(logits, targets, reduction="none")).sum()
        below += float(by_role.sum())
    torch.testing.assert_close(losses.loss, wanted)
    assert weight_of(batch, roles) == below > 0
    assert losses.sums[:, 1].sum() == (own != 0).sum(), "every predicted token is reported once"
    losses.loss.backward()
    wanted.backward()
    for name, parameter in theirs.trainable_parameters().items():
        found = ours.trainable_parameters()[name].grad
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("factor", [-1.0, 0.5, 2.0])
def test_all_weights_times_a_number_are_the_gradient_times_that(factor):
    """Powers of two, so to the last bit; a half learns half as fast, a negative weight leads away."""
    gradients = []
    for times in (1.0, factor):
        model = RIG(CONFIG, seed=0).train()
        scaled = [replace(one, weights=one.weights * np.float32(times)) for one in DOCUMENTS]
        batch = pack(scaled, length=900)
        (token_losses(model, batch, RoleWeights()).loss / weight_of(batch, RoleWeights())).backward()
        gradients.append({name: value.grad for name, value in model.trainable_parameters().items()})
    assert any(value.abs().max() > 1e-4 for value in gradients[0].values())
    for name, value in gradients[0].items():
        assert torch.equal(value * factor, gradients[1][name]), name


def test_a_prompt_weighs_nothing():
    batch = pack(DOCUMENTS)
    silent = replace(batch, text_roles=torch.full_like(batch.text_roles, Role.PROMPT))
    alone = RoleWeights(image=0.0)
    assert float(token_losses(RIG(CONFIG, seed=0), silent, alone).loss.detach()) == weight_of(silent, alone) == 0
