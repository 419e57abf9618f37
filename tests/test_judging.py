"""Judgement as text: how a plan's worth is said, learned, asked for, weighed in play and scored on held-out sets."""

import json
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from makers import QUICK, agent_training, branch_config
from test_branching import a_set

from rig.actions import CRAFTER, Action
from rig.agents import BestOf, DecisionState, PolicyConfig, build_policy
from rig.agents.checkpoint import AgentCheckpoint
from rig.agents.said import Said
from rig.annotators import CHECKERS, build_reviewer
from rig.cli.main import main
from rig.data import Dataset
from rig.dialogue import (
    SCALES,
    Learned,
    PromptFormat,
    Role,
    Text,
    TextTokenizer,
    WriteImage,
    asked_to_judge,
    conversation_of,
    flaw,
    judge_conversation,
    judgement_text,
    prompt,
)
from rig.engine import Sampler
from rig.errors import DatasetError, DialogueError, RigError
from rig.evaluate.config import JudgementsConfig
from rig.evaluate.judgements import calibration, evaluate_judgements
from rig.evaluate.saved import JUDGEMENTS, read_scores
from rig.records import POLICY, Judgement, Observation, Plan, fake_step
from rig.shipped import shipped_agent
from rig.stages import branch
from rig.stages.branching import branch_of
from rig.stages.judging import shown, term_of, with_judgements
from rig.train import DataPart, train_agent
from rig.train.config import JudgeTraining

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

JUDGES = PromptFormat(judgement="lost")
SAID = Judgement(outcome="1. The dream gains wood.", term="0 lost")


def codes(count=16):
    return np.arange(count, dtype=np.uint16)


def judged_step(dreams=1):
    """A branch as training has it, with real frames."""
    step = fake_step(3, num_dreams=dreams)
    came = tuple(replace(dream, codes=codes(), real_codes=codes() + 1) for dream in step.dreams)
    action = came[0].action if came else step.action
    return replace(step, dreams=came, action=action, review=None, judgement=SAID)


def texts_of(segments):
    return [segment.text for segment in segments if isinstance(segment, Text)]


def test_a_judgement_stands_behind_its_plan_the_dream_and_the_frame_that_is_observed_again():
    step = judged_step()
    segments = judge_conversation(step, CRAFTER, JUDGES)
    kinds = [type(segment).__name__ for segment in segments if not isinstance(segment, Text)]
    assert kinds == ["ReadImage", "WriteImage", "End", "ReadImage", "ReadImage", "End"]
    read = [segment.frame for segment in segments if type(segment).__name__ == "ReadImage"]
    for found, wanted in zip(read, (step.frame, step.dreams[0].real_frame, step.frame), strict=True):
        assert np.array_equal(found, wanted), "what really came stands for the dream"
    assert texts_of(segments)[-4:] == [prompt.JUDGEMENT, SAID.outcome, prompt.VERDICT, SAID.term]
    assert prompt.REVIEW not in texts_of(segments)
    asked = asked_to_judge(step, CRAFTER, JUDGES)
    assert texts_of(asked) == texts_of(segments)[:-3], "training asks as a policy is asked"
    assert conversation_of(step, "judge", CRAFTER, JUDGES)[-2].text == SAID.term
    assert judgement_text(SAID) == "1. The dream gains wood. The verdict: 0 lost"


def test_the_plan_is_context_and_the_judgement_is_learned_the_verdict_apart():
    learned = Learned(judgement=0.5, verdict=3.0, frame=0.25)
    segments = judge_conversation(judged_step(2), CRAFTER, JUDGES, learned)
    weights = [(segment.text, segment.weight) for segment in segments if isinstance(segment, Text) and segment.weight]
    assert weights == [(SAID.outcome, 0.5), (prompt.VERDICT, 0.5), (SAID.term, 3.0)]
    assert [segment.weight for segment in segments if isinstance(segment, WriteImage)] == [0.25, 0.25]
    unseen = judge_conversation(shown(judged_step(2), "dreams"), CRAFTER, JUDGES, learned)
    assert [segment.weight for segment in unseen if isinstance(segment, WriteImage)] == [0, 0], "no dream learns itself"
    assert segments[-3].role == Role.THOUGHT
    assert segments[-2].role == Role.ACTION


