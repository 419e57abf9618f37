"""Whether a dream shows what came of its own action rather than what would have come of another.

From the state that an action was taken in, the world is stepped with every alternative that it names as well. A dream
agrees with its action where, of all the different frames that could have come, it is nearest to the one that did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.actions import Action
from rig.envs import World
from rig.errors import RigError
from rig.evaluate.chains import Chain
from rig.evaluate.stats import bootstrap_mean

Outcomes = NDArray[np.uint8]
"""The different frames that could have come, uint8 [n, H, W, 3]; the first of them did."""


def outcomes_of(world: World, chains: Sequence[Chain]) -> list[list[Outcomes]]:
    """Return what could have come of each step that is dreamed, for each depth of each chain.

    Of a world whose states cannot be saved it is what did come, and nothing else.

    Raises:
        RigError: an episode does not come out as it did.
    """
    if not world.can_save:
        return [[_different([step.frame]) for step in chain.steps[1:]] for chain in chains]
    return [list(_along(world, chain)) for chain in tqdm(chains, desc="outcomes", unit="chain")]


def action_agreement(frames: NDArray[np.uint8], outcomes: Sequence[Outcomes]) -> dict[str, Any]:
    """Return how many frames agree with their actions, and how many would by chance.

    Args:
        frames: uint8 [N, H, W, 3].
        outcomes: for each of them; where nothing else could have come it does not count.

    Returns:
        "action_agreement" and its chance; None in both where no frame counts.
    """
    counted = [(frame, some) for frame, some in zip(frames, outcomes, strict=True) if len(some) > 1]
    if not counted:
        return {"action_agreement": None, "action_agreement_by_chance": None}
    agree = [float(_nearest(frame, some) == 0) for frame, some in counted]
    chance = float(np.mean([1 / len(some) for _, some in counted]))
    return {"action_agreement": asdict(bootstrap_mean(agree)), "action_agreement_by_chance": chance}


def _along(world: World, chain: Chain) -> Iterator[Outcomes]:
    episode = chain.episode
    frame, _ = episode.begin(world)
    for action in chain.before:
        frame = world.act(action)[0]
    for step in chain.steps[:-1]:
        if not np.array_equal(frame, step.frame):
            raise RigError(f"episode {episode.id} does not replay: step {step.index} shows another frame than before")
        state = world.save()
        others = [_after(world, state, action) for action in world.alternatives() if action != step.action]
        frame = _after(world, state, step.action)
        yield _different([frame, *others])


def _after(world: World, state: bytes, action: Action) -> NDArray[np.uint8]:
    world.load(state)
    return world.act(action)[0]


def _different(frames: Sequence[NDArray[np.uint8]]) -> Outcomes:
    return np.stack(list({frame.tobytes(): frame for frame in frames}.values()))


def _nearest(frame: NDArray[np.uint8], outcomes: Outcomes) -> int:
    return int(np.square(outcomes.astype(np.float32) - frame).mean(axis=(1, 2, 3)).argmin())
