"""A session's cache gives what one pass over the whole sequence gives, whatever was forked, rewound or batched."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from choices import clearly
from engine_makers import (
    CONFIG,
    ENCODER,
    TOKENIZER,
    WARM,
    close,
    conversation,
    make_engine,
    part,
    prefix,
    sequence_of,
    text_sequence,
    thought,
)
from sessions import Session

from rig.dialogue import (
    End,
    Kind,
    Role,
    SegmentEncoder,
    Text,
    WriteImage,
)
from rig.engine import GREEDY, Engine, GenerateText, Prefill, Sampler, Speculation, WeighImage
from rig.errors import RigError
from rig.model import RIG, fit_frame, pack

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def uncached(engine, tokens):
    """The logits of every row that predicts text, and of every row that predicts a code, by one whole pass."""
    everything = replace(tokens, weights=(np.arange(len(tokens)) > 0).astype(np.float32))
    with torch.inference_mode():
        batch = pack([everything])
        out = engine.model(batch)
    rows = {Kind.TEXT: batch.text_rows.tolist(), Kind.CODE: batch.code_rows.tolist()}
    logits = {Kind.TEXT: out.text_logits, Kind.CODE: out.code_logits}
    return {(kind, row): logits[kind][index] for kind in rows for index, row in enumerate(rows[kind])}


def cuts(tokens, random):
    """Places to cut a sequence at, never inside a read image, neighbours included."""
    legal = [at for at in range(1, len(tokens)) if tokens.kinds[at] != Kind.READ]
    chosen = set(random.choice(legal, 12, replace=False).tolist())
    return sorted(chosen | {at + 1 for at in list(chosen)[:4] if at + 1 in legal} | {len(tokens)})


def test_cached_logits_equal_uncached_logits(engine):
    random = np.random.default_rng(0)
    conversations = [conversation(seed, dreams) for seed, dreams in ((0, 1), (1, 2), (2, 1))]
    assert any((np.diff(tokens.positions) > 1).any() for tokens in conversations)
    expected = [uncached(engine, tokens) for tokens in conversations]
    session = Session(engine, [0, 0, 0])
    places = [cuts(tokens, random) for tokens in conversations]
    done = [0, 0, 0]
    for turn in range(max(map(len, places))):
        rows = [row for row in range(3) if turn < len(places[row])]
        ends = {row: places[row][turn] for row in rows}
        session.append(rows, [part(conversations[row], done[row], ends[row]) for row in rows])
        for row in rows:
            done[row] = ends[row]
            assert session.length(row) == done[row]
            assert session.next_position(row) == conversations[row].positions[done[row] - 1] + 1
        for row in rows:
            if done[row] < len(conversations[row]):
                kind = Kind(conversations[row].kinds[done[row]])
                close(session.next_token_logits([row], kind)[0], expected[row][kind, done[row] - 1])
    assert done == [len(tokens) for tokens in conversations]


def play(session, rows, limits, sampler=WARM):
    """A thought, a dream behind its begin mark, the end of the turn, a second thought further on."""
    first = session.write_text(rows, [thought(limit) for limit in limits], sampler)
    session.append(rows, [ENCODER.open_image(session.next_position(row)) for row in rows])
    images = session.write_image(rows, sampler)
    session.append(rows, [ENCODER.close_image(session.next_position(row)) for row in rows])
    second = session.write_text(rows, [thought(limit) for limit in reversed(limits)], sampler)
    return [(a, codes.tolist(), b) for a, codes, b in zip(first, images.codes, second, strict=True)]


def replayed(engine, tokens, story):
    """A fresh session that is given as context what another one wrote."""
    session = Session(engine, [99])
    first, codes, second = story
    session.append([0], [prefix(tokens)])
    session.append([0], [text_sequence(first, session.next_position(0))])
    session.append([0], [ENCODER.open_image(session.next_position(0))])
    session.append([0], [sequence_of(codes, Kind.CODE, session.next_position(0))])
    session.append([0], [ENCODER.close_image(session.next_position(0))])
    session.append([0], [text_sequence(second, session.next_position(0))])
    return session


def test_what_is_written_stands_in_the_context(engine):
    conversations = [conversation(seed) for seed in range(3)]
    session = Session(engine, [5, 6, 7])
    session.append([0, 1, 2], [prefix(tokens) for tokens in conversations])
    stories = play(session, [0, 1, 2], [4, 9, 2])
    for row, tokens in enumerate(conversations):
        again = replayed(engine, tokens, stories[row])
        assert again.length(0) == session.length(row)
        assert again.next_position(0) == session.next_position(row)
        for kind in (Kind.TEXT, Kind.CODE):
            close(session.next_token_logits([row], kind), again.next_token_logits([0], kind))


def test_a_row_writes_the_same_alone_and_in_any_company(engine):
    """Twelve rows whose thoughts end at different times, so that finished rows are dropped on the way."""
    conversations = [conversation(seed % 5) for seed in range(12)]
    limits = [3, 25, 1, 8, 30, 2, 2, 5, 40, 3, 1, 6]

    def all_of_them(first):
        session = Session(engine, range(first, first + 12))
        session.append(range(12), [prefix(tokens) for tokens in conversations])
        return session, play(session, list(range(12)), limits)

    first_seed, (together, stories) = clearly(all_of_them)
    seeds = list(range(first_seed, first_seed + 12))
    assert len({len(first) for first, _, _ in stories}) > 4
    for row in range(12):
        alone = Session(engine, [seeds[row]])
        alone.append([0], [prefix(conversations[row])])
        first = alone.write_text([0], [thought(limits[row])], WARM)
        assert first[0] == stories[row][0]
        close(alone.next_token_logits([0]), uncut(together, conversations, stories, row, engine))

    scattered = Session(engine, seeds)
    scattered.append(range(12), [prefix(tokens) for tokens in conversations])
    rows = [9, 0, 4, 7, 11, 2, 8, 1, 3, 10]
    other = play(scattered, rows, [limits[row] for row in rows])
    assert [first for first, _, _ in other] == [stories[row][0] for row in rows]
    assert [codes for _, codes, _ in other] == [stories[row][1] for row in rows]
    for index, row in enumerate(rows):
        again = replayed(engine, conversations[row], other[index])
        close(scattered.next_token_logits([row]), again.next_token_logits([0]))
    assert scattered.length(5) == len(prefix(conversations[5]))


def uncut(session, conversations, stories, row, engine):
    fresh = Session(engine, [0])
    fresh.append([0], [prefix(conversations[row])])
    fresh.append([0], [text_sequence(stories[row][0], fresh.next_position(0))])
    return fresh.next_token_logits([0])


def test_fork_and_rewind_leave_what_a_fresh_session_has(engine):
    tokens = conversation(3)
    session = Session(engine, [1, 2])
    session.append([0, 1], [prefix(tokens), prefix(conversation(4))])
    before = session.next_token_logits([0, 1])
    length = session.length(0)
    forks = session.fork([0, 0, 1])
    assert forks == [2, 3, 4]
    assert len(session) == 5
    stories = play(session, [0, 3, 2], [6, 6, 6])
    assert len({str(story) for story in stories}) == 3, "forks draw from generators of their own"
    close(session.next_token_logits([4, 1]), before[[1, 1]])
    for row, story in zip([0, 3, 2], stories, strict=True):
        close(session.next_token_logits([row]), replayed(engine, tokens, story).next_token_logits([0]))
        session.rewind(row, length)
        close(session.next_token_logits([row]), before[:1])
        assert session.next_position(row) == prefix(tokens).next_position
    assert play(session, [0], [6], GREEDY) == play(session, [3], [6], GREEDY)


def test_forks_follow_from_their_parents_seeds(engine):
    def forked(seed):
        session = Session(engine, [seed])
        session.append([0], [prefix(conversation(0))])
        return play(session, session.fork([0, 0]), [12, 12])

    assert forked(1) == forked(1)
    assert forked(1) != forked(2)


def test_a_fork_takes_nothing_from_its_parents_generator(engine):
    def played(forks, seed):
        session = Session(engine, [seed])
        session.append([0], [prefix(conversation(0))])
        for row in session.fork([0] * forks):
            play(session, [row], [12])
        return play(session, [0], [12])

    seed, alone = clearly(lambda seed: played(0, seed))
    assert alone == played(2, seed)


def test_memory_that_was_never_written_is_never_read(engine):
    """Deterministic mode fills fresh memory with NaN, which one careless read would spread."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        session = Session(engine, range(9))
        session.append(range(9), [part(conversation(seed), 0, 60 + 7 * seed) for seed in range(9)])
        play(session, [0, 2, 4, 5], [2, 9, 1, 30])
        session.fork([3, 1])
        play(session, list(range(11)), [1, 40, 2, 2, 3, 50, 1, 1, 2, 60, 3])
        session.fork([8])
        play(session, [11, 10, 0], [2, 3, 4])
        assert torch.isfinite(session.next_token_logits(range(12))).all()
    finally:
        torch.use_deterministic_algorithms(False)


