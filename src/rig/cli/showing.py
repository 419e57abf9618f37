"""What the page of a demonstration shows: which of the episodes, and the step that it opens on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rig.envs.rollout import Episode, Played
from rig.evaluate.images import psnr
from rig.records import Dream, Frame, Step, Trajectory

_CLEAREST = 60.0
"""dB above which frames are the same to the eye."""

_PLAINLY = 3.0
"""dB of foresight from which it is seen at a glance; below, it may be a digit of the display."""


def shown_together(played: Mapping[str, Sequence[Played]]) -> list[tuple[str, Trajectory]]:
    """Return (way of playing, episode) in the order of the page: one episode of each task, as every way played it.

    Of the episodes of a task that the most ways played it is the one in which the most succeed, the first of them.

    Args:
        played: way of playing -> its episodes.
    """
    episodes: dict[Episode, dict[str, Played]] = {}
    for way, ended in played.items():
        for one in ended:
            episodes.setdefault(one.episode, {})[way] = one
    best: dict[str, dict[str, Played]] = {}
    for episode in sorted(episodes, key=lambda episode: (episode.task, episode.setting, episode.seed)):
        if episode.task not in best or _shows(episodes[episode]) > _shows(best[episode.task]):
            best[episode.task] = episodes[episode]
    return [(way, one.trajectory) for ways in best.values() for way, one in ways.items()]


def opening(trajectories: Sequence[Trajectory]) -> tuple[int, int] | None:
    """Return (episode, position) of the step that shows most at a glance, both from 0; None where nothing was dreamed.

    A dream that plainly foresaw a change comes first, then a review that changed a plan which would have brought no
    sample, or a choice against such a plan with more votes, then one among several plans, then a review that does what
    it says, then one that says nothing false, then success.
    """
    found = max(_candidates(trajectories), default=None)
    return None if found is None else (-found[1][0], -found[1][1])


def _candidates(trajectories: Sequence[Trajectory]) -> Iterator[tuple[tuple[float, ...], tuple[int, int]]]:
    """Yield how much each step with a dream shows, and where it is, counted down: of equals the first is the most."""
    for number, trajectory in enumerate(trajectories):
        for position, step in enumerate(trajectory.steps):
            if step.dreams and step.dreams[0].frame is not None:
                yield (*_worth(step), trajectory.success, foresight(step)), (-number, -position)


def _worth(step: Step) -> tuple[bool, ...]:
    changed = bool(rejected := _rejected(step)) and not _would_gain(step, rejected)
    keeps_its_word = step.privileged.get("verdict", {}).get("consistent") is not False
    claims = step.privileged.get("claims", ())
    says_nothing_false = not any(False in (claim["verdict"], claim.get("dreamed")) for claim in claims)
    foreseen = foresight(step)
    return foreseen > _PLAINLY, foreseen > 0, changed, len(step.plans) > 1, keeps_its_word, says_nothing_false


def _rejected(step: Step) -> tuple[Dream, ...]:
    """Return what was dreamed of the plan that a review changed, or that had the most votes and was not taken."""
    if step.review is not None:
        return step.dreams if step.action != step.proposal else ()
    favourite = max(step.plans, key=lambda plan: plan.votes, default=None)
    if favourite is None or favourite.votes == step.plans[step.chosen].votes:
        return ()
    return favourite.dreams


def _would_gain(step: Step, dreams: Sequence[Dream]) -> bool:
    """Return whether a plan would have brought a sample of the task, as far as the engine tells."""
    before, after = (facts.get("samples", 0) for facts in (step.privileged, dreams[0].privileged))
    return bool(after > before)


def foresight(step: Step) -> float:
    """Return how much nearer the first dream is to what would have come than the observed frame is, in dB.

    It is 0 where that is not known, and below where nothing would have changed, or the dream shows something else.
    """
    dream = step.dreams[0]
    real = dream.real_frame
    if dream.frame is None or real is None or not dream.frame.shape == real.shape == step.frame.shape:
        return 0.0
    return _likeness(dream.frame, real) - _likeness(step.frame, real)


def _likeness(frame: Frame, real: Frame) -> float:
    return float(np.minimum(psnr(frame[None], real[None])[0], _CLEAREST))


def _shows(ways: Mapping[str, Played]) -> tuple[int, int]:
    return len(ways), sum(one.trajectory.success for one in ways.values())
