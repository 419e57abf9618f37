"""Processes that work beside each other, a piece of work each at a time; what comes of it comes in the work's order.

    with Workers(prepare, 4) as workers:
        for found in workers.map(job, pieces):
            ...

Each process enters `prepare()` once, and does `job(state, piece)` with what that gives it. `each` is for jobs that give
one thing after the other, and hands them out as they come. A process that dies is told
with the piece it had, or costs that piece alone where `map` is told what is to stand for it; those of a caller that
dies or is interrupted end with it.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from rig.errors import RigError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Pieces for each process that may be begun before the first of them is handed out: what is held in memory."""

_END_SECONDS = 15.0
"""How long a process may take to close what it has open."""


class WorkerDiedError(RigError):
    """A process died with the piece that it had."""


class _One(Enum):
    """How what comes of a job is sent, and the end of it where it is sent one by one."""

    AT_ONCE = "at once"
    BY_ONE = "one by one"
    NO_MORE = "no more"


@dataclass(frozen=True, eq=False)
class _Worker:
    process: BaseProcess
    link: Connection


class Workers(Generic[S]):
    """`count` processes with a state each; with one, this process does the work. A context manager.

    Args:
        prepare: gives a process its state, which it leaves when it ends; it, jobs, pieces and what comes of them are
            sent by pickle, so functions must be those of a module.
        count: how many.

    Raises:
        RigError: `count` is less than 1.
    """

    def __init__(self, prepare: Callable[[], AbstractContextManager[S]], count: int) -> None:
        if count < 1:
            raise RigError(f"{count} workers: at least 1")
        self.count = count
        self._prepare = prepare
        self._here: AbstractContextManager[S] | None = None
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers[S]:
        if self.count == 1:
            self._here = self._prepare()
            self._state = self._here.__enter__()
            return self
        try:
            for _ in range(self.count):
                self._begin()
        except BaseException:
            self._end(at_once=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        if self._here is not None:
            self._here.__exit__(kind, *rest)
        self._end(at_once=kind is not None)

    def map(
        self,
        job: Callable[[S, T], R],
        pieces: Iterable[T],
        name_of: Callable[[T], str] = str,
        *,
        ahead: int = _AHEAD,
        lost: Callable[[T, WorkerDiedError], R] | None = None,
    ) -> Iterator[R]:
        """Yield `job(state, piece)` for each of `pieces`, in their order.

        Where one fails, what is done already of later pieces is yielded too, and all processes end.

        Args:
            job: what to do.
            pieces: what to do it with.
            name_of: what a piece is called in an error.
            ahead: pieces for each process that may be begun before the first of them is handed out.
            lost: gives what stands for a piece whose process died; another process then takes its place.

        Raises:
            WorkerDiedError: a process died, and `lost` is not given.
        """
        if self._here is not None:
            yield from (job(self._state, piece) for piece in pieces)
            return
        try:
            yield from self._shared_out(job, pieces, name_of, ahead * self.count, lost)
        except BaseException:
            self._end(at_once=True)
            raise

    def each(
        self, job: Callable[[S, T], Iterable[R]], pieces: Iterable[T], name_of: Callable[[T], str] = str
    ) -> Iterator[R]:
        """Yield all that `job(state, piece)` gives for each of `pieces`, as it comes.

        Args:
            job: what to do; what it returns is iterated where the work is done.
            pieces: what to do it with.
            name_of: what a piece is called in an error.

        Raises:
            RigError: a process died.
        """
        if self._here is not None:
            for piece in pieces:
                yield from job(self._state, piece)
            return
        try:
            yield from self._as_it_comes(job, pieces, name_of)
        except BaseException:
            self._end(at_once=True)
            raise

    def _as_it_comes(
        self, job: Callable[[S, T], Iterable[R]], pieces: Iterable[T], name_of: Callable[[T], str]
    ) -> Iterator[R]:
        left, free = iter(pieces), list(self._workers)
        busy: dict[Connection, tuple[_Worker, T]] = {}
        while True:
            for piece in islice(left, len(free)):
                worker = free.pop()
                busy[worker.link] = worker, piece
                _ask(worker, _One.BY_ONE, job, piece, name_of)
            if not busy:
                return
            for link in wait(list(busy)):
                assert isinstance(link, Connection)
                worker, piece = busy[link]
                value = _answer(worker, piece, name_of)
                if value is _One.NO_MORE:
                    free.append(busy.pop(link)[0])
                else:
                    yield value

    def _begin(self) -> _Worker:
        """Start a process, and return it."""
        context = get_context("spawn")  # forking a process whose libraries have threads can hang
        ours, theirs = context.Pipe()
        name = f"worker-{len(self._workers)}"
        process = context.Process(target=_serve, args=(theirs, self._prepare), name=name, daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _replaced(self, worker: _Worker) -> _Worker:
        """Return a process in the place of one that died."""
        worker.link.close()
        self._workers.remove(worker)
        return self._begin()

    def _shared_out(
        self,
        job: Callable[[S, T], R],
        pieces: Iterable[T],
        name_of: Callable[[T], str],
        most: int,
        lost: Callable[[T, WorkerDiedError], R] | None,
    ) -> Iterator[R]:
        left = enumerate(pieces)
        free = list(self._workers)
        busy: dict[Connection, tuple[_Worker, int, T]] = {}
        done: dict[int, R] = {}
        first = 0
        while True:
            room = min(len(free), most - len(busy) - len(done))
            for number, piece in islice(left, max(0, room)):
                worker = free.pop()
                try:
                    _ask(worker, _One.AT_ONCE, job, piece, name_of)
                except WorkerDiedError:
                    if lost is None:
                        raise
                    worker = self._replaced(worker)  # it died with nothing to do: that piece is not to blame
                    _ask(worker, _One.AT_ONCE, job, piece, name_of)
                busy[worker.link] = worker, number, piece
            if first in done:
                yield done.pop(first)
                first += 1
                continue
            if not busy:
                return
            for link in wait(list(busy)):
                assert isinstance(link, Connection)
                worker, number, piece = busy.pop(link)
                try:
                    done[number] = _answer(worker, piece, name_of)
                except Exception as error:
                    if lost is None or not isinstance(error, WorkerDiedError):
                        for number in sorted(done):
                            yield done[number]
                        raise
                    done[number], worker = lost(piece, error), self._replaced(worker)
                free.append(worker)

    def _end(self, *, at_once: bool) -> None:
        """End the processes: when they have closed what they have open, and without waiting for that for ever."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.link.close()
            if at_once:
                worker.process.terminate()
        for worker in workers:
            worker.process.join(_END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


def _ask(worker: _Worker, how: _One, job: Callable[..., Any], piece: T, name_of: Callable[[T], str]) -> None:
    try:
        worker.link.send((how, job, piece))
    except OSError as error:
        raise _died(worker, name_of(piece)) from error


def _answer(worker: _Worker, piece: T, name_of: Callable[[T], str]) -> Any:
    try:
        is_good, value = worker.link.recv()
    except (EOFError, OSError) as error:
        raise _died(worker, name_of(piece)) from error
    if is_good:
        return value
    raise value


def _died(worker: _Worker, piece: str) -> WorkerDiedError:
    worker.process.join(_END_SECONDS)
    code = worker.process.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit status {code}"
    why = ", as the system does where memory runs out" if code == -signal.SIGKILL else ""
    return WorkerDiedError(f"the process that had {piece} {how}{why}; what was finished before is kept")


def _serve(link: Connection, prepare: Callable[[], AbstractContextManager[Any]]) -> None:
    """Do what is asked for over `link` until it closes, as the work of a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is interrupted too, and ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    with prepare() as state:
        while True:
            try:
                how, job, piece = link.recv()
            except (EOFError, OSError):
                return
            try:
                for answer in _answers(how, job, state, piece):
                    link.send(answer)
            except OSError:
                return


def _answers(how: _One, job: Callable[..., Any], state: Any, piece: Any) -> Iterator[tuple[bool, Any]]:
    """Yield what is to be sent of a job: what comes of it, or the error that ended it."""
    try:
        if how is _One.AT_ONCE:
            yield True, job(state, piece)
        else:
            for item in job(state, piece):
                yield True, item
            yield True, _One.NO_MORE
    except Exception as error:
        yield False, _sendable(error)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold interrupts back from this thread, and from processes that it starts, which inherit that."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_the_caller() -> None:
    caller = parent_process()
    assert caller is not None
    wait([caller.sentinel])
    os._exit(1)


def _sendable(error: Exception) -> Exception:
    """Return an error as another process can raise it: a user's mistake as it is, any other with where it arose."""
    if not isinstance(error, RigError):
        error.add_note(f"in a worker:\n{traceback.format_exc()}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