def test_rewinding_into_an_image_and_to_nothing(engine):
    tokens = conversation(0)
    middle = int(np.flatnonzero(tokens.kinds == Kind.READ)[2])
    session = Session(engine, [0])
    session.append([0], [tokens])
    session.rewind(0, middle)
    fresh = Session(engine, [0])
    fresh.append([0], [tokens])
    fresh.rewind(0, middle + 3)
    fresh.rewind(0, middle)
    close(session.next_token_logits([0]), fresh.next_token_logits([0]))
    session.rewind(0, 0)
    assert session.next_position(0) == 0
    session.append([0], [tokens])
    whole = Session(engine, [0])
    whole.append([0], [tokens])
    close(session.next_token_logits([0]), whole.next_token_logits([0]))


def test_greedy_is_deterministic_and_draws_no_numbers(engine):
    def played(seed):
        session = Session(engine, [seed, seed])
        session.append([0, 1], [prefix(conversation(0)), prefix(conversation(1))])
        return play(session, [0, 1], [9, 9], GREEDY)

    assert played(0) == played(1)


def test_entropy_is_that_of_the_models_own_distribution(engine):
    session = Session(engine, [0, 1])
    session.append([0, 1], [prefix(conversation(0)), prefix(conversation(1))])
    session.append([0, 1], [ENCODER.open_image(session.next_position(row)) for row in (0, 1)])
    lengths, doubts = [session.length(row) for row in (0, 1)], []
    images = session.write_image([0, 1], Sampler(temperature=0.5, top_k=3))
    assert images.codes.dtype == np.uint16
    assert images.codes.shape == (2, 16)
    for row in (0, 1):
        session.rewind(row, lengths[row])
    for step in range(16):
        shares = session.next_token_logits([0, 1], Kind.CODE).softmax(-1)
        doubts.append(-(shares * shares.log()).sum(-1))
        nexts = [sequence_of([images.codes[row, step]], Kind.CODE, session.next_position(row)) for row in (0, 1)]
        session.append([0, 1], nexts)
    np.testing.assert_allclose(images.entropy, torch.stack(doubts).mean(0).numpy(), rtol=1e-4)


