"""How true dreams are: frames dreamed 1 … k steps ahead beside the frames that really came.

Taught episodes of evaluation worlds (with the noise of stage S1, so that wrong actions are dreamed about too) give
chains of k actions, or the agent's own episodes do, whose mistakes are what a lookahead is to foresee. The model dreams
the first, reads its own dream back, dreams the second, and so on, with the actions, and thoughts where it has them,
given. Two references stand beside it: the tokenizer's own round trip of the real frames (no dream can be better), and a
copy of the frame the chain began with (a dream must be better than that).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.actions import ActionSpace
from rig.actors import PolicyActor, build_policy
from rig.annotators import REASONERS
from rig.bundle import Bundle
from rig.dialogue import Format, SegmentEncoder, answer, ask
from rig.engine import GREEDY, Engine, Session
from rig.envs import CELL_READERS, Split, Task, World, make_world
from rig.envs.rollout import play
from rig.errors import RigError
from rig.evaluate.config import ImaginationConfig
from rig.evaluate.images import frechet_score, pair_scores
from rig.evaluate.stats import bootstrap_mean
from rig.model.fit import unfit_frame
from rig.policy import PolicyConfig
from rig.provenance import provenance
from rig.records import NOISE, Frame, Lineage, Step
from rig.stages.base import episodes_in_turn
from rig.stages.config import CollectConfig
from rig.stages.s1_collect import teach
from rig.storage import refuse_existing, write_json
from rig.teachers import TEACHERS

Cells = Sequence[tuple[Task, str]]
Chain = Sequence[Step]
"""`depth` steps to dream, and one more that tells what came of the last."""


def evaluate_imagination(config: ImaginationConfig, out: Path | str) -> dict[str, Any]:
    """Dream, compare, and return (and write to `out`/imagination.json) the scores.

    Raises:
        RigError: the agent does not dream, or `out` holds scores already.
        CheckpointError: the agent cannot be loaded.
    """
    out = Path(out)
    refuse_existing(out / "imagination.json", "choose another folder with --out")
    bundle = Bundle.load(config.agent).for_running(config.dtype)
    if not bundle.form.dream:
        raise RigError(f"{config.agent} was trained without dreams; there is nothing to score")
    chains = list(real_chains(bundle, config))
    dreams = dream_chains(bundle, chains, config)
    scores = score_chains(bundle, chains, dreams, config)
    write_json(out / "imagination.json", scores)
    return scores


def real_chains(bundle: Bundle, config: ImaginationConfig) -> Iterator[Chain]:
    """Yield `chains` runs of `depth` + 1 consecutive steps, one per episode, cell after cell in turn.

    One per episode, so that the scores' intervals stand on independent chains; it begins anywhere in the episode.

    Raises:
        RigError: the tasks' episodes are too short for that.
    """
    world, is_taught = make_world(bundle.environment), config.actions == "teacher"
    cells = world.tasks.cells(config.tasks)
    reasoner = REASONERS.get(config.reasoner)() if is_taught else None
    episodes = _taught(world, cells, config) if is_taught else _played(world, cells, bundle, config)
    made = 0
    for index, (seed, steps) in enumerate(episodes):
        if len(steps) <= config.depth:
            continue
        start = int(np.random.default_rng([seed, index // len(cells)]).integers(len(steps) - config.depth))
        chain = steps[start : start + config.depth + 1]
        if reasoner is not None:
            thoughts = reasoner.reason(chain)
            chain = [replace(step, thought=thought) for step, thought in zip(chain, thoughts, strict=True)]
        yield chain
        made += 1
        if made == config.chains:
            return
    raise RigError(f"these episodes hold {made} chains of {config.depth} steps; choose longer tasks or fewer chains")


def _taught(world: World, cells: Cells, config: ImaginationConfig) -> Iterator[tuple[int, Sequence[Step]]]:
    """Yield (seed, steps) of episodes of the teacher."""
    teacher = TEACHERS.get(config.teacher)()
    noisy = CollectConfig(environment=world.name, teacher=config.teacher, seed=1)
    for number in range(config.chains):
        for episode in episodes_in_turn(world, cells, Split[config.split.upper()], episodes=1, skip=number):
            yield episode.seed, teach(world, teacher, episode, noisy).steps


def _played(
    world: World, cells: Cells, bundle: Bundle, config: ImaginationConfig
) -> Iterator[tuple[int, Sequence[Step]]]:
    """Yield (seed, steps) of episodes of the agent; as many are played side by side as a batch holds."""
    actor = PolicyActor(build_policy(bundle, PolicyConfig(form=bundle.form)))
    lineage, batch = Lineage(stage="live", actor=config.agent), config.batch_size
    rounds = max(1, min(batch, config.chains) // len(cells))
    for first in range(0, config.chains, rounds):
        together = episodes_in_turn(world, cells, Split[config.split.upper()], episodes=rounds, skip=first)
        played = play(lambda: make_world(bundle.environment), actor, together, batch_size=batch, lineage=lineage)
        steps = {one.episode: one.trajectory.steps for one in played}
        yield from ((episode.seed, steps[episode]) for episode in together)


def dream_chains(bundle: Bundle, chains: Sequence[Chain], config: ImaginationConfig) -> NDArray[np.uint8]:
    """Return the dreamed frames, uint8 [chains, depth, H, W, 3]."""
    form = replace(bundle.form, read_back=config.read_back)
    encoder, space = bundle.encoder, bundle.space
    capacity = PolicyConfig(form=form, dreams=config.depth).capacity(encoder, bundle.space)
    engine = Engine(bundle.model, capacity=capacity)
    dream = _dream_fresh if config.context == "fresh" else _dream_in_one
    parts = [
        dream(engine, encoder, space, form, chains[start : start + config.batch_size])
        for start in tqdm(range(0, len(chains), config.batch_size), desc="dream", unit="batch")
    ]
    return _as_the_world_draws(np.concatenate(parts), chains)


def _as_the_world_draws(frames: NDArray[np.uint8], chains: Sequence[Chain]) -> NDArray[np.uint8]:
    """Return a network's frames [chains, depth, …] in the size of the world's own."""
    height, width = chains[0][0].frame.shape[:2]
    return np.stack([[unfit_frame(frame, height, width) for frame in some] for some in frames])


def score_chains(
    bundle: Bundle, chains: Sequence[Chain], dreams: NDArray[np.uint8], config: ImaginationConfig
) -> dict[str, Any]:
    """Return the scores of dreams beside those of the tokenizer's round trip and of a plain copy."""
    engine = Engine(bundle.model, capacity=1)
    truth = np.stack([np.stack([step.frame for step in chain[1:]]) for chain in chains])
    decoded = engine.decode_images(engine.encode_images(truth.reshape(-1, *truth.shape[2:])))
    rebuilt = _as_the_world_draws(decoded.reshape(*truth.shape[:2], *decoded.shape[1:]), chains)
    copies = np.stack([[chain[0].frame] * config.depth for chain in chains])
    judge = _Judge(bundle.environment, chains)
    return {
        "config": asdict(config),
        "provenance": provenance(),
        "runs_in": bundle.model.runs_in,
        "chains": len(chains),
        "noise_actions": float(np.mean([step.actor == NOISE for chain in chains for step in chain[:-1]])),
        "dream": [judge.scores(dreams[:, k], truth[:, k], k) for k in range(config.depth)],
        "tokenizer": [judge.scores(rebuilt[:, k], truth[:, k], k) for k in range(config.depth)],
        "copy": [judge.scores(copies[:, k], truth[:, k], k) for k in range(config.depth)],
    }


