"""From an agent to one that has learned from its own play: what `rig improve` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from rig.agents import Planner, PolicyActor, PolicyConfig, Resample, agent_name, build_policy, choosing, world_of
from rig.agents.checkpoint import AgentCheckpoint
from rig.data import Manifest
from rig.engine import Sampler
from rig.errors import RigError
from rig.improve.batches import ImprovingBatches
from rig.improve.config import ImproveConfig, PlayConfig
from rig.model import RIG, best_device
from rig.provenance import provenance
from rig.train import ranks
from rig.train.agent import LearnedData, described, learned_data
from rig.train.config import AgentTraining
from rig.train.loop import Trainer
from rig.train.runs import Run, check_run

_PREFIX = "play/"


def improve_agent(
    config: ImproveConfig, folder: Path | str, *, resume: bool = False, track: Sequence[str] = ()
) -> Path:
    """Have an agent learn from its own play in `folder`, and return where what it became lies: `<folder>/agent`.

    Args:
        config: see `ImproveConfig`.
        folder: of the run.
        resume: go on with a run that was cut.
        track: trackers that are told what is logged, as "tensorboard" (see `rig.tracking`).

    Raises:
        CheckpointError: the agent, or the run's state, cannot be used.
        RigError: `Run` refuses the folder, a dataset is not of the agent's, several processes were started, or there is
            no such tracker.
        MissingDependencyError: a tracker's package is not installed.
        SimulatorError: an engine failed again and again.
    """
    if ranks.count() > 1:
        raise RigError("rig improve plays and learns in one process; start it without torchrun")
    check_run(folder, config, resume=resume, track=track)
    checkpoint, name = _loaded(config.agent), agent_name(config.agent)
    world = world_of(checkpoint, config.agent)
    settings = PolicyConfig(
        prompt_format=checkpoint.prompt_format,
        planner=_planner(config.play),
        thought_tokens=config.play.thought_tokens,
        text=Sampler(temperature=config.play.temperature),
        log_probs=True,
    )
    checkpoint.model.place(best_device(), torch.float32)
    policy = build_policy(checkpoint, settings)
    policy.check_tasks(world.tasks, config.play.tasks)
    start = _start(config) if config.lessons.kl else None
    replayed = _replayed(config, checkpoint)
    with Run(folder, config, resume=resume, track=track) as run:
        batches = ImprovingBatches(
            config,
            PolicyActor(policy),
            start,
            checkpoint.environment,
            name,
            replayed.conversations if replayed else None,
            lambda step, values: _tell(run, config, step, values),
        )
        totals = Trainer(checkpoint.model, batches, config.training, run).fit()
        origin = _origin(
            checkpoint.origin, run, totals, [described(one) for one in (replayed.datasets if replayed else ())]
        )
        improved = {"from": name, "config": run.config, "rounds": _rounds(run), "provenance": origin["provenance"]}
        origin["improved"] = [*checkpoint.origin.get("improved", []), improved]
        replace(checkpoint, origin=origin).save(run.folder / "agent")
        return run.folder / "agent"


def _origin(
    before: Mapping[str, Any], run: Run, totals: Mapping[str, float], data: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return how the agent was made: it still is what the data of before, which are kept, taught it."""
    known = [*before.get("data", [])]
    hashes = {part.get("content_hash") for part in known}
    training = {"model_seed": 0, "start": run.config["agent"], "training": run.config["training"]}
    return {
        **before,
        "training": {**training, "improving": run.config},
        "runs_in": run.runs_in,
        "data": [*known, *(part for part in data if part["content_hash"] not in hashes)],
        "totals": dict(totals),
        "provenance": provenance(),
    }


def _rounds(run: Run) -> list[dict[str, Any]]:
    return [{"step": line["step"], **played} for line in run.metrics() if (played := _played(line))]


def _loaded(agent: str) -> AgentCheckpoint:
    checkpoint = AgentCheckpoint.load(agent)
    checkpoint.model.float()
    return checkpoint


def _start(config: ImproveConfig) -> RIG:
    """Return the network at the start, which learns nothing."""
    model = _loaded(config.agent).model
    model.place(best_device(), torch.float32)
    return model.eval().requires_grad_(False)


def _planner(config: PlayConfig) -> Planner:
    if config.in_dreams:
        return Resample(plans=1, dreams=config.dreams, judge=config.judge)
    return choosing(
        config.plans, config.dreams, config.judge, resample=config.resample, votes_weight=config.votes_weight
    )


def _replayed(config: ImproveConfig, checkpoint: AgentCheckpoint) -> LearnedData | None:
    """Return what goes on being learned; None where there is no dataset.

    Raises:
        RigError: a dataset is of another world.
    """
    if not config.parts:
        return None
    for part in config.parts:
        found = Manifest.load(Path(part.data)).info.environment
        if found != checkpoint.environment:
            raise RigError(f"{part.data} is from {found!r}, and the agent plays in {checkpoint.environment!r}")
    training = AgentTraining(
        preset="",
        tokenizers=config.agent,
        start=config.agent,
        parts=config.parts,
        prompt_format=checkpoint.prompt_format,
        training=config.training,
    )
    return learned_data(training, checkpoint.encoder)


def _tell(run: Run, config: ImproveConfig, step: int, values: Mapping[str, float]) -> None:
    run.log(step, values)
    number = (step - 1) // config.lessons.updates + 1
    if "stopped/kl" in values:
        tqdm.write(
            f"round {number} of {config.rounds}: stopped after {values['stopped/updates']:.0f} of its "
            f"{config.lessons.updates} steps, {values['stopped/kl']:.3f} nats from who played it"
        )
        return
    played = _played(values)
    tqdm.write(
        f"round {number} of {config.rounds}: {said_of(played)}, in "
        f"{played['open_groups']:.0f} of {played['groups']:.0f} groups some more than others; "
        f"{played['decisions']:.0f} decisions are learned"
    )


def said_of(played: Mapping[str, float]) -> str:
    """Return how well the attempts of a round did, in words."""
    if "success" in played:
        return f"{played['success']:.2f} of the attempts win"
    return f"what is dreamed is worth {played['worth']:.2f}"


def _played(line: Mapping[str, float]) -> dict[str, Any]:
    """Return what a line of the log says of a round."""
    return {name.removeprefix(_PREFIX): value for name, value in line.items() if name.startswith(_PREFIX)}
