"""Annotators from outside the package: made from a configuration, asked in batches, and shown frames alone."""

import gc
import json
import pickle
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import FunctionType, ModuleType
from typing import Annotated, ClassVar, Literal
from zlib import crc32

import numpy as np
import pytest
from makers import TASKS
from test_data_roundtrip import assert_same

from rig.actions import CRAFTER
from rig.agents import PolicyConfig
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators import (
    CHECKERS,
    LABELLERS,
    REASONERS,
    REVIEWERS,
    Asked,
    Evidence,
    Failure,
    Labeller,
    NoConfig,
    Reasoner,
    ReviewCase,
    Reviewer,
    ReviewEvidence,
    RuleReasoner,
    answered,
    build_labeller,
    build_reasoner,
    build_reviewer,
    can_tell,
    checker_of,
    incidental,
    seen_in,
    vocabulary_of,
)
from rig.cli.flags import read_settings
from rig.cli.main import main
from rig.data import Dataset
from rig.dialogue import prompt
from rig.engine import Sampler
from rig.errors import AnnotationError, DatasetError, RigError
from rig.evaluate.chains import real_chains
from rig.evaluate.config import ImaginationConfig
from rig.records import fake_step, fake_trajectory
from rig.stages import (
    AlignConfig,
    LookaheadConfig,
    Opening,
    ReasonConfig,
    RehearseConfig,
    RereviewConfig,
    align,
    reason,
    rehearse,
    rereview,
    review,
)
from rig.validation import Meta

BRIEF = partial(PolicyConfig, thought_tokens=4, text=Sampler(temperature=1.0))
"""For an agent of four steps of training, which would write as long as it may."""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A configuration as an annotator behind a server has one."""

    model: str
    style: Literal["terse", "wordy"] = "terse"
    most_words: Annotated[int, Meta(ge=1)] = 9
    at_once: Annotated[int, Meta(ge=1, le=64)] = incidental(1)
    together: Annotated[int, Meta(ge=1)] = incidental(1)


class Slow:
    """Answers in another order than it is asked, and counts its calls."""

    Config = Wording
    prompt = "instructions-1"
    calls: ClassVar = Counter()
    seen: ClassVar = []
    fails: ClassVar = {}

    def __init__(self, config=None, space=None):
        super().__init__(config, space)
        self.name = f"slow-1-{self.config.model}"
        self.concurrency, self.batch_size = self.config.at_once, self.config.together
        self.running, self.lock = 0, threading.Lock()

    def annotate(self, batch):
        with self.lock:
            self.running += 1
            Slow.calls["most at once"] = max(Slow.calls["most at once"], self.running)
            Slow.calls["most together"] = max(Slow.calls["most together"], len(batch))
            Slow.seen += batch
        time.sleep(crc32(batch[0].frame.tobytes()) % 5 / 2000)
        with self.lock:
            self.running -= 1
        return [self.answer(one) for one in batch]

    def answer(self, evidence):
        number = crc32(evidence.frame.tobytes())
        if self.fails.get(number):
            self.fails[number] -= 1
            return Failure("the server was too busy")
        return self.words(evidence, number)

    def close(self):
        Slow.calls["closed"] += 1


class SlowReasoner(Slow, Reasoner[Evidence]):
    def words(self, evidence, number):
        return f"1. {self.config.style} {number}. 2. I {self.space.format(evidence.action)}."


class SlowReviewer(Slow, Reviewer[ReviewEvidence]):
    def words(self, evidence, number):
        shown = [crc32(dream.real_frame.tobytes()) for dream in evidence.dreams]
        keeps = evidence.better == evidence.proposal
        return f"1. {number} leads to {shown}. 2. I {'stay' if keeps else self.space.format(evidence.better)}."

    def can_tell(self, batch):
        Slow.seen += batch
        return [crc32(one.frame.tobytes()) % 3 > 0 for one in batch]


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Annotators of another package, in the registries."""
    monkeypatch.setitem(REASONERS._entries, "slow", SlowReasoner)
    monkeypatch.setitem(REVIEWERS._entries, "slow", SlowReviewer)
    monkeypatch.setattr(Slow, "calls", Counter())
    monkeypatch.setattr(Slow, "seen", [])
    monkeypatch.setattr(Slow, "fails", {})


