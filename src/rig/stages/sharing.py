"""Stages whose pieces are made on a cluster: some pieces at a time, each with all that the stage works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from rig.annotators import Annotator
from rig.cluster import Cluster, crew
from rig.errors import AnnotationError, RigError
from rig.records import Trajectory

S = TypeVar("S")
T = TypeVar("T")

Made = Iterable[Trajectory | None]


def maker(
    prepare: Callable[[], AbstractContextManager[S]],
    make: Callable[[S, Sequence[T]], Made],
    state: S,
    annotators: Iterable[Annotator[Any, Any]],
    *,
    workers: int,
    cluster: Cluster,
    together: int,
) -> Callable[[Sequence[T]], Made]:
    """Return how a stage makes something of pieces: with `state` in this process, or on a cluster where one is named.

    Args:
        prepare: gives a worker of the cluster such a state.
        make: what to do with some pieces.
        state: what this process works with.
        annotators: who works for the stage.
        workers: of the cluster.
        cluster: where.
        together: pieces that a worker has at a time.

    Raises:
        RigError: a cluster is named, and an annotator has nothing to gain by one.
    """
    if not cluster.ray:
        return partial(make, state)
    _refuse_waiting(annotators)
    return partial(shared_out, prepare, make, workers=workers, cluster=cluster, together=together)


def shared_out(
    prepare: Callable[[], AbstractContextManager[S]],
    make: Callable[[S, Sequence[T]], Made],
    pieces: Sequence[T],
    *,
    workers: int,
    cluster: Cluster,
    together: int,
) -> Iterator[Trajectory | None]:
    """Yield what `make` makes of `pieces`, in their order, on a cluster.

    Args:
        prepare: gives a worker what it works with.
        make: what to do there with some pieces.
        pieces: what to make something of.
        workers: how many.
        cluster: where.
        together: pieces that a worker has at a time.

    Raises:
        AnnotationError: an annotator had no answer for some steps; raised when all else has been yielded.
    """
    parts = [pieces[start : start + together] for start in range(0, len(pieces), together)]
    if not parts:
        return
    failure: AnnotationError | None = None
    with crew(prepare, min(workers, len(parts)), cluster) as hands:
        for made, error in hands.map(partial(_made, make), parts, _name_of):
            yield from made
            failure = failure or error
    if failure is not None:
        raise failure


def _made(
    make: Callable[[Any, Sequence[Any]], Made], state: Any, part: Sequence[Any]
) -> tuple[list[Trajectory | None], AnnotationError | None]:
    """Return what is made of a part, whole, and what kept some of it from being made."""
    found: list[Trajectory | None] = []
    try:
        found.extend(trajectory and _whole(trajectory) for trajectory in make(state, part))
    except AnnotationError as error:
        return found, error
    return found, None


def _whole(trajectory: Trajectory) -> Trajectory:
    """Return a trajectory with all its steps in memory: what their making raises is raised here."""
    return trajectory.with_steps(tuple(trajectory.steps))


def _refuse_waiting(annotators: Iterable[Annotator[Any, Any]]) -> None:
    """Refuse to share out the work of an annotator that waits for others rather than computes.

    Raises:
        RigError: one of them is asked several things at once, or is paid for by the dataset's account, which the
            workers of a cluster do not have.
    """
    for annotator in annotators:
        if annotator.is_billed:
            raise RigError(f"{annotator.name} is paid for from one machine, by the dataset's account; leave out --ray")
        if annotator.concurrency > 1:
            raise RigError(
                f"{annotator.name} is asked {annotator.concurrency} questions at once from one machine, with nothing "
                "to gain by more of them; leave out --ray"
            )


def _name_of(part: Sequence[Any]) -> str:
    first = part[0]
    return f"{getattr(first, 'id', first)} and others"
