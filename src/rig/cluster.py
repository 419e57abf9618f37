"""The same work on a Ray cluster: what `rig.workers` does with the processes of one machine, over many.

    with crew(prepare, 4, Cluster(ray="auto")) as hands:
        for found in hands.map(job, pieces):
            ...

Every hand is a Ray actor with a state of its own. Whatever ends one, its node's loss, a machine that is taken away, or
memory that runs out, costs no more than the piece it had, which another hand does again: nothing is lost, and nothing
comes twice. Hands may be more than the cluster has room for at first: those that wait for a machine take no work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar, cast

from rig.errors import RigError, at_least_one
from rig.registry import require
from rig.workers import AHEAD, WorkerDiedError, Workers, sendable

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

TRIES = 3
"""How often a piece is given out at the most: what ends every process that has it would end all."""

LOCAL = "local"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where work is shared out over machines; nothing that comes of it depends on it.

    Attributes:
        ray: address of a Ray cluster, "auto" for the one that this machine belongs to, "local" for a small one on this
            machine alone; where empty, work is done by processes of this machine, without Ray.
        ray_gpus: GPUs of each worker on the cluster, a share where several have one together.
    """

    ray: str = ""
    ray_gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.ray_gpus < 0 or (self.ray_gpus and not self.ray):
            raise RigError(f"ray_gpus={self.ray_gpus}: GPUs of each worker on a cluster; give --ray too")


HERE = Cluster()


class _Hand:
    """What runs on the cluster: a state, and the jobs that are done with it."""

    def __init__(self, prepare: Callable[[], AbstractContextManager[Any]]) -> None:
        self._prepare = prepare
        self._scope: AbstractContextManager[Any] | None = None
        self._state: Any = None

    def ready(self) -> tuple[bool, Any]:
        """Enter the state, where it has not been yet."""
        if self._scope is not None:
            return True, None
        try:
            self._scope = self._prepare()
            self._state = self._scope.__enter__()
        except Exception as error:
            return False, sendable(error)
        return True, None

    def do(self, job: Callable[[Any, Any], Any], piece: Any) -> tuple[bool, Any]:
        """Return whether a job went well, and what came of it, or the error."""
        try:
            return True, job(self._state, piece)
        except Exception as error:
            return False, sendable(error)

    def leave(self) -> None:
        """Leave the state, closing what it has open."""
        if self._scope is not None:
            self._scope.__exit__(None, None, None)


@dataclass(eq=False)
class _Piece(Generic[T]):
    """A piece of work, its place in the order, and how often it was given out."""

    number: int
    value: T
    tries: int = 0