def slow(**changes):
    return ReasonConfig(reasoner="slow", reasoner_config={"model": "tiny", **changes}, validate=False)


def told(dataset):
    return [step.thought for step in dataset.steps()]


# Configurations


def test_what_was_chosen_is_in_the_words_and_kept_with_the_dataset(made, tmp_path):
    dataset = reason(made.root / "s1", slow(style="wordy", at_once=4), tmp_path / "s2")
    assert all(step.thought.startswith("1. wordy ") for step in dataset.steps())
    assert dataset.info.config["reasoner"] == "slow"
    assert dataset.info.config["reasoner_config"] == {"model": "tiny", "style": "wordy", "most_words": 9}
    (terse, wordy) = (build_reasoner("slow", {"model": "tiny", "style": style}) for style in ("terse", "wordy"))
    lineages = {(trajectory.lineage.annotator, trajectory.lineage.prompt) for trajectory in dataset}
    assert lineages == {("slow-1-tiny", wordy.fingerprint)}
    assert terse.fingerprint != wordy.fingerprint.startswith("instructions-1+")
    assert Slow.calls["closed"] == 1


def test_a_review_has_no_reasoner(made, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["review", "--agent", str(made.agent), "--reasoner", "crafter", "--out", str(tmp_path / "s3")])
    assert "--reasoner" in capsys.readouterr().err
    assert not (tmp_path / "s3").exists()