class _Judge:
    """Scores frames of one depth: pixels for every world, cells where the world is made of them."""

    def __init__(self, environment: str, chains: Sequence[Chain]) -> None:
        self._chains = chains
        make = CELL_READERS.find(environment)
        self._reader = make() if make else None

    def scores(self, frames: NDArray[np.uint8], truth: NDArray[np.uint8], depth: int) -> dict[str, Any]:
        """Return PSNR, SSIM, Fréchet distance, and the share of cells right after `depth` + 1 steps."""
        pairs = pair_scores(frames, truth)
        frechet = frechet_score(frames, truth)
        values: dict[str, Any] = {
            "steps": depth + 1,
            "psnr": asdict(pairs.psnr),
            "ssim": asdict(pairs.ssim),
            "identical": pairs.identical,
            "frechet": asdict(frechet),
        }
        return values | (self._cells(frames, depth) if self._reader else {})

    def _cells(self, frames: NDArray[np.uint8], depth: int) -> dict[str, Any]:
        """Return the share of all cells read as the engine has them, and of the cells that changed since the start.

        Where no cell has changed: in what share of these chains the dream has none changed either.
        """
        assert self._reader is not None
        after = [chain[depth + 1].privileged for chain in self._chains]
        start = np.stack([self._reader.truth(chain[0].privileged) for chain in self._chains])
        real = np.stack([self._reader.truth(facts) for facts in after])
        read = self._reader.read(list(frames), after)
        right, changed = read == real, real != start
        shares = [float(r[c].mean()) for r, c in zip(right, changed, strict=True) if c.any()]
        stills = [float(r.all()) for r, c in zip(right, changed, strict=True) if not c.any()]
        return {
            "cells_right": asdict(bootstrap_mean(right.mean(axis=(1, 2)))),
            "changed_cells_right": asdict(bootstrap_mean(shares)) if shares else None,
            "stills_right": asdict(bootstrap_mean(stills)) if stills else None,
        }


