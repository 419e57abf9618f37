"""Rows that rest on each other: each is what the uncached network has of its tokens, whatever becomes of the others."""

import numpy as np
import pytest
import torch
from engine_makers import (
    ENCODER,
    WARM,
    close,
    conversation,
    joined,
    make_engine,
    part,
    prefix,
    sequence_of,
    text_sequence,
    thought,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import Session

from rig.dialogue import Kind, ReadImage, Text
from rig.engine import Speculation
from rig.model import pack
from rig.records import fake_frame

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

ENGINE = make_engine()
PAGES = {"single tokens, as on a CPU": 1, "pages, as on a GPU": 16, "whole rows": ENGINE.capacity}


def uncached(tokens, kind):
    """The logits of a token of some kind behind `tokens`, by one whole pass over them."""
    following = sequence_of([0], kind, tokens.next_position)
    following.weights[:] = 1
    whole = joined(tokens, following)
    whole.roles[:] = 0  # where a story cuts images, marks of two may meet, which would be read as a stride
    with torch.inference_mode():
        out = ENGINE.model(pack([whole]))
    return (out.code_logits if kind == Kind.CODE else out.text_logits)[-1]


class Story:
    """A session, and what its rows should hold."""

    def __init__(self, page):
        self.session = Session(ENGINE, [7])
        self.session._rows._cache.page = page
        self.held = {0: prefix(conversation(0))}
        self.session.append([0], [self.held[0]])

    def pick(self, number):
        return list(self.held)[number % len(self.held)]

    def add(self, row, tokens):
        self.held[row] = joined(self.held[row], tokens)

    def has_room(self, row, count):
        return len(self.held[row]) + count <= ENGINE.capacity

    def append(self, row, number):
        start = self.session.next_position(row)
        tokens = text_sequence(np.arange(1 + number % 9) + number % 200, start)
        if number % 3 == 0:
            frame = fake_frame(np.random.default_rng(number % 2), 32)
            tokens = ENCODER.encode([ReadImage(frame=frame), Text(text="Look.")], start=start, begin=False)
        if self.has_room(row, len(tokens)):
            self.session.append([row], [tokens])
            self.add(row, tokens)

    def fork(self, row, number):
        sources = [row, self.pick(number)][: 1 + number % 2] * (1 + number % 3)
        if len(self.held) + len(sources) <= 8:
            for fork, source in zip(self.session.fork(sources), sources, strict=True):
                self.held[fork] = self.held[source]

    def rewind(self, row, number):
        kinds = self.held[row].kinds
        length = number % (len(kinds) + 1) if number % 4 else len(kinds) - number % 5
        while 0 < length < len(kinds) and kinds[length] == Kind.READ:
            length -= 1
        self.session.rewind(row, max(length, 0))
        self.held[row] = part(self.held[row], 0, max(length, 0))

    def speak(self, row, number):
        rows = [row, *[other for other in self.held if other != row][: number % 4]]
        rows = [row for row in rows if len(self.held[row]) and self.has_room(row, 40)]
        starts = [self.session.next_position(row) for row in rows]
        said = self.session.write_text(rows, [thought(1 + number % 7)] * len(rows), WARM)
        for row, ids, start in zip(rows, said, starts, strict=True):
            self.add(row, text_sequence(ids, start))

    def dream(self, row, number):
        rows = [row, *[other for other in self.held if other != row][: number % 3]]
        rows = [row for row in rows if self.has_room(row, 20)]
        opening = [ENCODER.open_image(self.session.next_position(row)) for row in rows]
        self.session.append(rows, opening)
        speculation = Speculation(
            codes=number % 6, diagonal_offset=(None, 1)[number % 2], entropy_threshold=(0.0, 2.5, 0.0)[number % 3]
        )
        codes = self.session.write_image(rows, WARM, speculation).codes if rows else []
        for row, begin, drawn in zip(rows, opening, codes, strict=True):
            self.add(row, joined(begin, sequence_of(drawn, Kind.CODE, begin.next_position)))

    def drop(self, row, number):
        if len(self.held) > 1:
            self.session.drop([row])
            del self.held[row]

    def look(self, row, number):
        rows = [row for row in list(self.held)[:: 1 - 2 * (number % 2)] if len(self.held[row])]
        for kind in (Kind.TEXT, Kind.CODE):
            found = self.session.next_token_logits(rows, kind) if rows else []
            for row, logits in zip(rows, found, strict=True):
                assert self.session.length(row) == len(self.held[row])
                assert self.session.next_position(row) == self.held[row].next_position
                close(logits, uncached(self.held[row], kind))


DEEDS = ("append", "fork", "fork", "rewind", "speak", "dream", "drop", "look")


@settings(max_examples=40)
@given(
    page=st.sampled_from(sorted(PAGES.values())),
    deeds=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 9), st.integers(0, 999)), min_size=6, max_size=24),
)
def test_whatever_is_done_cached_logits_are_uncached_logits(page, deeds):
    story = Story(page)
    for deed, row, number in deeds:
        getattr(story, deed)(story.pick(row), number)
    story.look(0, 0)


def branched(page=1, forks=3):
    session = Session(ENGINE, [1])
    session._rows._cache.page = page
    session.append([0], [prefix(conversation(0))])
    return session, session.fork([0] * forks)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_children_keep_what_their_parent_rewinds_and_writes_anew(page):
    tokens = prefix(conversation(0))
    session, forks = branched(page)
    expected = uncached(tokens, Kind.TEXT)
    session.rewind(0, 30)
    session.append([0], [text_sequence(range(100), session.next_position(0))])
    session.next_token_logits([0])
    close(session.next_token_logits(forks), expected.expand(3, -1))
    session.drop([0])
    forks += session.fork(forks)
    session.write_text(forks[:2], [thought(9)] * 2, WARM)
    close(session.next_token_logits(forks[2:]), expected.expand(4, -1))


def test_what_waits_is_run_once_for_all_forks(monkeypatch):
    ran = []
    original = type(ENGINE._decoder).rotation
    monkeypatch.setattr(
        type(ENGINE._decoder),
        "rotation",
        lambda self, positions: (ran.append(len(positions)), original(self, positions))[1],
    )
    session, forks = branched(forks=4)
    session.next_token_logits(forks)
    assert ran == [session.length(0), 4]


def test_forks_take_the_room_of_what_they_add_and_of_dropped_ones():
    session, forks = branched(forks=4)
    each = ENGINE.capacity - session.length(0) + 1
    places = ENGINE.capacity + 4 * each
    assert session.num_bytes == session._rows._cache.num_bytes
    assert session._rows._cache.places == places
    for _ in range(5):
        session.write_text(forks, [thought(3)] * 4, WARM)
        session.drop(forks)
        forks = session.fork([0] * 4)
    assert session._rows._cache.places == places
    assert forks == [1, 2, 3, 4], "numbers of dropped rows are given again, so a long stream does not grow"
    assert session.fork([0, 0]) == [5, 6]
