"""A trained agent on disk, in one folder: network, text tokenizer, the fields it speaks, the keys it presses.

A base is what such an agent can begin as: the network and its text tokenizer, which has no keys to press yet.

folder/
  config.json, model.safetensors   the network (rig.model)
  tokenizer.json                   its text tokenizer
  agent.json                       prompt format, action space, environment, what it was trained from; of a base:
  base.json                        where it comes from
  README.md                        its card, for published ones
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from rig.actions import ActionSpace
from rig.dialogue import PromptFormat, SegmentEncoder, TextTokenizer
from rig.errors import CheckpointError
from rig.model.checkpoint import CONFIG_FILE
from rig.provenance import Made
from rig.registry import unknown_name
from rig.storage import read_json, write_json
from rig.validation import Meta, validated

if TYPE_CHECKING:
    import torch

    from rig.model import RIG, RIGConfig

AGENT_FILE = "agent.json"
BASE_FILE = "base.json"

Amount = Annotated[float, Meta(ge=0, le=1e18)]

Dtype = Literal["auto", "float32", "bfloat16"]
"""What a network is to compute in; see `AgentCheckpoint.for_running`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AgentCheckpoint:
    """A trained agent.

    Attributes:
        model: the network.
        tokenizer: its text tokenizer.
        prompt_format: the fields that it was trained to speak.
        space: the action space that it was trained in.
        environment: registry name of the world it was trained in.
        origin: how it was made: configuration, provenance, data; JSON-like.
    """

    model: RIG
    tokenizer: TextTokenizer
    prompt_format: PromptFormat
    space: ActionSpace
    environment: str
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> SegmentEncoder:
        """The agent's way from segments to tokens."""
        return encoder_of(self.tokenizer, self.model.config)

    def for_running(self, dtype: Dtype = "auto") -> AgentCheckpoint:
        """Move the network to the GPU where there is one, to be run only; return this agent.

        Args:
            dtype: what it computes in there: "float32", "bfloat16", or "auto": float32 on a CPU, bfloat16 on a GPU that
                multiplies it.
        """
        from rig.model import best_device

        device = best_device()
        self.model.place(device, running_dtype(dtype, device))
        return self

    def save(self, folder: Path | str) -> None:
        """Write the agent into `folder`, each file atomically, `agent.json` last."""
        from rig.model import save

        folder = Path(folder)
        save(self.model, folder)
        self.tokenizer.save(folder)
        about = {
            "form": asdict(self.prompt_format),
            "action_space": asdict(self.space),
            "environment": self.environment,
            "origin": dict(self.origin),
        }
        write_json(folder / AGENT_FILE, about)

    @classmethod
    def load(cls, folder: Path | str) -> AgentCheckpoint:
        """Read an agent from `folder`.

        Raises:
            CheckpointError: a file is missing, truncated, or belongs to another agent.
        """
        folder = Path(folder)
        about = about_agent(folder)
        model, tokenizer = load_network(folder)
        return cls(
            model=model,
            tokenizer=tokenizer,
            prompt_format=about.form,
            space=about.action_space,
            environment=about.environment,
            origin=about.origin,
        )


def running_dtype(name: Dtype, device: torch.device) -> torch.dtype:
    """Return what a network that is run on `device` computes in; see `AgentCheckpoint.for_running`.

    Raises:
        UnknownNameError: there is no such dtype.
    """
    from torch import bfloat16, float32

    from rig.model import decision_dtype

    known = {"auto": decision_dtype(device), "float32": float32, "bfloat16": bfloat16}
    if name not in known:
        raise unknown_name("dtype", name, known)
    return known[name]


def load_network(folder: Path | str, *, dtype: torch.dtype | None = None) -> tuple[RIG, TextTokenizer]:
    """Read the network and the text tokenizer of an agent or of a base.

    Args:
        folder: the agent's or the base's.
        dtype: what to store the weights in; as they are on disk where None.

    Raises:
        CheckpointError: a file is missing, truncated, or belongs to another network.
    """
    from rig.model import load

    tokenizer = TextTokenizer.load(Path(folder))
    model = load(folder, dtype=dtype)
    check_vocabulary(folder, tokenizer, model.config)
    return model, tokenizer


