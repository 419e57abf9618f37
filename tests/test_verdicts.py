"""What reviews say of their plans: read off their words, held against what was done, counted, and binding."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from rig.actions import Action
from rig.agents import Lookahead, PolicyConfig, build_policy
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators import CHECKERS, REVIEWERS, ClaimChecker, ReviewCase, judge_of
from rig.annotators.crafter_check import CrafterChecker
from rig.cli.tables import scores_text
from rig.engine import Sampler
from rig.envs import Split, make_world
from rig.envs.rollout import Episode
from rig.errors import RigError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import CONFIG, evaluate_embodied, play_config
from rig.evaluate.stillness import stands_still
from rig.evaluate.verdicts import (
    count_review_claims,
    count_verdicts,
    summarise_reviews,
    verdict_of,
    with_verdicts,
)
from rig.records import Dream, Observation, Review, fake_step, fake_trajectory

WORLDS = ("crafter", "minetest")
USE, LEFT = Action.press("use"), Action.press("move_left")


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("thought", "says"),
    [
        ("1. The plan: use. 2. So keep the plan. 3. I look left at tree.", "keep"),
        ("1. the plan holds.", "keep"),
        ("1. I plan to use. 2. The dream stands still. 3. So change the plan.", "change"),
        ("1. Another way is better.", "change"),
        ("1. So keep the plan. 2. The plan holds.", "keep"),
        ("1. So keep the plan. 2. So change the plan.", None),
        ("1. The plan: keep the plan. 2. The plan holds, or not.", None),
        ("So keep the plan.", "keep"),
        ("", None),
        ("\x00 9. ]]", None),
    ],
)
def test_a_review_says_of_its_plan_what_its_words_say(world, thought, says):
    assert judge_of(CHECKERS.get(world)())(thought) == says


@pytest.mark.parametrize("better", [USE, LEFT])
def test_what_the_reviewer_writes_is_read_back(better):
    world = make_world("crafter")
    seed = world.episode_seeds(world.tasks["collect_wood"], "manual", Split.TRAIN, 1)[0]
    frame, info = Episode(task="collect_wood", setting="manual", seed=seed).begin(world)
    plan = Dream(thought="1. So go left.", action=LEFT, privileged=info["privileged"])
    step = replace(fake_step(), frame=frame, privileged=info["privileged"], dreams=(plan,))
    (review,) = REVIEWERS.get("crafter")().review([ReviewCase(step=step, better=better)])
    assert judge_of(CHECKERS.get("crafter")())(review) == ("keep" if better == LEFT else "change")


def reviewed(thought, action):
    """A step that planned to go left."""
    step = fake_step(num_dreams=1)
    dreams = (replace(step.dreams[0], action=LEFT),)
    review = Review(thought=thought, action=action, helped=action != LEFT)
    return replace(step, dreams=dreams, review=review, action=action, thought=thought)


SAID = [
    ("1. The plan holds.", LEFT, "keep", "keep", True),
    ("1. The plan holds.", USE, "keep", "change", False),
    ("1. So change the plan.", USE, "change", "change", True),
    ("1. So change the plan.", LEFT, "change", "keep", False),
    ("1. So change the plan.", LEFT, "change", "keep", False),
    ("1. Trees.", USE, None, "change", None),
    (None, LEFT, None, "keep", None),
]


@pytest.mark.parametrize(("thought", "action", "says", "did", "consistent"), SAID)
def test_what_was_said_is_held_against_what_was_done(thought, action, says, did, consistent):
    found = verdict_of(reviewed(thought, action), judge_of(CHECKERS.get("crafter")()))
    assert found == {"says": says, "did": did, "consistent": consistent}


def test_what_nobody_reviewed_or_nobody_can_judge_has_no_verdict():
    judge = judge_of(CHECKERS.get("crafter")())
    assert verdict_of(fake_step(), judge) is None
    assert verdict_of(reviewed("1. The plan holds.", USE), None) is None
    assert judge_of(None) is None
    assert count_verdicts(fake_trajectory(num_dreams=1), None) == {}


def test_verdicts_are_counted_over_episodes():
    judge = judge_of(CHECKERS.get("crafter")())
    steps = [reviewed(thought, action) for thought, action, *_ in SAID]
    parts = [fake_trajectory().with_steps(tuple(part)) for part in (steps[:2], steps[2:], ())]
    rows = [
        {
            "reviews": len(part.steps),
            "changed": sum(step.review.helped for step in part.steps),
            "verdicts": count_verdicts(part, judge),
        }
        for part in parts
    ]
    found = summarise_reviews(rows)
    assert found == {
        "reviews": 7,
        "changed": pytest.approx(3 / 7),
        "says": {"keep": 2, "change": 3, "nothing": 2},
        "against": {"keep": 1, "change": 2},
    }
    old = [{name: row[name] for name in ("reviews", "changed")} for row in rows]
    assert summarise_reviews(old) == {"reviews": 7, "changed": pytest.approx(3 / 7)}, "results from before"
    assert summarise_reviews(rows[2:]) == {}


def moved(facts):
    return {**facts, "position": [facts["position"][0] + 1, *facts["position"][1:]]}


@pytest.fixture(scope="module")
def forest():
    """A frame of Crafter and its facts, and what came of going left, which only turned."""
    world = make_world("crafter")
    seed = world.episode_seeds(world.tasks["collect_wood"], "tool", Split.TRAIN, 1)[0]
    frame, info = Episode(task="collect_wood", setting="tool", seed=seed).begin(world)
    after, _, _, _, later = world.act(LEFT)
    return frame, info["privileged"], after, later["privileged"]


def after_the_dream(forest, thought, came, *, action=USE, dreamed=None):
    """A step that planned to go left, reviewed with `thought`, of whose plan the facts `came` would have come."""
    frame, facts, _, _ = forest
    step = reviewed(thought, action)
    dream = replace(step.dreams[0], frame=frame if dreamed is None else dreamed, real_frame=None, privileged=came)
    return replace(step, frame=frame, privileged=facts, dreams=(dream,))


REVIEW = "1. I plan to move left. 2. The dream stands still. 3. Another way is better."


def test_a_review_is_held_against_its_plan_its_dream_and_what_would_have_come(forest):
    _, facts, _, _ = forest
    checker = CHECKERS.get("crafter")()

    def verdicts(came, thought=REVIEW, **options):
        return [one.holds for one in checker.check_review(after_the_dream(forest, thought, came, **options))]

    assert verdicts(facts) == [True, True, True]
    assert verdicts(moved(facts)) == [True, False, True]
    assert verdicts(moved(facts), action=LEFT) == [True, False, False], "it keeps the plan that it says to change"
    assert verdicts({}) == [True, None, True], "nobody knows what would have come"
    assert verdicts(facts, "1. The plan: use. 2. The plan holds. 3. Cheese.") == [False, False, None]
    richer = {**facts, "inventory": {**facts["inventory"], "wood": 9}}
    worse = {**facts, "inventory": {**facts["inventory"], "health": 1}}
    said = "1. The dream gains wood. 2. In the dream I am hurt. 3. The dream only walks. 4. The dream gains stone."
    assert verdicts(richer, said) == [True, False, False, False]
    assert verdicts(worse, said) == [False, True, False, False]
    assert verdicts(moved(facts), said) == [False, False, True, False]


def test_what_a_dream_gets_closer_to_is_seen_in_what_came(forest):
    _, facts, _, _ = forest
    meadow = ["." * 9 for _ in range(7)]
    rows = {far: [*meadow[:3], "." * (4 - far) + "T" + "." * (4 + far), *meadow[4:]] for far in (1, 3)}
    near, far = ({**facts, "creatures": [], "view": rows[distance]} for distance in (1, 3))
    nowhere = {**near, "view": meadow}

    def verdicts(before, came):
        thought = "1. The dream gets closer to tree. 2. In the dream tree comes no closer."
        step = replace(after_the_dream(forest, thought, came), privileged=before)
        return [one.holds for one in CHECKERS.get("crafter")().check_review(step)]

    assert verdicts(far, near) == [True, False]
    assert verdicts(near, far) == verdicts(near, near) == verdicts(near, nowhere) == [False, True]


def test_what_the_reviewer_writes_of_dreams_is_true(forest):
    _, facts, _, turned = forest
    checker = CHECKERS.get("crafter")()
    for came in (facts, turned, moved(facts)):
        for better in (USE, LEFT):
            step = after_the_dream(forest, None, came, action=better)
            (review,) = REVIEWERS.get("crafter")().review([ReviewCase(step=step, better=better)])
            assert all(one.holds is not False for one in checker.check_review(replace(step, thought=review))[:3]), (
                review
            )


def test_a_dream_stands_still_where_its_frame_shows_the_same(forest):
    frame, _, turned, _ = forest
    random = np.random.default_rng(0)

    def still(dreamed, real=None, observed=frame):
        return stands_still(observed, Dream(thought=None, action=LEFT, frame=dreamed, real_frame=real))

    assert (turned != frame).any()
    assert still(frame) is True
    assert still(np.clip(frame.astype(int) + random.integers(-2, 3, frame.shape), 0, 255).astype(np.uint8)) is True
    assert still(turned) is False, "nothing but the player's face changed"
    assert still(None) is None
    assert still(frame[:8]) is None

    def blurred(image):
        return np.clip(image.astype(int) + random.integers(-40, 41, image.shape), 0, 255).astype(np.uint8)

    away = np.roll(frame, 16, axis=1)
    assert still(blurred(frame), away) is True
    assert still(blurred(away), away) is False
    assert still(blurred(frame)) is None, "a blurred dream is like nothing"
    assert still(blurred(frame), frame) is None, "the world stood still too"
    assert still(blurred(frame // 2 + away // 2), away) is None, "half way"


def test_what_reviews_say_of_dreams_is_shown_and_counted(forest):
    _, facts, turned, _ = forest
    checker = CHECKERS.get("crafter")()
    steps = (
        after_the_dream(forest, REVIEW, facts),
        after_the_dream(forest, REVIEW, moved(facts), dreamed=turned),
        after_the_dream(forest, "1. I plan to use. 2. The dream gains wood. 3. The plan holds.", facts, action=LEFT),
        after_the_dream(forest, REVIEW, {}),
    )
    trajectory = fake_trajectory().with_steps(steps)
    claims = [step.privileged["claims"][1] for step in with_verdicts(trajectory, checker).steps]
    still = {"text": "The dream stands still.", "of": "dream"}
    assert claims == [
        {**still, "verdict": True, "dreamed": True},
        {**still, "verdict": False, "dreamed": False},
        {"text": "The dream gains wood.", "of": "dream", "verdict": False, "dreamed": None},
        {**still, "verdict": None, "dreamed": True},
    ]
    counts = count_review_claims(trajectory, checker)
    assert counts == {
        "plan": {"checked": 4, "true": 3},
        "dream": {"checked": 3, "came": 1},
        "still": {"told": 3, "dreamed": 2, "checked": 2, "came": 1},
    }
    row = {"reviews": 4, "changed": 3, "review_claims": counts}
    old = {"reviews": 1, "changed": 0}
    assert summarise_reviews([old, row, row])["claims"]["dream"] == {"checked": 6, "came": 2}
    assert count_review_claims(trajectory, None) == {}


def test_people_are_told_how_much_of_what_reviews_say_is_so():
    claims = {"plan": {"checked": 9, "true": 8}, "dream": {"checked": 7, "came": 6}}
    claims["still"] = {"told": 5, "dreamed": 4, "checked": 3, "came": 2}
    summary = {"cells": {}, "cost_per_decision": {}, "thoughts": {}, "episodes": 1}
    summary["success"] = {"value": 1.0, "low": 0.5, "high": 1.0, "n": 1}
    reviews = {"reviews": 9, "changed": 0.5}
    told = scores_text({**summary, "reviews": {**reviews, "claims": claims}})
    assert re.findall(r"[0-9]+", told.splitlines()[-1]) == ["9", "8", "7", "6", "5", "4"]
    assert "named their plan" not in scores_text({**summary, "reviews": reviews}), "nobody could check it"


@pytest.fixture(scope="module")
def checkpoint(made):
    return AgentCheckpoint.load(made.agent)


def decided(checkpoint, judge):
    """Eight decisions of an agent that hardly knows anything, and so changes most plans."""
    world = make_world("crafter")
    frame, _ = Episode(task="collect_wood", setting="manual", seed=7).begin(world)
    seen = Observation(frame=frame, instruction="collect wood", previous_action=USE)
    warm = Sampler(temperature=1.0)
    config = PolicyConfig(prompt_format=checkpoint.prompt_format, planner=Lookahead(), thought_tokens=8, text=warm)
    policy = build_policy(checkpoint, config, verdict_of=judge)
    return policy.decide([seen] * 8, range(8))


def test_a_review_that_says_keep_does_what_was_planned(checkpoint):
    free = decided(checkpoint, None)
    heard = []

    def judge(thought):
        heard.append(thought)
        return "keep" if thought in [decision.thought for decision in free[::2]] else "change"

    bound = decided(checkpoint, judge)
    assert sorted(heard) == sorted(decision.thought for decision in free), "reviews alone are judged"
    assert sum(decision.review.helped for decision in free[::2]) > 1, "there is something to bind"
    for number, (one, other) in enumerate(zip(free, bound, strict=True)):
        assert (one.thought, one.dreams[0].action) == (other.thought, other.dreams[0].action)
        expected = other.dreams[0].action if number % 2 == 0 else one.action
        assert other.action == other.review.action == expected
        assert other.review.helped == (other.action != other.dreams[0].action)


def settings(made, **changes):
    agent = str(made.agent)
    return EmbodiedConfig(agent=agent, tasks=("place_table/tool",), episodes=1, most_steps=4, dreams=1, **changes)


def test_a_bound_agent_never_breaks_its_word_to_keep(made, tmp_path, monkeypatch):
    monkeypatch.setattr("rig.annotators.crafter_check.CrafterChecker.judgement", lambda self, thought: "keep")
    free, bound = (
        evaluate_embodied(settings(made, bind_verdicts=bind, temperature=1.0), tmp_path / str(bind))["reviews"]
        for bind in (False, True)
    )
    assert free["against"]["keep"] > 0
    assert bound == {**bound, "changed": 0, "against": {"keep": 0, "change": 0}}
    assert bound["says"] == {"keep": bound["reviews"], "change": 0, "nothing": 0}


def test_the_steps_that_are_shown_hold_the_verdicts(made, monkeypatch):
    monkeypatch.setattr("rig.annotators.crafter_check.CrafterChecker.judgement", lambda self, thought: "change")
    (played,) = play_config(settings(made))
    for step in played.trajectory.steps:
        did = "change" if step.review.helped else "keep"
        assert step.privileged["verdict"] == {"says": "change", "did": did, "consistent": step.review.helped}
        assert "claims" in step.privileged
    assert with_verdicts(played.trajectory, None) is played.trajectory


def test_reviews_are_free_where_nobody_can_read_them(made, tmp_path, monkeypatch):
    class Mute(ClaimChecker):
        def check(self, thought, facts, action):
            return CrafterChecker().check(thought, facts, action)

    monkeypatch.setitem(CHECKERS._entries, "crafter", Mute)
    assert evaluate_embodied(settings(made), tmp_path / "out")["reviews"].keys() == {"reviews", "changed"}


def test_results_from_before_a_flag_was_there_go_on(made, tmp_path):
    wanted = replace(settings(made), dreams=0, most_steps=1, bind_verdicts=False)
    whole = evaluate_embodied(wanted, tmp_path)
    known = json.loads((tmp_path / CONFIG).read_text())
    del known["bind_verdicts"], known["follow_dreams"]
    (tmp_path / CONFIG).write_text(json.dumps(known))
    assert evaluate_embodied(wanted, tmp_path, resume=True)["success"] == whole["success"]
    with pytest.raises(RigError, match=r"bind_verdicts: False there, True now"):
        evaluate_embodied(replace(wanted, bind_verdicts=True, dreams=0), tmp_path, resume=True)
