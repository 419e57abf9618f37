"""Conversations over shared rows: each says what it would say alone, and none waits for another."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from choices import clearly
from engine_makers import ENCODER, WARM, conversation, make_engine, opened, prefix, text_sequence, thought
from sessions import Session

from rig.dialogue import ReadImage, Text, train_bpe
from rig.engine import (
    GREEDY,
    ONE_BY_ONE,
    Engine,
    Fork,
    GenerateImage,
    GenerateText,
    Guidance,
    Prefill,
    Sampler,
    Speculation,
    ThoughtConstraint,
)
from rig.engine import stream as streams
from rig.engine.writing import Guide, ImageWriting, TextWriting
from rig.errors import RigError
from rig.records import fake_frame

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def talk(number, turns, thought_tokens=6, speculation=ONE_BY_ONE):
    """A conversation of some turns, each a thought and a dream; it returns all that was written."""

    def program(slot):
        said = []
        yield Prefill(tokens=prefix(conversation(number)))
        for _ in range(turns):
            said.append((yield GenerateText(constraint=thought(thought_tokens), sampler=WARM)).ids)
            yield Prefill(tokens=ENCODER.open_image(slot.next_position))
            drawn = yield GenerateImage(sampler=WARM, speculation=speculation)
            said.append(drawn.codes.tolist())
            yield Prefill(tokens=ENCODER.close_image(slot.next_position))
        return said, slot.length, slot.next_position

    return program


def hold(engine, places, programs, first_seed=0):
    """Let programs be held, and return what each ended with, by ticket, in the order of ending."""
    stream = engine.stream(places)
    for seed, program in enumerate(programs, first_seed):
        stream.submit(seed, program)
    ended = [stream.next() for _ in programs]
    assert len(stream) == 0
    return {entry.ticket: entry.value for entry in ended}


@pytest.mark.parametrize("places", [1, 2, 3, 9])
@pytest.mark.parametrize(
    "speculation", [ONE_BY_ONE, Speculation(codes=5), Speculation(codes=None, diagonal_offset=1, entropy_threshold=2.5)]
)
def test_a_conversation_is_the_same_in_any_company(engine, places, speculation):
    programs = [talk(number, turns, speculation=speculation) for number, turns in enumerate((1, 3, 2, 1, 2))]
    first_seed, together = clearly(lambda seed: hold(engine, places, programs, seed))
    for number, program in enumerate(programs):
        stream = engine.stream(1)
        stream.submit(first_seed + number, program)
        assert stream.next().value == together[number + 1]


def test_who_comes_between_two_passes_joins_the_next_and_is_the_same(engine):
    programs = [talk(number, turns) for number, turns in enumerate((3, 1, 2))]

    def joining(seed):
        stream, ended, passes = engine.stream(3), {}, 0
        for number, program in enumerate(programs):
            stream.submit(seed + number, program)
            for _ in range(2):  # the others come while this one speaks
                ended |= {entry.ticket: (entry.value, passes) for entry in stream.advance()}
                passes += 1
        while len(stream):
            ended |= {entry.ticket: (entry.value, passes) for entry in stream.advance()}
            passes += 1
        assert stream.advance() == []
        return ended

    first_seed, joined = clearly(joining)
    for number, program in enumerate(programs):
        assert hold(engine, 1, [program], first_seed + number)[1] == joined[number + 1][0]
    assert joined[2][1] < joined[1][1], "who came later and says less ends first"


def test_a_conversation_is_what_a_session_would_have_said(engine):
    first_seed, held = clearly(lambda seed: hold(engine, 2, [talk(0, 1), talk(1, 1)], seed))
    said, length, position = held[2]
    session = Session(engine, [first_seed + 1])
    session.append([0], [prefix(conversation(1))])
    assert session.write_text([0], [thought(6)], WARM)[0] == said[0]
    session.append([0], [ENCODER.open_image(session.next_position(0))])
    assert session.write_image([0], WARM).codes[0].tolist() == said[1]
    session.append([0], [ENCODER.close_image(session.next_position(0))])
    assert (session.length(0), session.next_position(0)) == (length, position)


def test_who_dreams_on_holds_up_nobody(engine, monkeypatch):
    """Over two rows, one conversation of six turns and six of one turn: those end while the long one goes on.

    They share its passes: some write text while others draw and others read.
    """
    passes = []
    original = streams.step

    def spy(rows, writings):
        passes.append({type(writing) for writing in writings})
        original(rows, writings)

    monkeypatch.setattr(streams, "step", spy)
    ended = hold(engine, 2, [talk(0, 6), *[talk(number, 1) for number in range(1, 6)]])
    assert next(iter(ended)) == 2, "the first short one ends first"
    assert list(ended)[-1] == 1
    assert {TextWriting, ImageWriting} in passes
    alone = len(passes)
    passes.clear()
    hold(engine, 1, [talk(0, 6), *[talk(number, 1) for number in range(1, 6)]])
    assert alone < 0.7 * len(passes)


def test_each_gets_its_share_of_the_time(engine):
    stream = engine.stream(3)
    for seed, turns in enumerate((1, 1, 6)):
        stream.submit(seed, talk(seed, turns))
    seconds = {entry.ticket: entry.seconds for entry in (stream.next() for _ in range(3))}
    assert seconds[3] > 2 * max(seconds[1], seconds[2])
    assert min(seconds.values()) > 0


def test_a_frame_that_is_seen_again_is_encoded_once(engine, monkeypatch):
    frame, other = (fake_frame(np.random.default_rng(seed), 32) for seed in (0, 1))
    looked = []
    original = type(engine.model).read_images
    monkeypatch.setattr(
        type(engine.model),
        "read_images",
        lambda model, frames: (looked.append(len(frames)), original(model, frames))[1],
    )

    def look(*frames):
        def program(slot):
            for shown in frames:
                segments = [ReadImage(frame=shown), Text(text="Look.")]
                begin = slot.length == 0
                yield Prefill(tokens=ENCODER.encode(segments, start=slot.next_position, begin=begin))
                said = yield GenerateText(constraint=thought(2), sampler=WARM)
            return said.ids

        return program

    again = hold(engine, 1, [look(frame, other, frame.copy())])
    assert sum(looked) == 2
    looked.clear()
    hold(engine, 1, [look(frame), look(frame)])
    assert sum(looked) == 2, "another conversation may not know what this one saw"
    monkeypatch.setattr(engine.stream(1)._rows.__class__, "_look", _look_anew)
    assert hold(engine, 1, [look(frame, other, frame.copy())]) == again


def _look_anew(rows, _, sequences):
    frames = [frame for sequence in sequences for frame in sequence.frames]
    return rows.model.read_images(torch.from_numpy(np.stack(frames)) if frames else torch.zeros(0, 0, 0, 3))


def test_a_conversation_that_outgrows_its_row_is_named(engine):
    small = Engine(engine.model, capacity=len(prefix(conversation(0))) + 20)
    stream = small.stream(1)
    stream.submit(0, talk(0, 2))
    with pytest.raises(RigError, match="do not fit the capacity"):
        stream.next()


def test_an_empty_stream_has_nothing_next(engine):
    with pytest.raises(IndexError):
        engine.stream(2).next()


def test_a_row_that_many_have_used_knows_nothing_of_them(engine):
    """What an earlier, longer conversation left in a row's memory is not seen by the next."""
    stream = engine.stream(1)
    stream.submit(0, talk(0, 3))
    stream.submit(1, talk(3, 1))
    stream.next()
    said, *_ = stream.next().value
    session = Session(engine, [1])
    session.append([0], [prefix(conversation(3))])
    assert session.write_text([0], [thought(6)], WARM)[0] == said[0]


