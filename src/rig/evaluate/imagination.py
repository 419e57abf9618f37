"""How true dreams are: frames dreamed 1 … k steps ahead beside the frames that really came.

Taught episodes of evaluation worlds (with the noise of stage S1, so that wrong actions are dreamed about too) give
chains of k actions, or the agent's own episodes do, whose mistakes are what a lookahead is to foresee. The model dreams
the first, reads its own dream back, dreams the second, and so on, with the actions, and thoughts where it has them,
given. Two references stand beside it: the tokenizer's own round trip of the real frames (no dream can be better), and a
copy of the frame the chain began with (a dream must be better than that).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rig.actions import ActionSpace
from rig.agents import PolicyConfig
from rig.agents.checkpoint import AgentCheckpoint
from rig.contact_sheets import write_sheet
from rig.dialogue import PromptFormat, Segment, SegmentEncoder, answer, ask, told_actions
from rig.engine import (
    GREEDY,
    ONE_BY_ONE,
    Conversation,
    Engine,
    GeneratedImage,
    GenerateImage,
    Prefill,
    Program,
    Slot,
    Speculation,
)
from rig.envs import cell_reader_of, make_world
from rig.envs.rollout import MOST_WORLDS
from rig.errors import RigError
from rig.evaluate.chains import Chain, real_chains, with_players
from rig.evaluate.config import ImaginationConfig
from rig.evaluate.images import SSIM_MODULE, frechet_score, pair_scores
from rig.evaluate.outcomes import Outcomes, action_agreement, outcomes_of
from rig.evaluate.saved import IMAGINATION
from rig.evaluate.stats import bootstrap_mean, mean_if_any
from rig.model.fit import unfit_frame
from rig.provenance import provenance
from rig.records import NOISE, Frame, Step
from rig.registry import require
from rig.storage import refuse_existing, write_json

PICTURE = "dreams.jpg"
"""Beside the scores: the first chain of each task, what came above what was dreamed."""

Frames = NDArray[np.uint8]


def evaluate_imagination(config: ImaginationConfig, out: Path | str) -> dict[str, Any]:
    """Dream, compare, and return (and write to `out`/imagination.json) the scores; draw `out`/dreams.jpg.

    Raises:
        RigError: the agent does not dream, nobody is there to play, or `out` holds scores already.
        CheckpointError: the agent cannot be loaded.
        MissingDependencyError: what the scores need is not installed.
    """
    out = Path(out)
    refuse_existing(out / IMAGINATION, "choose another folder with --out")
    require(SSIM_MODULE, "eval")  # not after an hour of dreaming
    checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype)
    if not checkpoint.prompt_format.dream:
        raise RigError(f"{config.agent} was trained without dreams; there is nothing to score")
    config = with_players(checkpoint, config)
    chains = list(real_chains(checkpoint, config))
    dreams = dream_chains(checkpoint, chains, config)
    outcomes = outcomes_of(make_world(checkpoint.environment), chains)
    scores = score_chains(checkpoint, chains, dreams, config, outcomes)
    draw_dreams(out / PICTURE, chains, dreams, checkpoint.space)
    write_json(out / IMAGINATION, scores)
    return scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Dreams:
    """What was dreamed of chains.

    Attributes:
        frames: uint8 [chains, depth, H, W, 3].
        entropy: float32 [chains, depth], nats per code; see `WrittenImages`.
        passes: int64 [chains, depth]: how often the decoder ran for each.
    """

    frames: Frames
    entropy: NDArray[np.float32]
    passes: NDArray[np.int64]


def dream_chains(checkpoint: AgentCheckpoint, chains: Sequence[Chain], config: ImaginationConfig) -> Dreams:
    """Return the agent's dreams of the chains."""
    prompt_format = replace(checkpoint.prompt_format, read_back=config.read_back)
    encoder, space = checkpoint.encoder, checkpoint.space
    capacity = PolicyConfig(prompt_format=prompt_format).capacity(encoder, checkpoint.space, dreams=config.depth)
    dreamer = _Dreamer(Engine(checkpoint.model, capacity=capacity), encoder, space, prompt_format, config)
    dream = dreamer.fresh if config.context == "fresh" else dreamer.in_one
    together = config.batch_size or MOST_WORLDS
    parts = [
        dream(chains[start : start + together])
        for start in tqdm(range(0, len(chains), together), desc="dream", unit="batch")
    ]
    return Dreams(
        frames=_as_the_world_draws(np.concatenate([part.frames for part in parts]), chains),
        entropy=np.concatenate([part.entropy for part in parts]),
        passes=np.concatenate([part.passes for part in parts]),
    )


def _as_the_world_draws(frames: Frames, chains: Sequence[Chain]) -> Frames:
    """Return a network's frames [chains, depth, …] in the size of the world's own."""
    height, width = chains[0].steps[0].frame.shape[:2]
    return np.stack([[unfit_frame(frame, height, width) for frame in some] for some in frames])


