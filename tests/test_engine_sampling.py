"""Draws follow the distribution that the sampler names, and never leave it."""

import numpy as np
import pytest
import torch

from rig.engine import GREEDY, Sampler
from rig.engine.sampling import draw, entropy
from rig.errors import CheckpointError, RigError

LOGITS = torch.tensor([0.0, 2.0, -torch.inf, 1.0, 2.0, -1.0])


def frequencies(sampler, count=4000):
    numbers = np.concatenate([sampler.numbers(np.random.default_rng(seed), 1) for seed in range(count)])
    tokens = draw(LOGITS.expand(count, -1), sampler, numbers)
    return torch.bincount(tokens, minlength=6) / count


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_frequencies_follow_the_softmax(temperature):
    expected = (LOGITS / temperature).softmax(-1)
    assert (frequencies(Sampler(temperature=temperature)) - expected).abs().max() < 0.03


def test_top_k_and_top_p_keep_the_likeliest():
    assert frequencies(Sampler(top_k=2)).nonzero()[:, 0].tolist() == [1, 4]
    assert frequencies(Sampler(top_k=3)).nonzero()[:, 0].tolist() == [1, 3, 4]
    assert frequencies(Sampler(top_p=0.7)).nonzero()[:, 0].tolist() == [1, 4]
    assert len(frequencies(Sampler(top_p=0.01)).nonzero()) == 1
    assert frequencies(Sampler(top_k=99)).nonzero()[:, 0].tolist() == [0, 1, 3, 4, 5]


def test_what_is_ruled_out_is_never_drawn():
    logits = torch.full((1, 5000), -torch.inf)
    logits[0, [17, 4000]] = torch.tensor([-80.0, 3.0])

    for value in (0.0, 1e-300, 0.5, 1 - 2**-53):
        assert draw(logits, Sampler(), np.array([value])).item() in (17, 4000)
    assert draw(logits, GREEDY, np.zeros(1)).item() == 4000


@pytest.mark.parametrize("sampler", [GREEDY, Sampler(), Sampler(temperature=0.1, top_k=2), Sampler(top_p=0.5)])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
@pytest.mark.parametrize("place", [0, 3, 5])
def test_what_is_no_number_is_not_drawn_from(sampler, wrong, place):
    logits = LOGITS.repeat(3, 1)
    draw(logits, sampler, np.array([0.1, 0.5, 0.9]))
    logits[1, place] = wrong
    with pytest.raises(CheckpointError, match="this agent's logits are not numbers: its weights"):
        draw(logits, sampler, np.array([0.1, 0.5, 0.9]))
    with pytest.raises(CheckpointError, match="this agent's logits are not numbers"):
        draw(torch.full((1, 4), -torch.inf), sampler, np.array([0.5]))


def test_entropy_in_nats():
    torch.testing.assert_close(entropy(torch.zeros(2, 8)), torch.full((2,), float(np.log(8))))
    assert entropy(torch.tensor([[0.0, -torch.inf]])).item() == 0


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"top_k": -2}])
def test_impossible_samplers_are_named(bad):
    with pytest.raises(RigError, match="cannot be drawn from"):
        Sampler(**bad)