def check_vocabulary(folder: Path | str, tokenizer: TextTokenizer, config: RIGConfig) -> None:
    """Raise CheckpointError where the tokenizer in `folder` has ids that a network of this configuration has not."""
    if len(tokenizer) > config.decoder.vocab_size:
        raise CheckpointError(
            f"{folder} holds a tokenizer of {len(tokenizer)} tokens and a network of {config.decoder.vocab_size}; they "
            "do not belong together"
        )


def encoder_of(tokenizer: TextTokenizer, config: RIGConfig) -> SegmentEncoder:
    """Return the way from segments to a network's tokens; frames of other sizes are brought to the one it reads."""
    from rig.model.fit import fit_frame

    return SegmentEncoder(tokenizer, config.layout, partial(fit_frame, size=config.vision.image_size))


def is_network(folder: Path | str) -> bool:
    """Return whether `folder` is an agent's or a base's."""
    return (Path(folder) / CONFIG_FILE).is_file()


def has_learned_reviews(folder: Path | str) -> bool:
    """Return whether the agent in `folder` was taught reviews, and so can be a RIG-lookahead.

    Raises:
        CheckpointError: as for `read_agent`.
    """
    data = validated(
        about_agent(folder).origin.get("data", []),
        list[dict[str, Any]],
        f"{Path(folder) / AGENT_FILE}: origin.data",
        "restore it from a copy",
        CheckpointError,
    )
    return any(part.get("stage") in ("s3", "s4") for part in data)


class Totals(TypedDict):
    """What a training took."""

    steps: Amount
    conversations: Amount
    tokens: Amount
    seconds: Amount


class LearnedDataset(TypedDict):
    """A dataset that an agent learned from."""

    name: str
    stage: str
    content_hash: str
    trajectories: Annotated[int, Meta(ge=0)]
    steps: Annotated[int, Meta(ge=0)]


class _Order(TypedDict):
    seed: int


class Configured(TypedDict):
    """What cards say of an agent's configuration."""

    model_seed: int
    start: str
    training: _Order


class Origin(TypedDict):
    """How `rig train` made an agent; an agent that somebody else made need not say it."""

    training: Configured
    data: list[LearnedDataset]
    tokenizers: dict[str, Any]
    totals: Totals
    provenance: Made


def origin_of(folder: Path | str) -> Origin:
    """Return how the agent in `folder` was made, for cards and reports.

    Raises:
        CheckpointError: as for `about_agent`; or its `agent.json` does not say it, or not in whole.
    """
    fix = "restore it from a copy, or train the agent again"
    place = f"{Path(folder) / AGENT_FILE}: origin, which is how the agent was made"
    return validated(about_agent(folder).origin, Origin, place, fix, CheckpointError)


def read_agent(folder: Path | str) -> dict[str, Any]:
    """Return what `about_agent` does as plain JSON.

    Raises:
        CheckpointError: there is none, or it is not one.
    """
    about = about_agent(folder)
    return {**asdict(about), "action_space": json.loads(json.dumps(asdict(about.action_space)))}


@dataclass(frozen=True, kw_only=True)
class About:
    """What `agent.json` says, under the keys of the file: `form` is the prompt format, `action_space` the space."""

    form: PromptFormat
    action_space: ActionSpace
    environment: Annotated[str, Meta(min_length=1, max_length=200)]
    origin: dict[str, Any]


def about_agent(folder: Path | str) -> About:
    """Return what `agent.json` in `folder` says, checked, without loading the network.

    Raises:
        CheckpointError: there is none, or it is not one.
    """
    path = Path(folder) / AGENT_FILE
    if not path.is_file() and is_network(folder):
        raise CheckpointError(
            f"{path} is missing: {folder} is a base, which knows no keys yet; train an agent with `rig train --start "
            f"{folder}`"
        )
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; an agent's folder is what `rig train` writes as <run>/agent")
    fix = "restore it from a copy"
    return validated(read_json(path, fix, CheckpointError), About, path, fix, CheckpointError)
