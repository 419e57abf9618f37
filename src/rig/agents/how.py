"""How somebody who is named is to play, and a trained agent that plays so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rig.agents.actors import build_policy
from rig.agents.checkpoint import AgentCheckpoint, Dtype
from rig.agents.dream_sources import OWN
from rig.agents.planners import Basic, Planner
from rig.agents.policy import Policy, PolicyConfig
from rig.annotators import checker_of, judge_of
from rig.dialogue import PromptFormat
from rig.engine import Sampler
from rig.errors import RigError


@dataclass(frozen=True, kw_only=True)
class HowToPlay:
    """How somebody that is named is to play; who has no use for a field ignores it.

    Attributes:
        planner_for: returns how to come to decisions, for an agent that speaks a form.
        read_back: how dreams are read.
        entropy_threshold: as in `PolicyConfig`.
        thought_tokens: as in `PolicyConfig`.
        temperature: of thoughts and actions.
        dtype: what a network computes in.
        dreams_from: the dream source, by its name: what is shown in the place of every dream.
        tasks: what is to be played; all of the world's where there is none.
        bind_verdicts: hold reviews to the word "keep", where the world's claim checker can read it.
    """

    planner_for: Callable[[PromptFormat], Planner] = field(default=lambda prompt_format: Basic())
    read_back: Literal["pixels", "codes"] = "pixels"
    entropy_threshold: float = 0.0
    thought_tokens: int = 96
    temperature: float = 0.5
    dtype: Dtype = "auto"
    dreams_from: str = OWN
    tasks: tuple[str, ...] = ()
    bind_verdicts: bool = True

    def told(self, planner: Planner) -> dict[str, Any]:
        """Return what decisions follow from, beside the network, as plain values: what servers and clients compare."""
        names = ("read_back", "entropy_threshold", "thought_tokens", "temperature", "bind_verdicts")
        options: dict[str, Any] = asdict(planner) if is_dataclass(planner) and not isinstance(planner, type) else {}
        return {"planner": type(planner).__name__, "options": options, **{name: getattr(self, name) for name in names}}


def load_policy(folder: Path | str, how: HowToPlay, environment: str) -> Policy:
    """Return the policy of the trained agent in `folder`, who is to decide as `how` says in a world of that name.

    Raises:
        CheckpointError: a file is missing, truncated, or belongs to another agent.
        RigError: it cannot decide so.
    """
    checkpoint = AgentCheckpoint.load(folder).for_running(how.dtype)
    prompt_format = replace(checkpoint.prompt_format, read_back=how.read_back)
    settings = PolicyConfig(
        prompt_format=prompt_format,
        planner=how.planner_for(prompt_format),
        entropy_threshold=how.entropy_threshold,
        thought_tokens=how.thought_tokens,
        text=Sampler(temperature=how.temperature),
    )
    _refuse_useless(how, settings)
    judge = judge_of(checker_of(environment)) if how.bind_verdicts else None
    return build_policy(checkpoint, settings, verdict_of=judge)


def _refuse_useless(how: HowToPlay, settings: PolicyConfig) -> None:
    if how.dreams_from != OWN and not (settings.prompt_format.dream and settings.planner.dreams):
        raise RigError(
            f"{how.dreams_from!r} dreams stand in for an agent's own: take one that dreams, and --dreams of 1 or more"
        )
