"""Conversations that go their own way over shared rows: one that thinks longer holds up nobody.

A conversation is a generator. It yields what it wants next and is sent what came of it:

    def look_and_say(place):
        yield Read(encoder.encode(question, start=place.next_position))
        ids = yield Speak(constraint, sampler)
        return ids

Every pass of the decoder serves all conversations at once: some read, some write text, some draw. One that ends makes
room for the next that waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from rig.dialogue import TokenSequence
from rig.engine.constrain import Constraint
from rig.engine.guessing import ONE_BY_ONE, Guessing
from rig.engine.rows import Rows
from rig.engine.sampling import Sampler
from rig.engine.writing import ImageWriting, TextWriting, Writing, put_codes, step
from rig.records import Codes

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """Take in context; nothing is sent back."""

    tokens: TokenSequence


@dataclass(frozen=True, kw_only=True, eq=False)
class Speak:
    """Write text until the constraint is done; its ids are sent back, list[int]."""

    constraint: Constraint
    sampler: Sampler


@dataclass(frozen=True, kw_only=True, eq=False)
class Draw:
    """Write an image behind its begin mark; what is sent back is a `Drawn`.

    Attributes:
        sampler: how codes are drawn.
        guessing: how they are found.
        draft: uint16 [write_tokens], the first guesses.
    """

    sampler: Sampler
    guessing: Guessing = ONE_BY_ONE
    draft: Codes | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """An image as it was written.

    Attributes:
        codes: uint16 [write_tokens], in raster order.
        entropy: of the model's whole distribution over the codebook, in nats per code, averaged over the image.
        passes: how often the decoder ran for it.
    """

    codes: Codes
    entropy: float
    passes: int


@dataclass
class Place:
    """Where a conversation stands.

    Attributes:
        next_position: the position that plainly follows its last token.
        length: the tokens it holds.
    """

    next_position: int = 0
    length: int = 0


Wish = Read | Speak | Draw
Conversation = Generator[Wish, Any, T]
Program = Callable[[Place], "Conversation[T]"]


@dataclass(frozen=True, kw_only=True)
class Ended(Generic[T]):
    """A conversation that has come to its end.

    Attributes:
        ticket: what `Stream.submit` returned for it.
        value: what it returned.
        seconds: its share of the time: that of every pass is shared alike by those whom it served.
    """

    ticket: int
    value: T
    seconds: float


@dataclass(eq=False)
class _Seat(Generic[T]):
    """A row and the conversation in it."""

    row: int
    ticket: int
    place: Place
    conversation: Conversation[T]
    reads: list[TokenSequence] = field(default_factory=list)
    wish: Speak | Draw | None = None
    writing: Writing | None = None
    seconds: float = 0.0


class Stream(Generic[T]):
    """Serves conversations over rows; made by `Engine.stream`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._free = list(range(len(rows) - 1, -1, -1))
        self._waiting: deque[tuple[int, int, Program[T]]] = deque()
        self._seats: list[_Seat[T]] = []
        self._ended: deque[tuple[_Seat[T], T]] = deque()
        self._tickets = 0

    def __len__(self) -> int:
        """Return how many conversations have been submitted and not handed back yet."""
        return len(self._waiting) + len(self._seats) + len(self._ended)

    def submit(self, seed: int, program: Program[T]) -> int:
        """Let a conversation begin as soon as there is room; its draws follow from `seed`. Return its ticket."""
        self._tickets += 1
        self._waiting.append((self._tickets, seed, program))
        return self._tickets

    @torch.inference_mode()
    def next(self) -> Ended[T]:
        """Go on until a conversation ends, and return it.

        Raises:
            RigError: a conversation outgrows its row.
            IndexError: there is none.
        """
        while not self._ended and len(self):
            started = time.perf_counter()
            self._admit()
            served = list(self._seats)
            self._pass()
            for seat in served:
                seat.seconds += (time.perf_counter() - started) / len(served)
        seat, value = self._ended.popleft()
        return Ended(ticket=seat.ticket, value=value, seconds=seat.seconds)

    def finish(self) -> list[T]:
        """Go on until every conversation has ended, and return what they returned in the order of their tickets."""
        ended = [self.next() for _ in range(len(self))]
        return [entry.value for entry in sorted(ended, key=lambda entry: entry.ticket)]

    def _admit(self) -> None:
        while self._waiting and self._free:
            ticket, seed, program = self._waiting.popleft()
            place, row = Place(), self._free.pop()
            self._rows.clear(row, seed)
            self._seats.append(_Seat(row, ticket, place, program(place)))
            self._advance(self._seats[-1], None)

    def _pass(self) -> None:
        """Run the decoder once for everybody, and let those whose wish is fulfilled say what they want next."""
        self._read()
        self._begin()
        writings = [seat.writing for seat in self._seats if seat.writing is not None]
        if writings:
            step(self._rows, writings)
        for seat in list(self._seats):
            if seat.writing is not None and seat.writing.is_done:
                self._advance(seat, _written(seat))

    def _read(self) -> None:
        pairs = [(seat.row, tokens) for seat in self._seats for tokens in seat.reads]
        if pairs:
            rows, sequences = zip(*pairs, strict=True)
            self._rows.check_room(rows, [len(tokens) for tokens in sequences])
            self._rows.read(rows, sequences)
        for seat in self._seats:
            seat.reads = []

    def _begin(self) -> None:
        begun: list[ImageWriting] = []
        count = self._rows.model.config.vq.num_tokens
        for seat in self._seats:
            wish, seat.wish = seat.wish, None
            if isinstance(wish, Speak):
                self._rows.check_room([seat.row], [wish.constraint.limit])
                seat.writing = TextWriting(seat.row, wish.constraint, wish.sampler)
            elif wish is not None:
                self._rows.check_room([seat.row], [count])
                seat.writing = ImageWriting(self._rows, seat.row, wish.sampler, wish.guessing, wish.draft)
                begun.append(seat.writing)
        put_codes(self._rows, begun)

    def _advance(self, seat: _Seat[T], came: Any) -> None:
        """Send a conversation what came of its wish, and take its next one that needs the decoder."""
        try:
            wish = seat.conversation.send(came)
            while isinstance(wish, Read):
                seat.reads.append(wish.tokens)
                seat.place.length += len(wish.tokens)
                seat.place.next_position = wish.tokens.next_position or seat.place.next_position
                wish = seat.conversation.send(None)
            seat.wish = wish
        except StopIteration as end:
            self._seats.remove(seat)
            self._free.append(seat.row)
            self._ended.append((seat, end.value))


def _written(seat: _Seat[Any]) -> list[int] | Drawn:
    """Return what a seat has written, which is in its place now."""
    writing, seat.writing = seat.writing, None
    assert writing is not None
    count = len(writing.ids) if isinstance(writing, TextWriting) else len(writing.codes)
    seat.place.length += count
    seat.place.next_position += count
    if isinstance(writing, TextWriting):
        return writing.ids
    codes = writing.codes.astype(np.uint16)
    return Drawn(codes=codes, entropy=float(writing.doubts.mean()), passes=writing.passes)
