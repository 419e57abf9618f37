"""Decisions among plans, held against their votes, their scores and what really came of each."""

import json
from dataclasses import replace

import pytest
from test_data_roundtrip import info_for

from rig.actions import Action
from rig.agents.checkpoint import AgentCheckpoint
from rig.cli.main import main
from rig.cli.tables import episode_text, plans_text, reviews_text
from rig.data import Dataset, DatasetWriter
from rig.errors import RigError
from rig.evaluate.config import ReviewsConfig
from rig.evaluate.plans import Choice, choices_of, count_plans, score_plans
from rig.evaluate.reviews import evaluate_reviews
from rig.evaluate.saved import read_scores
from rig.records import Dream, Plan, Review, fake_step, fake_trajectory

KEYS = ("move_left", "use", "sleep")


def decided(chosen, *plans, size=32, index=0):
    """A step with one sample that was decided among plans of (votes, score, samples after it)."""
    made = []
    for key, (votes, score, after) in zip(KEYS, plans, strict=False):
        facts = {} if after is None else {"samples": after}
        dream = Dream(thought=None, action=Action.press(key), privileged=facts)
        made.append(Plan(thought=None, action=Action.press(key), dreams=(dream,), votes=votes, score=score))
    step = fake_step(size=size, index=index)
    step = replace(step, action=made[chosen].action, privileged={"samples": 1})
    return step.with_plans(made, chosen)


STEPS = (
    decided(0, (4, None, None), index=0),
    decided(1, (3, 0.5, 1), (1, 2.0, 2), index=1),
    decided(0, (2, 0.5, 1), (2, 2.0, 2), index=2),
    decided(0, (2, None, 1), (1, None, None), (1, None, 1), index=3),
    decided(2, (2, 3.0, 1), (1, 1.0, 1), (1, 3.0, 1), index=4),
)


def test_what_is_known_of_a_decision_among_plans():
    one, two, three, four, five = choices_of(fake_trajectory().with_steps((*STEPS, fake_step(num_dreams=1))))
    assert one == Choice(episode="fake-0", chosen=0, votes=(4,))
    assert two == Choice(episode="fake-0", chosen=1, votes=(3, 1), scores=(0.5, 2.0), gains=(0, 1))
    assert three.gains == (0, 1)
    assert (four.scores, four.gains) == (None, None), "of a plan that nobody judged and nobody tried nothing is known"
    assert five.gains == (0, 0, 0)
    assert [choice.is_against_votes for choice in (one, two, three, four, five)] == [False, True, False, False, True]


def test_decisions_are_counted_and_scored_against_votes_scores_and_gains():
    choices = choices_of(fake_trajectory().with_steps(STEPS))
    assert count_plans(choices) == {"decisions": 5, "agreed": 1, "against": 2, "told": 2, "best": 1}
    found = score_plans(choices)
    values = {name: part["value"] for name, part in found.items() if isinstance(part, dict)}
    assert values == {
        "plans": (2 + 2 + 3 + 3) / 4,
        "most_votes": 2 / 4,
        "best_score": pytest.approx(2 / 3),
        "best_taken": 1 / 2,
        "best_by_votes": 0.0,
        "best_at_random": 1 / 2,
    }
    assert found["best_taken"]["n"] == 2
    text = plans_text(found)
    assert text.startswith("5 decisions among plans in 1 episodes; in 1 all proposals agreed, and 4 weighed 2.5 ")
    assert "of 2 in which plans are known to bring different gains, took a best one 0.50" in text


def test_nothing_known_is_counted_as_nothing():
    assert set(count_plans(()).values()) == {0}
    found = score_plans(choices_of(fake_trajectory().with_steps(STEPS[:1])))
    assert found["decisions"] == found["agreed"] == 1
    assert found["plans"] is found["most_votes"] is found["best_taken"] is None
    assert "–" in plans_text(found)


@pytest.fixture(scope="module")
def live(made, tmp_path_factory):
    """A dataset of decisions among plans, beside a lookahead that was reviewed."""
    path = tmp_path_factory.mktemp("plans") / "live"
    known = next(iter(Dataset(made.data)))
    step = known.steps[0]
    dream = Dream(thought=step.thought, action=step.action, frame=step.frame, real_frame=step.next_frame)
    review = Review(thought=step.thought, action=step.action)
    frames = {"frame": step.frame, "next_frame": step.next_frame}
    with DatasetWriter(
        path, info_for(AgentCheckpoint.load(made.agent).space, size=len(step.frame), stage="live")
    ) as writer:
        writer.append(fake_trajectory().with_steps(tuple(replace(one, **frames) for one in STEPS)))
        writer.append(known.with_steps((replace(step.with_dreams((dream,)), review=review),)))
    return path


def reconsidered(made, live, **changes):
    settings = {"data": (str(live),), "shown": ("still",), "thought_tokens": 4, "dtype": "float32", **changes}
    return ReviewsConfig(agent=str(made.agent), **settings)


def test_reconsider_reports_decisions_among_plans_beside_reviews(made, live, tmp_path):
    """Also where there are reviews in the same data, or none at all."""
    both = evaluate_reviews(reconsidered(made, live), tmp_path / "both")
    assert both["lookaheads"] == 1
    assert both["plans"] == score_plans(choices_of(fake_trajectory().with_steps(STEPS)))
    assert read_scores(tmp_path / "both" / "reviews.json") == json.loads(json.dumps(both))
    assert reviews_text(both).index("lookaheads") < reviews_text(both).index("decisions among plans")
    with pytest.raises(RigError, match="or of decisions among several plans"):
        evaluate_reviews(reconsidered(made, live, tasks=("explore",)), tmp_path / "none")


def test_reconsider_reads_data_without_reviews(made, tmp_path):
    path = tmp_path / "live"
    with DatasetWriter(path, info_for(AgentCheckpoint.load(made.agent).space, size=32, stage="live")) as writer:
        writer.append(fake_trajectory(size=32).with_steps(STEPS))
    scores = evaluate_reviews(reconsidered(made, path), tmp_path / "scores")
    assert (scores["lookaheads"], scores["shown"], scores["plans"]["decisions"]) == (0, {}, 5)
    assert reviews_text(scores) == plans_text(scores["plans"])
    spoilt = json.loads((tmp_path / "scores" / "reviews.json").read_text())
    spoilt["plans"]["decisions"] = "many"
    (tmp_path / "scores" / "reviews.json").write_text(json.dumps(spoilt))
    with pytest.raises(RigError, match="decisions"):
        read_scores(tmp_path / "scores" / "reviews.json")


def test_inspect_tells_what_the_first_choice_said(live, capsys):
    assert main(["inspect", str(live)]) == 0
    out = capsys.readouterr().out
    assert "5 decisions among plans: 1 of 1, 2 of 2, 2 of 3 plan(s); 2 took one that another had more votes than" in out
    assert (
        "the first, in fake-0, step 1: Wait! Let's re-observe... Plan 1, move_left: score 0.5, 3 of 4 proposals. "
        "Plan 2, use: score 2, 1 of 4 proposals. I take plan 2."
    ) in out


def test_an_episode_is_told_with_what_its_choices_said():
    lines = episode_text(fake_trajectory().with_steps(STEPS)).splitlines()
    assert len(lines) == 1 + 5 + 4
    assert lines[3].strip().startswith("Wait! Let's re-observe... Plan 1, move_left: score 0.5")