def test_an_overflow_is_named_before_anything_is_written(engine):
    tokens = conversation(0)
    small = Engine(engine.model, capacity=len(tokens) + 4)
    session = Session(small, [0, 1])
    session.append([0, 1], [tokens, part(tokens, 0, 20)])
    before = session.next_token_logits([0, 1])
    for overflow in (
        lambda: session.append([1, 0], [text_sequence([1], 900), text_sequence([1] * 5, 900)]),
        lambda: session.write_text([1, 0], [thought(1), thought(8)], WARM),
        lambda: session.write_image([1, 0], WARM),
    ):
        with pytest.raises(RigError, match=rf"row 0 holds {len(tokens)} tokens.*capacity of {len(tokens) + 4}"):
            overflow()
    assert [session.length(row) for row in (0, 1)] == [len(tokens), 20]
    close(session.next_token_logits([0, 1]), before)
    session.append([0], [text_sequence([1] * 4, 900)])
    assert session.length(0) == small.capacity


def test_no_rows_write_nothing(engine):
    session = Session(engine, [0])
    session.append([], [])
    assert session.write_text([], [], WARM) == []
    assert session.write_image([], WARM).codes.shape == (0, 16)
    assert session.fork([]) == []
    assert engine.encode_images(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, 16)
    assert engine.decode_images(np.zeros((0, 16), np.uint16)).shape == (0, 32, 32, 3)


