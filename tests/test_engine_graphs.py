"""Passes of one token a row, recorded and replayed: the same logits as without, whatever has happened to the rows."""

import pytest
import torch
from engine_makers import WARM, close, conversation, make_engine, part, prefix, thought
from sessions import Session
from test_engine_attend import by_pages
from test_engine_session import uncached

from rig.dialogue import Kind
from rig.engine import Engine, cache, rows
from rig.engine.graphs import Graphs

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give


@pytest.fixture
def recorded(monkeypatch):
    """Let caches on a CPU have pages, and passes be recorded by hand; return how many rows each had."""
    counts = []

    def by_hand(step):
        out = step().clone()
        counts.append(len(out))
        return lambda: out.copy_(step())  # reads and writes the same memory every time, as a graph does

    varlen = pytest.importorskip("torch.nn.attention.varlen")
    monkeypatch.setattr(varlen, "varlen_attn", by_pages)
    monkeypatch.setattr(cache, "PAGE", 16)
    monkeypatch.setattr(cache, "has_pages", lambda like: True)
    monkeypatch.setattr(rows, "Graphs", lambda decoder, kept: Graphs(decoder, kept, by_hand))
    return counts


def test_recorded_passes_say_what_the_network_says(recorded):
    engine = make_engine()
    tokens = [conversation(seed) for seed in range(2)]
    expected = [uncached(engine, one) for one in tokens]
    session = Session(engine, [1, 2])
    session.append([0, 1], [part(tokens[0], 0, len(tokens[0]) - 30), part(tokens[1], 0, len(tokens[1]) - 40)])
    for left in range(29, 5, -1):
        ends = [len(tokens[0]) - left, len(tokens[1]) - left - 10]
        session.append([0, 1], [part(one, end - 1, end) for one, end in zip(tokens, ends, strict=True)])
        found = session.next_token_logits([0, 1])
        for row, end in enumerate(ends):
            if (Kind.TEXT, end - 1) in expected[row]:
                close(found[row], expected[row][Kind.TEXT, end - 1])
    assert recorded == [2], "once for so many rows"


def test_forks_grow_the_cache_and_passes_are_recorded_anew(recorded):
    def played(engine):
        session = Session(engine, [1, 2])
        tokens = [conversation(seed) for seed in range(2)]
        session.append([0, 1], [prefix(one) for one in tokens])
        said = [session.write_text([0, 1], [thought(5), thought(9)], WARM)]
        (fork,) = session.fork([0])
        said.append(session.write_text([0, fork], [thought(4)] * 2, WARM))
        session.rewind(1, 40)
        session.append([1], [part(tokens[1], 40, 60)])
        said.append(session.write_text([0, 1, fork], [thought(6)] * 3, WARM))
        return said, session.next_token_logits([0, 1, fork])

    said, logits = played(make_engine())
    assert recorded.count(2) == 2, "the cache moved when it grew"
    assert {1, 3} <= {*recorded}
    with pytest.MonkeyPatch.context() as plain:
        plain.setattr(cache, "has_pages", lambda like: False)
        plainly, expected = played(make_engine())
    assert said == plainly
    close(logits, expected)


@pytest.mark.gpu
def test_graphs_on_a_gpu_say_what_the_network_says():
    engine = make_engine()
    engine.model.place(torch.device("cuda"), torch.bfloat16)
    played = Engine(engine.model, capacity=480)
    tokens = conversation(0)
    expected = uncached(played, tokens)
    session, start = Session(played, [1]), len(tokens) - 30
    session.append([0], [part(tokens, 0, start)])
    for end in range(start + 1, len(tokens) - 5):
        session.append([0], [part(tokens, end - 1, end)])
        found = session.next_token_logits([0])[0]
        if (Kind.TEXT, end - 1) in expected:
            torch.testing.assert_close(found, expected[Kind.TEXT, end - 1], atol=0.1, rtol=0.05)
