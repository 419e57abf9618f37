"""Episodes with every state kept, so that each can be gone back to and other things tried there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rig.envs import World
from rig.envs.rollout import Actor, Episode, play
from rig.model.fit import unfit_frame
from rig.records import Dream, Frame, Lineage, Trajectory


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

    def some(self, count: int, random: np.random.Generator) -> list[int]:
        """Return the indices of so many of its steps, or of all, drawn alike and in order."""
        chosen = random.choice(len(self.states), min(count, len(self.states)), replace=False)
        return sorted(map(int, chosen))


def as_came(dream: Dream, frame: Frame, facts: Mapping[str, Any]) -> Dream:
    """Return a dream beside what really came of it, its own frame in the size of the world's.

    Args:
        dream: as an agent dreamed it; its codes are those of its own size, and are left out.
        frame: what the engine showed.
        facts: the engine's there.
    """
    dreamed = None if dream.frame is None else unfit_frame(dream.frame, *frame.shape[:2])
    return replace(dream, codes=None, frame=dreamed, real_frame=frame, privileged=facts)


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