def strided(engine, stride):
    """An engine over the same weights whose images are written so many codes at a pass, and its encoder."""
    if stride == 1:
        return engine, ENCODER
    model = RIG(replace(CONFIG, image_stride=stride), seed=0)
    model.load_state_dict(engine.model.state_dict())
    return Engine(model, capacity=480), SegmentEncoder(TOKENIZER, model.config.layout)


@pytest.mark.parametrize("sampler", [GREEDY, WARM, Sampler(temperature=0.7, top_k=5)])
@pytest.mark.parametrize("guesses", [1, 4, 15, 99])
@pytest.mark.parametrize("stride", [1, 4, 7, 16])
def test_guessed_codes_are_those_found_without_guessing(engine, sampler, guesses, stride):
    """Also with bad drafts, in rows that need different numbers of passes, and for what is written afterwards."""
    played, encoder = strided(engine, stride)

    def dreamt(first, **how):
        seeds = range(first, first + 3)
        session = Session(played, seeds)
        session.append(range(3), [prefix(conversation(seed)) for seed in seeds])
        session.append(range(3), [encoder.open_image(session.next_position(row)) for row in range(3)])
        images = session.write_image(range(3), sampler, **how)
        thoughts = session.write_text(range(3), [thought(5)] * 3, WARM)
        return images, thoughts, session.next_token_logits(range(3)), [session.length(row) for row in range(3)]

    first, (expected, thoughts, logits, lengths) = clearly(dreamt)
    assert expected.passes.tolist() == [-(-16 // stride)] * 3
    assert len(set(expected.codes.flatten().tolist())) > 5, "a single code would be guessed at once"
    found, spoken, after, long = dreamt(first, speculation=Speculation(codes=guesses))
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_allclose(found.entropy, expected.entropy, rtol=1e-4)
    assert (spoken, long) == (thoughts, lengths)
    close(after, logits)
    known, *_ = dreamt(first, speculation=Speculation(codes=guesses), drafts=list(expected.codes))
    np.testing.assert_array_equal(known.codes, expected.codes)
    assert known.passes.tolist() == [-(-16 // (stride + guesses))] * 3, "a right draft is only checked"


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("stride", [1, 7])
def test_an_image_that_is_weighed_is_as_likely_as_training_finds_it_and_stands_as_if_written(engine, stride, places):
    played, encoder = strided(engine, stride)
    codes = np.random.default_rng(5).integers(0, 40, 16).astype(np.uint16)

    def weigh(number):
        def program(slot):
            yield Prefill(tokens=encoder.encode([Text(text="Look. " * number)]))
            yield Prefill(tokens=encoder.open_image(slot.next_position))
            weighed = yield WeighImage(codes=codes)
            yield Prefill(tokens=encoder.close_image(slot.next_position))
            stands = (slot.length, slot.next_position)
            said = yield GenerateText(constraint=thought(4), sampler=GREEDY)
            return weighed.log_probs, stands, said.ids

        return program

    stream = played.stream(places)
    for number in (1, 2, 3):
        stream.submit(number, weigh(number))
    for number, (log_probs, stands, said) in enumerate(stream.finish(), 1):
        whole = encoder.encode([Text(text="Look. " * number), WriteImage(codes=codes, weight=1.0), End()])
        with torch.inference_mode():
            batch = pack([whole])
            logits = played.model.code_logits(played.model.hidden(batch)[batch.code_rows])
        expected = logits.log_softmax(-1).gather(-1, batch.code_targets[:, None])[:, 0]
        close(torch.from_numpy(log_probs), expected)
        session = Session(played, [0])
        session.append([0], [whole])
        assert stands == (session.length(0), session.next_position(0))
        assert session.write_text([0], [thought(4)], GREEDY)[0] == said


@pytest.mark.parametrize("stride", [4, 7, 16])
def test_with_a_stride_each_code_comes_from_so_many_tokens_before(engine, stride):
    """What is drawn greedily is the likeliest of what training's own pass over the whole conversation predicts."""
    played, encoder = strided(engine, stride)
    start = encoder.encode([Text(text="Look.", role=Role.THOUGHT)])
    session = Session(played, [0])
    session.append([0], [start])
    session.append([0], [encoder.open_image(session.next_position(0))])
    codes = session.write_image([0], GREEDY).codes[0]
    whole = encoder.encode([Text(text="Look.", role=Role.THOUGHT), WriteImage(codes=codes, weight=1.0)])
    first = int(np.flatnonzero(whole.kinds == Kind.CODE)[0])
    assert whole.positions[first] % CONFIG.image_alignment == 0
    assert (whole.ids[first - stride : first] == TOKENIZER.begin_image).all()
    batch = pack([conversation(1), whole])
    assert (batch.code_rows[-16:] - len(conversation(1))).tolist() == list(range(first - stride, first - stride + 16))
    with torch.inference_mode():
        found = played.model(batch).code_logits[-16:]
    assert found.argmax(-1).tolist() == codes.tolist()


def test_half_precision_plays_too(engine):
    model = RIG(CONFIG, seed=0).to(torch.bfloat16)
    session = Session(Engine(model, capacity=480), [1, 2])
    session.append([0, 1], [prefix(conversation(0)), prefix(conversation(1))])
    assert len(play(session, [0, 1], [4, 9])) == 2
    small = Engine(model, capacity=1)
    assert small.decode_images(np.zeros((1, 16), np.uint16)).shape == (1, 32, 32, 3)
    assert small.encode_images(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 16)


def test_half_precision_says_nearly_the_same_and_sees_the_very_same_codes(engine):
    half = copy.deepcopy(engine.model).place(torch.device("cpu"), torch.bfloat16)
    assert half.runs_in == {"device": "cpu", "dtype": "bfloat16"}
    assert engine.model.runs_in["dtype"] == "float32"
    played = Engine(half, capacity=480)
    conversations = [conversation(seed, dreams=1) for seed in (0, 1)]
    expected = [uncached(engine, tokens) for tokens in conversations]
    session = Session(played, [1, 2])
    session.append([0, 1], [prefix(tokens) for tokens in conversations])
    lengths = [session.length(row) for row in (0, 1)]
    for rows in ([0], [1], [0, 1]):
        for row, found in zip(rows, session.next_token_logits(rows, Kind.TEXT), strict=True):
            wanted = expected[row][Kind.TEXT, lengths[row] - 1]
            assert found.dtype == torch.bfloat16
            assert 0 < (found.float() - wanted).std() < 0.05 * wanted.std()
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    codes = played.encode_images(frames)
    assert np.array_equal(codes, engine.encode_images(frames))
    assert np.array_equal(played.decode_images(codes), engine.decode_images(codes))


def test_frames_to_codes_and_back(engine):
    frames = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)
    codes = engine.encode_images(frames)
    assert codes.dtype == np.uint16
    assert codes.shape == (70, 16)
    decoded = engine.decode_images(codes)
    assert decoded.dtype == np.uint8
    assert decoded.shape == frames.shape
    np.testing.assert_array_equal(engine.encode_images(frames[66:]), codes[66:])
    np.testing.assert_array_equal(engine.decode_images(codes[:2]), decoded[:2])
    wide = frames[:3, :16]
    fitted = np.stack([fit_frame(frame, 32) for frame in wide])
    np.testing.assert_array_equal(engine.encode_images(wide), engine.encode_images(fitted))
    with pytest.raises(RigError, match=r"a frame is uint8 \[height, width, 3\]; this one is uint8 \[32, 32, 1\]"):
        engine.encode_images(frames[..., :1])


def test_a_tokenizer_of_another_resolution_is_resized_to_and_from():
    config = replace(CONFIG, vq=replace(CONFIG.vq, image_size=64))
    other = Engine(RIG(config, seed=0), capacity=8)
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    codes = other.encode_images(frames)
    assert codes.shape == (2, 64)
    assert other.decode_images(codes).shape == frames.shape
