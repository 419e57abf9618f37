"""One of several texts, and how likely each of them was: what verdicts are read off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_makers import ENCODER, TOKENIZER, WARM, conversation, make_engine, part

from rig.dialogue import TextTokenizer, prompt
from rig.engine import GREEDY, ChoiceConstraint, GenerateText, Prefill
from rig.errors import RigError
from rig.model import pack
from rig.shipped import shipped_agent

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

TEXTS = ("0 lost", "1 lost", "3-4 lost", "more lost")


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def whole_logits(engine, tokens):
    """The logits behind the last token, by one pass over everything."""
    longer = part(tokens, 0, len(tokens))
    following = ENCODER.tokenizer.eos
    fields = {name: getattr(longer, name) for name in ("ids", "kinds", "roles", "weights", "positions")}
    ends = {"ids": following, "kinds": 0, "roles": 0, "weights": 1.0, "positions": longer.next_position}
    grown = {name: np.append(value, ends[name]).astype(value.dtype) for name, value in fields.items()}
    grown["weights"][:-1] = 0
    with torch.inference_mode():
        return engine.model(pack([replace(longer, **grown)])).text_logits[-1].double()


@pytest.mark.parametrize("sampler", [GREEDY, WARM])
def test_how_likely_each_text_was_is_what_the_network_says_of_it(engine, sampler):
    """At temperature 1 and among the texts alone, whatever is drawn and whoever shares the pass."""
    constraint = ChoiceConstraint(TOKENIZER, TEXTS)
    contexts = [part(conversation(seed), 0, 150) for seed in range(3)]

    def program(slot, tokens, told):
        yield Prefill(tokens=tokens)
        return (yield GenerateText(constraint=constraint, sampler=sampler, choices=told))

    stream = engine.stream(3)
    for seed, tokens in enumerate(contexts):
        stream.submit(seed, lambda slot, tokens=tokens, told=seed < 2: program(slot, tokens, told))
    first, second, untold = stream.finish()
    assert untold.choices is None
    for text, tokens in ((first, contexts[0]), (second, contexts[1])):
        assert TOKENIZER.decode(text.ids) in TEXTS
        assert len(text.choices) == len(text.ids)
        shares = constraint.shares(text.choices[0])
        firsts = [TOKENIZER.encode(wanted, literal=True)[0] for wanted in TEXTS]
        expected = whole_logits(engine, tokens)[firsts].softmax(-1).tolist()
        assert [shares[wanted] for wanted in TEXTS] == pytest.approx(expected, abs=1e-5)
        assert np.std(expected) > 0.01, "shares this even would hide a difference"
        if sampler is GREEDY:
            assert TOKENIZER.decode(text.ids) == max(shares, key=shares.get)
        assert all(set(place) >= {token} for place, token in zip(text.choices, text.ids, strict=True))
        assert [len(place) for place in text.choices[1:]] == [1] * (len(text.ids) - 1), (
            "the rest follows from the first"
        )


def test_nothing_but_one_of_the_texts_can_be_written():
    tokenizer = TextTokenizer.load(shipped_agent("crafter"))
    for terms in (prompt.LOST, prompt.TO_GO):
        constraint, written = ChoiceConstraint(tokenizer, terms), set()
        waiting = [(constraint.start, ())]
        while waiting:
            state, ids = waiting.pop()
            if constraint.is_done(state):
                written.add(tokenizer.decode(ids))
                assert len(ids) <= constraint.limit
                continue
            allowed = constraint.allowed(state).nonzero()[:, 0].tolist()
            assert allowed
            waiting += [(constraint.advance(state, token), (*ids, token)) for token in allowed]
        assert written == set(terms)


@pytest.mark.parametrize("texts", [(), ("",), ("go", "go on"), ("a", "")])
def test_texts_that_cannot_be_told_apart_are_refused(texts):
    with pytest.raises(RigError, match="none is the start of another"):
        ChoiceConstraint(TOKENIZER, texts)


def test_shares_are_refused_where_one_place_does_not_tell_them():
    constraint = ChoiceConstraint(TOKENIZER, ["up there", "up here"])
    with pytest.raises(RigError, match="begin with the same token"):
        constraint.shares({TOKENIZER.encode("up")[0]: 0.0})