@pytest.mark.parametrize("changes", [{}, {"dream": False}, {"thought": False, "reobserve": False}])
def test_a_plan_can_be_judged_unseen(changes):
    """The frame is read once, and once more where the form observes again; nothing else of what came is there."""
    step, prompt_format = judged_step(), replace(JUDGES, **changes)
    segments = judge_conversation(shown(step, "nothing"), CRAFTER, prompt_format)
    assert not [segment for segment in segments if isinstance(segment, WriteImage)]
    read = [segment.frame for segment in segments if type(segment).__name__ == "ReadImage"]
    assert len(read) == 1 + prompt_format.reobserve
    assert all(np.array_equal(frame, step.frame) for frame in read)
    assert prompt.IMAGINE not in texts_of(segments)
    if not prompt_format.dream:
        assert texts_of(judge_conversation(step, CRAFTER, prompt_format)) == texts_of(segments), (
            "it has no dreams to be shown"
        )


def test_what_cannot_be_said_is_left_out_or_refused():
    step = judged_step()
    assert flaw(step, "judge", JUDGES) is None
    assert flaw(replace(step, judgement=None), "judge", JUDGES) == "without a judgement"
    holds = replace(step, judgement=replace(SAID, outcome="The verdict: mine."))
    assert flaw(holds, "judge", JUDGES) == "with a fixed phrase of the prompt in a text"
    silent = replace(step.dreams[0], thought=None)
    assert flaw(replace(step, dreams=(silent,)), "judge", JUDGES) == "without a thought"
    blank = replace(step.dreams[0], real_codes=None, codes=None)
    assert flaw(replace(step, dreams=(blank,)), "judge", JUDGES) == "with a dream that has no frame"
    assert flaw(shown(replace(step, dreams=(blank,)), "nothing"), "judge", JUDGES) is None
    nothing = Learned(judgement=0, verdict=0, frame=0)
    assert flaw(step, "judge", JUDGES, nothing) == "of which nothing is learned"
    assert flaw(step, "judge", JUDGES, replace(nothing, verdict=1)) is None
    with pytest.raises(DialogueError, match="no judgement"):
        judge_conversation(replace(step, judgement=None), CRAFTER, JUDGES)
    with pytest.raises(DialogueError, match="reword"):
        judge_conversation(holds, CRAFTER, JUDGES)


@pytest.mark.parametrize("name", SCALES)
def test_scales_are_log_spaced_and_know_what_their_terms_stand_for(name):
    scale = SCALES[name]
    said = [scale.term_of(steps) for steps in (0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 999)]
    assert said[:9] == [scale.terms[at] for at in (0, 1, 2, 3, 3, 4, 4, 5, 5)]
    assert said[-1] == scale.terms[-1]
    assert all(scale.term_of(steps) == term for term, steps in zip(scale.terms, scale.steps, strict=True))
    entropy_threshold = dict.fromkeys(scale.terms, 0.0) | {scale.terms[2]: 0.5}
    assert scale.expected(entropy_threshold) == 2
    assert scale.expected(entropy_threshold | {scale.terms[0]: 0.5}) == 1


def test_terms_are_atoms_of_new_tokenizers_and_differ_from_the_first_token_on_in_old_ones(made):
    new, old = TextTokenizer.load(made.tokenizers), TextTokenizer.load(shipped_agent("crafter"))
    for scale in SCALES.values():
        assert [len(new.encode(term, literal=True)) for term in scale.terms] == [1] * len(scale.terms)
        spelled = [old.encode(term, literal=True) for term in scale.terms]
        assert len({ids[0] for ids in spelled}) == len(spelled)
        assert [old.decode(ids) for ids in spelled] == list(scale.terms)
    for phrase in (prompt.JUDGEMENT, prompt.VERDICT):
        assert len(new.encode(phrase, literal=True)) == 1
        assert old.decode(old.encode(phrase, literal=True)) == phrase


def test_an_agent_of_before_speaks_no_judgement_and_none_is_asked_of_it(made):
    checkpoint = AgentCheckpoint.load(shipped_agent("crafter"))
    assert checkpoint.prompt_format.judgement is None
    for planner in (BestOf(plans=2, judge="said"), BestOf(plans=2, dreams=1, judge="said")):
        with pytest.raises(RigError, match=r"has not learned to say.*rig train --judge"):
            PolicyConfig(prompt_format=checkpoint.prompt_format, planner=planner)
    policy = build_policy(checkpoint, PolicyConfig(prompt_format=checkpoint.prompt_format))
    with pytest.raises(RigError, match="has not learned"):
        policy.judge([], [])
    with pytest.raises(RigError, match="has not learned"):
        evaluate_judgements(JudgementsConfig(agent=str(made.agent), data=("x",)), made.root / "no-scores")


