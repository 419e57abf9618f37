"""The plans of a decision on the page: what each said, dreamed and was worth, which was taken, and what came."""

from dataclasses import replace

import numpy as np
import pytest
from test_viewer import HOSTILE, one_step, payload_of, pixels

from rig.actions import ACTION_SPACES, Action
from rig.dialogue import prompt, review_of_plans
from rig.errors import RigError
from rig.records import Dream, Plan, Review, fake_frame, fake_step, fake_trajectory

CRAFTER = ACTION_SPACES.get("crafter")


def plan(key, votes=1, **told):
    return Plan(thought=f"1. I could {key}.", action=Action.press(key), votes=votes, **told)


def dreamed(plan, random, *, known=True):
    real = fake_frame(random) if known else None
    dream = Dream(thought=plan.thought, action=plan.action, frame=fake_frame(random), real_frame=real)
    return replace(plan, dreams=(dream,))


def weighed(*plans, chosen=0):
    return replace(fake_step(), action=plans[chosen].action, thought=plans[chosen].thought).with_plans(plans, chosen)


def test_the_review_of_plans_names_each_and_the_one_that_is_taken():
    judged = plan("move_left", judgement="9 to go.", score=0.25), plan("use", 3, judgement="7 to go")
    assert review_of_plans(judged, 1, CRAFTER) == (
        "Wait! Let's re-observe... Plan 1, move_left: 9 to go, 1 of 4 proposals. "
        "Plan 2, use: 7 to go, 3 of 4 proposals. I take plan 2."
    )
    scored = plan("move_left", score=11.6317), plan("use", 3, score=-0.5)
    assert review_of_plans(scored, 0, CRAFTER) == (
        "Wait! Let's re-observe... Plan 1, move_left: score 11.6, 1 of 4 proposals. "
        "Plan 2, use: score -0.5, 3 of 4 proposals. I take plan 1."
    )
    assert (
        review_of_plans([plan("use", 4)], 0, CRAFTER) == f"{prompt.REVIEW}Plan 1, use: all 4 proposals. I take plan 1."
    )


def test_the_payload_holds_every_plan_with_its_dream_and_what_would_have_come():
    random = np.random.default_rng(0)
    plans = [
        dreamed(plan("move_left", 2, score=1.23456, judgement="9 to go"), random),
        dreamed(plan("use", 1, score=2.0), random),
        dreamed(plan("sleep", 1), random, known=False),
    ]
    step = weighed(*plans, chosen=1)
    payload = payload_of(fake_trajectory().with_steps((step,)))
    shown = payload["episodes"][0]["steps"][0]
    assert [one["action"] for one in shown["plans"]] == ["move_left", "use", "sleep"]
    assert [one["votes"] for one in shown["plans"]] == [2, 1, 1]
    assert [one["score"] for one in shown["plans"]] == [1.23, 2.0, None]
    assert [one["judgement"]["clauses"] for one in shown["plans"]] == [["9 to go"], [], []]
    assert [one["chosen"] for one in shown["plans"]] == [False, True, False]
    assert [one["thought"]["clauses"] for one in shown["plans"]] == [[one.thought] for one in plans]
    assert [len(one["dreams"]) for one in shown["plans"]] == [1, 0, 1], "the chosen one's are those of the step"
    for one, drawn in zip(plans, (shown["plans"][0], shown, shown["plans"][2]), strict=True):
        assert np.array_equal(pixels(payload, drawn["dreams"][0]["frame"]), one.dreams[0].frame)
    assert np.array_equal(pixels(payload, shown["plans"][0]["dreams"][0]["real"]), plans[0].dreams[0].real_frame)
    assert shown["plans"][0]["dreams"][0]["match"].startswith("PSNR")
    assert shown["dreams"][0]["played"]
    assert not shown["plans"][0]["dreams"][0]["played"]
    assert shown["plans"][2]["dreams"][0]["real"] is None
    assert len(payload["frames"]) == 2 + 3 + 2
    assert shown["weighing"]["proposals"] == 4
    assert shown["weighing"]["against"], "another plan had more votes"
    assert prompt.REVIEW + " ".join(shown["weighing"]["text"]["clauses"]) == review_of_plans(plans, 1, CRAFTER)


def test_a_step_without_plans_shows_none():
    shown = one_step(fake_step(num_dreams=1))
    assert (shown["plans"], shown["weighing"]) == ([], None)


def test_hostile_plans_are_text_within_bounds_and_a_score_that_is_no_number_is_named():
    bad = plan("use", score=float("nan"))
    with pytest.raises(RigError, match=r"episode 'fake-0', step 0: plans\[1\]: its score is nan"):
        one_step(weighed(plan("sleep"), bad))
    long = weighed(plan("sleep", judgement=HOSTILE * 9_000), plan("use"))
    shown = one_step(replace(long, review=Review(thought=HOSTILE, action=long.action)))
    assert shown["plans"][0]["judgement"]["left"] > 0
    assert shown["weighing"]["text"]["left"] > 0
    assert not shown["review"]["changed"]