def _dream_fresh(
    engine: Engine, encoder: SegmentEncoder, space: ActionSpace, form: Format, chains: Sequence[Chain]
) -> NDArray[np.uint8]:
    frames: list[Frame] = [chain[0].frame for chain in chains]
    dreamed = []
    for depth in range(len(chains[0]) - 1):
        session = engine.session([0] * len(chains))
        shown = [replace(chain[depth], frame=frame) for chain, frame in zip(chains, frames, strict=True)]
        questions = [
            [*ask(step.frame, step.instruction, space.format(step.previous_action), form), *_given(step, space, form)]
            for step in shown
        ]
        session.append(range(len(chains)), [encoder.encode(question) for question in questions])
        frames = list(_write(engine, encoder, session))
        dreamed.append(np.stack(frames))
    return np.stack(dreamed, axis=1)


def _dream_in_one(
    engine: Engine, encoder: SegmentEncoder, space: ActionSpace, form: Format, chains: Sequence[Chain]
) -> NDArray[np.uint8]:
    session = engine.session([0] * len(chains))
    rows = range(len(chains))
    dreamed: list[NDArray[np.uint8]] = []
    for depth in range(len(chains[0]) - 1):
        sequences = []
        for row, chain in zip(rows, chains, strict=True):
            step = chain[depth]
            frame = step.frame if not depth else dreamed[-1][row] if form.read_back == "pixels" else None
            previous = space.format(step.previous_action)
            segments = [*ask(frame, step.instruction, previous, form, imagined=depth > 0), *_given(step, space, form)]
            sequences.append(encoder.encode(segments, start=session.next_position(row), begin=not depth))
        session.append(rows, sequences)
        dreamed.append(_write(engine, encoder, session))
    return np.stack(dreamed, axis=1)


def _given(step: Step, space: ActionSpace, form: Format) -> list[Any]:
    """Return the model's turn up to the image that it is to write."""
    codes = np.zeros(0, np.uint16)
    return answer(step.thought, space.format(step.action), codes, form)[:-2]


def _write(engine: Engine, encoder: SegmentEncoder, session: Session) -> NDArray[np.uint8]:
    rows = range(len(session))
    session.append(rows, [encoder.open_image(session.next_position(row)) for row in rows])
    codes = session.write_image(rows, GREEDY).codes
    session.append(rows, [encoder.close_image(session.next_position(row)) for row in rows])
    return engine.decode_images(codes)