def told(sampler=WARM, tokens=6, log_probs=False):
    """A way to go on: one thought."""

    def program(slot):
        text = yield GenerateText(constraint=thought(tokens), sampler=sampler, log_probs=log_probs)
        return text.ids, slot.length

    return program


def branching(number, ways):
    """A conversation that goes on in several ways, and then itself."""

    def program(slot):
        yield Prefill(tokens=prefix(conversation(number)))
        yield GenerateText(constraint=thought(3), sampler=WARM)
        length = slot.length
        said = yield Fork(programs=ways)
        assert slot.length == length
        own = yield GenerateText(constraint=thought(6), sampler=WARM)
        return said, own.ids, slot.length

    return program


def test_ways_go_on_from_what_their_conversation_holds_and_leave_it_as_it_is(engine):
    (found,) = hold(engine, 1, [branching(0, [told()] * 4)]).values()
    ways, own, length = found
    assert len({str(way) for way, _ in ways}) > 1, "each draws from a generator of its own"

    def plain(slot):
        yield Prefill(tokens=prefix(conversation(0)))
        yield GenerateText(constraint=thought(3), sampler=WARM)
        before = slot.length
        own = yield GenerateText(constraint=thought(6), sampler=WARM)
        return before, own.ids, slot.length

    ((before, alone, end),) = hold(engine, 1, [plain]).values()
    assert (own, length) == (alone, end), "forks take nothing from their conversation's draws"
    for ids, long in ways:
        assert long == before + len(ids)


def test_what_a_fork_says_is_what_its_context_says(engine):
    """Greedily a fork says what the conversation itself would have said."""

    def program(slot):
        yield Prefill(tokens=prefix(conversation(2)))
        ways = yield Fork(programs=[told(GREEDY), told(GREEDY)])
        own = yield GenerateText(constraint=thought(6), sampler=GREEDY)
        return [ids for ids, _ in ways], own.ids

    ((ways, own),) = hold(engine, 1, [program]).values()
    assert ways == [own, own]


