"""An agent as pages ask it: several ways to decide over one network, whose passes the pages take in turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from rig.actions import Action
from rig.agents import Basic, BestOf, HowToPlay, Lookahead, Planner, Policy
from rig.agents.heard import Given, Heard
from rig.agents.how import load_policy
from rig.agents.walk import DreamWalk
from rig.dialogue import PromptFormat
from rig.playground.config import PlaygroundConfig
from rig.records import Codes, Cost, Decision, Frame, Observation
from rig.records import Dream as Dreamed

AT_ONCE = "at once"
_CHOSEN = "best of {}"


class Mind:
    """An agent that several pages ask.

    Args:
        policies: by the names of the ways to decide, all over one engine; the first is the one to begin with.
        room: held while the engine runs a pass.
    """

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self.policies = dict(policies)
        self.room = Lock()
        self._threads = torch.get_num_threads()

    @property
    def first(self) -> str:
        """The way to decide to begin with."""
        return next(iter(self.policies))

    @property
    def policy(self) -> Policy:
        """Any of the policies: for what is the same in all of them."""
        return self.policies[self.first]

    def enter(self) -> None:
        """Make this thread one in which the engine runs as in the one that loaded it."""
        torch.set_num_threads(self._threads)

    def walk(self, seen: Observation) -> DreamWalk:
        """Return a walk through what is imagined, which begins at what is seen."""
        return DreamWalk(self.policy, seen)

    def follow(self, walk: DreamWalk, action: Action) -> Dreamed:
        """Go on in a walk, alone with the engine."""
        with self.room:
            return walk.follow(action)

    def codes_of(self, frame: Frame) -> Codes:
        """Return the VQ codes of a frame, uint16 [write_tokens]."""
        with self.room:
            return self.policy.engine.encode_images(frame[None])[0]

    def drawn(self, *codes: Codes) -> NDArray[np.uint8]:
        """Return what is drawn of codes, uint8 [N, size, size, 3]."""
        with self.room:
            return self.policy.engine.decode_images(np.stack(codes))


class Thinking:
    """A decision in the making.

    Args:
        mind: who decides.
        planner: how.
        seen: what is seen.
        seed: the decision follows from this, from what is seen and from what is given.
        given: thoughts in the place of the agent's own.

    Attributes:
        decision: None until it is made.

    Raises:
        RigError: as of `Policy.listened`.
    """

    def __init__(self, mind: Mind, planner: str, seen: Observation, seed: int, given: Given) -> None:
        self._room, self._heard = mind.room, list[Heard]()
        self.decision: Decision | None = None
        with self._room:
            self._stream = mind.policies[planner].listened(seen, seed, self._heard.append, given)

    def advance(self) -> list[Heard]:
        """Run a pass of the engine; return what was said in it. Nothing is done where the decision is made."""
        with self._room:
            for ended in self._stream.advance():
                cost = ended.value.cost + Cost(seconds=ended.seconds)
                self.decision = replace(ended.value, cost=cost)
        heard = list(self._heard)
        self._heard.clear()
        return heard


def load_mind(config: PlaygroundConfig, agent: str, environment: str) -> Mind:
    """Return the agent of a folder, for a world.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    how = HowToPlay(
        planner_for=lambda prompt_format: _planners(config, prompt_format)[_largest(config, prompt_format)],
        entropy_threshold=config.entropy_threshold,
        thought_tokens=config.thought_tokens,
        temperature=config.temperature,
        dtype=config.dtype,
    )
    policy = load_policy(agent, how, environment)
    planners = _planners(config, policy.config.prompt_format)
    return Mind({name: _with(policy, planner) for name, planner in planners.items()})


def _with(policy: Policy, planner: Planner) -> Policy:
    return policy.configured(replace(policy.config, planner=planner))


def _planners(config: PlaygroundConfig, prompt_format: PromptFormat) -> dict[str, Planner]:
    """Return the ways to decide that the page offers, by name; the first is the one to begin with."""
    most = config.dreams if prompt_format.dream else min(config.dreams, 1)
    ahead: dict[str, Planner] = {_dreams(count): Lookahead(dreams=count) for count in range(1, most + 1)}
    judge = "said" if prompt_format.judgement else "effect"
    best = BestOf(plans=config.plans, dreams=min(most, 1) if prompt_format.dream else 0, judge=judge)
    chosen: dict[str, Planner] = {_CHOSEN.format(config.plans): best} if config.plans > 1 else {}
    return {**ahead, AT_ONCE: Basic(), **chosen}


def _largest(config: PlaygroundConfig, prompt_format: PromptFormat) -> str:
    """Return the name of the way that needs the most room."""
    planners = _planners(config, prompt_format)
    return max(planners, key=lambda name: planners[name].dreams)


def _dreams(count: int) -> str:
    return f"{count} dream{'s' if count > 1 else ''}"
