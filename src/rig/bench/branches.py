"""Branches of one conversation: what they save where they share the context that was read before them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rig.bench.timing import ratio, side_by_side
from rig.dialogue import TokenSequence
from rig.engine import (
    GREEDY,
    Constraint,
    Conversation,
    Engine,
    Fork,
    GeneratedImage,
    GeneratedText,
    GenerateImage,
    GenerateText,
    Prefill,
    Slot,
    Speculation,
    Stream,
)
from rig.model import RIG

NAMES = ("one answer each", "one dream each")


class Branches:
    """So many answers or dreams behind one context, which is read once and forked, or read in a row for each.

    Args:
        model: the network.
        context: what is read.
        count: how many branches.
        answer: what an answer is.
        guesses: codes guessed beyond the next one.
    """

    def __init__(self, model: RIG, context: TokenSequence, count: int, answer: Constraint, guesses: int) -> None:
        self._context, self._count, self._answer, self._guesses = context, count, answer, guesses
        self._engine = Engine(model, capacity=len(context) + max(answer.limit, model.config.vq.num_tokens))
        self._made: dict[str, tuple[int, list[list[int]]]] = {}

    def measure(self, name: str, rounds: int) -> dict[str, Any]:
        """Return the seconds of both ways, their ratio, and the memory of their caches; `name` is one of `NAMES`."""
        ways = {way: partial(self._run, name, way) for way in ("forked", "a row each")}
        timings = side_by_side(ways, rounds=rounds, name=f"{name}, {self._count} branches")
        forked, apart = (self._made[way] for way in ways)
        return {
            "job": name,
            "branches": self._count,
            "context": len(self._context),
            "seconds": {way: timing.to_json() for way, timing in timings.items()},
            "faster": {"a row each": ratio(timings["forked"], timings["a row each"])},
            "cache_bytes": {way: self._made[way][0] for way in ways},
            "same_tokens": float((np.array(forked[1]) == np.array(apart[1])).mean()),
        }

    def _run(self, name: str, way: str) -> None:
        is_forked = way == "forked"
        stream: Stream[list[list[int]]] = self._engine.stream(1 if is_forked else self._count)
        programs = [self._forked] if is_forked else [self._alone] * self._count
        for seed, program in enumerate(programs):
            stream.submit(seed, partial(program, name=name))
        written = [ids for each in stream.finish() for ids in each]
        self._made[way] = stream.num_bytes, written

    def _forked(self, slot: Slot, name: str) -> Conversation[list[list[int]]]:
        yield Prefill(tokens=self._context)
        written: list[list[int]] = yield Fork(programs=[partial(self._write, name=name)] * self._count)
        return written

    def _alone(self, slot: Slot, name: str) -> Conversation[list[list[int]]]:
        yield Prefill(tokens=self._context)
        return [(yield from self._write(slot, name))]

    def _write(self, slot: Slot, name: str) -> Conversation[list[int]]:
        if name == NAMES[0]:
            text: GeneratedText = yield GenerateText(constraint=self._answer, sampler=GREEDY)
            return text.ids
        image: GeneratedImage = yield GenerateImage(sampler=GREEDY, speculation=Speculation(codes=self._guesses))
        return image.codes.tolist()