def draw_dreams(path: Path, chains: Sequence[Chain], dreams: Dreams, space: ActionSpace) -> Path:
    """Draw the first chain of each task: the frames that came of its actions, and below them those dreamed."""
    first: dict[str, int] = {}
    for index, chain in enumerate(chains):
        first.setdefault(chain.episode.task, index)
    rows: list[list[Frame | None]] = []
    lines: list[list[str]] = []
    for index in first.values():
        chain = chains[index]
        rows += [[step.frame for step in chain.steps], [None, *dreams.frames[index]]]
        cell = f"{chain.episode.task}/{chain.episode.setting}"
        lines += [[cell, *(space.format(step.action) for step in chain.steps[:-1])], ["", *["dreamed"] * chain.depth]]
    return write_sheet(path, rows, lines)


def score_chains(
    checkpoint: AgentCheckpoint,
    chains: Sequence[Chain],
    dreams: Dreams,
    config: ImaginationConfig,
    outcomes: Sequence[Sequence[Outcomes]] | None = None,
) -> dict[str, Any]:
    """Return the scores of dreams beside those of the tokenizer's round trip and of a plain copy.

    Args:
        checkpoint: whose dreams they are.
        chains: what they are about.
        dreams: what was dreamed of them.
        config: how they came about.
        outcomes: what could have come of each step; without them agreement with actions is not scored.
    """
    engine = Engine(checkpoint.model, capacity=1)
    truth = np.stack([np.stack([step.frame for step in chain.steps[1:]]) for chain in chains])
    decoded = engine.decode_images(engine.encode_images(truth.reshape(-1, *truth.shape[2:])))
    rebuilt = _as_the_world_draws(decoded.reshape(*truth.shape[:2], *decoded.shape[1:]), chains)
    copies = np.stack([[chain.steps[0].frame] * config.depth for chain in chains])
    judge = _Judge(checkpoint.environment, chains, outcomes)
    return {
        "config": asdict(config),
        "provenance": provenance(),
        "runs_in": checkpoint.model.runs_in,
        "chains": len(chains),
        "passes": float(dreams.passes.mean()),
        "noise_actions": float(np.mean([step.actor == NOISE for chain in chains for step in chain.steps[:-1]])),
        "dream": [judge.scores(dreams.frames[:, k], truth[:, k], k, dreams.entropy[:, k]) for k in range(config.depth)],
        "tokenizer": [judge.scores(rebuilt[:, k], truth[:, k], k) for k in range(config.depth)],
        "copy": [judge.scores(copies[:, k], truth[:, k], k) for k in range(config.depth)],
    }


class _Judge:
    """Scores frames of one depth: pixels for every world, cells where the world is made of them."""

    def __init__(
        self, environment: str, chains: Sequence[Chain], outcomes: Sequence[Sequence[Outcomes]] | None
    ) -> None:
        self._chains, self._outcomes = chains, outcomes
        self._reader = cell_reader_of(environment)

    def scores(
        self, frames: Frames, truth: Frames, depth: int, entropy: NDArray[np.float32] | None = None
    ) -> dict[str, Any]:
        """Return PSNR, SSIM, Fréchet distance, agreement with actions, and the share of cells right at `depth` + 1."""
        pairs = pair_scores(frames, truth)
        frechet = frechet_score(frames, truth)
        values: dict[str, Any] = {
            "steps": depth + 1,
            "psnr": asdict(pairs.psnr),
            "ssim": asdict(pairs.ssim),
            "identical": pairs.identical,
            "frechet": asdict(frechet),
        }
        if self._outcomes is not None:
            values |= action_agreement(frames, [some[depth] for some in self._outcomes])
        return values | (self._cells(frames, depth, entropy) if self._reader else {})

    def _cells(self, frames: Frames, depth: int, entropy: NDArray[np.float32] | None) -> dict[str, Any]:
        """Return the share of all cells read as the engine has them, and of the cells that changed since the start.

        Where no cell has changed: in what share of these chains the dream has none changed either. Where the entropy of
        frames is given: how it tells those with a wrong cell.
        """
        assert self._reader is not None
        after = [chain.steps[depth + 1].privileged for chain in self._chains]
        start = np.stack([self._reader.truth(chain.steps[0].privileged) for chain in self._chains])
        real = np.stack([self._reader.truth(facts) for facts in after])
        read = self._reader.read(list(frames), after)
        right, changed = read == real, real != start
        shares = [float(r[c].mean()) for r, c in zip(right, changed, strict=True) if c.any()]
        stills = [float(r.all()) for r, c in zip(right, changed, strict=True) if not c.any()]
        return {
            "cells_right": asdict(bootstrap_mean(right.mean(axis=(1, 2)))),
            "changed_cells_right": mean_if_any(shares),
            "stills_right": mean_if_any(stills),
            **({} if entropy is None else told_by_entropy(entropy, right.all(axis=(1, 2)))),
        }


def asked_to_dream(
    step: Step, frame: Frame | None, space: ActionSpace, prompt_format: PromptFormat, *, imagined: bool = False
) -> list[Segment]:
    """Return what is said up to the image that the model is to write: the question, the step's thought and action."""
    executed = told_actions(step.executed, space, prompt_format)
    question = ask(frame, step.instruction, executed, prompt_format, imagined=imagined)
    return [*question, *answer(step.thought, space.format(step.action), np.zeros(0, np.uint16), prompt_format)[:-2]]


