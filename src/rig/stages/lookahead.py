"""What S3 and S4 share: the making of one lookahead step, and episodes of an agent with every state kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from rig.actions import Action
from rig.agents import Lookahead, Policy, PolicyActor, PolicyConfig, agent_name, build_policy, refuse_other_world
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators import Annotator, ReviewCase, Reviewer, build_reviewer
from rig.annotators.kit import with_kit
from rig.data import DatasetInfo
from rig.dialogue import is_speakable
from rig.envs import World, make_world, refuse_without_saves
from rig.envs.rollout import Episode
from rig.envs.seeds import Split
from rig.records import CORRECTION, POLICY, Dream, Frame, Lineage, Review, Step
from rig.stages.advantage import Judge
from rig.stages.annotating import saved_config
from rig.stages.base import episodes_in_turn
from rig.stages.config import LookaheadConfig, ReviewingConfig
from rig.stages.visiting import Visited, visit
from rig.teachers import TEACHERS

C = TypeVar("C", bound=ReviewingConfig)


class ReviewBuilder(Generic[C]):
    """A teacher and a Reviewer at work in one environment.

    Args:
        config: see `ReviewingConfig`; who is not named is who the world's kit names.
        environment: the world's name.

    Raises:
        RigError: a teacher or an annotator is neither named nor in the kit; or the world's states cannot be saved.
    """

    def __init__(self, config: C, environment: str) -> None:
        self.world: World = make_world(environment)
        refuse_without_saves(self.world, "reviewing")
        self.config = config = with_kit(config, environment)
        self.judge = Judge(world=self.world, teacher=TEACHERS.get(config.teacher)(), patience=config.patience)
        self.reviewer: Reviewer[Any] = build_reviewer(config.reviewer, config.reviewer_config, self.world.actions)

    def horizon(self, random: np.random.Generator) -> int:
        """Return a number of dreams, drawn by the configured weights."""
        weights = np.array(self.config.horizons, float)
        return int(random.choice(len(weights), p=weights / weights.sum())) + 1

    def frame_after(self, state: bytes, action: Action) -> Frame:
        """Return the frame that `action` leads to from `state`."""
        self.world.load(state)
        return self.world.act(action)[0]

    def gains(self, case: ReviewCase, state: bytes) -> bool:
        """Return whether it gains enough to take what is better in `state`, and not what was proposed."""
        proposal = case.step.proposal
        return case.better != proposal and self.judge.advantage(state, proposal) >= self.config.margin


def decided(case: ReviewCase, after: Frame | None) -> Step:
    """Return the case's step as a lookahead that ends with what is better there, and leads to the frame `after`.

    The words of its review are still to be written.
    """
    step, better = case.step, case.better
    review = Review(thought=None, action=better, helped=better != step.proposal)
    bare = step.with_next_codes(None)
    return replace(bare, action=better, thought=None, review=review, next_frame=after, actor=POLICY)


def as_dreamed(steps: Sequence[Step], start: int, horizon: int) -> tuple[Dream, ...]:
    """Return up to `horizon` steps of an episode from `start` on, as if they had been dreamed, and as they came.

    They end before a step whose thought no conversation can hold, before a correction, behind which the episode went
    on otherwise, and before the last, of which no facts are known.
    """
    dreams = []
    for step, following in pairwise(steps[start : start + horizon + 1]):
        if step.actor == CORRECTION or not is_speakable(step.thought):
            break
        dreams.append(
            Dream(
                thought=step.thought,
                action=step.action,
                frame=step.next_frame,
                real_frame=step.next_frame,
                privileged=following.privileged,
            )
        )
    return tuple(dreams)


class LookaheadBuilder(ReviewBuilder[LookaheadConfig]):
    """The agent, the teacher and the annotators at work in one environment.

    Args:
        config: see `LookaheadConfig`.

    Raises:
        CheckpointError: the agent cannot be loaded, or plays in another world.
        RigError: it has no room for what a task asks for.
    """

    def __init__(self, config: LookaheadConfig) -> None:
        self.checkpoint = AgentCheckpoint.load(config.agent).for_running(config.dtype)
        super().__init__(config, self.checkpoint.environment)
        refuse_other_world(self.world, self.checkpoint.space, self.checkpoint.environment, config.agent)
        self.policy: Policy = build_policy(
            self.checkpoint,
            PolicyConfig(prompt_format=self.checkpoint.prompt_format),
            dreams_ahead=len(config.horizons),
        )
        self.policy.check_tasks(self.world.tasks, config.tasks)

    def info(self, stage: str, out: Path | str, **others: Annotator[Any, Any]) -> DatasetInfo:
        """Return what the stage's dataset says of itself; its agent is named with its weights' hash.

        `others` are annotators beside the Reviewer, as in `saved_config`.
        """
        return DatasetInfo(
            name=Path(out).name,
            stage=stage,
            environment=self.checkpoint.environment,
            action_space=self.checkpoint.space,
            frame_size=self.world.observation_space.shape[:2],  # type: ignore[index, arg-type]
            config=saved_config(self.config, reviewer=self.reviewer, **others)
            | {"agent": agent_name(self.config.agent)},
        )

    def episodes(self) -> list[Episode]:
        """Return the episodes to play, in worlds that the agent has not learned from."""
        cells = self.world.tasks.variants(self.config.tasks)
        return episodes_in_turn(self.world, cells, Split.TRAIN, episodes=self.config.episodes, skip=self.config.skip)

    def visit(self, episodes: Sequence[Episode], dreams: int = 0) -> Iterator[Visited]:
        """Play `episodes`, dreaming `dreams` steps ahead, and yield each with its states."""
        policy = self.policy
        if dreams:
            planner = Lookahead(dreams=dreams)
            policy = build_policy(
                self.checkpoint, PolicyConfig(prompt_format=self.checkpoint.prompt_format, planner=planner)
            )
        actor = PolicyActor(policy)
        environment = self.checkpoint.environment
        lineage = Lineage(stage="live", actor=agent_name(self.config.agent))
        return visit(
            lambda: make_world(environment),
            actor,
            episodes,
            batch_size=self.config.batch_size,
            most_steps=self.config.most_steps,
            lineage=lineage,
        )

    def lineage(self, stage: str, parent: str) -> Lineage:
        """Return the lineage of what a stage makes of the episode `parent`."""
        return Lineage(
            stage=stage,
            actor=f"{agent_name(self.config.agent)} beside {self.judge.teacher.name}",
            annotator=self.reviewer.name,
            prompt=self.reviewer.fingerprint,
            parent=parent,
        )
