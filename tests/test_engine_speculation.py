"""Images written many codes at once: by the written-out rule, over a network without a cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_makers import CONFIG, close, joined, make_engine, opened, part
from sessions import Session

from rig.dialogue import Kind, Role, TokenSequence
from rig.engine import GREEDY, ONE_BY_ONE, Speculation
from rig.engine.speculation import Grid
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


def by_the_rule(engine, tokens, draft, speculation):
    """The image and the passes that the rule gives, place by place."""
    codes, written, passes = draft.astype(np.int64), np.zeros(COUNT, bool), 0
    diagonal_offset = WIDTH if speculation.diagonal_offset is None else speculation.diagonal_offset
    while not written.all():
        new, doubts = predicted(engine, tokens, codes)
        right = written.copy()
        for place in range(COUNT):
            row, column = divmod(place, WIDTH)
            below = [(r, c) for r in range(row) for c in range(WIDTH) if c <= column + diagonal_offset]
            needed = [*below, *((row, c) for c in range(column))]
            if not written[place] and all(right[r * WIDTH + c] for r, c in needed):
                right[place] = new[place] == codes[place]
                written[place], codes[place] = True, new[place]
        unsure = ~written
        codes[unsure] = new[unsure]
        written |= doubts < speculation.entropy_threshold
        passes += 1
    return codes, passes


@pytest.mark.parametrize("diagonal_offset", [0, 1, 2, 3, None])
@pytest.mark.parametrize("entropy_threshold", [0.0, 1.5, 2.5, 99.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_images_are_those_of_the_rule(engine, seed, diagonal_offset, entropy_threshold):
    tokens, draft = opened(seed), np.random.default_rng(seed).integers(0, 40, COUNT).astype(np.uint16)
    speculation = Speculation(codes=None, diagonal_offset=diagonal_offset, entropy_threshold=entropy_threshold)
    session = Session(engine, [0])
    session.append([0], [tokens])
    written = session.write_image([0], GREEDY, speculation, [draft])
    codes, passes = by_the_rule(engine, tokens, draft, speculation)
    np.testing.assert_array_equal(written.codes[0], codes)
    assert written.passes[0] == passes
    fresh = Session(engine, [0])
    fresh.append([0], [part(with_codes(tokens, codes), 0, len(tokens) + COUNT)])
    close(session.next_token_logits([0]), fresh.next_token_logits([0]))


@pytest.mark.parametrize(
    "speculation", [ONE_BY_ONE, Speculation(codes=4), Speculation(codes=None, diagonal_offset=1, entropy_threshold=1.0)]
)
def test_a_guided_image_is_drawn_from_logits_away_from_the_guides(engine, speculation):
    """Three rows, of which two are guided, each by a row with another context; all codes stand in the guides' rows."""
    tokens, others = [opened(seed) for seed in range(3)], [opened(seed) for seed in (5, 6)]
    session = Session(engine, range(5))
    session.append(range(5), [*tokens, *others])
    guides = [Guide(3, 1.5), Guide(4, 0.5)]
    (plain,) = session.write_image([2], GREEDY, speculation).codes
    guided = session.write_image([0, 1], GREEDY, speculation, guides=guides)
    for row, guide in enumerate(guides):
        if speculation.diagonal_offset is None:
            expected = one_by_one(engine, tokens[row], others[row], guide.weight)
            np.testing.assert_array_equal(guided.codes[row], expected)
        after = [with_codes(one, guided.codes[row]) for one in (tokens[row], others[row])]
        fresh = Session(engine, [0, 0])
        fresh.append([0, 1], [part(one, 0, len(one)) for one in after])
        close(session.next_token_logits([row, guide.row]), fresh.next_token_logits([0, 1]))
    alone = Session(engine, [2])
    alone.append([0], [tokens[2]])
    np.testing.assert_array_equal(alone.write_image([0], GREEDY, speculation).codes[0], plain)
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
    def passes(speculation):
        session = Session(engine, [0])
        session.append([0], [opened(0)])
        written = session.write_image([0], GREEDY, speculation)
        return written.codes.tolist(), int(written.passes[0])

    exact, many = passes(ONE_BY_ONE)
    assert many == COUNT
    assert passes(Speculation(codes=None, diagonal_offset=WIDTH - 1))[0] == exact
    for diagonal_offset in (0, 1):
        found, few = passes(Speculation(codes=None, diagonal_offset=diagonal_offset))
        assert few <= WIDTH + (WIDTH - 1) * (diagonal_offset + 1), "no slower than rows that grow side by side"
        assert found != exact
    assert passes(Speculation(codes=None, entropy_threshold=99.0))[1] == 1


@pytest.mark.parametrize("stride", [1, 3, 4, 16])
@pytest.mark.parametrize("diagonal_offset", [0, 2, None])
def test_every_pass_writes_what_it_is_sure_of(stride, diagonal_offset):
    """Also where no guess is right."""
    grid, found = Grid(WIDTH, stride, diagonal_offset), 0
    while found < COUNT:
        grid.extend(found, COUNT, np.zeros(max(0, COUNT - found - stride), bool))
        assert grid.found >= min(COUNT, found + stride)
        found = grid.found


def test_impossible_guessing_is_named():
    for wrong in ({"codes": -1}, {"diagonal_offset": -1}, {"entropy_threshold": -0.1}):
        with pytest.raises(RigError, match=f"{next(iter(wrong))}=-"):
            Speculation(**wrong)
