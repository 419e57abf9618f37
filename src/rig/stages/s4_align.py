"""S4: dreams aligned with the engine. The actions of a dream are replayed for real from the state it began in.

Each dreamed frame is kept as the model saw it, beside the real frame, which is what training shows and what it should
have been; each thought about a dreamed frame is written anew for the real state; and the review, knowing what really
came, corrects a proposal that was not good where the frames show it, and keeps any other. The first thought, about the
observed frame, stays the agent's own with whatever is wrong in it: a review that has only seen true ones would trust
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

from rig.annotators import REASONERS, Reasoner, ReviewCase
from rig.annotators.kit import with_kit
from rig.data import Dataset
from rig.dialogue import is_speakable
from rig.envs.rollout import MOST_WORLDS, Episode
from rig.model.fit import unfit_frame
from rig.records import Dream, Observation, Step, Trajectory
from rig.stages.base import Opening, run_stage
from rig.stages.config import AlignConfig
from rig.stages.lookahead import Visited, Workshop


def align(config: AlignConfig, out: Path | str, opening: Opening | None = None) -> Dataset:
    """Let the agent dream in states it visits, replay the dreams, and write the aligned steps to the dataset `out`.

    Raises:
        CheckpointError: the agent cannot be loaded.
        RigError: a teacher or an annotator is neither named nor in the world's kit.
        DatasetError: `out` may not be touched.
    """
    shop = Workshop(config)
    config = with_kit(config, shop.bundle.environment)
    reasoner = REASONERS.get(config.reasoner)()

    def make(pieces: Sequence[Episode]) -> Iterator[Trajectory | None]:
        visits = shop.visit(pieces, config.dreams)
        while together := list(islice(visits, max(1, (config.batch_size or MOST_WORLDS) // config.states))):
            for visited, dreams in zip(together, dream_beside(shop, together), strict=True):
                yield align_episode(shop, reasoner, visited, dreams)

    info = shop.info("s4", out)
    return run_stage(out, info, shop.episodes(), lambda episode: episode.id, make, opening or Opening())


def dream_beside(shop: Workshop, visits: Sequence[Visited]) -> list[dict[int, list[Dream]]]:
    """Return what the agent dreams in some states of each episode, by the index of the step; all side by side."""
    chosen = [_choices(shop, visited) for visited in visits]
    begun = [(visited, index) for visited, choices in zip(visits, chosen, strict=True) for index in choices]
    steps = [visited.trajectory.steps[index] for visited, index in begun]
    observations = [
        Observation(frame=step.frame, instruction=step.instruction, previous_action=step.previous_action)
        for step in steps
    ]
    seeds = [visited.episode.decision_seed(index) for visited, index in begun]
    horizons = [horizon for choices in chosen for horizon in choices.values()]
    dreamed = iter(shop.policy.dream_ahead(observations, seeds, horizons))
    return [{index: next(dreamed) for index in choices} for choices in chosen]


def _choices(shop: Workshop, visited: Visited) -> dict[int, int]:
    """Return how many dreams begin at which steps of an episode."""
    random = np.random.default_rng([shop.config.seed, crc32(visited.episode.id.encode())])
    count = min(shop.config.states, len(visited.states))
    chosen = sorted(int(index) for index in random.choice(len(visited.states), count, replace=False))
    return {index: shop.horizon(random) for index in chosen}


def align_episode(
    shop: Workshop, reasoner: Reasoner, visited: Visited, dreamed: Mapping[int, Sequence[Dream]]
) -> Trajectory | None:
    """Return an episode's dreams beside what really came, or None where every one of them ended at once."""
    aligned = [_aligned_step(shop, reasoner, visited, index, dreams) for index, dreams in dreamed.items()]
    steps = tuple(step for step in aligned if step is not None)
    lineage = shop.lineage("s4", visited.trajectory.id)
    return replace(visited.trajectory, steps=steps, lineage=lineage) if steps else None


def _aligned_step(
    shop: Workshop, reasoner: Reasoner, visited: Visited, index: int, dreams: Sequence[Dream]
) -> Step | None:
    step, state = visited.trajectory.steps[index], visited.states[index]
    if not is_speakable(dreams[0].thought):
        return None
    dreamed = replace(step, dreams=tuple(_replay(shop, reasoner, step, state, dreams)))
    case = ReviewCase(step=dreamed, better=shop.judge.action_at(state))
    if not shop.should_change(case, state):
        case = replace(case, better=dreamed.proposal)
    return shop.reviewed(case, shop.frame_after(state, case.better))


def _replay(shop: Workshop, reasoner: Reasoner, step: Step, state: bytes, dreams: Sequence[Dream]) -> list[Dream]:
    """Return `dreams` with what really came of them, up to the end of the episode."""
    world = shop.world
    frame = world.load(state)
    facts = step.privileged
    aligned: list[Dream] = []
    for dream in dreams:
        thought = dream.thought
        if aligned and thought is not None:
            shown = replace(step, frame=frame, action=dream.action, privileged=facts)
            thought = reasoner.reason([shown])[0]
        frame, _, terminated, _, info = world.act(dream.action)
        facts = info["privileged"]
        dreamed = None if dream.frame is None else unfit_frame(dream.frame, *frame.shape[:2])
        aligned.append(replace(dream, thought=thought, codes=None, frame=dreamed, real_frame=frame, privileged=facts))
        if terminated:
            break
    return aligned
