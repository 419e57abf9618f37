"""Episodes with every state kept, so that each can be gone back to and other things tried there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rig.envs import World
from rig.envs.rollout import Actor, Episode, play
from rig.records import Lineage, Trajectory


@dataclass(frozen=True, kw_only=True, eq=False)
class Visited:
    """An episode that was played.

    Attributes:
        episode: what was played.
        trajectory: what happened.
        states: the world's state before each step.
    """

    episode: Episode
    trajectory: Trajectory
    states: Sequence[bytes]


def visit(
    make: Callable[[], World],
    actor: Actor,
    episodes: Sequence[Episode],
    *,
    batch_size: int | None,
    most_steps: int | None,
    lineage: Lineage,
) -> Iterator[Visited]:
    """Play `episodes`, as `play` does, and yield each with its states."""
    kept: dict[str, list[bytes]] = {}

    def keep(episode: Episode, world: World, index: int) -> None:
        if index == 0:  # also where the engine failed and the episode begins anew
            kept[episode.id] = []
        kept[episode.id].append(world.save())

    for played in play(
        make, actor, episodes, batch_size=batch_size, most_steps=most_steps, lineage=lineage, before=keep
    ):
        states = kept.pop(played.episode.id)
        yield Visited(episode=played.episode, trajectory=played.trajectory, states=states)
