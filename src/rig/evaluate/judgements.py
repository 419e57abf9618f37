"""How well an agent says what plans are worth, on counterfactual sets that it has not learned from.

It judges the agent's own proposals of each state three times: shown what really came of them, shown its dreams, and
shown nothing but the plan. What it knows more in the second case than in the third, it knows by imagination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rig.agents import PolicyConfig, Said, build_policy
from rig.agents.checkpoint import AgentCheckpoint
from rig.agents.judges import refuse_unjudging
from rig.annotators import build_reviewer
from rig.annotators.kit import kit_name
from rig.data import Dataset
from rig.engine import Engine
from rig.errors import RigError
from rig.evaluate.branches import BASELINES, UNTAUGHT, BranchSet, measured, open_sets, score_sets, sets_of
from rig.evaluate.config import JudgementsConfig
from rig.evaluate.saved import JUDGEMENTS
from rig.evaluate.stats import bootstrap_mean
from rig.provenance import provenance
from rig.records import Dream, Step
from rig.stages.judging import Given, shown, with_judgements
from rig.storage import refuse_existing, write_json

BINS = 10
"""Of confidence, for the calibration error."""


def evaluate_judgements(config: JudgementsConfig, out: Path | str) -> dict[str, Any]:
    """Judge, compare, and return (and write to `out`/judgements.json) the scores.

    Returns:
        What `score_sets` does, with a scorer for each of `config.given` beside the baselines; "said", of each kind the
        calibration of the verdicts (`calibration`); and "imagination", with intervals over sets, what dreams add to
        nothing ("dreams", where both are given), and real frames to dreams ("real").

    Raises:
        RigError: the agent has not learned to judge, the sets are of another world or hold no choice, or `out` holds
            scores already.
        CheckpointError: the agent cannot be loaded.
        DatasetError: a dataset holds no sets.
    """
    out = Path(out)
    refuse_existing(out / JUDGEMENTS, "choose another folder with --out")
    checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype)
    refuse_unjudging(checkpoint.prompt_format)
    sets = [found for folder in config.data for found in _sets_in(folder, checkpoint, config)]
    chosen = open_sets(sets)
    if not chosen:
        raise RigError(f"{', '.join(config.data)}: in no set does the choice among the agent's own proposals matter")
    said = {kind: judge_all(checkpoint, chosen, kind, config) for kind in config.given}
    scorers = {f"said, given {kind}": _as_scorer(chosen, found) for kind, found in said.items()}
    scores = score_sets(sets, {**BASELINES, **UNTAUGHT, **scorers})
    judged = _judged(checkpoint, chosen)
    found = scores | {
        "said": {kind: calibration(judged, flat(given)) for kind, given in said.items()},
        "imagination": _imagination(chosen, {kind: scorers[f"said, given {kind}"] for kind in said}),
        "config": asdict(config),
        "provenance": provenance(),
        "runs_in": checkpoint.model.runs_in,
    }
    write_json(out / JUDGEMENTS, found)
    return found


def judge_all(
    checkpoint: AgentCheckpoint, sets: Sequence[BranchSet], given: Given, config: JudgementsConfig
) -> list[list[Said]]:
    """Return what the agent says of each branch of each set, shown `given` of it."""
    policy = build_policy(
        checkpoint,
        PolicyConfig(prompt_format=replace(checkpoint.prompt_format, read_back="pixels")),
        dreams_ahead=_depth(sets),
    )
    for instruction in sorted({step.instruction for one in sets for step in one.steps}):
        policy.check_instruction(instruction, instruction)
    steps = [step for one in sets for step in one.steps]
    said: list[Said] = []
    for start in tqdm(range(0, len(steps), config.batch_size), desc=given, unit="batch", disable=None):
        asked = [_coded(shown(step, given), policy.engine) for step in steps[start : start + config.batch_size]]
        said += policy.judge(asked, range(start, start + len(asked)))
    ends = np.cumsum([len(one.steps) for one in sets]).tolist()
    return [said[end - len(one.steps) : end] for one, end in zip(sets, ends, strict=True)]


def calibration(steps: Sequence[Step], said: Sequence[Said]) -> dict[str, Any]:
    """Return how far verdicts are right, and are known to be.

    Args:
        steps: branches with their right judgements.
        said: what was said of them.

    Returns:
        "right", the share of likeliest verdicts that are; "confidence", their mean probability; "ece", the expected
        calibration error of these over ten bins; "words", the share of judgements in the annotator's very words.
    """
    assert len(steps) == len(said)
    sure = np.array([max(one.shares.values()) for one in said])
    pairs = [(step.judgement, one.judgement) for step, one in zip(steps, said, strict=True)]
    right = np.array([wanted is not None and wanted.term == found.term for wanted, found in pairs], float)
    words = [float(wanted is not None and wanted.outcome == found.outcome) for wanted, found in pairs]
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float((right - sure)[bins == place].sum())) for place in range(BINS)]
    return {
        "branches": len(said),
        "right": asdict(bootstrap_mean(right)),
        "confidence": float(sure.mean()),
        "ece": sum(gaps) / len(said),
        "words": asdict(bootstrap_mean(words)),
    }


def flat(said: Sequence[Sequence[Said]]) -> list[Said]:
    """Return what was said of all branches, in order."""
    return [one for some in said for one in some]


def _sets_in(folder: str, checkpoint: AgentCheckpoint, config: JudgementsConfig) -> list[BranchSet]:
    dataset = Dataset(folder)
    if dataset.info.environment != checkpoint.environment or not checkpoint.space.is_like(dataset.info.action_space):
        raise RigError(
            f"{folder} is of {dataset.info.environment} ({dataset.info.action_space.described}), and {config.agent} "
            f"plays {checkpoint.environment} ({checkpoint.space.described}); give sets of the agent's own world"
        )
    return [one for one in sets_of(dataset) if not config.tasks or set(_names(dataset, one)) & set(config.tasks)]


def _names(dataset: Dataset, one: BranchSet) -> tuple[str, str]:
    found = dataset[one.episode]
    return found.task, f"{found.task}/{found.setting}"


def _judged(checkpoint: AgentCheckpoint, sets: Sequence[BranchSet]) -> list[Step]:
    """Return the branches of sets with their right judgements, in the words that training has."""
    name, scale = kit_name(checkpoint.environment, "reviewer", spared=True), checkpoint.prompt_format.judgement
    assert scale is not None
    reviewer = build_reviewer(name) if name else None
    return with_judgements([step for one in sets for step in one.steps], scale, reviewer, closed=True)


def _as_scorer(sets: Sequence[BranchSet], said: Sequence[Sequence[Said]]) -> Any:
    known = {id(one.facts[0]): [-found.steps for found in some] for one, some in zip(sets, said, strict=True)}
    return lambda one: known[id(one.facts[0])]


def _imagination(sets: Sequence[BranchSet], scorers: Mapping[str, Any]) -> dict[str, Any]:
    """Return by how much a judge does better with more before it, set by set."""
    found = {}
    for more, less in (("dreams", "nothing"), ("real", "dreams")):
        if more in scorers and less in scorers:
            ours, theirs = measured(sets, scorers[more]), measured(sets, scorers[less])
            found[more] = {name: asdict(bootstrap_mean(np.subtract(ours[name], theirs[name]))) for name in ours}
    return found


def _coded(step: Step, engine: Engine) -> Step:
    """Return a step whose dreams have codes, of the frames that they are shown with."""
    return replace(step, dreams=tuple(_with_codes(dream, engine) for dream in step.dreams))


def _with_codes(dream: Dream, engine: Engine) -> Dream:
    frame = dream.frame if dream.real_frame is None else dream.real_frame
    if frame is None:
        return dream
    codes = engine.encode_images(frame[None])[0]
    return replace(dream, codes=codes, real_codes=None if dream.real_frame is None else codes)


def _depth(sets: Sequence[BranchSet]) -> int:
    return max(len(step.dreams) for one in sets for step in one.steps)