@pytest.mark.parametrize("places", [1, 2, 5])
def test_forks_are_the_same_in_any_company(engine, places):
    """Ways that fork again, dream and end at different times."""
    programs = [branching(number, [dreaming(number % 3), told(tokens=9), branching_on()]) for number in range(4)]
    first, together = clearly(lambda seed: hold(engine, places, programs, seed))
    for number, program in enumerate(programs):
        assert hold(engine, 1, [program], first + number)[1] == together[number + 1]


def dreaming(count):
    """A way that writes so many images."""

    def program(slot):
        codes = []
        for _ in range(count):
            yield Prefill(tokens=ENCODER.open_image(slot.next_position))
            codes.append((yield GenerateImage(sampler=WARM)).codes.tolist())
            yield Prefill(tokens=ENCODER.close_image(slot.next_position))
        return codes

    return program


def branching_on():
    """A way that forks again."""

    def program(slot):
        yield GenerateText(constraint=thought(2), sampler=WARM)
        return (yield Fork(programs=[told(), told(tokens=2), told()]))

    return program


def test_forks_of_long_streams_take_no_more_room(engine):
    stream = engine.stream(2)
    sizes = []
    for seed in range(6):
        stream.submit(seed, branching(seed % 3, [told()] * 3))
    for _ in range(6):
        stream.next()
        sizes.append((stream.num_bytes, len(stream._rows)))
    assert sizes[-1] == sizes[2], "rows and memory of ended ways serve the next"
    assert len(stream) == 0


def test_no_ways_are_no_wait(engine):
    ((ways, own, _),) = hold(engine, 1, [branching(0, [])]).values()
    assert ways == []
    assert own


def test_log_probs_are_those_of_the_distribution_drawn_from(engine):
    """Of each token that was written, as the network's own logits under mask, temperature and truncation have it."""
    sampler = Sampler(temperature=0.7, top_k=5)

    def program(slot):
        yield Prefill(tokens=prefix(conversation(0)))
        text = yield GenerateText(constraint=thought(8), sampler=sampler, log_probs=True)
        plain = yield GenerateText(constraint=thought(3), sampler=GREEDY)
        return text, plain

    ((text, plain),) = hold(engine, 1, [program]).values()
    assert plain.log_probs is None
    assert text.log_probs.dtype == np.float32
    session, constraint = Session(engine, [0]), thought(8)
    session.append([0], [prefix(conversation(0))])
    state = constraint.start
    for token, found in zip(text.ids, text.log_probs, strict=True):
        logits = session.next_token_logits([0])[0]
        masked = logits[: len(constraint.allowed(state))].masked_fill(~constraint.allowed(state), -torch.inf) / 0.7
        kept = masked.masked_fill(masked < masked.topk(5).values[-1], -torch.inf)
        np.testing.assert_allclose(found, kept.log_softmax(-1)[token], atol=1e-5)
        session.append([0], [text_sequence([token], session.next_position(0))])
        state = constraint.advance(state, token)


def test_a_guided_image_is_that_of_two_rows(engine):
    """As rows that are told so one by one; the guide's own row is given up after it."""
    first, other = opened(0), opened(1)

    def program(slot):
        yield Prefill(tokens=first)
        guided = yield GenerateImage(sampler=GREEDY, guidance=Guidance(tokens=other, weight=1.5))
        return guided.codes.tolist(), slot.length

    stream = engine.stream(1)
    stream.submit(0, program)
    codes, length = stream.next().value
    session = Session(engine, [0, 1])
    session.append([0, 1], [first, other])
    assert session.write_image([0], GREEDY, guides=[Guide(1, 1.5)]).codes[0].tolist() == codes
    assert length == session.length(0)
    assert 1 not in stream._rows


def test_mistakes_are_named(engine):
    large = ThoughtConstraint(train_bpe([], vocabulary_size=400, atoms=map(str, range(120))), [1], 3)
    small = [np.zeros((8, 8, 3), np.uint8)] * 2
    for wishes, message in (
        ([GenerateText(constraint=thought(3), sampler=WARM)], "holds nothing"),
        ([GenerateImage(sampler=WARM)], "holds nothing"),
        (
            [Prefill(tokens=text_sequence([1, 2, 3], 0)), Prefill(tokens=text_sequence([1], 0))],
            r"goes on at position 3, not 0; .*start=slot.next_position",
        ),
        ([Prefill(tokens=replace(conversation(0), frames=tuple(small))), Fork(programs=[told()])], "resize them"),
        (
            [Prefill(tokens=text_sequence([1], 0)), GenerateText(constraint=large, sampler=WARM)],
            "do not belong together",
        ),
    ):
        stream = engine.stream(1)
        stream.submit(0, lambda slot, wishes=wishes: (yield from wishes))
        with pytest.raises(RigError, match=message):
            stream.next()
