"""What is to come: how many calls, tokens and dollars, before the first is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rig.annotators.vlm import prompts
from rig.annotators.vlm.asked import Request
from rig.annotators.vlm.served import Served

_ENOUGH = 20
"""Answers of a model, of which the server told the tokens, that say more than a rule of thumb."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is to come.

    Attributes:
        questions: what will be asked about.
        calls: those that the store has no answer for, each once, however often it is asked.
        is_bound: whether these are the most there may be, and not a count.
        tokens_in: tokens to be read.
        tokens_out: tokens to be written.
        usd: what that costs; None where no prices were given.
        basis: how the tokens are known.
    """

    questions: int
    calls: int
    is_bound: bool
    tokens_in: int
    tokens_out: int
    usd: float | None
    basis: str

    def text(self) -> str:
        """Return it in words."""
        most = "at most " if self.is_bound else ""
        cost = f"{self.usd:.4f} USD" if self.usd is not None else "cost unknown (usd_per_million_in=… and _out=…)"
        return (
            f"{most}{self.questions:,} questions, {most}{self.calls:,} calls: about {self.tokens_in:,} tokens in and "
            f"{self.tokens_out:,} out, {cost}\n{self.basis}; answers that must be mended come on top"
        )


def unpaid_requests(served: Served, questions: Iterable[Any]) -> Iterator[Request | None]:
    """Yield for each question the request that must be paid next; None where none must, or another question has it."""
    seen: set[str] = set()
    for question in questions:
        request = served.unpaid(question)
        if request is None or (key := request.key(served.mode)) in seen:
            yield None
            continue
        seen.add(key)
        yield request


def forecast(served: Served, questions: Iterable[Any]) -> Forecast:
    """Return what it takes to have `questions` answered, the store looked into for each."""
    served.look_only()
    count, unpaid, read, room = 0, 0, 0, 0
    for request in unpaid_requests(served, questions):
        count += 1
        if request is not None:
            unpaid, read, room = unpaid + 1, read + request.tokens, room + request.max_tokens
    return _forecast(served, count, unpaid, read, room, is_bound=False)


def forecast_of_many(served: Served, count: int, question: Any) -> Forecast:
    """Return what it takes to have up to `count` questions answered that nobody knows yet, each like `question`."""
    served.look_only()
    request = next(served.way(question))
    return _forecast(served, count, count, count * request.tokens, count * request.max_tokens, is_bound=True)


def _forecast(served: Served, questions: int, calls: int, read: int, room: int, *, is_bound: bool) -> Forecast:
    known, mean_in, mean_out = served.store.usual_tokens(served.config.model, prompts.VERSION)
    basis = "tokens by rule of thumb: 3 characters each, pictures as OpenAI counts them, answers as long as they may be"
    if known >= _ENOUGH:
        read, room = round(calls * mean_in), round(calls * mean_out)
        basis = f"tokens by the mean of {known:,} answers of this model in the store"
    return Forecast(
        questions=questions,
        calls=calls,
        is_bound=is_bound,
        tokens_in=read,
        tokens_out=room,
        usd=served.price(read, room),
        basis=basis,
    )