class RayWorkers(Generic[S]):
    """`count` actors of a Ray cluster; a context manager like `Workers`.

    Args:
        prepare: gives an actor its state; functions must be those of modules that every machine has.
        count: how many.
        cluster: where.

    Raises:
        RigError: `count` is less than 1; on entry, that the cluster does not answer.
        MissingDependencyError: Ray is not installed.
    """

    def __init__(self, prepare: Callable[[], AbstractContextManager[S]], count: int, cluster: Cluster) -> None:
        at_least_one(workers=count)
        self.count, self._prepare, self._cluster = count, prepare, cluster
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray = cast(Any, require("ray", "ray"))
        self._begun = False
        self._hands: list[Any] = []

    def __enter__(self) -> RayWorkers[S]:
        if not self._ray.is_initialized():
            self._begin()
        gpus = self._cluster.ray_gpus
        self._hand = self._ray.remote(_Hand).options(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self._hands = [self._hand.remote(self._prepare) for _ in range(self.count)]
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        hands, self._hands = self._hands, []
        if kind is None:
            self._ray.wait([hand.leave.remote() for hand in hands], num_returns=len(hands), timeout=15)
        for hand in hands:
            self._ray.kill(hand)
        if self._begun:
            self._ray.shutdown()

    def _begin(self) -> None:
        """Join the cluster, or begin one of this machine's own."""
        local = self._cluster.ray == LOCAL
        try:
            self._ray.init(
                address=None if local else self._cluster.ray,
                **({"num_cpus": self.count, "include_dashboard": False} if local else {}),
                log_to_driver=False,
                logging_level="ERROR",
            )
        except Exception as error:  # whatever Ray raises where nothing answers: ConnectionError, ValueError and others
            raise RigError(
                f"--ray {self._cluster.ray}: no cluster answers ({error}); give the address that `ray start --head` "
                "says, or 'local'"
            ) from error
        self._begun = True

    def map(
        self,
        job: Callable[[S, T], R],
        pieces: Iterable[T],
        name_of: Callable[[T], str] = str,
        *,
        ahead: int = AHEAD,
        lost: Callable[[T, WorkerDiedError], R] | None = None,
    ) -> Iterator[R]:
        """Yield `job(state, piece)` for each of `pieces`, in their order.

        Where one fails, what is done already of later pieces is yielded too.

        Args:
            job: what to do.
            pieces: what to do it with.
            name_of: what a piece is called in an error.
            ahead: pieces for each actor that may be begun before the first of them is handed out.
            lost: gives what stands for a piece that ended `TRIES` actors.

        Raises:
            WorkerDiedError: a piece ended `TRIES` actors, and `lost` is not given.
        """
        done: dict[int, R] = {}
        first, room = 0, ahead * self.count
        work = self._settled(job, pieces, name_of, lambda at_work: at_work + len(done) < room)
        for piece, value in work:
            if isinstance(value, Exception):
                if lost is None or not isinstance(value, WorkerDiedError):
                    yield from (done[number] for number in sorted(done))
                    raise value
                value = lost(piece.value, value)
            done[piece.number] = value
            while first in done:
                yield done.pop(first)
                first += 1

    def each(
        self, job: Callable[[S, T], Iterable[R]], pieces: Iterable[T], name_of: Callable[[T], str] = str
    ) -> Iterator[R]:
        """Yield all that `job(state, piece)` gives for each of `pieces`, when the piece is done.

        What a lost actor had done of its piece is done again, and nothing of it comes twice.

        Raises:
            WorkerDiedError: a piece ended `TRIES` actors.
        """
        for _, value in self._settled(partial(_all_of, job), pieces, name_of, lambda at_work: True):
            if isinstance(value, Exception):
                raise value
            yield from value

    def _settled(
        self,
        job: Callable[..., Any],
        pieces: Iterable[T],
        name_of: Callable[[T], str],
        may_begin: Callable[[int], bool],
    ) -> Iterator[tuple[_Piece[T], Any]]:
        """Yield each piece with what came of it, or the error; whoever is done first comes first."""
        left = (_Piece(number, value) for number, value in enumerate(pieces))
        waiting: deque[_Piece[T]] = deque()
        busy: dict[Any, tuple[Any, _Piece[T] | None]] = {hand.ready.remote(): (hand, None) for hand in self._hands}
        free: list[Any] = []
        stillborn = at_work = 0
        while waiting or at_work or (waiting := deque(islice(left, 1))):
            while free and (waiting or (may_begin(at_work) and (waiting := deque(islice(left, 1))))):
                hand, piece = free.pop(), waiting.popleft()
                piece.tries, at_work = piece.tries + 1, at_work + 1
                busy[hand.do.remote(job, piece.value)] = hand, piece
            (ref,), _ = self._ray.wait(list(busy), num_returns=1)
            hand, held = busy.pop(ref)
            at_work -= held is not None
            try:
                is_good, value = self._ray.get(ref)
            except self._ray.exceptions.RayError as error:  # the actor is gone: its jobs' own errors are values
                self._replace(hand, busy)
                stillborn += held is None
                if stillborn >= TRIES * self.count:
                    raise _died("the beginning of work", error) from error
                if held is not None and held.tries < TRIES:
                    waiting.append(held)
                elif held is not None:
                    yield held, _died(name_of(held.value), error)
                continue
            free.append(hand)
            if held is not None:
                yield held, value
            elif not is_good:
                raise value

    def _replace(self, hand: Any, busy: dict[Any, Any]) -> None:
        """Put another actor in the place of one that was lost."""
        self._hands.remove(hand)
        self._ray.kill(hand)
        self._hands.append(self._hand.remote(self._prepare))
        busy[self._hands[-1].ready.remote()] = self._hands[-1], None


def _all_of(job: Callable[[S, T], Iterable[R]], state: S, piece: T) -> list[R]:
    return list(job(state, piece))


def _died(piece: str, error: Exception) -> WorkerDiedError:
    why = str(error).strip().splitlines() or [type(error).__name__]
    return WorkerDiedError(
        f"{piece} ended {TRIES} workers of the cluster, one after the other ({why[0]}); what was finished before is "
        "kept"
    )


Crew: TypeAlias = Workers[S] | RayWorkers[S]
"""Who does pieces of work beside each other, with a state each: `map` and `each` are alike."""


def crew(prepare: Callable[[], AbstractContextManager[S]], count: int, cluster: Cluster = HERE) -> Crew[S]:
    """Return `count` workers, of this machine or of a cluster.

    Raises:
        RigError: `count` is less than 1.
        MissingDependencyError: a cluster is named, and Ray is not installed.
    """
    return RayWorkers(prepare, count, cluster) if cluster.ray else Workers(prepare, count)
