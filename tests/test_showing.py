"""What a demonstration shows: the same episodes of every way of playing, and the step that shows most at first."""

from dataclasses import replace

import numpy as np
import pytest

from rig.actions import Action
from rig.cli.showing import foresight, opening, shown_together
from rig.envs.rollout import Episode, Played
from rig.records import Cost, Dream, Plan, Review, fake_step, fake_trajectory

PLAN, OTHER = Action.press("use"), Action.press("move_left")
SEEN, CAME = (np.full((8, 8, 3), level, np.uint8) for level in (50, 200))
ALMOST = CAME - 5


def step(dreamed, real, *, action=PLAN, consistent=None):
    dream = Dream(thought=None, action=PLAN, frame=dreamed, real_frame=real)
    review = Review(thought=None, action=action, helped=action != PLAN)
    verdict = {} if consistent is None else {"verdict": {"consistent": consistent}}
    return replace(fake_step(), frame=SEEN, action=action, dreams=(dream,), review=review, privileged=verdict)


BARE = replace(fake_step(), dreams=(), review=None)
STILL = step(SEEN, SEEN)
WRONG = step(SEEN, CAME)
RIGHT = step(ALMOST, CAME)
CHANGED = step(ALMOST, CAME, action=OTHER, consistent=True)
HARDLY = replace(CHANGED, frame=CAME - 6)
GAINING = replace(CHANGED, dreams=(replace(CHANGED.dreams[0], privileged={"samples": 1}),))
LYING = replace(
    CHANGED, privileged={**CHANGED.privileged, "claims": [{"text": "It moves.", "verdict": None, "dreamed": False}]}
)
AGAINST = step(ALMOST, CAME, action=OTHER, consistent=False)


def weighed(chosen_votes, other_votes, *, gaining=False):
    """A choice between two plans, of which the other would have brought a sample or not."""
    dreams = (replace(RIGHT.dreams[0], privileged={"samples": int(gaining)}),)
    taken = Plan(thought=None, action=PLAN, dreams=RIGHT.dreams, votes=chosen_votes)
    other = Plan(thought=None, action=OTHER, dreams=dreams, votes=other_votes)
    return replace(RIGHT, review=None).with_plans([other, taken], 1)


def episode(*steps, success=False):
    return replace(fake_trajectory().with_steps(steps), success=success)


@pytest.mark.parametrize(
    ("episodes", "first"),
    [
        ([episode(BARE), episode(BARE, STILL)], (1, 1)),
        ([episode(STILL, STILL)], (0, 0)),
        ([episode(STILL, WRONG), episode(WRONG, RIGHT)], (1, 1)),
        ([episode(RIGHT, step(CAME, CAME))], (0, 1)),
        ([episode(RIGHT), episode(RIGHT, success=True)], (1, 0)),
        ([episode(RIGHT, success=True), episode(STILL, AGAINST), episode(CHANGED)], (2, 0)),
        ([episode(step(SEEN, CAME, action=OTHER)), episode(RIGHT)], (1, 0)),
        ([episode(GAINING), episode(RIGHT), episode(CHANGED)], (2, 0)),
        ([episode(LYING, success=True), episode(AGAINST), episode(CHANGED)], (2, 0)),
        ([episode(AGAINST, success=True), episode(LYING)], (1, 0)),
        ([episode(HARDLY, success=True), episode(RIGHT)], (1, 0)),
        ([episode(CHANGED, success=True), episode(weighed(2, 1)), episode(weighed(1, 2))], (2, 0)),
        ([episode(weighed(2, 1), success=True), episode(weighed(1, 2, gaining=True)), episode(CHANGED)], (2, 0)),
        ([episode(RIGHT, success=True), episode(weighed(2, 1))], (1, 0)),
        ([episode(BARE)], None),
        ([episode(step(None, CAME))], None),
    ],
)
def test_the_page_opens_where_a_dream_foresaw_a_change_and_a_review_acted_on_it(episodes, first):
    assert opening(episodes) == first


def test_foresight_is_what_a_dream_knows_beyond_the_observed_frame():
    assert foresight(RIGHT) > 10
    assert foresight(WRONG) == foresight(STILL) == 0
    assert foresight(step(ALMOST, SEEN)) < 0
    assert foresight(step(ALMOST, None)) == 0
    assert foresight(step(ALMOST[:4], CAME)) == 0


def played(task, seed, success):
    trajectory = replace(fake_trajectory(), task=task, seed=seed, success=success)
    return Played(episode=Episode(task=task, setting="tool", seed=seed), trajectory=trajectory, cost=Cost())


def test_every_way_shows_the_same_episode_and_that_in_which_most_succeed():
    ways = {
        "one": [played("b", 2, False), played("b", 1, True), played("a", 2, True), played("a", 1, False)],
        "two": [played("a", 1, False), played("a", 2, False), played("b", 1, True), played("b", 2, True)],
    }
    found = [(way, one.task, one.seed, one.success) for way, one in shown_together(ways)]
    assert found == [("one", "a", 2, True), ("two", "a", 2, False), ("one", "b", 1, True), ("two", "b", 1, True)]
