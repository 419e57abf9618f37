"""Asking an annotator: in batches, as many at once as it states, with the answers in the order of the questions.

    for piece, answers in answered(annotator, (Asked(piece, name, questions, places) for ...)):
        ...

Whatever is in flight, what comes out is the same. Work is read no further ahead than keeps the annotator busy. Where
an answer fails, its piece is left out, the others go on, and the end names it; where an annotator raises, nothing more
is asked, and what was asked already is still handed out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from rig.annotators.evidence import Informed
from rig.errors import AnnotationError

P = TypeVar("P")
A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)

_AHEAD = 4
"""How many times what an annotator can have in flight may be read and not handed out yet: what is held in memory."""


@dataclass(frozen=True)
class Failure:
    """What an annotator gives in the place of an answer that it could not find.

    Attributes:
        reason: why, for whoever must mend it.
    """

    reason: str


class Answerer(Protocol[A_co]):
    """Who is asked: what asking needs of an `Annotator`, which says what all of it means."""

    sees: ClassVar[Literal["frames", "facts"]]
    name: str
    batch_size: int
    concurrency: int

    def annotate(self, batch: Sequence[Any]) -> Sequence[A_co | Failure]:
        """Return an answer for each item, in order, or a `Failure` for one that has none."""
        ...

    def checked(self, answer: Any) -> A_co | Failure:
        """Return an answer as it was given, or why it is none."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked(Generic[P]):
    """A piece of work, and what an annotator is asked about it.

    Attributes:
        piece: the work.
        name: what it is called in an error.
        questions: what is asked, with the facts that only some annotators are handed.
        places: what each question is about, within the piece.
    """

    piece: P
    name: str = ""
    questions: Sequence[Informed[Any]] = ()
    places: Sequence[str] = ()


def answered(annotator: Answerer[A], work: Iterable[Asked[P]]) -> Iterator[tuple[P, list[A]]]:
    """Yield each piece of `work` with the answers to its questions, in order.

    Raises:
        AnnotationError: questions were not answered; raised when all other pieces have been yielded.
    """
    failed: list[tuple[str, Failure]] = []
    for asked, answers in _settled(annotator, work):
        wrong = [(_where(asked, place), answer) for place, answer in enumerate(answers) if isinstance(answer, Failure)]
        failed += wrong
        if not wrong:
            yield asked.piece, answers
    if failed:
        raise _unanswered(annotator, failed)


def _where(asked: Asked[Any], place: int) -> str:
    return ", ".join(filter(None, (asked.name, asked.places[place])))


def _unanswered(annotator: Answerer[Any], failed: Sequence[tuple[str, Failure]]) -> AnnotationError:
    (place, failure), more = failed[0], len(failed) - 1
    others = f"; and {more} more, among them {', '.join(name for name, _ in failed[1:4])}" if more else ""
    return AnnotationError(
        f"{annotator.name} has no answer for {place}: {failure.reason}{others}. What else was answered is kept; run "
        "the command again, with --resume where it has that, and only the rest is asked"
    )


def handed(annotator: Answerer[Any], question: Informed[Any]) -> Any:
    """Return what `annotator` may know of a question: no facts, where it says that it sees frames."""
    return question if annotator.sees == "facts" else question.evidence


@dataclass(eq=False)
class _Open:
    """A piece whose answers are coming."""

    asked: Asked[Any]
    answers: list[Any]
    left: int


_Batch = list[tuple[_Open, int]]


class _Desk:
    """Takes pieces in, hands batches to an annotator, and gives the pieces out; what is raised stops it."""

    def __init__(self, annotator: Answerer[Any]) -> None:
        self.annotator = annotator
        self.error: Exception | None = None
        self._threads = ThreadPoolExecutor(annotator.concurrency) if annotator.concurrency > 1 else None
        self._waiting: deque[_Open] = deque()
        self._batch: _Batch = []
        self._flying: dict[Future[list[Any]], _Batch] = {}
        self._room = _AHEAD * annotator.batch_size * annotator.concurrency

    def take(self, asked: Asked[Any]) -> None:
        """Take a piece in; where much is read ahead already, wait for the first of it."""
        entry = _Open(asked, [None] * len(asked.questions), len(asked.questions))
        self._waiting.append(entry)
        for place in range(len(asked.questions)):
            self._batch.append((entry, place))
            if len(self._batch) == self.annotator.batch_size:
                self.flush()
        while self._flying and self._waiting[0].left and sum(len(one.answers) for one in self._waiting) > self._room:
            self._settle()

    def done(self) -> Iterator[tuple[Asked[Any], list[Any]]]:
        """Yield the pieces that are answered, up to the first that is not."""
        while self._waiting and not self._waiting[0].left:
            entry = self._waiting.popleft()
            yield entry.asked, entry.answers

    def rest(self) -> Iterator[tuple[Asked[Any], list[Any]]]:
        """Wait for all that was asked, and yield every piece that is answered."""
        self.flush()
        while self._flying:
            self._settle()
        yield from ((entry.asked, entry.answers) for entry in self._waiting if not entry.left)

    def flush(self) -> None:
        """Have what was taken in answered, when there is room for it; where something was raised, never."""
        batch, self._batch = self._batch, []
        while len(self._flying) >= self.annotator.concurrency:
            self._settle()
        if self.error is not None or not batch:
            return
        items = [handed(self.annotator, entry.asked.questions[place]) for entry, place in batch]
        if self._threads is not None:
            self._flying[self._threads.submit(_answers, self.annotator, items)] = batch
            return
        try:
            self._put(batch, _answers(self.annotator, items))
        except Exception as error:
            self._stop(batch, error)

    def leave(self) -> None:
        """Begin nothing more, and wait for nothing."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _settle(self) -> None:
        """Wait for a batch in flight, and put the answers of those that have come into their places."""
        for future in wait(self._flying, return_when=FIRST_COMPLETED).done:
            batch = self._flying.pop(future)
            try:
                self._put(batch, future.result())
            except Exception as error:
                self._stop(batch, error)

    def _stop(self, batch: _Batch, error: Exception) -> None:
        entry, place = batch[0]
        error.add_note(f"{self.annotator.name} was asked about {_where(entry.asked, place)}")
        self.error = self.error or error

    def _put(self, batch: _Batch, answers: Sequence[Any]) -> None:
        for (entry, place), answer in zip(batch, answers, strict=True):
            entry.answers[place] = answer
            entry.left -= 1


def _settled(annotator: Answerer[A], work: Iterable[Asked[P]]) -> Iterator[tuple[Asked[P], list[Any]]]:
    """Yield each piece with what came of its questions, failures among it.

    Raises:
        Exception: what the annotator or `work` raised, when what is answered has been yielded.
    """
    desk, pieces = _Desk(annotator), iter(work)
    try:
        while desk.error is None:
            try:
                asked = next(pieces)
            except StopIteration:
                break
            except Exception as error:
                desk.flush()  # what was read before is still answered
                desk.error = desk.error or error
                break
            desk.take(asked)
            yield from desk.done()
        yield from desk.rest()
        if desk.error is not None:
            raise desk.error
    finally:
        desk.leave()


def _answers(annotator: Answerer[Any], items: Sequence[Any]) -> list[Any]:
    """Return what an annotator gives for each of `items`, those that are no answers as failures.

    Raises:
        AnnotationError: it gives more or fewer.
    """
    found = list(annotator.annotate(items))
    if len(found) != len(items):
        raise AnnotationError(
            f"{annotator.name} gave {len(found)} answers to {len(items)} questions; mend the annotator"
        )
    return [one if isinstance(one, Failure) else annotator.checked(one) for one in found]
