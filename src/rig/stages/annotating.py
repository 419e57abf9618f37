"""What stages that ask annotators share: what is saved of an annotator, and reviews written to what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from rig.annotators import Annotator, Asked, Informed, ReviewCase, Reviewer, ReviewEvidence, answered, seen_of
from rig.lazy import lazily
from rig.records import Step, Trajectory


def saved_config(config: Any, **annotators: Annotator[Any, Any]) -> dict[str, Any]:
    """Return what a dataset keeps of a stage's configuration.

    Args:
        config: the dataclass.
        annotators: by the field that names each; beside it is kept what decides its answers, defaults and all, and
            nothing where that is nothing.
    """
    found = asdict(config)
    for field, annotator in annotators.items():
        del found[f"{field}_config"]
        found |= {f"{field}_config": annotator.settings} if annotator.settings else {}
    return found


def episode_name(trajectory: Trajectory) -> str:
    """Return what an episode is called in an error."""
    return f"episode {trajectory.id}"


def place_of(step: Step) -> str:
    """Return what a step is called in an error, within its episode."""
    return f"step {step.index}"


def reviewed(reviewer: Reviewer[Any], episodes: Iterable[Trajectory | None]) -> Iterator[Trajectory | None]:
    """Yield each episode with a review, in words, of every step's decision; None stays None.

    Raises:
        AnnotationError: the Reviewer had no answer for some steps; raised when all other episodes have been yielded.
    """
    for episode, texts in answered(reviewer, map(_asked, episodes)):
        yield episode and episode.with_steps(lazily(_with_review, episode.steps, texts))


def review_question(step: Step) -> Informed[ReviewEvidence]:
    """Return what a Reviewer is asked about a step that ends with what is better there."""
    return seen_of(ReviewCase(step=step, better=step.action))


def _asked(episode: Trajectory | None) -> Asked[Trajectory | None]:
    if episode is None:
        return Asked(piece=None)
    return Asked(
        piece=episode,
        name=episode_name(episode),
        questions=lazily(review_question, episode.steps),
        places=lazily(place_of, episode.steps),
    )


def _with_review(step: Step, text: str) -> Step:
    assert step.review is not None
    return replace(step, thought=text, review=replace(step.review, thought=text))
