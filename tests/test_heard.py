"""Decisions that are listened to: the same as others, told token by token; thoughts given in the place of their own."""

import pytest
from choices import clearly

from rig.actions import NOOP
from rig.agents import BestOf, HowToPlay, Lookahead
from rig.agents.heard import Given
from rig.agents.how import load_policy
from rig.envs import make_world
from rig.errors import RigError
from rig.records import Observation

PLANNERS = (Lookahead(dreams=2), BestOf(plans=3, dreams=1, judge="change"))


@pytest.fixture(scope="module")
def seen():
    frame, _ = make_world("crafter").reset(seed=1, options={"task": "place_table", "setting": "tool"})
    return Observation(frame=frame, instruction="place a table", previous_action=NOOP)


def policy_of(made, planner):
    how = HowToPlay(planner_for=lambda _: planner, thought_tokens=12, entropy_threshold=0.1, dtype="float32")
    return load_policy(made.agent, how, "crafter")


def listened(policy, seen, seed, given=None):
    """Return the decision, and what was heard of it."""
    heard = []
    stream = policy.listened(seen, seed, heard.append, given)
    (ended,) = [ended for _ in iter(lambda: len(stream), 0) for ended in stream.advance()]
    return ended.value, heard


@pytest.mark.parametrize("planner", PLANNERS, ids=lambda planner: type(planner).__name__)
def test_listening_changes_nothing_and_everything_that_is_said_is_heard_as_it_grows(made, seen, planner):
    policy = policy_of(made, planner)
    seed, alone = clearly(lambda seed: policy.decide([seen], [seed])[0])
    decision, heard = listened(policy, seen, seed)
    assert (decision.action, decision.thought, decision.chosen) == (alone.action, alone.thought, alone.chosen)
    assert [dream.codes.tolist() for dream in decision.dreams] == [dream.codes.tolist() for dream in alone.dreams]
    growing = {}
    for one in heard:
        if one.part in ("thought", "action"):
            before = growing.setdefault((one.way, one.depth, one.part, one.review), [])
            assert not before or one.text.startswith(before[-1]) or one.is_whole
            before.append(one.text)
    thoughts = {texts[-1] for (_, _, part, _), texts in growing.items() if part == "thought"}
    assert {plan.thought for plan in decision.plans} <= thoughts
    assert decision.thought in thoughts
    assert max(len(texts) for texts in growing.values()) > 5, "token by token"
    dreamed = [one.dream.codes.tolist() for one in heard if one.part == "dream"]
    assert all(dream.codes.tolist() in dreamed for plan in decision.plans for dream in plan.dreams)


def test_forks_are_told_apart(made, seen):
    _, heard = listened(policy_of(made, PLANNERS[1]), seen, 3)
    assert {one.way for one in heard if one.part == "thought"} == {"1.0", "1.1", "1.2"}
    plans = {one.way: one.text for one in heard if one.part == "plan"}
    assert len(set(plans.values())) == len(plans)
    assert set(plans) <= {"2.0", "2.1", "2.2"}
    assert all(plans[one.way] == one.text for one in heard if one.part == "dream")


def test_an_action_follows_from_the_thought_that_is_given(made, seen):
    policy = policy_of(made, PLANNERS[0])
    given = Given(thought="the tree is left. So go left.", review="keep the plan.")
    decision, heard = listened(policy, seen, 3, given)
    assert decision.plans[0].thought == given.thought
    assert decision.thought == decision.review.thought == given.review
    assert {one.text for one in heard if one.part == "thought" and not one.is_whole and one.depth in (0, 2)} == set()
    plain, _ = listened(policy, seen, 3)
    assert plain.thought != given.review, "it would not have said so by itself"


@pytest.mark.parametrize(
    ("thought", "wrong"),
    [
        ("  ", "the thought is empty"),
        ("a \ud800 half", "no Unicode"),
        ("human: go left", "fixed phrase 'human:'"),
        ("tree " * 60, "there is room for 12"),
    ],
)
def test_a_thought_that_cannot_be_had_is_refused(made, seen, thought, wrong):
    policy = policy_of(made, PLANNERS[0])
    for given in (Given(thought=thought), Given(review=thought)):
        with pytest.raises(RigError, match=wrong):
            listened(policy, seen, 3, given)
