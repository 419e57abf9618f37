"""Answers of models are read strictly: what is no thought, or about another action, is refused, and the model told."""

import json
from dataclasses import replace

import numpy as np
import pytest
from chat_server import good_answer
from vlm_makers import USE, step_of

from rig.actions import CRAFTER, MINERL, NOOP, Action
from rig.annotators import Failure, build_reasoner, build_reviewer, seen_in
from rig.annotators.evidence import ReviewCase, seen_of
from rig.annotators.vlm import prompts
from rig.annotators.vlm.answers import WrongAnswer, reasoner_thought, reviewer_thought, without_thinking
from rig.annotators.vlm.asked import MODES, Reply
from rig.annotators.vlm.config import ServedConfig, address_of, key_of
from rig.annotators.vlm.pictures import Picture
from rig.dialogue import prompt
from rig.errors import AnnotationError, RigError
from rig.records import fake_step


def said(value, **changes):
    return Reply(text=value if isinstance(value, str) else json.dumps(value | changes))


GOOD = {"thought": ["I see a tree", "So I use it."], "action": "use"}


def test_a_thought_is_numbered_sentences_however_the_model_wrote_them():
    assert reasoner_thought(said(GOOD), USE, CRAFTER) == "1. I see a tree. 2. So I use it."
    odd = {"thought": ["1. I see\n  a tree!", "- (2) stones are near", "3) So I use it"], "action": " use "}
    assert reasoner_thought(said(odd), USE, CRAFTER) == "1. I see a tree! 2. (2) stones are near. 3. So I use it."
    for text in (f"Sure!\n```json\n{json.dumps(GOOD)}\n```\nDone.", f"Here: {json.dumps(GOOD)} - that is all"):
        assert reasoner_thought(said(text), USE, CRAFTER) == "1. I see a tree. 2. So I use it."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("", "it is empty"),
        ("I see a tree.", "it holds no JSON object"),
        ('{"thought": ["a", "b"], "action": "use"', "it holds no JSON object|is not JSON"),
        ("{]}", "is not JSON"),
        ('{"thought": ["\ud800", "b"], "action": "use"}', "half a character"),
        ({"thought": ["a", "b"]}, "missing required field `action`"),
        ({"thought": "a. b.", "action": "use"}, "Expected `array`"),
        ({"thought": ["a", 2], "action": "use"}, "Expected `str`, got `int`"),
        ({"thought": ["a", ""], "action": "use"}, "length >= 1"),
        (GOOD | {"extra": 1}, "unknown field 'extra'"),
        (GOOD | {"thought": ["a"]}, "1 clauses; 2 to 4 are wanted"),
        (GOOD | {"thought": ["a"] * 5}, "5 clauses"),
        (GOOD | {"thought": ["a", "  1. "]}, "is empty|length"),
        (GOOD | {"thought": ["a", "b" * 500]}, "characters; 480 are the most"),
        (GOOD | {"thought": ["a", f"b {prompt.NEXT_ACTION.strip()} use"]}, "not to be used"),
        (GOOD | {"thought": ["a", f"{prompt.REVIEW.strip()} b"]}, "not to be used"),
        (GOOD | {"thought": ["a", "b\x1b[2J"]}, "control character"),
        (GOOD | {"thought": ["a", "b \u202e c"]}, "control character"),
        (GOOD | {"thought": ["a", "<think>hm</think> b"]}, "mark of thinking"),
        (GOOD | {"thought": ["a", "I go. 2. I stay."]}, "numbered clauses itself"),
        (GOOD | {"action": "jump"}, 'which is none; the action that was taken is "use"'),
        (GOOD | {"action": "use, sleep"}, "which is none"),
        (GOOD | {"action": "move_left"}, "and the action that was taken is"),
        (GOOD | {"action": "noop"}, "and the action that was taken is"),
    ],
)
def test_what_is_no_thought_is_refused_in_words_that_the_model_can_mend_it_by(answer, message):
    with pytest.raises(WrongAnswer, match=message):
        reasoner_thought(said(answer), USE, CRAFTER)


def test_a_review_says_of_its_plan_what_becomes_of_it_and_ends_with_a_legal_action():
    left = Action.press("move_left")
    review = GOOD | {"verdict": "change"}
    assert reviewer_thought(said(review), left, USE, CRAFTER).startswith("1. I see a tree.")
    assert reviewer_thought(said(review, verdict="keep"), USE, USE, CRAFTER)
    for proposal, verdict, message in (
        (left, "keep", 'is another than the plan\'s: it is "change"'),
        (USE, "change", 'is the plan\'s own: it is "keep"'),
        (left, "maybe", "Invalid enum value 'maybe'"),
    ):
        with pytest.raises(WrongAnswer, match=message):
            reviewer_thought(said(review, verdict=verdict), proposal, USE, CRAFTER)
    with pytest.raises(WrongAnswer, match="which is none; the expert's action is"):
        reviewer_thought(said(review, action="camera:[0,10]"), left, USE, CRAFTER)
    turn = Action.press("forward", camera=(0, 10))
    assert reviewer_thought(said(review, action="forward, camera:[0,10]"), NOOP, turn, MINERL)


