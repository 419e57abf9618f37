"""The configurations of what makes another dataset of datasets without a change in any record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rig.errors import RigError, at_least_one, within

HASH_BITS = 512
"""The bits of a frame's perceptual hash; see `rig.stages.likeness`."""

Presence = Literal["any", "with", "without"]
"""Whether something has to be there, has to be lacking, or does not matter."""

Unit = Literal["trajectories", "steps"]
"""What is kept or dropped as a whole."""


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """How several datasets become one.

    Attributes:
        clashes: of trajectories with the same id: "rename" each to `id@` and the beginning of its dataset's hash,
            "first" keeps the first dataset's alone, "refuse" stops.
    """

    clashes: Literal["rename", "first", "refuse"] = "rename"


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How a dataset becomes several, none of which has a seed of another.

    Attributes:
        share: name and share of each part, as train=0.9 validation=0.1; together 1. A part is a folder of its name. In
            which part a seed is follows from the seed, the names, the shares and the salt, whatever the dataset.
        salt: another one gives another split.
    """

    share: Mapping[str, Any] = field(default_factory=dict)
    salt: str = ""


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """What is kept: all that meets every condition that is given.

    Attributes:
        tasks: "task" or "task/setting"; all where none is given.
        settings: "manual", "tool", or whatever the world has.
        success: whether the episode's task was accomplished.
        min_steps: the least steps that an episode has in the source.
        max_steps: the most.
        seeds: seeds, and ranges of seeds as FIRST:LAST, both included.
        players: who played, as the lineage of the trajectory names it.
        actors: who chose a step's action: teacher, noise, policy, random, correction, practice. Of a trajectory, who
            chose all of its actions.
        thoughts: whether there is a thought: at a step; in a trajectory, at any of its steps.
        reviews: the same of reviews.
        dreams: the same of dreams.
        effects: the same of effects: whether the next frame is known, and any other than the frame.
        true_claims: the least share of true ones among the claims about the world that its checker can check: those of
            a step, or of a trajectory together. Where none can be checked, nothing is known to be false.
        keep: whole trajectories, or the steps that meet the conditions; those on tasks, settings, success, length,
            seeds and players are of trajectories in any case.
    """

    tasks: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    success: Literal["any", "won", "lost"] = "any"
    min_steps: int | None = None
    max_steps: int | None = None
    seeds: tuple[str, ...] = ()
    players: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    thoughts: Presence = "any"
    reviews: Presence = "any"
    dreams: Presence = "any"
    effects: Presence = "any"
    true_claims: float | None = None
    keep: Unit = "trajectories"

    def __post_init__(self) -> None:
        at_least_one(min_steps=self.min_steps, max_steps=self.max_steps)
        if self.min_steps and self.max_steps and self.min_steps > self.max_steps:
            raise RigError(f"min_steps={self.min_steps} and max_steps={self.max_steps}: no episode has both")
        if self.true_claims is not None:
            within(0, 1, true_claims=self.true_claims)


@dataclass(frozen=True, kw_only=True)
class DedupeConfig:
    """What counts as the same, and what of it goes.

    Two steps are the same where all that a network learns of them is: instruction, previous action, action, who chose
    it, thought, review and plans, and every frame, what followed and what was dreamed included. The first one stays.

    Attributes:
        near: of how many of the 512 bits of their perceptual hashes two frames may differ and count as the same;
            without it they are the same where every pixel is.
        keep: whole trajectories, of which those go whose steps are in others; or steps, of which all but the first of
            the same go.
        share: of trajectories: the least share of steps that are in kept ones, with which one goes.
    """

    near: int | None = None
    keep: Unit = "trajectories"
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.near is not None:
            within(0, HASH_BITS - 1, near=self.near)
        within(0, 1, above=True, share=self.share)
        if self.keep == "steps" and self.share != 1.0:
            raise RigError(
                f"share={self.share} is of trajectories, and keep='steps' drops steps; leave one of them out"
            )
