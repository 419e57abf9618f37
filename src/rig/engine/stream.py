"""Conversations that go their own way over shared rows: one that thinks longer holds up nobody.

A conversation is a generator. It yields what it wants next and is sent what came of it:

    def look_and_say(slot):
        yield Prefill(tokens=encoder.encode(question, start=slot.next_position))
        text = yield GenerateText(constraint=constraint, sampler=sampler)
        first, second = yield Fork(programs=[one_way, other_way])
        return text.ids, first, second

Every pass of the decoder serves all conversations at once: some read, some write text, some write an image. One that
ends makes room for the next that waits. This is the one way to generate: agents, evaluation, previews and benchmarks
use it alike.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from rig.dialogue import TokenSequence
from rig.engine.rows import Rows
from rig.engine.wishes import (
    Conversation,
    Fork,
    GeneratedImage,
    GeneratedText,
    GenerateImage,
    GenerateText,
    Prefill,
    Program,
    Slot,
    WeighedImage,
    WeighImage,
)
from rig.engine.writing import Guide, ImageWeighing, ImageWriting, TextWriting, Writing, put_codes, step
from rig.errors import RigError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Ended(Generic[T]):
    """A conversation that has come to its end.

    Attributes:
        ticket: what `Stream.submit` returned for it.
        value: what it returned.
        seconds: its share of the time, that of its forks included: that of every pass is shared alike by the rows that
            it served.
    """

    ticket: int
    value: T
    seconds: float


@dataclass(eq=False)
class _Active:
    """A conversation in its row, which is a fork of `parent` where that is given, its `number`-th."""

    row: int
    ticket: int
    slot: Slot
    conversation: Conversation[Any]
    parent: _Active | None = None
    number: int = 0
    prefills: list[TokenSequence] = field(default_factory=list)
    wish: GenerateText | GenerateImage | WeighImage | Fork | None = None
    writing: Writing | None = None
    guide: Guide | None = None
    awaited: int = 0
    returned: list[Any] = field(default_factory=list)
    has_forked: bool = False
    seconds: float = 0.0


class Stream(Generic[T]):
    """Serves conversations over rows; made by `Engine.stream`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._free = list(range(len(rows) - 1, -1, -1))
        self._waiting: deque[tuple[int, int, Program[T]]] = deque()
        self._active: list[_Active] = []
        self._ended: deque[tuple[_Active, T]] = deque()
        self._tickets = 0
        self._held = 0

    def __len__(self) -> int:
        """Return how many conversations have been submitted and not handed back yet."""
        return self._held

    @property
    def num_bytes(self) -> int:
        """The memory of the cache."""
        return self._rows.num_bytes

    def submit(self, seed: int, program: Program[T]) -> int:
        """Let a conversation begin as soon as there is room; its draws follow from `seed`. Return its ticket."""
        self._tickets += 1
        self._held += 1
        self._waiting.append((self._tickets, seed, program))
        return self._tickets

    @torch.inference_mode()
    def next(self) -> Ended[T]:
        """Go on until a conversation ends, and return it.

        Raises:
            RigError: a conversation outgrows its row, goes on from nothing, or reads what stands before its end.
            IndexError: there is none.
        """
        while not self._ended and len(self):
            self._serve()
        return self._hand_back()

    @torch.inference_mode()
    def advance(self) -> list[Ended[T]]:
        """Go on by one pass, and return the conversations that have ended; others may be submitted before the next.

        Raises:
            RigError: as of `next`.
        """
        if not self._ended and len(self):
            self._serve()
        return [self._hand_back() for _ in range(len(self._ended))]

    def finish(self) -> list[T]:
        """Go on until every conversation has ended, and return what they returned in the order of their tickets."""
        ended = [self.next() for _ in range(len(self))]
        return [entry.value for entry in sorted(ended, key=lambda entry: entry.ticket)]

    def _serve(self) -> None:
        """Let those begin that there is room for, and run a pass, whose time is shared by those whom it served."""
        started = time.perf_counter()
        self._admit()
        served = [one for one in self._active if not one.awaited]
        self._pass()
        for one in served:
            self._charge(one, (time.perf_counter() - started) / len(served))

    def _hand_back(self) -> Ended[T]:
        one, value = self._ended.popleft()
        self._held -= 1
        return Ended(ticket=one.ticket, value=value, seconds=one.seconds)

    def _charge(self, one: _Active, seconds: float) -> None:
        """Count time for the conversation that `one` belongs to, which may have ended in this very pass."""
        while one.parent is not None:
            one = one.parent
        one.seconds += seconds

    def _admit(self) -> None:
        while self._waiting and self._free:
            ticket, seed, program = self._waiting.popleft()
            slot, row = Slot(), self._free.pop()
            self._rows.clear(row, seed)
            self._start(_Active(row, ticket, slot, program(slot)))

    def _start(self, one: _Active) -> None:
        self._active.append(one)
        self._advance(one, None)

    def _pass(self) -> None:
        """Run the decoder once for everybody, and let those whose wish is fulfilled say what they want next."""
        self._prefill()
        self._begin()
        writings = [one.writing for one in self._active if one.writing is not None]
        if writings:
            step(self._rows, writings)
        for one in list(self._active):
            if one.writing is not None and one.writing.is_done:
                self._advance(one, self._generated(one))

    def _prefill(self) -> None:
        pairs = [(one.row, tokens) for one in self._active for tokens in one.prefills]
        if pairs:
            rows, sequences = zip(*pairs, strict=True)
            self._rows.check_room(rows, [len(tokens) for tokens in sequences])
            self._rows.read(rows, sequences)
        for one in self._active:
            one.prefills = []

    def _begin(self) -> None:
        begun: list[ImageWriting] = []
        for one in list(self._active):
            wish, one.wish = one.wish, None
            if wish is not None and not isinstance(wish, Fork) and not one.slot.length:
                raise RigError("a conversation that holds nothing cannot go on; let it prefill a prompt first")
            if isinstance(wish, Fork):
                self._fork(one, wish)
            elif isinstance(wish, GenerateText):
                self._rows.check_room([one.row], [wish.constraint.limit])
                one.writing = TextWriting(
                    one.row, wish.constraint, wish.sampler, wish.log_probs, wish.choices, wish.heard
                )
            elif wish is not None:
                begun.append(self._begin_image(one, wish))
        put_codes(self._rows, begun)

    def _begin_image(self, one: _Active, wish: GenerateImage | WeighImage) -> ImageWriting:
        self._rows.check_room([one.row], [self._rows.model.config.vq.num_tokens])
        if isinstance(wish, WeighImage):
            one.writing = weighing = ImageWeighing(self._rows, one.row, wish.codes)
            return weighing
        if wish.guidance is not None:
            one.guide = Guide(self._rows.beside(one.row, wish.guidance.tokens), wish.guidance.weight)
        image = ImageWriting(self._rows, one.row, wish.sampler, wish.speculation, wish.draft, one.guide)
        one.writing = image
        return image

    def _fork(self, parent: _Active, wish: Fork) -> None:
        programs = wish.programs
        if not programs:
            self._advance(parent, [])
            return
        parent.awaited, parent.returned = len(programs), [None] * len(programs)
        rows = self._rows.fork([parent.row] * len(programs))
        if not (wish.anew or parent.has_forked):
            self._rows.draw_alike(rows[0], parent.row)
            parent.has_forked = True
        for number, row in enumerate(rows):
            if wish.anew:
                self._rows.rewind(row, 0)
            slot = Slot() if wish.anew else replace(parent.slot)
            self._start(_Active(row, parent.ticket, slot, programs[number](slot), parent, number))

    def _advance(self, one: _Active, came: Any) -> None:
        """Send a conversation what came of its wish, and take its next one that needs the decoder."""
        try:
            wish = one.conversation.send(came)
            while isinstance(wish, Prefill):
                _check_position(one.slot, wish.tokens)
                one.prefills.append(wish.tokens)
                one.slot.length += len(wish.tokens)
                one.slot.next_position = wish.tokens.next_position or one.slot.next_position
                wish = one.conversation.send(None)
            one.wish = wish
        except StopIteration as end:
            self._end(one, end.value)

    def _end(self, one: _Active, value: Any) -> None:
        self._active.remove(one)
        parent = one.parent
        if parent is None:
            self._free.append(one.row)
            self._ended.append((one, value))
            return
        self._rows.drop(one.row)
        parent.returned[one.number] = value
        parent.awaited -= 1
        if not parent.awaited:
            self._advance(parent, parent.returned)

    def _generated(self, one: _Active) -> GeneratedText | GeneratedImage | WeighedImage:
        """Return what a conversation has written, which is in its row now."""
        writing, one.writing = one.writing, None
        assert writing is not None
        count = len(writing.ids) if isinstance(writing, TextWriting) else len(writing.codes)
        one.slot.length += count
        one.slot.next_position += count
        if isinstance(writing, TextWriting):
            scores = np.array(writing.log_probs, np.float32) if writing.wants_log_probs else None
            choices = writing.choices if writing.wants_choices else None
            return GeneratedText(ids=writing.ids, log_probs=scores, choices=choices)
        if isinstance(writing, ImageWeighing):
            return WeighedImage(log_probs=writing.log_probs)
        if one.guide is not None:
            self._rows.drop(one.guide.row)
            one.guide = None
        codes = writing.codes.astype(np.uint16)
        return GeneratedImage(codes=codes, entropy=float(writing.entropies.mean()), passes=writing.passes)


def _check_position(slot: Slot, tokens: TokenSequence) -> None:
    """Raise RigError where tokens stand before the end of the conversation that they are to go on."""
    if len(tokens) and tokens.positions[0] < slot.next_position:
        raise RigError(
            f"a conversation goes on at position {slot.next_position}, not {tokens.positions[0]}; encode what it reads "
            "with start=slot.next_position"
        )