def test_thinking_is_kept_apart_however_it_is_marked():
    assert without_thinking("a<think>b</think>c") == ("ac", "b")
    assert without_thinking("b</think>\n{}") == ("{}", "b")
    assert without_thinking("<think>it goes on") == ("", "it goes on")
    assert without_thinking("{}") == ("{}", "")
    assert without_thinking("<thinking>x</thinking>{}")[0] == "{}"


# What is asked


def requests_of(annotator, question, *replies):
    """Return the requests on the way to an answer, and the answer."""
    way = annotator.way(question)
    found = [next(way)]
    for reply in replies:
        try:
            found.append(way.send(reply))
        except StopIteration as end:
            return found, end.value
    return found, None


def test_a_question_shows_the_frame_and_says_the_actions_in_the_spaces_own_words():
    step = step_of(3, previous_action=Action.press("move_up"))
    reasoner = build_reasoner("openai", {"model": "m"}, CRAFTER)
    ((request,), _) = requests_of(reasoner, seen_in(step).evidence)
    system, user = request.body("nested")["messages"]
    assert "use, sleep" in system["content"]
    assert "camera" not in system["content"]
    text, picture = user["content"]
    assert text["text"] == "Task: task 3\nAction before: move_up\nAction taken: use\nThe frame:"
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    assert "detail" not in picture["image_url"]
    assert "camera:[pitch,yaw]" in prompts.reasoner_rules(MINERL, None)


def test_a_review_shows_what_really_came_and_the_dream_where_nobody_replayed_it():
    step = fake_step(num_dreams=3, size=4)
    dreams = (
        step.dreams[0],
        replace(step.dreams[1], real_frame=None),
        replace(step.dreams[2], frame=None, real_frame=None),
    )
    dreams = tuple(replace(dream, action=USE) for dream in dreams)
    step = replace(step, dreams=dreams, action=USE, previous_action=NOOP)
    reviewer = build_reviewer("openai", {"model": "m"}, CRAFTER)
    evidence = seen_of(ReviewCase(step=step, better=NOOP)).evidence
    ((request,), _) = requests_of(reviewer, evidence)
    shown = [part.frame for part in request.messages[1].parts if isinstance(part, Picture)]
    wanted = [step.frame, dreams[0].real_frame, dreams[1].frame]
    assert [frame.tobytes() for frame in shown] == [frame.tobytes() for frame in wanted]
    body = json.dumps(request.body("prompt"))
    assert "a frame that nobody has seen" in body
    assert "The plan's first action: use\\nThe expert's action: noop" in body
    assert good_answer(request.body("prompt"))["verdict"] == "change"


def test_an_answer_that_was_cut_is_asked_for_with_more_room_once():
    reasoner, evidence = build_reasoner("openai", {"model": "m"}, CRAFTER), seen_in(step_of(1)).evidence
    cut = Reply(text="{", finish="length")
    requests, answer = requests_of(reasoner, evidence, cut, said(GOOD))
    assert [request.max_tokens for request in requests] == [500, 1000]
    assert answer == "1. I see a tree. 2. So I use it."
    _, answer = requests_of(reasoner, evidence, cut, cut)
    assert answer == Failure("its answer was cut at 1000 tokens; give more as max_tokens")
    for reply in (Reply(text="", refusal="I cannot"), Reply(text="", finish="content_filter")):
        _, answer = requests_of(reasoner, evidence, reply)
        assert answer.reason.startswith("the model will not answer: ")


def test_an_answer_of_no_use_is_shown_to_the_model_with_what_is_wrong_once():
    reasoner, evidence = build_reasoner("openai", {"model": "m"}, CRAFTER), seen_in(step_of(1)).evidence
    bad = said(GOOD, action="jump")
    requests, answer = requests_of(reasoner, evidence, bad, said(GOOD))
    assert [message.role for message in requests[1].messages] == ["system", "user", "assistant", "user"]
    assert requests[1].messages[2].parts == (bad.text,)
    assert 'the action that was taken is "use"' in requests[1].messages[3].parts[0]
    assert answer.startswith("1. I see")
    _, answer = requests_of(reasoner, evidence, bad, bad)
    assert "that was to be mended is still of no use" in answer.reason


def test_the_hash_of_a_request_is_of_all_that_decides_its_answer_and_of_nothing_else():
    base = {"model": "m", "base_url": "http://a/v1"}
    evidence = seen_in(step_of(1)).evidence

    def key(config=base, question=evidence, mode="nested", **more):
        ((request,), _) = requests_of(build_reasoner("openai", config | more, CRAFTER), question)
        return request.key(mode)

    same = (
        {"base_url": "http://b/v1"},
        {"concurrency": 9, "timeout": 3.0, "cache": "x", "usd_per_million_in": 1.0, "usd_per_million_out": 1.0},
        {"tokens_field": "max_completion_tokens"},
    )
    assert {key(**changes) for changes in same} == {key()}
    brighter = replace(evidence, frame=evidence.frame + np.uint8(1))
    others = [
        key(model="n"),
        key(temperature=0.5),
        key(temperature=None),
        key(max_tokens=99),
        key(image_size=64),
        key(image_detail="low"),
        key(language="crafter"),
        key(question=brighter),
        key(question=replace(evidence, instruction="other")),
        key(question=replace(evidence, action=NOOP)),
        *(key(mode=mode) for mode in MODES),
    ]
    assert len({*others}) == len(others)


