"""Conversations over shared rows: each says what it would say alone, and none waits for another."""

import numpy as np
import pytest
import torch
from choices import clearly
from engine_makers import ENCODER, WARM, conversation, make_engine, prefix, thought

from rig.dialogue import ReadImage, Text
from rig.engine import ONE_BY_ONE, Draw, Engine, Guessing, Read, Speak
from rig.engine import stream as streams
from rig.engine.writing import ImageWriting, TextWriting
from rig.errors import RigError
from rig.records import fake_frame

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give


@pytest.fixture(scope="module")
def engine():
    return make_engine()


def talk(number, turns, thought_tokens=6, guessing=ONE_BY_ONE):
    """A conversation of some turns, each a thought and a dream; it returns all that was written."""

    def program(place):
        said = []
        yield Read(tokens=prefix(conversation(number)))
        for _ in range(turns):
            said.append((yield Speak(constraint=thought(thought_tokens), sampler=WARM)))
            yield Read(tokens=ENCODER.open_image(place.next_position))
            drawn = yield Draw(sampler=WARM, guessing=guessing)
            said.append(drawn.codes.tolist())
            yield Read(tokens=ENCODER.close_image(place.next_position))
        return said, place.length, place.next_position

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
@pytest.mark.parametrize("guessing", [ONE_BY_ONE, Guessing(codes=5), Guessing(codes=None, lead=1, sure=2.5)])
def test_a_conversation_is_the_same_in_any_company(engine, places, guessing):
    programs = [talk(number, turns, guessing=guessing) for number, turns in enumerate((1, 3, 2, 1, 2))]
    first_seed, together = clearly(lambda seed: hold(engine, places, programs, seed))
    for number, program in enumerate(programs):
        stream = engine.stream(1)
        stream.submit(first_seed + number, program)
        assert stream.next().value == together[number + 1]


def test_a_conversation_is_what_a_session_would_have_said(engine):
    first_seed, held = clearly(lambda seed: hold(engine, 2, [talk(0, 1), talk(1, 1)], seed))
    said, length, position = held[2]
    session = engine.session([first_seed + 1])
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
        def program(place):
            for shown in frames:
                segments = [ReadImage(frame=shown), Text(text="Look.")]
                begin = place.length == 0
                yield Read(tokens=ENCODER.encode(segments, start=place.next_position, begin=begin))
                said = yield Speak(constraint=thought(2), sampler=WARM)
            return said

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
    session = engine.session([1])
    session.append([0], [prefix(conversation(3))])
    assert session.write_text([0], [thought(6)], WARM)[0] == said[0]