def test_who_has_nothing_to_choose_leaves_no_trace_of_that(made, tmp_path):
    dataset = reason(made.root / "s1", ReasonConfig(), tmp_path / "s2")
    assert dataset.info.config == {"reasoner": "crafter", "same_actions": 20, "validate": True}
    assert dataset[0].lineage.prompt == REASONERS.get("crafter").prompt


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "slow",
            {"modle": "tiny"},
            r"the configuration of the Reasoner 'slow' has an unknown field 'modle'. .*'model'",
        ),
        ("slow", {}, r"the Reasoner 'slow': .*missing required field `model`; its fields are model, style"),
        ("slow", {"model": 3}, r"Expected `str`, got `int` - at `model`"),
        ("slow", {"model": "tiny", "style": "odd"}, r"Invalid enum value 'odd' - at `style`"),
        ("slow", {"model": "tiny", "at_once": 0}, r"Expected `int` >= 1 - at `at_once`"),
        ("slow", {"model": "tiny", "most_words": float("nan")}, r"most_words is nan"),
        ("slow", ["model"], r"Expected `object`, got `array`"),
        ("crafter", {"model": "tiny"}, r"the Reasoner 'crafter' takes no configuration, and was given model; leave it"),
    ],
)
def test_a_configuration_that_is_none_is_refused_by_name_before_any_work(made, tmp_path, name, given, message):
    with pytest.raises(RigError, match=message):
        reason(made.root / "s1", ReasonConfig(reasoner=name, reasoner_config=given), tmp_path / "out")
    with pytest.raises(RigError, match=message.replace("Reasoner", "Reviewer")):
        rehearse(made.data, RehearseConfig(reviewer=name, reviewer_config=given), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not Slow.seen


def test_what_is_no_annotator_is_refused_by_name(monkeypatch):
    class Unconfigurable(SlowReasoner):
        Config = dict

    for entry, message in (
        (lambda: None, r"have it be a class that inherits from rig.annotators.Reasoner"),
        (SlowReviewer, r"the Reasoner 'odd' is <class .*SlowReviewer.*inherits from rig.annotators.Reasoner"),
        (Unconfigurable, r"its Config is <class 'dict'>, which is no dataclass"),
        (type("Nameless", (RuleReasoner,), {"answer": str}), r"the Reasoner 'odd' has name None: a text"),
        (
            type("Idle", (RuleReasoner,), {"answer": str, "name": "x", "concurrency": 0}),
            r"has concurrency 0: .*1 or mo",
        ),
    ):
        monkeypatch.setitem(REASONERS._entries, "odd", entry)
        with pytest.raises(RigError, match=message):
            build_reasoner("odd")
    monkeypatch.setitem(CHECKERS._entries, "odd", lambda: object())
    with pytest.raises(RigError, match=r"checker of 'odd' is <object.*inherit from rig.annotators.ClaimChecker"):
        checker_of("odd")


def test_a_run_goes_on_with_another_pace_and_not_with_another_model(made, tmp_path):
    reason(made.root / "s1", slow(), tmp_path / "s2")
    assert reason(made.root / "s1", slow(at_once=8), tmp_path / "s2", Opening(resume=True)).ids
    with pytest.raises(DatasetError, match=r"config.reasoner_config.model: 'tiny' there, 'huge' now"):
        reason(made.root / "s1", slow(model="huge"), tmp_path / "s2", Opening(resume=True))


def test_the_command_line_gives_a_file_or_fields_or_both(made, tmp_path, capsys):
    (tmp_path / "server.json").write_text(json.dumps({"model": "tiny", "style": "terse", "most_words": 3}))
    words = ["reason", "--source", str(made.root / "s1"), "--reasoner", "slow", "--no-validate", "--out"]
    given = ["--reasoner-config", str(tmp_path / "server.json"), "style=wordy", "at_once=3"]
    assert main([*words, str(tmp_path / "s2"), *given]) == 0
    found = Dataset(tmp_path / "s2").info.config["reasoner_config"]
    assert found == {"model": "tiny", "style": "wordy", "most_words": 3}
    assert Slow.calls["most at once"] > 1
    assert main([*words, str(tmp_path / "out"), "--reasoner-config", "model=tiny", "mots_words=3"]) == 2
    assert "unknown field 'mots_words'. Did you mean 'most_words'?" in capsys.readouterr().err


def test_words_of_the_command_line_are_what_they_read_as():
    words = ["a=1", "b=0.5", "c=true", "d=Qwen/Qwen2-VL", 'e=["x", 2]', "f=", "g=http://h/v1?k=v", "a=7"]
    expected = {"a": 7, "b": 0.5, "c": True, "d": "Qwen/Qwen2-VL", "e": ["x", 2], "f": "", "g": "http://h/v1?k=v"}
    assert read_settings(words) == expected
    with pytest.raises(RigError, match=r"none.json cannot be read .*give a JSON object, or name=value"):
        read_settings(["none.json"])


# Batches


def test_whatever_is_in_flight_the_dataset_is_the_same(made, tmp_path):
    alone = reason(made.root / "s1", slow(), tmp_path / "alone")
    assert (Slow.calls["most at once"], Slow.calls["most together"]) == (1, 1)
    for number, (at_once, together) in enumerate(((3, 1), (8, 4), (1, 7))):
        Slow.calls.clear()
        beside = reason(made.root / "s1", slow(at_once=at_once, together=together), tmp_path / str(number))
        assert beside.content_hash == alone.content_hash
        assert max(Slow.calls["most at once"], Slow.calls["most together"]) > 1
        assert Slow.calls["most at once"] <= at_once
        assert Slow.calls["most together"] == together


def test_as_many_calls_are_open_as_an_annotator_states():
    together = threading.Barrier(4, timeout=20)

    class Meeting(RuleReasoner):
        name, concurrency = "meeting-1", 4

        def answer(self, known):
            together.wait()
            return known.evidence.instruction

    steps = [replace(fake_step(index, size=4), instruction=str(index)) for index in range(12)]
    assert Meeting().reason(steps) == [str(index) for index in range(12)]


def test_no_more_is_read_ahead_than_keeps_an_annotator_busy():
    class Stuck(RuleReasoner):
        name, concurrency, batch_size = "stuck-1", 2, 3
        free = threading.Event()

        def answer(self, known):
            if known.evidence.instruction == "0":
                self.free.wait(20)
            return known.evidence.instruction

    read = []

    def work():
        for number in range(100):
            read.append(number)
            if number > 40:
                Stuck.free.set()
            step = replace(fake_step(size=4), instruction=str(number))
            yield Asked(piece=number, questions=[seen_in(step)], places=["it"])

    threading.Timer(0.3, Stuck.free.set).start()
    found = answered(Stuck(), work())
    assert next(found) == (0, ["0"])
    assert len(read) <= 4 * 2 * 3 + 1 < 40
    assert [piece for piece, _ in found] == list(range(1, 100))


# What cannot see cannot leak


def reachable(start):
    """Return everything that can be reached from an object, but through classes, functions and modules."""
    found, left = {}, [start]
    while left:
        one = left.pop()
        if id(one) not in found and not isinstance(one, type | FunctionType | ModuleType):
            found[id(one)] = one
            left += gc.get_referents(one)
    return list(found.values())


class Secret:
    pass


def test_facts_cannot_be_reached_from_what_is_handed_to_who_sees_frames():
    handed = {}

    def noting(base, sees):
        def annotate(self, batch):
            handed[base, sees] = list(batch)
            return [["x"] if issubclass(base, Labeller) else "x" for _ in batch]

        def tells(self, batch):
            handed["tells", sees] = list(batch)
            return [True] * len(batch)

        methods = {"annotate": annotate, "can_tell": tells, "name": "noting", "sees": sees, "batch_size": 9}
        return type("Noting", (base,), methods)()

    step = fake_step(num_dreams=2, size=4)
    dreams = tuple(replace(dream, privileged={"secret": Secret()}) for dream in step.dreams)
    step = replace(step, privileged={"secret": [Secret()]}, dreams=dreams)
    for sees in ("frames", "facts"):
        noting(Reasoner, sees).reason([step])
        noting(Labeller, sees).label([step])
        noting(Reviewer, sees).review([ReviewCase(step=step, better=step.action)])
        can_tell(noting(Reviewer, sees), [ReviewCase(step=step, better=step.action)])
    assert len(handed) == 8
    for (_, sees), batch in handed.items():
        secrets = [one for one in reachable(batch) if isinstance(one, Secret)]
        assert bool(secrets) == (sees == "facts")


def test_no_stage_hands_facts_to_who_sees_frames(made, tmp_path, monkeypatch):
    """The facts of Crafter tell the hour, which no other part of a record names."""
    monkeypatch.setattr("rig.stages.lookahead.PolicyConfig", BRIEF)
    lookahead = {"agent": str(made.agent), "tasks": TASKS[1:], "episodes": 1, "skip": 4, "states": 2, "most_steps": 4}
    reviewer = {"reviewer": "slow", "reviewer_config": {"model": "tiny", "at_once": 2, "together": 2}}
    reasoner = {"reasoner": "slow", "reasoner_config": {"model": "tiny"}}
    reason(made.root / "s1", slow(), tmp_path / "s2")
    assert {type(one) for one in Slow.seen} == {Evidence}
    rehearse(made.data, RehearseConfig(**reviewer), tmp_path / "taught")
    rereview(tmp_path / "taught", RereviewConfig(**reviewer), tmp_path / "again")
    config = review(LookaheadConfig(**lookahead, **reviewer), tmp_path / "s3").info.config
    assert config["reviewer_config"]["model"] == "tiny"
    assert not [field for field in config if field.startswith("reasoner")], "nobody thinks in S3 but the agent"
    align(AlignConfig(**lookahead, **reviewer, **reasoner), tmp_path / "s4")
    assert {type(one) for one in Slow.seen} == {Evidence, ReviewEvidence}
    for one in Slow.seen:
        assert b"daylight" not in pickle.dumps(one)
    assert b"daylight" in pickle.dumps(seen_in(Dataset(made.data)[0].steps[0]))


def test_frames_cannot_be_changed_by_who_is_shown_them():
    class Scribbler(RuleReasoner):
        name = "scribbler-1"

        def answer(self, known):
            known.evidence.frame[0] = 7

    with pytest.raises(ValueError, match="read-only") as raised:
        Scribbler().reason([fake_step(size=4)])
    assert raised.value.__notes__ == ["scribbler-1 was asked about step 0"]


# Reviewers


def test_reviews_of_a_configured_reviewer_are_asked_in_batches_and_in_order(made, tmp_path):
    reviewers = [{"model": "tiny"}, {"model": "tiny", "at_once": 5, "together": 3}]
    made_twice = [
        rehearse(made.data, RehearseConfig(reviewer="slow", reviewer_config=given), tmp_path / str(number))
        for number, given in enumerate(reviewers)
    ]
    assert made_twice[0].content_hash == made_twice[1].content_hash
    assert (Slow.calls["most at once"] > 1, Slow.calls["most together"]) == (True, 3)
    rewritten = rereview(
        made_twice[0].path, RereviewConfig(reviewer="slow", reviewer_config=reviewers[1]), tmp_path / "x"
    )
    assert told(rewritten) == told(made_twice[0])
    assert rewritten.info.config["reviewer_config"] == {"model": "tiny", "style": "terse", "most_words": 9}
    alone = build_reviewer("slow", reviewers[0], CRAFTER)
    for step in rewritten.steps():
        assert [step.thought] == alone.review([ReviewCase(step=step, better=step.action)])
        assert step.review.thought == step.thought


def test_plans_are_changed_where_the_reviewer_can_tell_and_nowhere_else(made, tmp_path):
    """Whom the Reviewer is asked about, and in what company, does not change which noise is corrected."""
    config = RehearseConfig(slips=99, reviewer="slow", reviewer_config={"model": "tiny"})
    every = rehearse(made.data, replace(config, reviewer="crafter", reviewer_config={}), tmp_path / "every")
    some = rehearse(made.data, config, tmp_path / "some")
    corrected = [
        {(trajectory.id, step.index) for trajectory in dataset for step in trajectory.steps if step.review.helped}
        for dataset in (every, some)
    ]
    steps = {(trajectory.id, step.index): step for trajectory in every for step in trajectory.steps}
    shown = {place for place in corrected[0] if crc32(steps[place].frame.tobytes()) % 3 > 0}
    assert shown <= corrected[1]
    assert all(crc32(one.frame.tobytes()) % 3 > 0 for t in some for one in t.steps if one.review.helped)


def test_chains_to_dream_about_have_the_thoughts_of_a_configured_reasoner(made):
    given = {"model": "tiny", "at_once": 4, "together": 2}
    config = ImaginationConfig(
        agent=str(made.agent), tasks=TASKS[:1], chains=3, depth=2, reasoner="slow", reasoner_config=given
    )
    chains = list(real_chains(AgentCheckpoint.load(made.agent), config))
    alone = build_reasoner("slow", {"model": "tiny"}, CRAFTER)
    assert [[step.thought for step in chain.steps] for chain in chains] == [
        alone.reason(chain.steps) for chain in chains
    ]
    assert (len(chains), Slow.calls["most together"], Slow.calls["closed"]) == (3, 2, 1)


# What has no answer


def test_a_step_without_an_answer_is_named_and_costs_its_episode_until_it_is_asked_again(made, tmp_path):
    whole = reason(made.root / "s1", slow(), tmp_path / "whole")
    bad = max(whole.ids[:-1], key=lambda name: len(whole[name].steps))
    often = Counter(crc32(step.frame.tobytes()) for step in whole.steps())
    step = next(step for step in whole[bad].steps[3:] if often[crc32(step.frame.tobytes())] == 1)
    for at_once in (1, 4):
        out = tmp_path / str(at_once)
        Slow.fails[crc32(step.frame.tobytes())] = 1
        message = (
            rf"slow-1-tiny has no answer for episode {bad}, step {step.index}: the server was too busy\. .*--resume"
        )
        with pytest.raises(AnnotationError, match=message):
            reason(made.root / "s1", slow(at_once=at_once), out)
        assert sorted(Dataset(out, allow_incomplete=True).ids) == sorted(set(whole.ids) - {bad})
        Slow.seen.clear()
        again = reason(made.root / "s1", slow(at_once=at_once), out, Opening(resume=True))
        assert len(Slow.seen) == len(whole[bad].steps)
        for trajectory in again:
            assert_same(trajectory, whole[trajectory.id])


def test_a_dream_without_a_thought_and_a_review_without_words_are_named(made, tmp_path, monkeypatch):
    monkeypatch.setattr("rig.stages.lookahead.PolicyConfig", BRIEF)
    lookahead = {"agent": str(made.agent), "tasks": TASKS[1:], "episodes": 2, "skip": 4, "states": 2, "most_steps": 4}
    config = AlignConfig(
        **lookahead, horizons=(0, 1), reasoner="slow", reasoner_config={"model": "tiny"}, dtype="float32"
    )
    whole = align(config, tmp_path / "whole")
    step = next(step for step in whole[1].steps if len(step.dreams) == 2)
    Slow.fails[crc32(step.dreams[0].real_frame.tobytes())] = 99
    with pytest.raises(AnnotationError, match=rf"for episode {whole.ids[1]}, step {step.index}, dream 2: the server"):
        align(config, tmp_path / "out")
    assert Dataset(tmp_path / "out", allow_incomplete=True).ids == whole.ids[:1]
    reviewer = RereviewConfig(reviewer="slow", reviewer_config={"model": "tiny"})
    Slow.fails = {crc32(step.frame.tobytes()): 99}
    with pytest.raises(AnnotationError, match=rf"for episode {whole.ids[1]}, step {step.index}: the server"):
        rereview(whole.path, reviewer, tmp_path / "again")


@pytest.mark.parametrize("at_once", [1, 3])
def test_where_an_annotator_gives_up_what_was_answered_is_kept(made, tmp_path, monkeypatch, at_once):
    whole = reason(made.root / "s1", slow(), tmp_path / "whole")
    last = crc32(whole[-1].steps[0].frame.tobytes())
    answer = SlowReasoner.answer

    def gone(self, evidence):
        if crc32(evidence.frame.tobytes()) == last:
            raise RigError("the server is gone")
        return answer(self, evidence)

    monkeypatch.setattr(SlowReasoner, "answer", gone)
    Slow.calls.clear()
    with pytest.raises(RigError, match="the server is gone"):
        reason(made.root / "s1", slow(at_once=at_once), tmp_path / "s2")
    assert Dataset(tmp_path / "s2", allow_incomplete=True).ids == whole.ids[:-1]
    assert Slow.calls["closed"] == 1
    monkeypatch.undo()
    monkeypatch.setitem(REASONERS._entries, "slow", SlowReasoner)
    again = reason(made.root / "s1", slow(at_once=at_once), tmp_path / "s2", Opening(resume=True))
    assert again.ids == whole.ids
    assert told(again) == told(whole)


def test_what_was_read_before_a_fault_in_the_data_is_still_answered():
    def work():
        for index, step in enumerate(fake_trajectory(length=7, size=4).steps):
            yield Asked(piece=index, questions=[seen_in(step)], places=["it"])
        raise DatasetError("row 7 is spoilt")

    for at_once, together in ((1, 1), (1, 5), (4, 3)):
        reasoner = build_reasoner("slow", {"model": "x", "at_once": at_once, "together": together}, CRAFTER)
        found = answered(reasoner, work())
        assert [next(found)[0] for _ in range(7)] == list(range(7))
        with pytest.raises(DatasetError, match="row 7"):
            next(found)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([None], r"no answer for step 0: it gave None, which is no text"),
        ([f"1. I go.{prompt.NEXT_ACTION}"], r"no answer for step 0: its text .* holds the fixed phrase"),
        (["1. I go to \ud800."], r"no answer for step 0: its text .* holds half a character"),
        ([], r"odd-1 gave 0 answers to 1 questions; mend the annotator"),
        (["1. Yes.", "2. No."], r"odd-1 gave 2 answers to 1 questions"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(answers, message):
    class Odd(Reasoner[Evidence]):
        name = "odd-1"

        def annotate(self, batch):
            return answers

    with pytest.raises(AnnotationError, match=message):
        Odd().reason([fake_step(size=4)])


def test_a_reviewer_that_tells_of_more_than_it_is_asked_is_named():
    class Odd(SlowReviewer):
        def can_tell(self, batch):
            return [True, True]

    step = fake_step(num_dreams=1, size=4)
    with pytest.raises(AnnotationError, match=r"slow-1-m can tell 2 things of 1 cases"):
        can_tell(Odd(Wording(model="m")), [ReviewCase(step=step, better=step.action)])


# What else is part of the interface


def test_words_are_known_before_a_reviewer_is_configured():
    assert vocabulary_of("slow").sentences == ()
    assert vocabulary_of("").terms == ()
    assert vocabulary_of("crafter").terms


def test_a_labeller_is_configured_alike(monkeypatch):
    class Bright(Labeller[Evidence]):
        Config, name = Wording, "bright-1"

        def annotate(self, batch):
            return [[f"{self.config.model} {int(one.frame.mean())}"] * 4 for one in batch]

    monkeypatch.setitem(LABELLERS._entries, "bright", Bright)
    step = replace(fake_step(size=4), frame=np.full((4, 4, 3), 7, np.uint8))
    assert build_labeller("bright", {"model": "m"}).label([step]) == [["m 7"] * 4]
    with pytest.raises(RigError, match=r"the Labeller 'bright' has an unknown field 'nodel'. Did you mean 'model'"):
        build_labeller("bright", {"nodel": "m"})
    assert asdict(NoConfig()) == build_labeller("crafter").settings == {}
