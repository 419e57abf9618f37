"""Images written many codes at once: by the written-out rule, over a network without a cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_makers import CONFIG, close, joined, make_engine, opened, part
from sessions import Session

from rig.dialogue import Kind, Role, TokenSequence
from rig.engine import GREEDY, ONE_BY_ONE, Guessing
from rig.engine.guessing import Grid
from rig.engine.writing import Guide
from rig.errors import RigError
from rig.model import pack

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

WIDTH = CONFIG.vq.grid
COUNT = CONFIG.vq.num_tokens


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def with_codes(tokens, codes):
    """The conversation with an image in it."""
    positions = int(tokens.positions[-1]) + 1 + np.arange(len(codes))
    image = TokenSequence(
        ids=codes.astype(tokens.ids.dtype),
        kinds=np.full(len(codes), Kind.CODE, tokens.kinds.dtype),
        roles=np.full(len(codes), Role.IMAGE, tokens.roles.dtype),
        weights=np.ones(len(codes), np.float32),
        positions=positions.astype(tokens.positions.dtype),
        frames=(),
    )
    return joined(replace(tokens, weights=np.zeros_like(tokens.weights)), image)


def predicted(engine, tokens, codes):
    """What the network would write at every place of an image that stands as `codes`: codes and entropies."""
    with torch.inference_mode():
        logits = engine.model(pack([with_codes(tokens, codes)])).code_logits[-COUNT:].double()
    chances = logits.softmax(-1)
    return logits.argmax(-1).numpy(), -(chances * chances.log()).sum(-1).numpy()


def by_the_rule(engine, tokens, draft, guessing):
    """The image and the passes that the rule gives, place by place."""
    codes, written, passes = draft.astype(np.int64), np.zeros(COUNT, bool), 0
    lead = WIDTH if guessing.lead is None else guessing.lead
    while not written.all():
        new, doubts = predicted(engine, tokens, codes)
        right = written.copy()
        for place in range(COUNT):
            row, column = divmod(place, WIDTH)
            below = [(r, c) for r in range(row) for c in range(WIDTH) if c <= column + lead]
            needed = [*below, *((row, c) for c in range(column))]
            if not written[place] and all(right[r * WIDTH + c] for r, c in needed):
                right[place] = new[place] == codes[place]
                written[place], codes[place] = True, new[place]
        unsure = ~written
        codes[unsure] = new[unsure]
        written |= doubts < guessing.sure
        passes += 1
    return codes, passes


@pytest.mark.parametrize("lead", [0, 1, 2, 3, None])
@pytest.mark.parametrize("sure", [0.0, 1.5, 2.5, 99.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_images_are_those_of_the_rule(engine, seed, lead, sure):
    tokens, draft = opened(seed), np.random.default_rng(seed).integers(0, 40, COUNT).astype(np.uint16)
    guessing = Guessing(codes=None, lead=lead, sure=sure)
    session = Session(engine, [0])
    session.append([0], [tokens])
    written = session.write_image([0], GREEDY, guessing, [draft])
    codes, passes = by_the_rule(engine, tokens, draft, guessing)
    np.testing.assert_array_equal(written.codes[0], codes)
    assert written.passes[0] == passes
    fresh = Session(engine, [0])
    fresh.append([0], [part(with_codes(tokens, codes), 0, len(tokens) + COUNT)])
    close(session.next_token_logits([0]), fresh.next_token_logits([0]))


@pytest.mark.parametrize("guessing", [ONE_BY_ONE, Guessing(codes=4), Guessing(codes=None, lead=1, sure=1.0)])
def test_a_guided_image_is_drawn_from_logits_away_from_the_guides(engine, guessing):
    """Three rows, of which two are guided, each by a row with another context; all codes stand in the guides' rows."""
    tokens, others = [opened(seed) for seed in range(3)], [opened(seed) for seed in (5, 6)]
    session = Session(engine, range(5))
    session.append(range(5), [*tokens, *others])
    guides = [Guide(3, 1.5), Guide(4, 0.5)]
    (plain,) = session.write_image([2], GREEDY, guessing).codes
    guided = session.write_image([0, 1], GREEDY, guessing, guides=guides)
    for row, guide in enumerate(guides):
        if guessing.lead is None:
            expected = one_by_one(engine, tokens[row], others[row], guide.weight)
            np.testing.assert_array_equal(guided.codes[row], expected)
        after = [with_codes(one, guided.codes[row]) for one in (tokens[row], others[row])]
        fresh = Session(engine, [0, 0])
        fresh.append([0, 1], [part(one, 0, len(one)) for one in after])
        close(session.next_token_logits([row, guide.row]), fresh.next_token_logits([0, 1]))
    alone = Session(engine, [2])
    alone.append([0], [tokens[2]])
    np.testing.assert_array_equal(alone.write_image([0], GREEDY, guessing).codes[0], plain)
    assert not np.array_equal(guided.codes[0], by_the_rule(engine, tokens[0], np.zeros(COUNT), ONE_BY_ONE)[0])


def one_by_one(engine, tokens, other, weight):
    """The likeliest codes, one after the other, of guided logits."""
    codes = np.zeros(COUNT, np.int64)
    for place in range(COUNT):
        with torch.inference_mode():
            logits, beside = (
                engine.model(pack([with_codes(one, codes)])).code_logits[-COUNT:][place] for one in (tokens, other)
            )
        codes[place] = int((logits + weight * (logits - beside)).argmax())
    return codes


def test_a_whole_row_of_lead_is_exact_and_less_is_faster(engine):
    def passes(guessing):
        session = Session(engine, [0])
        session.append([0], [opened(0)])
        written = session.write_image([0], GREEDY, guessing)
        return written.codes.tolist(), int(written.passes[0])

    exact, many = passes(ONE_BY_ONE)
    assert many == COUNT
    assert passes(Guessing(codes=None, lead=WIDTH - 1))[0] == exact
    for lead in (0, 1):
        found, few = passes(Guessing(codes=None, lead=lead))
        assert few <= WIDTH + (WIDTH - 1) * (lead + 1), "no slower than rows that grow side by side"
        assert found != exact
    assert passes(Guessing(codes=None, sure=99.0))[1] == 1


@pytest.mark.parametrize("stride", [1, 3, 4, 16])
@pytest.mark.parametrize("lead", [0, 2, None])
def test_every_pass_writes_what_it_is_sure_of(stride, lead):
    """Also where no guess is right."""
    grid, found = Grid(WIDTH, stride, lead), 0
    while found < COUNT:
        grid.extend(found, COUNT, np.zeros(max(0, COUNT - found - stride), bool))
        assert grid.found >= min(COUNT, found + stride)
        found = grid.found


def test_impossible_guessing_is_named():
    for wrong in ({"codes": -1}, {"lead": -1}, {"sure": -0.1}):
        with pytest.raises(RigError, match=f"{next(iter(wrong))}=-"):
            Guessing(**wrong)