def test_the_version_of_the_prompt_is_in_the_hash_and_in_the_lineage(monkeypatch):
    reasoner, evidence = build_reasoner("openai", {"model": "m"}, CRAFTER), seen_in(step_of(1)).evidence
    ((request,), _) = requests_of(reasoner, evidence)
    before = request.key("nested")
    assert reasoner.prompt == prompts.VERSION
    assert reasoner.fingerprint.startswith(f"{prompts.VERSION}+")
    assert reasoner.settings == {
        "model": "m",
        "temperature": 0.0,
        "max_tokens": 500,
        "image_size": 384,
        "image_detail": "auto",
        "language": "",
    }
    monkeypatch.setattr(prompts, "VERSION", "another")
    assert request.key("nested") != before


def test_a_language_has_the_model_use_sentences_that_can_be_checked():
    rules = prompts.reviewer_rules(CRAFTER, build_reviewer("openai", {"model": "m", "language": "crafter"}).language)
    assert "I see {thing} {place}.\n" in rules
    assert "So keep the plan.\n" in rules
    reasoner = build_reasoner("openai", {"model": "m", "language": "crafter"}, CRAFTER)
    ((request,), _) = requests_of(reasoner, seen_in(step_of(1)).evidence)
    assert "So collect {thing}.\n" in request.messages[0].parts[0]
    assert "So keep the plan.\n" not in request.messages[0].parts[0]


def test_pictures_are_enlarged_by_whole_numbers_and_reduced_to_fit():
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    def size(shape, size):
        part = Picture(frame=np.zeros((*shape, 3), np.uint8), size=size).part()
        return Image.open(BytesIO(b64decode(part["image_url"]["url"].partition(",")[2]))).size

    assert size((64, 64), 384) == (384, 384)
    assert size((36, 64), 384) == (384, 216)
    assert size((50, 70), 384) == (350, 250)
    assert size((360, 640), 384) == (384, 216)
    assert size((384, 384), 384) == (384, 384)
    frame = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    part = Picture(frame=frame, size=8, detail="low").part()
    assert part["image_url"]["detail"] == "low"
    shown = np.asarray(Image.open(BytesIO(b64decode(part["image_url"]["url"].partition(",")[2]))))
    assert (shown[::2, ::2] == frame).all()


# Configurations


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "missing required field `model`"),
        ({"model": "m", "modle": "x"}, "unknown field 'modle'. Did you mean 'model'"),
        ({"model": "m", "base_url": "localhost:8000"}, r"base_url='localhost:8000' is no server's address"),
        ({"model": "m", "base_url": "http://"}, "is no server's address"),
        ({"model": "m", "base_url": "http://me:hunter2@h/v1"}, "holds a name or a password"),
        ({"model": "m", "base_url": "http://h/v1?key=x"}, "is no server's address"),
        ({"model": "m", "key_variable": "sk-abc"}, r"matching regex .* - at `key_variable`"),
        ({"model": "m", "temperature": 9}, "<= 2"),
        ({"model": "m", "concurrency": 0}, ">= 1"),
        ({"model": "m", "budget_usd": 1.0}, "budget_usd=1.0 needs the model's prices"),
        ({"model": "m", "usd_per_million_in": 1.0}, "give both prices"),
        ({"model": "m", "language": "klingon"}, "Invalid enum value 'klingon'"),
    ],
)
def test_a_configuration_that_is_none_is_refused_by_name(given, message):
    with pytest.raises(RigError, match=message) as raised:
        build_reasoner("openai", given)
    assert "sk-abc" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_key_is_for_who_it_was_given_for(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("OTHER", " sk-other\n")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert key_of(ServedConfig(model="m")) == "sk-mine"
    assert key_of(ServedConfig(model="m", base_url="http://localhost:1/v1")) == "none", "another's server is not told"
    assert key_of(ServedConfig(model="m", base_url="http://localhost:1/v1", key_variable="OTHER")) == "sk-other"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:2/v1/")
    assert address_of(ServedConfig(model="m")) == "http://localhost:2/v1"
    assert key_of(ServedConfig(model="m")) == "none"
    for value in ("", "two words", "naïve"):
        monkeypatch.setenv("OTHER", value)
        with pytest.raises(AnnotationError, match="environment variable OTHER holds") as raised:
            key_of(ServedConfig(model="m", key_variable="OTHER"))
        assert not value or value not in str(raised.value)