def told_by_entropy(entropy: NDArray[np.float32], right: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the mean entropy of dreams [n] that are right and of those that are not, and how well it tells them apart.

    Returns:
        "entropy_right", "entropy_wrong", and "entropy_tells": in what share of all pairs of a right dream and a wrong
        one the wrong one has the higher entropy; None where there are none of a kind.
    """
    good, bad = entropy[right], entropy[~right]
    tells = None
    if len(good) and len(bad):
        tells = float(((bad[:, None] > good) + 0.5 * (bad[:, None] == good)).mean())
    means = (float(some.mean()) if len(some) else None for some in (good, bad))
    return dict(zip(("entropy_right", "entropy_wrong"), means, strict=True)) | {"entropy_tells": tells}


class _Dreamer:
    """Dreams along chains."""

    def __init__(
        self,
        engine: Engine,
        encoder: SegmentEncoder,
        space: ActionSpace,
        prompt_format: PromptFormat,
        config: ImaginationConfig,
    ) -> None:
        self._engine, self._encoder, self._space, self._form = engine, encoder, space, prompt_format
        self._config = config

    def fresh(self, chains: Sequence[Chain]) -> Dreams:
        """Return the dreams, each in a conversation of its own."""
        frames = np.stack([chain.steps[0].frame for chain in chains])
        dreamed: list[Dreams] = []
        for depth in range(chains[0].depth):
            shown = [replace(chain.steps[depth], frame=frame) for chain, frame in zip(chains, frames, strict=True)]
            turns = [asked_to_dream(step, step.frame, self._space, self._form) for step in shown]
            speculation = self._guessing(len(chains))
            pairs = zip(turns, shown, strict=True)
            dreamed += self._hold([self._one(turn, step.frame, speculation) for turn, step in pairs])
            frames = dreamed[-1].frames
        return _stacked(dreamed)

    def in_one(self, chains: Sequence[Chain]) -> Dreams:
        """Return the dreams, all of a chain in one conversation."""
        speculation = self._guessing(len(chains))
        return _stacked(self._hold([self._chain(chain, speculation) for chain in chains]))

    def _hold(self, programs: Sequence[Program[list[GeneratedImage]]]) -> list[Dreams]:
        """Let each conversation dream; return the dreams of all at each depth."""
        stream = self._engine.stream(len(programs))
        for program in programs:
            stream.submit(0, program)
        return [self._dreams(images) for images in zip(*stream.finish(), strict=True)]

    def _dreams(self, images: Sequence[GeneratedImage]) -> Dreams:
        return Dreams(
            frames=self._engine.decode_images(np.stack([image.codes for image in images])),
            entropy=np.array([image.entropy for image in images], np.float32),
            passes=np.array([image.passes for image in images], np.int64),
        )

    def _one(self, turn: list[Segment], before: Frame, speculation: Speculation) -> Program[list[GeneratedImage]]:
        """Return the conversation that dreams once, behind `turn`."""

        def program(slot: Slot) -> Conversation[list[GeneratedImage]]:
            yield Prefill(tokens=self._encoder.encode(turn))
            return [(yield from self._write(slot, before, speculation))]

        return program

    def _chain(self, chain: Chain, speculation: Speculation) -> Program[list[GeneratedImage]]:
        """Return the conversation that dreams along a chain."""

        def program(slot: Slot) -> Conversation[list[GeneratedImage]]:
            images, frame = list[GeneratedImage](), chain.steps[0].frame
            for depth in range(chain.depth):
                shown = frame if not depth or self._form.read_back == "pixels" else None
                turn = asked_to_dream(chain.steps[depth], shown, self._space, self._form, imagined=depth > 0)
                yield Prefill(tokens=self._encoder.encode(turn, start=slot.next_position, begin=not depth))
                images.append((yield from self._write(slot, frame, speculation)))
                frame = self._engine.decode_images(images[-1].codes[None])[0]
            return images

        return program

    def _write(self, slot: Slot, before: Frame, speculation: Speculation) -> Conversation[GeneratedImage]:
        """Let a conversation write one dream; the codes of the frame `before` are the first guesses."""
        draft = None if speculation == ONE_BY_ONE else self._engine.encode_images(before[None])[0]
        yield Prefill(tokens=self._encoder.open_image(slot.next_position))
        image: GeneratedImage = yield GenerateImage(sampler=GREEDY, speculation=speculation, draft=draft)
        yield Prefill(tokens=self._encoder.close_image(slot.next_position))
        return image

    def _guessing(self, count: int) -> Speculation:
        return self._engine.speculation_for(
            count, diagonal_offset=self._config.diagonal_offset, entropy_threshold=self._config.entropy_threshold
        )


def _stacked(dreamed: Sequence[Dreams]) -> Dreams:
    """Return what was dreamed at each depth as one."""
    frames, entropy, passes = (
        np.stack([getattr(dreams, name) for dreams in dreamed], axis=1) for name in ("frames", "entropy", "passes")
    )
    return Dreams(frames=frames, entropy=entropy, passes=passes)