@pytest.fixture(scope="module")
def sets(made, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rig.stages.branching.PolicyConfig", partial(PolicyConfig, thought_tokens=4))
        return branch(branch_config(made.agent, random=2), tmp_path_factory.mktemp("judging") / "sets")


@pytest.fixture(scope="module")
def judging(made, sets):
    """A debug agent that has learned to judge for a few steps; and its folder."""
    parts = (DataPart(data=str(made.data), share=0.5), DataPart(data=str(sets.path), style="judge", share=0.5))
    config = agent_training(
        made.data,
        made.tokenizers,
        parts=parts,
        prompt_format=JUDGES,
        judging=JudgeTraining(judge_given=("real", "dreams", "nothing")),
        training=replace(QUICK, steps=2, preview_every=0),
    )
    return train_agent(config, made.root / "judging")


def steps_of(dataset):
    return [step for trajectory in dataset for step in trajectory.steps]


def test_branches_are_told_where_they_lead_and_what_that_is_worth(sets):
    reviewer, checker = build_reviewer("crafter"), CHECKERS.get("crafter")()
    found = with_judgements(steps_of(sets), "lost", reviewer)
    assert found
    assert not any(branch_of(step).same for step in found)
    assert len(with_judgements(steps_of(sets), "lost", reviewer, closed=True)) == len(steps_of(sets)) > len(found) - 1
    for step in found:
        fact, said = branch_of(step), step.judgement
        assert said.term == SCALES["lost"].term_of(fact.lost)
        last = step.dreams[-1]
        seen = replace(step, thought=said.outcome, privileged=step.privileged, review=None)
        verdicts = checker.check(said.outcome, last.privileged, Action())
        first, *others = verdicts
        assert first.kind.startswith("dream_")
        assert others, "what is faced there, at least"
        assert all(verdict.holds is True and not verdict.concludes for verdict in others), (said, seen.instruction)
    same_state = [pair for pair in pairwise(found) if branch_of(pair[0]).state == branch_of(pair[1]).state]
    assert any(one.judgement != other.judgement for one, other in same_state)
    assert {step.judgement.outcome for step in with_judgements(steps_of(sets), "lost")} == {""}
    gone = with_judgements(steps_of(sets), "to-go")
    for step in gone:
        fact = branch_of(step)
        assert step.judgement.term == SCALES["to-go"].term_of(fact.totals[-1] - len(fact.totals))


def test_without_steps_to_go_nothing_is_said_and_other_data_are_refused(made):
    fact = a_set((POLICY, 1, 3)).facts[0]
    assert term_of(fact, "lost") == "3-4 lost"
    assert term_of(replace(fact, totals=()), "lost") is None
    with pytest.raises(DatasetError, match="is no branch"):
        with_judgements(steps_of(Dataset(made.data)), "lost")


def test_an_agent_learns_it_and_its_record_tells(judging):
    checkpoint = AgentCheckpoint.load(judging)
    assert checkpoint.prompt_format.judgement == "lost"
    assert [part["stage"] for part in checkpoint.origin["data"]] == ["s2", "branch"]
    assert checkpoint.origin["training"]["judging"]["judge_given"] == ["real", "dreams", "nothing"]


def test_a_judgement_is_asked_for_token_for_token_as_it_was_learned(judging):
    """In the fork of a plan, and of a whole step as training has it: the same verdicts, equally likely."""
    checkpoint = AgentCheckpoint.load(judging)
    policy = build_policy(
        checkpoint, PolicyConfig(prompt_format=checkpoint.prompt_format, planner=BestOf(dreams=2, judge="said"))
    )
    size = checkpoint.model.config.vision.image_size
    step = replace(fake_step(5, size=size), thought="1. I look up at grass.", instruction="collect wood")
    seen = Observation(frame=step.frame, instruction=step.instruction, previous_action=step.previous_action)

    def live(slot, dreams):
        state = DecisionState(policy._speaker, seen, slot)
        yield from state.observe()
        yield from state.retell(Plan(thought=step.thought, action=step.action))
        if dreams:
            yield from state.dream()
        yield from state.ask_worth()
        said = yield from state.judge()
        return said, tuple(state.dreams)

    for dreams in (0, 1):
        stream = policy.engine.stream(1)
        stream.submit(0, partial(live, dreams=dreams))
        ((said, dreamt),) = stream.finish()
        (read,) = policy.judge([replace(step, dreams=dreamt)], [0])
        assert read.judgement == said.judgement
        assert read.shares == pytest.approx(said.shares, abs=1e-5)
        assert sum(said.shares.values()) == pytest.approx(1)
        assert said.judgement.term == max(said.shares, key=said.shares.get)
        assert said.steps == pytest.approx(SCALES["lost"].expected(said.shares))


@pytest.mark.parametrize("dreams", [0, 1])
def test_the_plan_of_the_fewest_expected_steps_lost_is_taken_and_what_was_said_is_kept(judging, dreams):
    checkpoint = AgentCheckpoint.load(judging)
    planner = BestOf(plans=3, dreams=dreams, judge="said", votes_weight=0.0)
    settings = PolicyConfig(
        prompt_format=checkpoint.prompt_format, planner=planner, thought_tokens=8, text=Sampler(temperature=2.0)
    )
    policy = build_policy(checkpoint, settings)
    seen = [replace(fake_step(seed, size=64), instruction="collect wood").observation for seed in range(3)]
    judged = [decision for decision in policy.decide(seen, [0, 1, 2]) if len(decision.plans) > 1]
    assert judged
    for decision in judged:
        scores = [plan.score for plan in decision.plans]
        assert decision.chosen == scores.index(max(scores))
        for plan in decision.plans:
            assert -24 <= plan.score <= 0
            term = plan.judgement.rpartition(prompt.VERDICT.strip())[-1]
            assert term.strip() in SCALES["lost"].terms
            assert len(plan.dreams) == dreams


def test_calibration_compares_how_sure_verdicts_are_with_how_often_they_are_right():
    terms = SCALES["lost"].terms
    steps = [replace(judged_step(), judgement=Judgement(outcome="a", term=term)) for term in (terms[0], terms[1])]

    def said(entropy_threshold, words):
        shares = dict.fromkeys(terms, (1 - entropy_threshold) / (len(terms) - 1)) | {terms[0]: entropy_threshold}
        return Said(judgement=Judgement(outcome=words, term=terms[0]), shares=shares, steps=0.0)

    found = calibration(steps, [said(0.95, "a"), said(0.95, "b")])
    assert found["right"]["value"] == 0.5
    assert found["words"]["value"] == 0.5
    assert found["confidence"] == pytest.approx(0.95)
    assert found["ece"] == pytest.approx(0.45)
    assert calibration(steps, [said(0.95, "a"), said(0.45, "a")])["ece"] == pytest.approx((0.05 + 0.45) / 2)


def test_the_command_scores_a_judge_given_frames_dreams_and_nothing(judging, sets, tmp_path, capsys):
    words = ["judge", "--agent", str(judging), "--data", str(sets.path), "--batch-size", "8", "--dtype", "float32"]
    assert main([*words, "--out", str(tmp_path / "scores")]) == 0
    text = capsys.readouterr().out
    assert "said, given nothing" in text
    assert "dreams add to nothing" in text
    found = read_scores(tmp_path / "scores" / JUDGEMENTS)
    assert set(found["said"]) == {"real", "dreams", "nothing"}
    assert found["said"]["real"]["branches"] >= 2 * found["with_a_choice"] > 0
    assert found["provenance"]["commit"] is not None or "date" in found["provenance"]
    for more, less in (("dreams", "nothing"), ("real", "dreams")):
        ours, theirs = (found["scorers"][f"said, given {kind}"]["pairs"]["value"] for kind in (more, less))
        assert found["imagination"][more]["pairs"]["value"] == pytest.approx(ours - theirs)
    assert main([*words, "--out", str(tmp_path / "scores")]) == 2, "scores are not written over"
    path = tmp_path / "scores" / JUDGEMENTS
    path.write_text(json.dumps(json.loads(path.read_text()) | {"said": 3}))
    with pytest.raises(RigError, match="said"):
        read_scores(path)


def test_how_it_is_learned_is_checked_before_anything_is_read(made):
    part = DataPart(data="x", style="judge")
    for changes, message in (
        ({"parts": (part,)}, "give both"),
        ({"parts": (part,), "judging": JudgeTraining()}, "give both"),
        ({"parts": (part,), "judging": JudgeTraining(), "prompt_format": PromptFormat(judgement="to-go")}, "give both"),
        ({"prompt_format": JUDGES}, "neither elsewhere"),
    ):
        with pytest.raises(RigError, match=message):
            agent_training(made.data, made.tokenizers, **changes)
    with pytest.raises(RigError, match="judge_given"):
        JudgeTraining(judge_given=())
    with pytest.raises(RigError, match="verdict_weight"):
        JudgeTraining(verdict_weight=-1)
    with pytest.raises(RigError, match="at least one of each"):
        JudgementsConfig(agent="a", data=())
